package espial_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// nobody fails the test unless the given nodes know of no leader, and none of them leads.
func (c *cluster) nobody(nodes ...int) {
	c.Helper()
	for _, i := range nodes {
		if l, ok := c.nodes[i].Leader(); ok || c.nodes[i].Leading() {
			c.Errorf("node %d knows of a leader: %+v", i, l)
		}
	}
}

// B03: the demotion of a leader that leaves is told before it has left, and the next one
// leads by then.
func TestLeaderHandsOverBeforeItLeaves(t *testing.T) {
	inEachMode(t, 3, func(c *cluster, _ espial.Mode) {
		leader, term := c.led(4 * time.Second)
		n := c.nodes[leader]
		told := c.watch(n)
		told.forget()
		began := time.Now()
		if err := n.Leave(c.Context()); err != nil {
			c.Errorf("Leave = %v", err)
		}
		took := time.Since(began)
		if got := told.kinds(espial.Promotion, espial.Demotion); got != "demotion" || took > time.Second {
			c.Errorf("in the %v of Leave came %q, want a demotion", took, got)
		}
		for _, ch := range told.of(espial.Demotion) {
			if ch.Cause != espial.CauseLeft {
				c.Errorf("a leader that leaves is demoted with cause %q, want %q", ch.Cause, espial.CauseLeft)
			}
		}
		c.replaced(leader, term, time.Second-took, leader)
	})
}

// B06: halves of an even number have no leader, and the whole has one again.
func TestHalvesOfAQuorumHaveNoLeader(t *testing.T) {
	inElection(t, 4, espial.Quorum(4), func(c *cluster) {
		leader, _ := c.led(4 * time.Second)
		told := c.watchAll()
		c.net.Partition([]netip.Addr{ip(leader), ip((leader + 1) % 4)})
		time.Sleep(30 * time.Second)
		c.nobody(0, 1, 2, 3)
		for _, n := range c.nodes {
			err := n.Promote(c.Context(), n.ID())
			if !errors.Is(err, espial.ErrNoQuorum) || !errors.Is(err, espial.ErrNoLeader) {
				c.Errorf("Promote without a majority: %v, want %v", err, espial.ErrNoQuorum)
			}
			if err := n.Publish(c.Context(), "orders", nil, espial.Leader()); !errors.Is(err, espial.ErrNoQuorum) {
				c.Errorf("Publish to the leader without a majority: %v, want %v", err, espial.ErrNoQuorum)
			}
		}
		for i, h := range told {
			if h.count(espial.QuorumLost) != 1 || h.count(espial.Promotion) != 0 {
				c.Errorf("node %d told of a lost quorum %d times, and of %d promotions:%v",
					i, h.count(espial.QuorumLost), h.count(espial.Promotion), h)
			}
		}
		c.net.Heal()
		c.meet(4)
		c.led(4 * time.Second)
	})
}

// B11: a leader that is heard and hears nothing steps down within its lease.
func TestDeafLeaderStepsDown(t *testing.T) {
	inElection(t, 5, espial.Quorum(5), func(c *cluster) {
		leader, term := c.led(4 * time.Second)
		for i := range c.nodes {
			if i != leader {
				c.net.CutOneWay(ip(i), ip(leader))
			}
		}
		time.Sleep(time.Second + 10*time.Millisecond)
		c.nobody(leader)
		next, higher := c.replaced(leader, term, 2*time.Second, leader)
		c.net.Heal()
		c.meet(5)
		c.leadsOn(next, higher, 2*time.Second, "when it hears again")
	})
}

// B12: a program that blocks costs its node no term, and one that says it is unfit is
// replaced.
func TestProgramThatBlocksLeadsOnUntilItIsUnfit(t *testing.T) {
	inEachMode(t, 3, func(c *cluster, _ espial.Mode) {
		leader, number := c.led(4 * time.Second)
		n := c.nodes[leader]
		term := c.reign(nil, n)
		// Its body never looks at the term, and nobody reads the changes.
		go func() {
			for range n.Terms(c.Context()) {
				<-c.Context().Done()
			}
		}()
		_ = n.Changes(c.Context())
		time.Sleep(time.Minute)
		c.leadsOn(leader, number, time.Millisecond, "after a minute")
		if err := term.Err(); err != nil {
			c.Errorf("the term of a program that blocks: %v", err)
		}
		if err := n.SetFit(c.Context(), false); err != nil {
			c.Fatal(err)
		}
		next, _ := c.replaced(leader, number, 2*time.Second)
		if term.Err() == nil {
			c.Error("the term of an unfit leader goes on")
		}
		if err := c.nodes[next].SetEligible(c.Context(), false); err != nil {
			c.Fatal(err)
		}
		c.within(2*time.Second, "somebody leads who is fit and eligible", func() bool {
			last, _, ok := c.agreed(nil)
			return ok && last != leader && last != next
		})
	})
}

// B16: parts that are too small have no leader, and three of five that meet have one.
func TestNobodyLeadsBeforeAMajorityMeets(t *testing.T) {
	empty(t, func(c *cluster) {
		c.net.Partition([]netip.Addr{ip(0), ip(1)}, []netip.Addr{ip(2), ip(3)}, []netip.Addr{ip(4)})
		for range 5 {
			c.start(espial.Config{Election: espial.Quorum(5)})
		}
		time.Sleep(20 * time.Second)
		c.nobody(0, 1, 2, 3, 4)
		c.net.Heal()
		c.net.Partition([]netip.Addr{ip(4)})
		leader, term := c.led(10*time.Second, 4)
		c.nobody(4)
		c.net.Heal()
		c.meet(5)
		c.leadsOn(leader, term, 2*time.Second, "when the last one comes")
	})
}

// B18: without a majority nobody leads for however long, and with it somebody does again.
func TestNobodyLeadsUntilAMajorityIsBack(t *testing.T) {
	inElection(t, 5, espial.Quorum(5), func(c *cluster) {
		_, term := c.led(4 * time.Second)
		for i := range 3 {
			_ = c.nodes[i].Close()
		}
		time.Sleep(time.Minute)
		c.nobody(3, 4)
		c.start(espial.Config{Election: espial.Quorum(5)})
		if _, higher := c.led(5*time.Second, 0, 1, 2); higher <= term {
			c.Errorf("term %d after %d", higher, term)
		}
	})
}
