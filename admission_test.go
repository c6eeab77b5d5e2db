package espial_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/frame"
)

// E01: both sides hear of a refusal, with code and reason, and nobody is listed. The
// refused one learns the name of who dialled it, for somebody has to speak first, and no
// name if it dialled; never of a member.
func TestRefusalReachesBothSides(t *testing.T) {
	off := espial.Multicast{Off: true}
	refuse := func(_ context.Context, _ espial.Verified, cl espial.Claimed) error {
		if cl.Name == "guest" {
			return errors.New("no " + cl.Name + " here")
		}
		return nil
	}
	for _, tt := range []struct {
		name          string
		strict, guest espial.Config
		learns        string
	}{
		{"the refused node dialled", espial.Config{}, espial.Config{Seeds: seeds(1)}, ""},
		{"the refusing node dialled", espial.Config{Seeds: []string{seed(2)}}, espial.Config{}, "strict"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			empty(t, func(c *cluster) {
				var mu sync.Mutex
				var seen []byte
				c.net.Tap(func(_, _ netip.AddrPort, b []byte) {
					mu.Lock()
					defer mu.Unlock()
					seen = append(seen, b...)
				})
				tt.strict.Name, tt.strict.Multicast, tt.strict.Admit = "strict", off, refuse
				tt.guest.Name, tt.guest.Multicast = "guest", off
				strict := c.start(tt.strict)
				c.start(espial.Config{Name: "bystander", Multicast: off, Seeds: seeds(1), Admit: refuse})
				c.meet(2)
				atStrict := strict.Changes(c.Context())
				guest := c.start(tt.guest)
				atGuest := guest.Changes(c.Context())
				ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
				defer cancel()
				err := guest.WaitFor(ctx, 2)
				refused, ok := errors.AsType[*espial.RejectedError](err)
				if !ok || len(refused.Refusals) != 1 {
					c.Fatalf("WaitFor = %v, want a RejectedError of one node", err)
				}
				// Who has less time than the others to answer learns what is known so far.
				short, cancel := context.WithTimeout(c.Context(), 100*time.Millisecond)
				defer cancel()
				err = guest.WaitFor(short, 2)
				_, ok = errors.AsType[*espial.RejectedError](err)
				if !ok || !errors.Is(err, context.DeadlineExceeded) {
					c.Errorf("WaitFor = %v, want a RejectedError and the end of the context", err)
				}
				if r := refused.Refusals[0]; r.ID != strict.ID() || r.Code != "filter" || r.Reason != "no guest here" {
					c.Errorf("refusal = %+v, want filter, no guest here, of %v", r, strict.ID())
				}
				for _, side := range []struct {
					changes  func(func(espial.Change) bool)
					by, name string
					peer     espial.NodeID
				}{{atStrict, "self", "guest", guest.ID()}, {atGuest, "peer", tt.learns, strict.ID()}} {
					ch, _ := c.await(side.changes, espial.NodeRejected)
					if ch.By != side.by || ch.Code != "filter" || ch.Reason != "no guest here" ||
						ch.Member.ID != side.peer || ch.Member.Name != side.name {
						c.Errorf("node_rejected = %+v, want by %s, filter, of %v %q", ch, side.by, side.peer, side.name)
					}
				}
				time.Sleep(5 * time.Second)
				if got := names(guest); !slices.Equal(got, []string{"guest"}) {
					c.Errorf("the guest lists %v, want itself alone", got)
				}
				if got := names(strict); !slices.Equal(got, []string{"bystander", "strict"}) {
					c.Errorf("the others list %v, want themselves alone", got)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, word := range []string{"strict", "guest", "bystander"} {
					if strings.Contains(string(seen), word) {
						c.Errorf("%q crossed the network in clear", word)
					}
				}
			})
		})
	}
}

// A panic in the filter, or a filter that does not answer, refuses that node and costs
// nothing else.
func TestFilterThatFailsRefuses(t *testing.T) {
	tests := []struct {
		name   string
		filter func(ctx context.Context)
		late   time.Duration // how long it goes on then
		reason string
	}{
		{"it panics", func(context.Context) { panic("boom") }, 0, "panicked"},
		{"it hangs", func(ctx context.Context) { <-ctx.Done() }, time.Second, "in time"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			empty(t, func(c *cluster) {
				n := c.start(espial.Config{
					Admit: func(ctx context.Context, _ espial.Verified, cl espial.Claimed) error {
						if cl.Name == "bad" {
							tt.filter(ctx)
							time.Sleep(tt.late)
						}
						return nil
					},
				})
				changes := n.Changes(c.Context())
				c.start(espial.Config{Name: "bad"})
				ch, took := c.await(changes, espial.NodeRejected)
				if !strings.Contains(ch.Reason, tt.reason) || took > 2500*time.Millisecond {
					c.Errorf("rejected after %v with reason %q, want %q", took, ch.Reason, tt.reason)
				}
				c.start(espial.Config{Name: "good"})
				if err := n.WaitFor(c.Context(), 2); err != nil {
					c.Errorf("a good node afterwards: WaitFor = %v", err)
				}
				time.Sleep(5 * time.Second) // the filter that hangs ends
			})
		})
	}
}

// A28: clusters with different names never meet, though they share everything else.
func TestClustersOfDifferentNamesNeverMeet(t *testing.T) {
	empty(t, func(c *cluster) {
		a := c.start(espial.Config{Cluster: "red"})
		b := c.start(espial.Config{Cluster: "blue", Seeds: a.Addrs()})
		time.Sleep(10 * time.Second)
		for _, n := range []*espial.Node{a, b} {
			if s := n.Status(); s.Members != 1 || s.Peers != 0 {
				c.Errorf("%s: %d members and %d peers, want itself alone", n.Cluster(), s.Members, s.Peers)
			}
		}
	})
}

// The same key started again is the same node in a new incarnation (A20): the old one
// is removed before the new one is added.
func TestRestartWithTheSameKeyReplacesTheNode(t *testing.T) {
	empty(t, func(c *cluster) {
		key := c.TempDir() + "/key.pem"
		writeKey(c.T, key)
		watcher := c.start(espial.Config{})
		first := c.start(espial.Config{KeyFile: key, Name: "same"})
		c.meet(2)
		changes := watcher.Changes(c.Context())
		c.net.Down(ip(1))
		second := c.start(espial.Config{KeyFile: key, Name: "same"})
		if first.ID() != second.ID() {
			c.Fatalf("IDs %v and %v of one key", first.ID(), second.ID())
		}
		var order []string
		var incarnations []uint64
		for ch := range changes {
			if ch.Kind == espial.AddedNode || ch.Kind == espial.RemovedNode {
				order = append(order, string(ch.Kind))
				incarnations = append(incarnations, ch.Member.Incarnation)
			}
			if len(order) == 3 {
				break
			}
		}
		want := "added_node removed_node added_node"
		if got := strings.Join(order, " "); got != want || incarnations[0] != incarnations[1] ||
			incarnations[1] == incarnations[2] {
			c.Errorf("changes %s of incarnations %x, want %s of the first, the first and the second", got, incarnations, want)
		}
	})
}

// Two running nodes of one key take each other for themselves and do not meet.
func TestTwoNodesOfOneKeyDoNotMeet(t *testing.T) {
	key := t.TempDir() + "/node.pem"
	writeKey(t, key)
	empty(t, func(c *cluster) {
		c.start(espial.Config{KeyFile: key})
		c.start(espial.Config{KeyFile: key})
		time.Sleep(10 * time.Second)
		for i, n := range c.nodes {
			if s := n.Status(); s.Members != 1 || s.Peers != 0 {
				c.Errorf("node %d of one key has %d members and %d peers, want itself alone", i, s.Members, s.Peers)
			}
		}
	})
}

// A stranger that calls and says REJECT, and not even HELLO, refuses nothing: WaitFor waits
// for those who answer.
func TestRefusalOfACallerWithoutHelloIsNone(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n := c.nodes[0]
		ctx, cancel := context.WithTimeout(c.Context(), 5*time.Second)
		defer cancel()
		got := make(chan error, 1)
		go func() { got <- n.WaitFor(ctx, 2) }()
		caller := c.attacker(9).dial(n)
		caller.say(frame.Reject{Code: frame.CodeFilter, Reason: "no"})
		caller.rest()
		time.Sleep(time.Second)
		c.start(espial.Config{Seeds: n.Addrs()})
		if err := <-got; err != nil {
			c.Errorf("WaitFor = %v after the word of a stranger, want a cluster of 2", err)
		}
	})
}

// What a refusing node says is safe to print: its code and reason may be any bytes.
func TestRefusalIsSafeToPrint(t *testing.T) {
	hostile := espial.Refusal{Code: "\x1b[2J\n", Reason: "\x1b]0;x\a"}
	err := &espial.RejectedError{Refusals: []espial.Refusal{hostile, {Code: "full"}}}
	if got := err.Error(); strings.ContainsAny(got, "\x1b\n\a") || !strings.HasSuffix(got, ": full") {
		t.Errorf("error is %q, want no control characters, and known codes as they are", got)
	}
}
