package espial_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// What readers and publishers of broadcasts may do and suffer with three nodes (C07, C11, C13,
// C14, C21, C26, C27) they may with fifty as well, whether they have a link with each other or
// not. The steps share a cluster, and each one ends with a mesh that is whole.
func TestBroadcastsInAMesh(t *testing.T) {
	inFifty(t, func(c *cluster, all []*history) {
		m := &meshCase{cluster: c, origin: c.nodes[0]}
		for _, n := range c.nodes {
			m.streams = append(m.streams, c.collect(n, "t", espial.QueueMax(1<<20)))
		}
		linked := func(n *espial.Node) bool { return peersOf(m.origin)[n.ID()] }
		m.near = slices.IndexFunc(c.nodes, linked)
		m.far = 1 + slices.IndexFunc(c.nodes[1:], func(n *espial.Node) bool { return !linked(n) })
		for _, step := range []func(){
			m.subscribersMissNothing, m.everySizeArrives, m.aPanicIsTheProgramsOwn, m.loopsUseTheirNode,
			m.aBlockedReaderHarmsItself, m.acknowledgementsAreLost,
		} {
			step()
		}
		c.quiet(all, espial.RemovedNode)
		m.aNodeClosesUnderLoad()
	})
}

// peersOf returns with whom a node has links.
func peersOf(n *espial.Node) map[espial.NodeID]bool {
	ids := map[espial.NodeID]bool{}
	for p := range n.Peers() {
		ids[p.ID] = true
	}
	return ids
}

// meshCase is a cluster in which one node publishes, and of its readers one has a link with it
// and another one has none.
type meshCase struct {
	*cluster
	origin    *espial.Node
	near, far int
	streams   []*stream
	sent      int
}

// say publishes so many events of a size.
func (m *meshCase) say(count, size int) {
	m.Helper()
	m.publish(m.origin, m.sent, m.sent+count-1, size)
	m.sent += count
}

// complete fails the test unless all but some have all that was said.
func (m *meshCase) complete(when string, but ...int) {
	m.Helper()
	for i, s := range m.streams {
		if !slices.Contains(but, i) {
			m.same(fmt.Sprintf("%s: events at node %d", when, i), s.by(m.origin), numbers(0, m.sent-1))
		}
	}
}

// C27.
func (m *meshCase) subscribersMissNothing() {
	for i := range 10 {
		m.say(5, 8)
		n := m.nodes[[]int{m.near, m.far}[i%2]]
		s, first := m.collect(n, "t"), m.sent
		m.say(5, 8)
		time.Sleep(300 * time.Millisecond)
		got := s.by(m.origin) // what was on its way is news to the new subscription, too
		if at := slices.Index(got, strconv.Itoa(first)); at < 0 || !slices.Equal(got[at:], numbers(first, m.sent-1)) {
			m.Errorf("who subscribed before event %d has %q, want it and all that follow", first, got)
		}
	}
	m.complete("subscribers come")
}

// C21.
func (m *meshCase) everySizeArrives() {
	const piece = 32<<10 - 512 // the largest event that travels whole
	sizes := []int{0, 1, piece - 1, piece, piece + 1, 2*piece + 1, 1 << 20}
	var all []*stream
	for _, i := range []int{m.near, m.far} {
		all = append(all, m.collect(m.nodes[i], "sizes"))
	}
	for i, size := range sizes {
		if err := m.origin.Publish(m.Context(), "sizes", bytes.Repeat([]byte{byte(i)}, size)); err != nil {
			m.Fatalf("%d bytes: %v", size, err)
		}
	}
	if err := m.origin.Publish(m.Context(), "sizes", make([]byte, 1<<20+1)); !errors.Is(err, espial.ErrTooLarge) {
		m.Errorf("Publish of a byte too many = %v, want ErrTooLarge", err)
	}
	time.Sleep(time.Second)
	for k, s := range all {
		s.got(false) // waits
		if len(s.events) != len(sizes) || len(s.lagged) > 0 {
			m.Errorf("reader %d has %d sizes and %v, want %d", k, len(s.events), s.lagged, len(sizes))
			continue
		}
		for i, e := range s.events {
			if !bytes.Equal(e.Data, bytes.Repeat([]byte{byte(i)}, sizes[i])) {
				m.Errorf("reader %d has %d bytes, want %d as they were sent", k, len(e.Data), sizes[i])
			}
		}
	}
}

// C13.
func (m *meshCase) aPanicIsTheProgramsOwn() {
	recovered := make(chan any, 1)
	bad := m.nodes[m.far].Subscribe(m.Context(), "t", espial.QueueMax(1))
	go func() {
		defer func() { recovered <- recover() }()
		for range bad {
			panic("boom")
		}
	}()
	m.say(1, 8)
	if got := <-recovered; got != "boom" {
		m.Errorf("recovered %v, want boom", got)
	}
	m.say(200, 100)
	time.Sleep(time.Second)
	m.complete("a loop panicked")
}

// C14: the loop of a node without a link answers, subscribes and changes its metadata.
func (m *meshCase) loopsUseTheirNode() {
	n := m.nodes[m.far]
	answers := m.collect(m.origin, "answers")
	ctx, cancel := context.WithCancel(m.Context())
	defer cancel()
	events := n.Subscribe(ctx, "t")
	go func() {
		for e := range events {
			inner, end := context.WithCancel(ctx)
			_ = n.Subscribe(inner, "more")
			_ = n.SetMetadata(ctx, map[string]string{"last": string(e.Data)})
			_ = n.Publish(ctx, "answers", e.Data)
			end()
		}
	}()
	first := m.sent
	m.say(20, 1)
	time.Sleep(time.Second)
	m.same("answers", answers.by(n), numbers(first, m.sent-1))
	m.complete("a loop answered")
}

// C11: a reader with a link and one without take nothing. Others have everything in time.
func (m *meshCase) aBlockedReaderHarmsItself() {
	ctx, cancel := context.WithCancel(m.Context())
	defer cancel()
	for _, i := range []int{m.near, m.far} {
		_ = m.nodes[i].Subscribe(ctx, "t", espial.WithPolicy(espial.Block)) // nobody reads it
	}
	began := time.Now()
	m.say(1000, 5000) // more than the window of 4 MiB
	if took := time.Since(began); took > 2500*time.Millisecond {
		m.Errorf("publishing took %v, want 2s for the blocked reader and little more", took)
	}
	time.Sleep(5 * time.Second)
	m.complete("two readers are blocked", m.near, m.far)
	for _, i := range []int{m.near, m.far} {
		m.gapless(fmt.Sprintf("at node %d, of which another reader is blocked", i), m.streams[i], m.origin, m.sent)
	}
}

// C07: no acknowledgement of a neighbour comes for a while.
func (m *meshCase) acknowledgementsAreLost() {
	m.net.CutOneWay(ip(m.near), ip(0))
	held := uint64(0)
	for range 30 {
		m.say(10, 5000)
		held = max(held, m.origin.Status().Queues["broadcast_bytes"])
		time.Sleep(50 * time.Millisecond)
	}
	m.net.Heal()
	if held > 4<<20 {
		m.Errorf("%d bytes were held, want at most 4 MiB", held)
	}
	time.Sleep(5 * time.Second)
	m.complete("acknowledgements were lost", m.near, m.far)
	time.Sleep(30 * time.Second) // for so long a session waits for its link
	if held = m.origin.Status().Queues["broadcast_bytes"]; held > 0 {
		m.Errorf("%d bytes are held after all have them", held)
	}
}

// C26: the publisher closes while it publishes. The others have its first events.
func (m *meshCase) aNodeClosesUnderLoad() {
	ended := make(chan error)
	go func() {
		for i := m.sent; ; i++ {
			if err := m.origin.Publish(m.Context(), "t", padded(i, 1000)); err != nil {
				ended <- err
				return
			}
			if i%10 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	time.Sleep(100 * time.Millisecond)
	began := time.Now()
	if err := m.origin.Close(); err != nil {
		m.Errorf("Close = %v", err)
	}
	if took := time.Since(began); took > 250*time.Millisecond {
		m.Errorf("Close took %v, want at most 250ms", took)
	}
	if err := <-ended; !errors.Is(err, espial.ErrClosed) {
		m.Errorf("the publisher returns %v, want ErrClosed", err)
	}
	time.Sleep(time.Second)
	for i, s := range m.streams[1:] {
		if got := s.by(m.origin); i+1 != m.near && i+1 != m.far && !slices.Equal(got, numbers(0, len(got)-1)) {
			m.Errorf("node %d has %d events, not the first ones in order", i+1, len(got))
		}
	}
	m.within(5*time.Second, "the others are a mesh without it", func() bool { return meshed(m.nodes[1:]) })
}
