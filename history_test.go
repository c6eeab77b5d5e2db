package espial_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
)

// history is what one node reported.
type history struct {
	mu      sync.Mutex // guards what follows
	changes []espial.Change
}

// watch notes every change of n from now on, after the present members, until it ends.
func (c *cluster) watch(n *espial.Node) *history {
	h := &history{}
	changes := n.Changes(c.Context())
	go func() {
		for ch := range changes {
			h.mu.Lock()
			h.changes = append(h.changes, ch)
			h.mu.Unlock()
		}
	}()
	return h
}

// watchAll watches every node.
func (c *cluster) watchAll() []*history {
	var all []*history
	for _, n := range c.nodes {
		all = append(all, c.watch(n))
	}
	return all
}

// all returns the changes so far, once every goroutine of the bubble came to rest.
func (h *history) all() []espial.Change {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.changes)
}

// forget drops what was noted so far.
func (h *history) forget() {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes = nil
}

// of returns the changes of some kinds.
func (h *history) of(kinds ...espial.Kind) []espial.Change {
	return slices.DeleteFunc(h.all(), func(ch espial.Change) bool { return !slices.Contains(kinds, ch.Kind) })
}

// count returns how often a kind of change came.
func (h *history) count(kinds ...espial.Kind) int { return len(h.of(kinds...)) }

// about returns how often a kind of change came about one node.
func (h *history) about(id espial.NodeID, kinds ...espial.Kind) int {
	n := 0
	for _, ch := range h.of(kinds...) {
		if ch.Member.ID == id {
			n++
		}
	}
	return n
}

// kinds returns the kinds of the changes of some kinds, in order, as one line.
func (h *history) kinds(of ...espial.Kind) string {
	var words []string
	for _, ch := range h.of(of...) {
		words = append(words, string(ch.Kind))
	}
	return strings.Join(words, " ")
}

// String returns one line for each change.
func (h *history) String() string {
	var b strings.Builder
	for _, ch := range h.all() {
		fmt.Fprintf(&b, "\n%s %-14s %s %s %s%s", ch.At.Format("04:05.000"), ch.Kind, ch.Member.ID.Short(),
			ch.Member.Name, ch.Cause, ch.Code)
	}
	return b.String()
}

// quiet fails the test for each change of some kinds that a node reported.
func (c *cluster) quiet(all []*history, kinds ...espial.Kind) {
	c.Helper()
	for i, h := range all {
		if n := h.count(kinds...); n > 0 {
			c.Errorf("node %d reported %d of %v, want none:%v", i, n, kinds, h)
		}
	}
}

// within waits until ok holds, and fails the test if that takes longer than d.
func (c *cluster) within(d time.Duration, what string, ok func() bool) {
	c.Helper()
	for began := time.Now(); ; time.Sleep(25 * time.Millisecond) {
		synctest.Wait()
		if ok() {
			return
		}
		if time.Since(began) >= d {
			c.Fatalf("after %v still not: %s", d, what)
		}
	}
}

// names returns the names of the members that n lists, in order.
func names(n *espial.Node) []string {
	var out []string
	for m := range n.Members() {
		out = append(out, m.Name)
	}
	slices.Sort(out)
	return out
}

// whole reports whether each of the nodes lists exactly these nodes, and is linked to
// all of them.
func whole(nodes []*espial.Node) bool {
	for _, n := range nodes {
		ids := map[espial.NodeID]bool{}
		for m := range n.Members() {
			ids[m.ID] = m.State == espial.Alive
		}
		for _, o := range nodes {
			if !ids[o.ID()] {
				return false
			}
		}
		if len(ids) != len(nodes) || n.Status().Peers != len(nodes)-1 {
			return false
		}
	}
	return true
}

// seed is the address of host i at the default port.
func seed(i int) string { return netip.AddrPortFrom(ip(i), 27272).String() }

// seeds are the addresses of the first hosts.
func seeds(count int) []string {
	var out []string
	for i := range count {
		out = append(out, seed(i))
	}
	return out
}
