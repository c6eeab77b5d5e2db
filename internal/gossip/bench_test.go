package gossip_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
)

// stage is one router of a large cluster, and what it may be given.
type stage struct {
	now     time.Time
	graph   *gossip.Graph
	self    int // place in graph
	r       *gossip.Router
	peers   []ident.NodeID
	writers []*writer // of the other members
	batches []frame.Relay
}

// newStage returns the router of the member in the middle of n, linked with its neighbours.
func newStage(tb testing.TB, n int) *stage {
	tb.Helper()
	s := &stage{now: time.Unix(1_000_000, 0), self: n / 2}
	members := make([]gossip.Member, n)
	for i := range members {
		members[i] = gossip.Member{ID: idOf(i), Incarnation: 1}
	}
	slices.SortFunc(members, byID)
	s.graph = rings(members)
	self := members[s.self]
	s.r = gossip.New(s.now, gossip.Config{Self: self.ID, Incarnation: self.Incarnation})
	s.r.View(s.now, s.graph)
	for _, i := range s.graph.Links[s.self] {
		s.peers = append(s.peers, members[i].ID)
		s.r.LinkUp(s.now, members[i].ID)
		s.r.Greeted(members[i].ID, frame.Greet{})
		s.r.Take()
	}
	for _, m := range members {
		s.writers = append(s.writers, &writer{self: m, next: 1, message: 1})
	}
	return s
}

// prepare makes batches of some origins, in turn.
func (s *stage) prepare(count, origins, size int) {
	s.batches = s.batches[:0]
	for i := range count {
		s.batches = append(s.batches, s.writers[i%origins].batch(piece{count: 1, size: size}))
	}
}

// feed gives one batch to the router, as the reader of a link does, and ticks when it is
// time. It returns how many forwards there were.
func (s *stage) feed(b *frame.Relay) (forwards int) {
	s.now = s.now.Add(20 * time.Microsecond)
	if at, ok := s.r.Next(); ok && !s.now.Before(at) {
		s.r.Tick(s.now)
		s.r.Take()
	}
	if s.r.Wants(s.now, s.peers[0], b) {
		s.r.Receive(s.now, s.peers[0], *b)
	}
	for _, f := range s.r.Take().Forwards {
		forwards += len(f.To)
	}
	return forwards
}

// BenchmarkReceive is the way of one batch of 1 KiB through a node: what comes in, is
// delivered, stored in the place of an older one, and passed on.
func BenchmarkReceive(b *testing.B) {
	for _, origins := range []int{1, 100} {
		b.Run(fmt.Sprintf("of %d origins", origins), func(b *testing.B) {
			s := newStage(b, 1000)
			s.prepare(30_000, origins, 1024) // more than the store holds
			for i := range s.batches {
				s.feed(&s.batches[i])
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%len(s.batches) == 0 {
					b.StopTimer()
					s.prepare(len(s.batches), origins, 1024)
					b.StartTimer()
				}
				s.feed(&s.batches[i%len(s.batches)])
			}
		})
	}
}

// BenchmarkTree is what it costs to derive the tree of one origin, as seen by a member that
// is far from it.
func BenchmarkTree(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newStage(b, n)
			var children []ident.NodeID
			var visited, runs int
			b.ReportAllocs()
			for b.Loop() {
				var v int
				children, v = s.graph.Children(children[:0], runs*7919%n, s.self)
				visited += v
				runs++
			}
			b.ReportMetric(float64(visited)/float64(runs), "members/op")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(visited), "ns/member")
		})
	}
}

// BenchmarkView is a new graph in which one member is missing.
func BenchmarkView(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newStage(b, n)
			graphs := []*gossip.Graph{rings(s.graph.Members[1:]), s.graph}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s.r.View(s.now, graphs[i%2])
			}
		})
	}
}
