package session_test

import (
	"testing"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/session"
)

// batch is how many messages the sender appends between two turns of the writer: about
// what fills a link's buffer of 64 KiB.
const batch = 500

// sender is one turn of the sending side: a batch is appended, taken and acknowledged.
type sender struct {
	log     *session.Log
	cursors []*session.Cursor
	message session.Message
	frames  [][]byte
	bytes   int
}

func newSender(tb testing.TB, cursors, size int) *sender {
	tb.Helper()
	s := &sender{
		log:     session.NewLog(frame.Direct, session.Limits{}),
		message: session.Message{Topic: "orders.placed", Codec: frame.CodecJSON, Payload: make([]byte, size)},
	}
	for range cursors {
		c := s.log.Open()
		if err := c.Resume(0, session.WindowDefault); err != nil {
			tb.Fatalf("Resume: %v", err)
		}
		s.cursors = append(s.cursors, c)
	}
	return s
}

func (s *sender) turn(tb testing.TB, n int) {
	for range n {
		if _, err := s.log.Append(s.message); err != nil {
			tb.Fatalf("Append: %v", err)
		}
	}
	for _, c := range s.cursors {
		for {
			s.frames = c.Take(s.frames[:0], 64<<10)
			if len(s.frames) == 0 {
				break
			}
			for _, f := range s.frames {
				s.bytes += len(f)
			}
		}
		if err := c.Acked(s.log.Next() - 1); err != nil {
			tb.Fatalf("Acked: %v", err)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	for _, bm := range []struct {
		name          string
		cursors, size int
	}{
		{"128B", 1, 128},
		{"1KiB", 1, 1024},
		{"128B to 8", 8, 128},
	} {
		b.Run(bm.name, func(b *testing.B) {
			s := newSender(b, bm.cursors, bm.size)
			s.turn(b, batch)
			b.ReportAllocs()
			b.SetBytes(int64(bm.size))
			left := 0
			for b.Loop() {
				if left++; left == batch {
					s.turn(b, batch)
					left = 0
				}
			}
		})
	}
}

// BenchmarkAppend is the path of one message into the log, the reuse of its memory
// included.
func BenchmarkAppend(b *testing.B) {
	s := newSender(b, 1, 128)
	s.turn(b, batch)
	b.ReportAllocs()
	b.SetBytes(128)
	for left := batch; b.Loop(); left-- {
		if _, err := s.log.Append(s.message); err != nil {
			b.Fatalf("Append: %v", err)
		}
		if left == 0 {
			s.turn(b, 0)
			left = batch
		}
	}
}

// BenchmarkAccept is the receiving side of a frame of 100 messages: decode, accept,
// walk, release, acknowledge. It reports the time for one message.
func BenchmarkAccept(b *testing.B) {
	s := newSender(b, 1, 128)
	for range 100 {
		_, _ = s.log.Append(s.message)
	}
	f := s.cursors[0].Take(nil, 1<<20)[0]
	in := session.NewInbox(0)
	_, _ = in.Start(1, 1)
	now := time.Unix(0, 0)
	bytes, left := 0, 0
	first := ident.Seq(1)
	b.ReportAllocs()
	b.SetBytes(128)
	for b.Loop() {
		if left++; left < 100 {
			continue
		}
		left = 0
		raw, _, _ := frame.Next(f)
		e, err := frame.DecodeEvents(raw.Payload)
		if err != nil {
			b.Fatal(err)
		}
		e.First, e.Message = first, first // it comes again and again
		if _, _, err = in.Accept(e, session.Cost(len(raw.Payload), e.Count)); err != nil {
			b.Fatal(err)
		}
		first += ident.Seq(e.Count)
		for run := e.Run; len(run) > 0; {
			var p []byte
			p, run = frame.NextPayload(run)
			bytes += len(p)
		}
		in.Release(first - 1)
		in.Ack(now, false)
	}
}
