package mailbox_test

import (
	"context"
	"sync"
	"testing"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

// discard is a Releaser that does nothing.
type discard struct{}

func (discard) Release(frame.Lane, ident.Seq) {}

// pipe delivers a run of count messages of size bytes again and again and reads them.
type pipe struct {
	box   *mailbox.Box
	q     *mailbox.Queue
	route mailbox.Route
	topic []byte
	run   mailbox.Run
	bytes int
}

func newPipe(tb testing.TB, count, size int, o mailbox.Options) *pipe {
	tb.Helper()
	box := mailbox.New(func() {})
	p := &pipe{box: box, q: subscribe(tb, box, "orders.*", o), topic: []byte("orders.placed")}
	p.run = newSender(box, 1, frame.Direct).run(count, size)
	return p
}

func (p *pipe) deliver() {
	p.run.First += ident.Seq(p.run.Count)
	p.box.Deliver(&p.route, p.topic, p.run, discard{})
}

func (p *pipe) read(ctx context.Context, reuse bool) {
	batch, _ := p.q.Next(ctx)
	for i := range batch {
		for run := batch[i].Data; len(run) > 0; {
			var b []byte
			b, run = frame.NextPayload(run)
			p.bytes += len(b)
		}
		if reuse {
			p.q.Reuse(batch[i].Data)
		}
	}
}

func TestTheSteadyStateAllocatesNothing(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    mailbox.Options
	}{
		{"with room", mailbox.Options{MessagesMax: 10_000}},
		{"withheld", mailbox.Options{MessagesMax: 1}},
		{"dropped", mailbox.Options{MessagesMax: 100, Policy: mailbox.DropOldest}},
	} {
		ctx := t.Context()
		p := newPipe(t, 100, 128, tt.o)
		turn := func() {
			for range 10 {
				p.deliver()
			}
			p.read(ctx, true)
		}
		turn()
		if n := testing.AllocsPerRun(50, turn); n != 0 {
			t.Errorf("%s: 1,000 messages cost %v allocations, want 0", tt.name, n)
		}
	}
}

// BenchmarkDeliver is a run of 100 messages of 128 bytes into a queue and out of it, by
// readers that give the bytes back and by those that keep them.
func BenchmarkDeliver(b *testing.B) {
	for _, bm := range []struct {
		name  string
		count int
		reuse bool
	}{
		{"100 messages, reused", 100, true},
		{"100 messages, kept", 100, false},
		{"1 message, reused", 1, true},
		{"1 message, kept", 1, false},
	} {
		b.Run(bm.name, func(b *testing.B) {
			p := newPipe(b, bm.count, 128, mailbox.Options{MessagesMax: 10_000})
			ctx := b.Context()
			b.ReportAllocs()
			b.SetBytes(int64(bm.count) * 128)
			n := 0
			for b.Loop() {
				p.deliver()
				if n++; n%8 == 0 {
					p.read(ctx, bm.reuse)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*bm.count), "ns/msg")
		})
	}
}

// BenchmarkTwoGoroutines is the same with the reader in a goroutine of its own.
func BenchmarkTwoGoroutines(b *testing.B) {
	p := newPipe(b, 100, 128, mailbox.Options{MessagesMax: 10_000, Policy: mailbox.Block})
	ctx, cancel := context.WithCancel(b.Context())
	room := make(chan struct{}, 1) // there may be some
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			p.read(ctx, true)
			select {
			case room <- struct{}{}:
			default:
			}
		}
	})
	b.ReportAllocs()
	b.SetBytes(100 * 128)
	for b.Loop() {
		for p.q.Len() > 10_000 { // the sender's window
			<-room
		}
		p.deliver()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*100), "ns/msg")
	cancel()
	wg.Wait()
}
