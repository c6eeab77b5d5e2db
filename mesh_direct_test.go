package espial_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// C01, C02: every node sends direct events to two others, few of which are its peers, while
// links are reset all the time. All arrive, once and in order, and no session ends.
func TestDirectEventsInAMesh(t *testing.T) {
	inFifty(t, func(c *cluster, all []*history) {
		n := len(c.nodes)
		targets := func(i int) []int { return []int{(i + 1) % n, (i + n/2 + i%3) % n} }
		streams := map[[2]int]*stream{}
		for i := range c.nodes {
			for _, to := range targets(i) {
				streams[[2]int{i, to}] = c.collect(c.nodes[to], "t", espial.QueueMax(1<<20), espial.From(only(c.nodes[i])))
			}
		}
		sent := 0
		for tick := range 100 { // 10 s
			for i := range c.nodes {
				for _, to := range targets(i) {
					c.publish(c.nodes[i], sent, sent+1, 100, only(c.nodes[to]))
				}
			}
			sent += 2
			if tick%10 == 5 {
				for i := range c.nodes {
					c.net.Reset(ip(i), ip(targets(i)[tick/10%2]))
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(25 * time.Second) // a link that was reset is asked for again once a second, and dials have a rate
		for key, s := range streams {
			c.same(fmt.Sprintf("from %d at %d", key[0], key[1]), s.got(true), numbers(0, sent-1))
			if times, lost := s.lost(); times > 0 {
				c.Errorf("%d lost %d events of %d", key[1], lost, key[0])
			}
		}
		c.quiet(all, espial.InDoubt, espial.RemovedNode)
		for i, h := range all {
			if got := h.most(); got > linksMax {
				c.Errorf("node %d had %d peers, want at most %d: links on demand are none", i, got, linksMax)
			}
		}
	})
}

// C08: confirmations of all members, most of which have no link with the publisher. One is dead
// and one takes its time: Publish returns with its context and names both.
func TestConfirmationsInAMesh(t *testing.T) {
	inFifty(t, func(c *cluster, _ []*history) {
		for i, n := range c.nodes[1:] {
			events := n.Subscribe(c.Context(), "orders.*")
			if i == 0 {
				continue // has it, and never comes back
			}
			go func() {
				for range events {
				}
			}()
		}
		last := len(c.nodes) - 1
		ctx, cancel := context.WithTimeout(c.Context(), 20*time.Second)
		defer cancel()
		began := time.Now()
		if err := c.nodes[0].Publish(ctx, "orders.placed", nil, espial.Others().Queued()); err != nil {
			c.Errorf("Publish = %v, want the confirmations of %d", err, last)
		}
		c.Logf("%d confirmations took %v", last, time.Since(began))
		c.net.Down(ip(last))
		err := c.nodes[0].Publish(ctx, "orders.placed", nil, espial.Others().Handled())
		u, ok := errors.AsType[*espial.UndeliveredError](err)
		if !ok || u.Delivered != last-2 || len(u.Missing) != 2 {
			c.Fatalf("Publish = %v, want %d confirmations and two that are missing", err, last-2)
		}
		if got := part(missing(c, err), "node-1:"); got != "node-1: context deadline exceeded" {
			c.Errorf("the slow one: %s", got)
		}
		if dead := fmt.Sprintf("node-%d: ", last); part(missing(c, err), dead) != dead+"no such member" {
			c.Errorf("the dead one: %s", part(missing(c, err), dead))
		}
	})
}

// AddPeer keeps a link with a node of the user's choice, by its ID and by its address.
func TestAddPeerInAMesh(t *testing.T) {
	inFifty(t, func(c *cluster, _ []*history) {
		a := c.nodes[0]
		if err := a.AddPeer(c.Context(), "nobody"); err == nil {
			c.Error("AddPeer(nobody) = nil, want an error")
		}
		for _, how := range []func(n *espial.Node) string{
			func(n *espial.Node) string { return n.ID().String() },
			func(n *espial.Node) string { return n.Addrs()[0] },
		} {
			far := 1
			for peersOf(a)[c.nodes[far].ID()] || len(peersOf(c.nodes[far])) == linksMax {
				far++ // there has to be room at both ends
			}
			if err := a.AddPeer(c.Context(), how(c.nodes[far])); err != nil {
				c.Fatal(err)
			}
			c.within(30*time.Second, "a link with "+how(c.nodes[far]), func() bool { return peersOf(a)[c.nodes[far].ID()] })
			time.Sleep(10 * time.Second)
			if !peersOf(a)[c.nodes[far].ID()] || len(peersOf(a)) > linksMax {
				c.Errorf("later there are %d links, want at most %d, one of them with %s", len(peersOf(a)), linksMax, how(c.nodes[far]))
			}
		}
		if !meshed(c.nodes) {
			c.Error("the mesh is not whole")
		}
		_ = a.Close()
		if err := a.AddPeer(c.Context(), c.nodes[1].ID().String()); !errors.Is(err, espial.ErrClosed) {
			c.Errorf("AddPeer after Close = %v, want ErrClosed", err)
		}
	})
}
