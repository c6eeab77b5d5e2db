package council

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/elect"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// available is an election in the Available mode.
type available struct {
	name    string
	self    ident.NodeID
	e       *elect.Election
	held    ident.Term     // the term of the last Hold
	foreign []ident.NodeID // as reported
	conduct []Action       // what is not from e
}

func newAvailable(now time.Time, name string, self ident.NodeID, inc ident.Incarnation) *available {
	return &available{
		name: name, self: self,
		e: elect.New(now, elect.Config{Self: self, Incarnation: inc}),
	}
}

// view leaves out who is foreign: nobody can follow it, and it follows nobody here.
func (a *available) view(now time.Time, members []Member, foreign []ident.NodeID) {
	list := make([]elect.Voter, 0, len(members))
	for _, m := range members {
		if _, out := slices.BinarySearchFunc(foreign, m.ID, ident.NodeID.Compare); !out {
			list = append(list, elect.Voter{
				ID: m.ID, Incarnation: m.Incarnation, Join: m.Join, Eligible: m.Eligible,
			})
		}
	}
	a.e.View(now, list)
	if !slices.Equal(foreign, a.foreign) {
		a.foreign = foreign
		a.conduct = append(a.conduct, Report{
			Election: a.name, Kind: ElectorateConflict, Surplus: slices.Clone(foreign),
		})
	}
}

func (a *available) greet(now time.Time, id ident.NodeID)        { a.e.Linked(now, id) }
func (a *available) promote(now time.Time, t ident.NodeID) error { return a.e.Promote(now, t) }
func (a *available) resign(now time.Time) error                  { return a.e.Resign(now) }
func (a *available) setEligible(now time.Time, eligible bool)    { a.e.SetEligible(now, eligible) }
func (a *available) setFit(now time.Time, fit bool)              { a.e.SetFit(now, fit) }
func (a *available) setWall(time.Time, time.Time)                {} // no clock is involved
func (a *available) tick(now time.Time)                          { a.e.Tick(now) }
func (a *available) next() (time.Time, bool)                     { return a.e.Next() }

func (a *available) receive(now time.Time, from ident.NodeID, f frame.Frame) {
	switch f := f.(type) {
	case frame.Lead:
		a.e.Receive(now, from, claim(f))
	case frame.Promote:
		a.e.Asked(now, from, f.Target, f.Incarnation)
	}
}

func (a *available) take() []Action {
	acts := a.conduct
	a.conduct = nil
	var cause elect.Cause // of the leader that came last
	for _, act := range a.e.Take() {
		switch act := act.(type) {
		case elect.Send:
			acts = append(acts, Send{To: act.To, Frame: lead(a.name, act.Claim)})
		case elect.Ask:
			acts = append(acts, Send{To: act.To, Frame: frame.Promote{
				Election: a.name, Target: act.Target, Incarnation: act.Incarnation,
			}})
		case elect.Leader:
			cause = act.Cause
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
		Again: f.Again,
	}
}
