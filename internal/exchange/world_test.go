package exchange_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
	"github.com/espial-go/espial/internal/session"
)

// node is an exchange with what it reported.
type node struct {
	t testing.TB
	*exchange.Exchange
	id ident.NodeID

	mu    sync.Mutex // guards what follows
	doubt []string   // "2/1: 3" is three messages to incarnation 1 of node 2
}

// newNode returns the exchange of node id in its first incarnation. It takes payloads of
// up to eventMax bytes, 0 for 1 MiB.
func newNode(t testing.TB, id byte, eventMax int) *node {
	if eventMax == 0 {
		eventMax = 1 << 20
	}
	n := &node{t: t, id: ident.NodeID{id}}
	n.Exchange = exchange.New(exchange.Config{
		Self: n.id, Incarnation: 1, Name: fmt.Sprint("node-", id), EventMax: eventMax, InDoubt: n.inDoubt,
	})
	t.Cleanup(n.Close)
	return n
}

func (n *node) inDoubt(peer ident.NodeID, inc ident.Incarnation, count uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.doubt = append(n.doubt, fmt.Sprintf("%d/%d: %d", peer[0], inc, count))
}

// doubts returns the reports since the last call.
func (n *node) doubts() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := strings.Join(n.doubt, ", ")
	n.doubt = nil
	return s
}

// SetMembers lists members that keep links with each other.
func (n *node) SetMembers(pairs []*exchange.Pair) {
	g := &gossip.Graph{Members: []gossip.Member{{ID: n.id, Incarnation: 1}}}
	for _, p := range pairs {
		g.Members = append(g.Members, gossip.Member{ID: p.ID(), Incarnation: p.Incarnation()})
	}
	slices.SortFunc(g.Members, func(a, b gossip.Member) int { return a.ID.Compare(b.ID) })
	for i := range g.Members {
		g.Links = append(g.Links, nil)
		for k := range g.Members {
			if k != i {
				g.Links[i] = append(g.Links[i], uint32(k))
			}
		}
	}
	n.Exchange.SetMembers(pairs, g)
}

// run runs the loop of the node to itself until the end of the test.
func (n *node) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := n.Run(ctx); err != nil {
			n.t.Errorf("Run: %v", err)
		}
	})
	n.t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// subscribe adds a subscription to everything.
func (n *node) subscribe(o mailbox.Options) *mailbox.Queue {
	n.t.Helper()
	q, err := n.Subscribe(">", o)
	if err != nil {
		n.t.Fatalf("Subscribe: %v", err)
	}
	return q
}

// message returns a message of size bytes that begin with what n is printed as.
func message(topic string, n any, size int) session.Message {
	p := fmt.Append(nil, n)
	return session.Message{Topic: topic, Payload: append(p, bytes.Repeat([]byte{' '}, max(0, size-len(p)))...)}
}

// read returns what waits in q as words: "a:1" is a message with that payload on topic a,
// "-3" are three that are lost, "-0+" is an unknown number of them.
func read(t testing.TB, q *mailbox.Queue) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what is there is returned before ctx is looked at
	batch, err := q.Next(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("Next: %v", err)
	}
	var words []string
	for _, e := range batch {
		if e.Count == 0 {
			word := fmt.Sprintf("-%d", e.Lost.Count)
			if e.Lost.Unknown {
				word += "+"
			}
			words = append(words, word)
			continue
		}
		for run := e.Data; len(run) > 0; {
			var p []byte
			p, run = frame.NextPayload(run)
			words = append(words, e.Topic+":"+strings.TrimRight(string(p), " "))
		}
	}
	return strings.Join(words, " ")
}

// wire is a link between two nodes that carries frames when it is told to.
type wire struct {
	t    testing.TB
	ends [2]*end
}

// end is one end of a wire.
type end struct {
	pair *exchange.Pair

	mu      sync.Mutex // guards what follows
	wakes   int
	control []byte
}

// Wake implements [exchange.Link].
func (e *end) Wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wakes++
}

// Send implements [exchange.Link].
func (e *end) Send(f []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.control = append(e.control, f...)
	return nil
}

// controls returns what was sent since the last call.
func (e *end) controls() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.control
	e.control = nil
	return b
}

// woken returns how often the writer was woken since the last call.
func (e *end) woken() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.wakes
	e.wakes = 0
	return n
}

// pairs makes the sessions between two nodes, listed at both ends.
func pairs(a, b *node) (ab, ba *exchange.Pair) {
	ab, ba = a.Pair(b.id, 1, "b"), b.Pair(a.id, 1, "a")
	a.SetMembers([]*exchange.Pair{ab})
	b.SetMembers([]*exchange.Pair{ba})
	return ab, ba
}

// connect gives both nodes a link to each other, on which nothing has been said.
func connect(t testing.TB, a, b *node) *wire {
	ab, ba := pairs(a, b)
	w := &wire{t: t, ends: [2]*end{{pair: ab}, {pair: ba}}}
	w.again()
	return w
}

// again gives both nodes a new link in place of one that was cut.
func (w *wire) again() {
	for _, e := range w.ends {
		e.pair.Attach(e)
	}
}

// link is connect with OPEN carried both ways.
func link(t testing.TB, a, b *node) *wire {
	t.Helper()
	w := connect(t, a, b)
	w.carry()
	return w
}

// cut takes the link away at both ends; what Fill would have given comes later.
func (w *wire) cut() {
	for _, e := range w.ends {
		e.pair.Detach()
		e.controls() // are lost with the link
	}
}

// frames returns what end i has to send now.
func (w *wire) frames(i int) (raws []frame.Raw) {
	w.t.Helper()
	for _, b := range append([][]byte{w.ends[i].controls()}, w.ends[i].pair.Fill(nil, 64<<10)...) {
		b = append([]byte(nil), b...) // valid until the next Fill
		for len(b) > 0 {
			raw, n, err := frame.Next(b)
			if err != nil {
				w.t.Fatalf("end %d sends %x: %v", i, b, err)
			}
			raws, b = append(raws, raw), b[n:]
		}
	}
	return raws
}

// send carries what end i has to send until there is nothing, and returns how many bytes
// the frames had.
func (w *wire) send(i int) (bytes int) {
	w.t.Helper()
	for {
		raws := w.frames(i)
		if len(raws) == 0 {
			return bytes
		}
		for _, raw := range raws {
			bytes += len(raw.Payload)
			if err := w.ends[1-i].pair.Receive(raw); err != nil {
				w.t.Fatalf("end %d sends %v: %v", i, raw.Type, err)
			}
		}
	}
}

// carry carries everything both ways until nothing is left.
func (w *wire) carry() {
	w.t.Helper()
	sent := 1
	for sent > 0 {
		sent = w.send(0) + w.send(1)
	}
}

// publish broadcasts messages from number first up to last, each of size bytes.
func (n *node) publish(first, last, size int) {
	n.t.Helper()
	for i := first; i <= last; i++ {
		if err := n.Broadcast(n.t.Context(), false, message("a", i, size), nil); err != nil {
			n.t.Fatalf("Broadcast: %v", err)
		}
	}
}

// direct is publish for one member.
func (n *node) direct(to *node, first, last, size int) {
	n.t.Helper()
	for i := first; i <= last; i++ {
		m := message("d", i, size)
		if n.Post(&to.id, m.Topic, m.Codec, m.Payload) {
			continue // as the root does it
		}
		if err := n.Direct(n.t.Context(), to.id, m, nil); err != nil {
			n.t.Fatalf("Direct: %v", err)
		}
	}
}

// held returns the bytes in the direct logs of a node.
func (n *node) held() uint64 {
	queues, _ := n.Figures()
	return queues["direct_bytes"]
}
