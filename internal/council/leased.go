package council

import (
	"fmt"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/lease"
)

// leased is an election in one of the modes Quorum and Voters.
type leased struct {
	name string
	self ident.NodeID
	e    *lease.Election
	held Hold // the last one
}

func newLeased(now time.Time, name string, self Member, m Mode, d disk) (*leased, error) {
	electorate, err := m.electorate()
	if err != nil {
		return nil, err
	}
	e, err := lease.New(now, lease.Config{
		Self: self.ID, Incarnation: self.Incarnation, Electorate: electorate, Lease: m.Lease,
		Durable: d.durable, Kept: d.mark.Term,
	})
	if err != nil {
		return nil, err
	}
	return &leased{name: name, self: self.ID, e: e}, nil
}

func (l *leased) view(now time.Time, members []Member, foreign []ident.NodeID) {
	list := make([]lease.Voter, len(members))
	for i, m := range members {
		list[i] = lease.Voter{ID: m.ID, Join: m.Join, Eligible: m.Eligible, Far: !m.linked()}
	}
	l.e.View(now, list)
	for _, id := range foreign {
		l.e.Foreign(now, id)
	}
}

func (l *leased) greet(now time.Time, id ident.NodeID)        { l.e.Linked(now, id) }
func (l *leased) promote(now time.Time, t ident.NodeID) error { return l.e.Promote(now, t) }
func (l *leased) resign(now time.Time) error                  { return l.e.Resign(now) }
func (l *leased) setEligible(now time.Time, eligible bool)    { l.e.SetEligible(now, eligible) }
func (l *leased) setFit(now time.Time, fit bool)              { l.e.SetFit(now, fit) }
func (l *leased) setWall(now, wall time.Time)                 { l.e.SetWall(now, wall) }
func (l *leased) kept(now time.Time, m Mark)                  { l.e.Kept(now, m.Term) }
func (l *leased) tick(now time.Time)                          { l.e.Tick(now) }
func (l *leased) next() (time.Time, bool)                     { return l.e.Next() }

func (l *leased) receive(now time.Time, from ident.NodeID, f frame.Frame) {
	if m := message(f); m != nil {
		l.e.Receive(now, from, m)
	}
}

func (l *leased) take() []Action {
	term, until, leading := l.e.Lease()
	var acts []Action
	for _, act := range l.e.Take() {
		switch act := act.(type) {
		case lease.Send:
			acts = append(acts, Send{To: act.To, Frame: leaseFrame(l.name, act.Message)})
		case lease.Leader:
			acts = append(acts, Report{Election: l.name, Kind: NewLeader, Leader: act.ID, Term: act.Term})
		case lease.Promoted:
			if leading && term == act.Term { // it is not over already
				acts = append(acts, l.hold(term, until))
			}
			acts = append(acts, Report{
				Election: l.name, Kind: Promotion, Leader: l.self, Term: act.Term, Token: act.Term,
			})
		case lease.Demoted:
			acts = append(acts, l.hold(0, time.Time{}), Report{
				Election: l.name, Kind: Demotion, Leader: l.self, Term: act.Term, Cause: string(act.Cause),
			})
		case lease.QuorumLost:
			acts = append(acts, Report{Election: l.name, Kind: QuorumLost, Have: act.Have, Need: act.Need})
		case lease.Keep:
			acts = append(acts, Keep{Election: l.name, Mark: Mark{Term: act.Term}})
		case lease.Conflict:
			acts = append(acts, Report{Election: l.name, Kind: ElectorateConflict, Surplus: act.Surplus})
		}
	}
	if leading && !until.Equal(l.held.Until) {
		acts = append(acts, l.hold(term, until))
	}
	return acts
}

func (l *leased) hold(term ident.Term, until time.Time) Hold {
	l.held = Hold{Election: l.name, Term: term, Until: until}
	return l.held
}

// leaseFrame returns the frame of a message.
func leaseFrame(name string, m lease.Message) frame.Frame {
	switch m := m.(type) {
	case lease.Rule:
		return frame.LeaseRule{Election: name, Electorate: m.Electorate, Seen: m.Seen, Leads: m.Leads}
	case lease.Ask:
		return frame.LeaseAsk{
			Election: name, Kind: askKind(m.Kind), Electorate: m.Electorate, Incarnation: m.Incarnation,
			Number: m.Number, Term: m.Term, After: m.After,
		}
	case lease.Answer:
		return frame.LeaseAnswer{
			Election: name, Granted: m.Granted, Electorate: m.Electorate, Incarnation: m.Incarnation,
			Number: m.Number, Seen: m.Seen, Clock: m.Clock, Wait: m.Wait,
		}
	case lease.Release:
		return frame.LeaseRelease{Election: name, Term: m.Term, Successor: m.Successor}
	case lease.Reign:
		return frame.LeaseReign{
			Election: name, Over: m.Over, Electorate: m.Electorate, Leader: m.Leader, Term: m.Term,
		}
	case lease.Promote:
		return frame.LeasePromote{Election: name, Target: m.Target, Term: m.Term}
	default:
		panic(fmt.Sprintf("council: no frame for %#v", m)) //nolint:forbidigo // broken invariant
	}
}

// message is the inverse of leaseFrame. It returns nil for a frame that says nothing.
func message(f frame.Frame) lease.Message {
	switch f := f.(type) {
	case frame.LeaseRule:
		return lease.Rule{Electorate: f.Electorate, Seen: f.Seen, Leads: f.Leads}
	case frame.LeaseAsk:
		kind, ok := lease.Poll, true
		switch f.Kind {
		case frame.LeasePoll:
		case frame.LeaseClaim:
			kind = lease.Claim
		case frame.LeaseRenew:
			kind = lease.Renew
		default:
			ok = false
		}
		if !ok {
			return nil
		}
		return lease.Ask{
			Kind: kind, Electorate: f.Electorate, Incarnation: f.Incarnation, Number: f.Number,
			Term: f.Term, After: f.After,
		}
	case frame.LeaseAnswer:
		return lease.Answer{
			Granted: f.Granted, Electorate: f.Electorate, Incarnation: f.Incarnation, Number: f.Number,
			Seen: f.Seen, Clock: f.Clock, Wait: f.Wait,
		}
	case frame.LeaseRelease:
		return lease.Release{Term: f.Term, Successor: f.Successor}
	case frame.LeaseReign:
		return lease.Reign{Electorate: f.Electorate, Leader: f.Leader, Term: f.Term, Over: f.Over}
	case frame.LeasePromote:
		return lease.Promote{Target: f.Target, Term: f.Term}
	default:
		return nil
	}
}

// askKind returns the kind on the wire.
func askKind(k lease.Kind) frame.LeaseKind {
	switch k {
	case lease.Claim:
		return frame.LeaseClaim
	case lease.Renew:
		return frame.LeaseRenew
	default:
		return frame.LeasePoll
	}
}
