package council

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/elect"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/lease"
)

// conflictAfter is how long the members in another mode must have been the same before
// they are reported: as long as with the usual lease. They become known one by one.
const conflictAfter = lease.DefaultLease

// available is an election in the Available mode.
type available struct {
	name string
	self ident.NodeID
	e    *elect.Election
	held ident.Term // the term of the last Hold
	disk disk

	foreign  []ident.NodeID // by ascending ID
	since    time.Time      // when foreign changed last
	reported []ident.NodeID
	reports  []Action
}

func newAvailable(now time.Time, name string, self Member, d disk) *available {
	return &available{
		name: name, self: self.ID, disk: d,
		e: elect.New(now, elect.Config{
			Self: self.ID, Incarnation: self.Incarnation,
			Kept: elect.Reign{Term: d.mark.Term, Incarnation: d.mark.Leader},
		}),
	}
}

// view leaves out who is foreign: nobody can follow it, and it follows nobody here.
func (a *available) view(now time.Time, members []Member, foreign []ident.NodeID) {
	list := make([]elect.Voter, 0, len(members))
	for _, m := range members {
		if _, out := slices.BinarySearchFunc(foreign, m.ID, ident.NodeID.Compare); !out {
			list = append(list, elect.Voter{
				ID: m.ID, Incarnation: m.Incarnation, Join: m.Join, Eligible: m.Eligible, Far: !m.linked(),
			})
		}
	}
	a.e.View(now, list)
	if !slices.Equal(foreign, a.foreign) {
		a.foreign, a.since = foreign, now
	}
}

// conflictDue returns when the members in another mode must be reported, if they are not.
func (a *available) conflictDue() (time.Time, bool) {
	return a.since.Add(conflictAfter), !slices.Equal(a.foreign, a.reported)
}

func (a *available) tick(now time.Time) {
	a.e.Tick(now)
	if at, ok := a.conflictDue(); ok && !now.Before(at) {
		a.reported = a.foreign
		a.reports = append(a.reports, Report{
			Election: a.name, Kind: ElectorateConflict, Surplus: slices.Clone(a.foreign),
		})
	}
}

func (a *available) next() (time.Time, bool) {
	at, ok := a.e.Next()
	if t, due := a.conflictDue(); due && (!ok || t.Before(at)) {
		return t, true
	}
	return at, ok
}

func (a *available) greet(now time.Time, id ident.NodeID)        { a.e.Linked(now, id) }
func (a *available) promote(now time.Time, t ident.NodeID) error { return a.e.Promote(now, t) }
func (a *available) resign(now time.Time) error                  { return a.e.Resign(now) }
func (a *available) setEligible(now time.Time, eligible bool)    { a.e.SetEligible(now, eligible) }
func (a *available) setFit(now time.Time, fit bool)              { a.e.SetFit(now, fit) }
func (a *available) setWall(time.Time, time.Time)                {} // no clock is involved
func (a *available) kept(time.Time, Mark)                        {} // nothing waits for a disk

func (a *available) receive(now time.Time, from ident.NodeID, f frame.Frame) {
	switch f := f.(type) {
	case frame.Lead:
		a.e.Receive(now, from, claim(f))
	case frame.Promote:
		a.e.Asked(now, from, elect.Ask{Target: f.Target, Incarnation: f.Incarnation, Term: f.Term})
	}
}

func (a *available) take() []Action {
	acts := a.reports
	a.reports = nil
	var cause elect.Cause // of the leader that came last
	for _, act := range a.e.Take() {
		switch act := act.(type) {
		case elect.Send:
			acts = append(acts, Send{To: act.To, Frame: lead(a.name, act.Claim)})
		case elect.Ask:
			acts = append(acts, Send{To: act.To, Frame: frame.Promote{
				Election: a.name, Target: act.Target, Incarnation: act.Incarnation, Term: act.Term,
			}})
		case elect.Leader:
			cause = act.Cause
			acts = append(acts, a.keep(act)...)
			if act.ID == a.self && a.held != 0 {
				acts = append(acts, a.hold(act.Term)) // goes on under a new term
			}
			acts = append(acts, Report{
				Election: a.name, Kind: NewLeader, Leader: act.ID, Term: act.Term, Cause: cause.String(),
			})
		case elect.Promoted:
			acts = append(acts, a.hold(act.Term), Report{
				Election: a.name, Kind: Promotion, Leader: a.self, Term: act.Term, Token: act.Token,
				Cause: cause.String(),
			})
		case elect.Demoted:
			acts = append(acts, a.hold(0), Report{
				Election: a.name, Kind: Demotion, Leader: a.self, Term: act.Term, Cause: act.Cause.String(),
			})
		case elect.Renewed: // its Leader said everything
		}
	}
	return acts
}

// keep returns what to write before l is told, so that it is on its way first.
func (a *available) keep(l elect.Leader) []Action {
	m := Mark{Term: l.Term, Leader: l.Incarnation}
	if !a.disk.durable || l.ID.IsZero() || m == a.disk.mark {
		return nil
	}
	a.disk.mark = m
	return []Action{Keep{Election: a.name, Mark: m}}
}

func (a *available) hold(t ident.Term) Hold {
	a.held = t
	return Hold{Election: a.name, Term: t}
}

// lead returns the frame of a claim.
func lead(name string, c elect.Claim) frame.Lead {
	return frame.Lead{
		Election: name, Last: c.Last,
		Leader: c.Reign.Leader, Incarnation: c.Reign.Incarnation, Term: c.Reign.Term,
		Join: c.Reign.Seat.Join, Seat: c.Reign.Seat.ID,
		Waiting: c.Waiting, Unfit: c.Unfit, Resigned: c.Resigned, Calling: c.Calling, Again: c.Again,
		Over: c.Over,
	}
}

// claim is the inverse of lead.
func claim(f frame.Lead) elect.Claim {
	return elect.Claim{
		Reign: elect.Reign{
			Leader: f.Leader, Incarnation: f.Incarnation, Term: f.Term,
			Seat: elect.Seat{Join: f.Join, ID: f.Seat},
		},
		Last: f.Last, Waiting: f.Waiting, Unfit: f.Unfit, Resigned: f.Resigned, Calling: f.Calling,
		Again: f.Again, Over: f.Over,
	}
}
