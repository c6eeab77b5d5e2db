package espial_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
)

// inElection runs f in a bubble with a cluster whose default election has the given mode.
func inElection(t *testing.T, nodes int, m espial.Mode, f func(c *cluster)) {
	t.Helper()
	empty(t, func(c *cluster) {
		for range nodes {
			c.start(espial.Config{Election: m})
		}
		c.meet(nodes)
		f(c)
	})
}

// inEachMode runs f in clusters whose default election has either mode.
func inEachMode(t *testing.T, nodes int, f func(c *cluster, m espial.Mode)) {
	t.Helper()
	for name, m := range map[string]espial.Mode{"available": espial.Available(), "quorum": espial.Quorum(nodes)} {
		t.Run(name, func(t *testing.T) {
			inElection(t, nodes, m, func(c *cluster) { f(c, m) })
		})
	}
}

// led waits until all nodes but those excepted agree on a leader, and returns its index
// and term.
func (c *cluster) led(within time.Duration, except ...int) (leader int, term uint64) {
	c.Helper()
	began := time.Now()
	for time.Since(began) < within {
		if leader, term, ok := c.agreed(except); ok {
			return leader, term
		}
		time.Sleep(time.Millisecond)
	}
	c.Fatalf("no leader after %v", within)
	return 0, 0
}

// replaced is led, and fails the test unless another node leads than the given one, under a
// higher term.
func (c *cluster) replaced(leader int, term uint64, within time.Duration, except ...int) (next int, higher uint64) {
	c.Helper()
	next, higher = c.led(within, except...)
	if next == leader || higher <= term {
		c.Errorf("node %d leads in term %d after node %d in %d", next, higher, leader, term)
	}
	return next, higher
}

// leadsOn is led, and fails the test unless the given node leads, under the same term.
func (c *cluster) leadsOn(leader int, term uint64, within time.Duration, when string) {
	c.Helper()
	if again, same := c.led(within); again != leader || same != term {
		c.Errorf("%s node %d leads in term %d, want still %d in %d", when, again, same, leader, term)
	}
}

func (c *cluster) agreed(except []int) (leader int, term uint64, ok bool) {
	skip := map[int]bool{}
	for _, i := range except {
		skip[i] = true
	}
	leader = -1
	var said espial.Leadership
	for i, n := range c.nodes {
		if skip[i] {
			continue
		}
		l, ok := n.Leader()
		if !ok || said.Term != 0 && l != said {
			return 0, 0, false
		}
		said = l
		if n.Leading() {
			leader = i
		}
	}
	return leader, said.Term, leader >= 0 && c.nodes[leader].ID() == said.Leader.ID
}

// B01: one leader, and all agree; it is the one that was there first, and a node that
// joins changes nothing (B19).
func TestOneLeaderIsElectedAndStays(t *testing.T) {
	inEachMode(t, 3, func(c *cluster, m espial.Mode) {
		leader, term := c.led(4 * time.Second)
		if term == 0 {
			c.Error("the first term is 0")
		}
		c.start(espial.Config{Election: m, Ineligible: true})
		c.meet(4)
		time.Sleep(5 * time.Second)
		c.leadsOn(leader, term, time.Second, "after a join")
	})
}

// B02: the leader is killed; the survivors have another one in time, under a higher term.
func TestKilledLeaderIsReplaced(t *testing.T) {
	for _, tt := range []struct {
		name   string
		mode   espial.Mode
		within time.Duration
	}{{"available", espial.Available(), 300 * time.Millisecond}, {"quorum", espial.Quorum(5), 1200 * time.Millisecond}} {
		t.Run(tt.name, func(t *testing.T) {
			inElection(t, 5, tt.mode, func(c *cluster) {
				leader, term := c.led(4 * time.Second)
				c.net.Down(ip(leader))
				time.Sleep(time.Millisecond)
				c.replaced(leader, term, tt.within, leader)
			})
		})
	}
}

// B04: each side of a split has its leader; when they meet one of them goes on, under a
// term above both, and the other one steps down.
func TestAvailableLeadsOnBothSidesAndMerges(t *testing.T) {
	inElection(t, 5, espial.Available(), func(c *cluster) {
		_, before := c.led(4 * time.Second)
		c.net.Partition([]netip.Addr{ip(3), ip(4)})
		time.Sleep(10 * time.Second)
		_, left := c.led(time.Second, 3, 4)
		_, right := c.led(time.Second, 0, 1, 2)
		told := c.watchAll()
		c.net.Heal()
		c.meet(5)
		_, after := c.led(4 * time.Second)
		time.Sleep(10 * time.Second)
		demotions := 0
		for _, h := range told {
			demotions += h.count(espial.Demotion)
		}
		if demotions != 1 {
			c.Errorf("%d leaders were demoted where two sides met, want one", demotions)
		}
		if after <= left || after <= right || max(left, right) <= before {
			c.Errorf("terms %d, then %d and %d, then %d: want them to grow", before, left, right, after)
		}
	})
}

// B05: at no instant do two nodes lead: the minority's leader stops before the majority
// elects another one, and the heal disturbs nobody.
func TestQuorumNeverHasTwoLeaders(t *testing.T) {
	inElection(t, 5, espial.Quorum(5), func(c *cluster) {
		leader, _ := c.led(4 * time.Second)
		other := (leader + 1) % 5
		c.net.Partition([]netip.Addr{ip(leader), ip(other)})
		watch := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Millisecond) {
				leading := 0
				for _, n := range c.nodes {
					if n.Leading() {
						leading++
					}
				}
				if leading > 1 {
					c.Fatalf("%d nodes lead at once", leading)
				}
			}
		}
		watch(8 * time.Second)
		next, term := c.led(time.Second, leader, other)
		if next == leader {
			c.Fatal("the minority leads")
		}
		c.net.Heal()
		watch(5 * time.Second)
		c.leadsOn(next, term, time.Second, "after the heal")
	})
}

// B03: a leader that leaves hands over; Terms ends with the reign, and its context says
// so.
func TestTermsRunsWhileTheNodeLeads(t *testing.T) {
	inElection(t, 3, espial.Available(), func(c *cluster) {
		leader, number := c.led(4 * time.Second)
		n := c.nodes[leader]
		ran := make(chan error, 1)
		go func() {
			for term := range n.Terms(c.Context()) {
				if term.Err() != nil || term.Token != number {
					ran <- errors.New("the term is over before it began")
					return
				}
				<-term.Done()
				ran <- term.Err()
				return
			}
			ran <- errors.New("no term")
		}()
		synctest.Wait()
		if err := n.Resign(c.Context()); err != nil {
			c.Fatal(err)
		}
		if err := <-ran; !errors.Is(err, espial.ErrStaleTerm) {
			c.Errorf("the term ended with %v, want ErrStaleTerm", err)
		}
		next, term := c.led(100 * time.Millisecond)
		if next == leader || term <= number {
			c.Errorf("after Resign node %d leads in term %d, want another one above %d", next, term, number)
		}
		if err := c.nodes[next].Promote(c.Context(), n.ID()); err != nil {
			c.Fatal(err)
		}
		if back, _ := c.led(100 * time.Millisecond); back != leader {
			c.Errorf("after Promote node %d leads, want %d", back, leader)
		}
	})
}

// Named elections are apart from the default one, and what is wrong with one is told.
func TestNamedElections(t *testing.T) {
	inElection(t, 3, espial.Available(), func(c *cluster) {
		var billing []*espial.Election
		for _, n := range c.nodes[:2] {
			e := n.Election("billing", espial.Available())
			if err := e.Err(); err != nil {
				c.Fatal(err)
			}
			billing = append(billing, e)
		}
		time.Sleep(5 * time.Second)
		l0, ok0 := billing[0].Leader()
		l1, ok1 := billing[1].Leader()
		if !ok0 || !ok1 || l0 != l1 || billing[0].Leading() == billing[1].Leading() {
			c.Errorf("billing is led by %+v and %+v", l0, l1)
		}
		for _, bad := range []*espial.Election{
			c.nodes[0].Election("Bad Name", espial.Available()),
			c.nodes[0].Election("billing", espial.Quorum(3)),
			c.nodes[0].Election("none", espial.Quorum(0)),
			c.nodes[0].Election("nobody", espial.Voters()),
			c.nodes[0].Election("twice", espial.Voters(c.nodes[0].ID(), c.nodes[0].ID())),
		} {
			if bad.Err() == nil || bad.Resign(c.Context()) == nil {
				c.Errorf("a bad election works: %+v", bad)
			}
		}
		ctx, cancel := context.WithCancel(c.Context())
		cancel()
		for range c.nodes[0].Terms(ctx) {
			break // a node that leads is yielded once even so
		}
		if err := c.nodes[0].Promote(c.Context(), espial.NodeID{1}); !errors.Is(err, espial.ErrNoMember) {
			c.Errorf("Promote of nobody = %v, want ErrNoMember", err)
		}
	})
}

// TestWhatAnElectionRefuses: each request that cannot be has its own error, and changes nothing.
func TestWhatAnElectionRefuses(t *testing.T) {
	inElection(t, 2, espial.Available(), func(c *cluster) {
		leader, _ := c.led(4 * time.Second)
		l, other := c.nodes[leader], c.nodes[1-leader]
		barred := c.start(espial.Config{Ineligible: true})
		c.meet(3)
		ctx := c.Context()
		for _, tt := range []struct {
			name      string
			got, want error
		}{
			{"who does not lead resigns", other.Resign(ctx), espial.ErrNotLeader},
			{"the leader promotes who must not lead", l.Promote(ctx, barred.ID()), espial.ErrNotEligible},
			{"another one promotes who must not lead", other.Promote(ctx, barred.ID()), espial.ErrNotEligible},
			{"the leader promotes nobody", l.Promote(ctx, espial.NodeID{1}), espial.ErrNoMember},
			{"another one says that it must not lead", other.SetEligible(ctx, false), nil},
		} {
			if !errors.Is(tt.got, tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, tt.got, tt.want)
			}
		}
		time.Sleep(time.Second) // the leader has heard of it
		if err := l.Resign(ctx); !errors.Is(err, espial.ErrNotEligible) {
			t.Errorf("the leader resigns, and nobody else can lead: %v, want %v", err, espial.ErrNotEligible)
		}
		if !l.Leading() {
			t.Error("it leads no more")
		}
		for i := range 64 { // and the default one
			want := i == 63
			if err := l.Election(fmt.Sprint("e-", i), espial.Available()).Err(); (err != nil) != want {
				t.Errorf("election %d: %v, want an error: %t", i+2, err, want)
			} else if want && !strings.Contains(err.Error(), "64") {
				t.Errorf("the error of one election too many does not say how many there may be: %v", err)
			}
		}
	})
}
