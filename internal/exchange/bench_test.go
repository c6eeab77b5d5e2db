package exchange_test

import (
	"runtime"
	"testing"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/mailbox"
)

// BenchmarkBroadcast is the way of a message to all, from the publisher to a reader at another
// node: publish, write, read, deliver, take and acknowledge, 100 at a time.
func BenchmarkBroadcast(b *testing.B) {
	x, y := newNode(b, 1, 0), newNode(b, 2, 0)
	x.run(b.Context())
	q := y.subscribe(mailbox.Options{})
	w := link(b, x, y)
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
