package exchange_test

import (
	"crypto/rand"
	"runtime"
	"testing"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

// BenchmarkBroadcast is the way of a message to all, from the publisher to a reader at another
// node: publish, write, read, deliver, take and acknowledge, 100 at a time. Where a member has
// no link it is signed on the way, verified, and kept for others.
func BenchmarkBroadcast(b *testing.B) {
	b.Run("all linked", func(b *testing.B) { benchmarkBroadcast(b, false) })
	b.Run("signed", func(b *testing.B) { benchmarkBroadcast(b, true) })
}

func benchmarkBroadcast(b *testing.B, signed bool) {
	key, err := ident.NewKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	x, y := &node{t: b, id: key.ID()}, &node{t: b, id: ident.NodeID{2}}
	for _, n := range []*node{x, y} {
		n.Exchange = exchange.New(exchange.Config{
			Self: n.id, Incarnation: 1, Name: "x", EventMax: 1 << 20,
			Sign: key.Sign, Public: func(ident.NodeID) []byte { return key.Public() },
		})
	}
	x.run(b.Context())
	q := y.subscribe(mailbox.Options{})
	xy, yx := x.Pair(y.id, 1, "y"), y.Pair(x.id, 1, "x")
	w := &wire{t: b, ends: [2]*end{{pair: xy}, {pair: yx}}}
	for _, e := range w.ends {
		e.pair.Attach(e)
	}
	y.SetMembers([]*exchange.Pair{yx})
	if x.SetMembers([]*exchange.Pair{xy}); signed {
		x.SetMembers([]*exchange.Pair{xy, x.Pair(ident.NodeID{3}, 1, "z")})
	}
	w.carry()
	m := message("orders.placed", 1, 128)
	var frames [][]byte
	turn := func() {
		for i := range 2 {
			frames = w.ends[i].pair.Fill(frames[:0], 64<<10)
			for _, f := range frames {
				for len(f) > 0 {
					raw, n, err := frame.Next(f)
					if err != nil || w.ends[1-i].pair.Receive(raw) != nil {
						b.Fatal("a frame does not arrive")
					}
					f = f[n:]
				}
			}
		}
		batch, err := q.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for i := range batch {
			q.Reuse(batch[i].Data)
		}
		runtime.Gosched()
	}
	b.ReportAllocs()
	b.SetBytes(128)
	for left := 0; b.Loop(); {
		if err := x.Broadcast(b.Context(), true, m, nil); err != nil {
			b.Fatal(err)
		}
		if left++; left == 100 {
			turn()
			left = 0
		}
	}
}
