package lease_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/lease"
)

// observer is node 0, which has no vote, among nodes 1 and 4, which have, and 2 and 3.
type observer struct{ *script }

// newObserver returns one that has no link with those that are far.
func newObserver(t *testing.T, far ...int) observer {
	t.Helper()
	o := observer{newElection(t, lease.Config{Electorate: lease.Voters(name(1), name(4)), Ineligible: true})}
	o.view(far, 0, 1, 2, 3, 4)
	return o
}

func (o observer) view(far []int, nodes ...int) {
	var all []lease.Voter
	for _, i := range nodes {
		all = append(all, lease.Voter{ID: name(i), Join: uint64(i + 1), Eligible: true, Far: slices.Contains(far, i)})
	}
	o.e.View(o.now, all)
}

// tag is that of the electorate.
func (o observer) tag() uint64 { return lease.Voters(name(1), name(4)).Tag() }

// reign is what is passed on of a leader.
func (o observer) reign(leader int, t ident.Term) lease.Reign {
	return lease.Reign{Electorate: o.tag(), Leader: name(leader), Term: t}
}

// hears passes a message of a node on.
func (o observer) hears(from int, m lease.Message) observer {
	o.e.Receive(o.now, name(from), m)
	return o
}

// renewed passes on what a leader says to those without a vote.
func (o observer) renewed(by int, t ident.Term) observer {
	return o.hears(by, lease.Ask{Kind: lease.Renew, Electorate: o.tag(), Incarnation: 9, Number: 1, Term: t})
}

// want compares the actions since the last want.
func (o observer) want(want ...string) observer {
	o.t.Helper()
	who := func(id ident.NodeID) int {
		return slices.IndexFunc(members(1, 1, 1, 1, 1), func(v lease.Voter) bool { return v.ID == id })
	}
	var got []string
	for _, a := range o.e.Take() {
		switch a := a.(type) {
		case lease.Leader:
			got = append(got, fmt.Sprintf("leader %d in %d", who(a.ID), a.Term))
		case lease.Send:
			switch m := a.Message.(type) {
			case lease.Reign:
				word := fmt.Sprintf("tell %d of %d in %d", who(a.To), who(m.Leader), m.Term)
				if m.Over {
					word += " over"
				}
				got = append(got, word)
			case lease.Promote:
				got = append(got, fmt.Sprintf("ask %d for %d", who(a.To), who(m.Target)))
			}
		default:
			got = append(got, fmt.Sprintf("%T", a))
		}
	}
	if !slices.Equal(got, want) {
		o.t.Errorf("got %q, want %q", got, want)
	}
	return o
}

func TestFar(t *testing.T) {
	over := func(r lease.Reign) lease.Reign {
		r.Over = true
		return r
	}
	t.Run("where all have links with all nobody passes anything on", func(t *testing.T) {
		o := newObserver(t).renewed(1, 5).want("leader 1 in 5")
		o.hears(1, lease.Release{Term: 5}).want("leader -1 in 5")
	})
	t.Run("who hears the leader tells the others, once", func(t *testing.T) {
		newObserver(t, 4).renewed(1, 5).want("leader 1 in 5", "tell 2 of 1 in 5", "tell 3 of 1 in 5").
			renewed(1, 5).hears(2, newObserver(t).reign(1, 5)).want()
	})
	t.Run("who hears of it tells those that did not", func(t *testing.T) {
		o := newObserver(t, 1, 4)
		o.hears(2, o.reign(1, 5)).want("leader 1 in 5", "tell 3 of 1 in 5").hears(3, o.reign(1, 5)).want()
		o.hears(3, o.reign(4, 6)).want("leader 4 in 6", "tell 2 of 4 in 6").hears(2, o.reign(1, 5)).want()
	})
	t.Run("the end of a reign goes the same ways", func(t *testing.T) {
		newObserver(t, 4).renewed(1, 5).want("leader 1 in 5", "tell 2 of 1 in 5", "tell 3 of 1 in 5").
			hears(1, lease.Release{Term: 5}).want("leader -1 in 5", "tell 2 of 1 in 5 over", "tell 3 of 1 in 5 over")
		o := newObserver(t, 1, 4)
		o.hears(2, o.reign(1, 5)).want("leader 1 in 5", "tell 3 of 1 in 5")
		o.hears(3, over(o.reign(1, 4))).hears(3, over(o.reign(4, 5))).want()
		o.hears(3, over(o.reign(1, 5))).want("leader -1 in 5", "tell 2 of 1 in 5 over")
		o.hears(2, o.reign(1, 5)).want() // it had not heard
		o.hears(2, o.reign(1, 6)).want("leader 1 in 6", "tell 3 of 1 in 6")
	})
	t.Run("a leader that is listed again leads on", func(t *testing.T) {
		o := newObserver(t, 1, 4)
		o.hears(2, o.reign(1, 5)).want("leader 1 in 5", "tell 3 of 1 in 5")
		o.view(nil, 0, 2, 3)
		o.want("leader -1 in 5", "lease.QuorumLost")
		o.view([]int{1, 4}, 0, 1, 2, 3, 4)
		o.hears(2, o.reign(1, 5)).want("leader 1 in 5", "tell 3 of 1 in 5")
	})
	t.Run("a leader that has a link speaks for itself", func(t *testing.T) {
		o := newObserver(t, 4)
		o.hears(2, o.reign(1, 5)).want()
	})
	t.Run("strangers lead nobody, and terms end", func(t *testing.T) {
		o := newObserver(t, 1, 4)
		o.hears(2, o.reign(7, 5)).hears(2, o.reign(1, lease.TermMax+1)).want()
	})
	t.Run("a voter believes the leader alone", func(t *testing.T) {
		o := observer{newElection(t, lease.Config{Electorate: lease.Voters(name(0), name(1), name(4))})}
		o.view([]int{1, 4}, 0, 1, 2, 3, 4)
		r := o.reign(1, 5)
		r.Electorate = lease.Voters(name(0), name(1), name(4)).Tag()
		o.hears(2, r).want()
	})
	t.Run("a new link is told", func(t *testing.T) {
		o := newObserver(t, 1, 4)
		o.hears(2, o.reign(1, 5)).want("leader 1 in 5", "tell 3 of 1 in 5")
		o.e.Linked(o.now, name(3))
		o.want("tell 3 of 1 in 5")
	})
	t.Run("a far leader is asked through all others, and they pass it on, once a second", func(t *testing.T) {
		o := newObserver(t, 1, 4)
		o.hears(2, o.reign(1, 5)).want("leader 1 in 5", "tell 3 of 1 in 5")
		if err := o.e.Promote(o.now, name(4)); err != nil {
			t.Error(err)
		}
		o.want("ask 2 for 4", "ask 3 for 4").hears(3, lease.Promote{Target: name(4), Term: 5}).want()
		o.now = o.now.Add(time.Second)
		o.hears(3, lease.Promote{Target: name(4), Term: 5}).want("ask 2 for 4")
		o.hears(2, o.reign(1, 6)).want("leader 1 in 6", "tell 3 of 1 in 6")
		o.hears(3, lease.Promote{Target: name(4), Term: 6}).want("ask 2 for 4")
		o.hears(2, lease.Promote{Target: name(4), Term: 5}).want() // of a reign that is over
		o.hears(3, lease.Promote{Target: name(1)}).hears(3, lease.Promote{Target: name(2)}).want()
	})
	t.Run("one with a link is asked itself", func(t *testing.T) {
		newObserver(t, 4).renewed(1, 5).want("leader 1 in 5", "tell 2 of 1 in 5", "tell 3 of 1 in 5").
			hears(2, lease.Promote{Target: name(4)}).want("ask 1 for 4")
	})
}
