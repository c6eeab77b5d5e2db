package session_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/session"
)

// world is one log with receivers behind links that break, and the list of what was
// published, which says what must arrive.
type world struct {
	t         rapid.TB
	log       *session.Log
	published map[ident.Seq]session.Message // by the last number
	messages  map[ident.Seq]ident.Seq       // the number of each without pieces, by the last
	receivers []*receiver
	now       time.Time
	seed      maphash.Seed
	pattern   []byte     // payloads are cut from it, each number's at a place of its own
	stale     []snapshot // frames of fenced links, which nobody may touch
}

// pattern returns n bytes of which no two places nearby look alike.
func pattern(n int) []byte {
	digits := make([]byte, 0, 10_000)
	for i := 0; len(digits) < cap(digits)-8; i++ {
		digits = fmt.Append(digits, i, " ")
	}
	return bytes.Repeat(digits, n/len(digits)+1)[:n]
}

// snapshot is a frame and what it held when it was taken.
type snapshot struct {
	frame []byte
	hash  uint64
}

// receiver is one member: the sender's cursor, the link, and the inbox at the far end.
type receiver struct {
	w        *world
	cursor   *session.Cursor
	inbox    *session.Inbox
	pieces   session.Assembler
	fresh    []snapshot // taken and not yet written: they alias the log
	wire     [][]byte   // written and not yet read
	acks     []ident.Seq
	held     []ident.Seq // runs that a queue withholds, by last number
	start    ident.Seq   // the number before the first
	at       ident.Seq   // the last number that was delivered or lost
	lost     uint64      // all that the inbox reported
	gaveUp   bool
	messages int
}

func newWorld(t rapid.TB, bytesMax int) *world {
	return &world{
		t:         t,
		log:       session.NewLog(frame.Broadcast, session.Limits{BytesMax: bytesMax}),
		published: make(map[ident.Seq]session.Message),
		messages:  make(map[ident.Seq]ident.Seq),
		now:       time.Unix(1000, 0),
		seed:      maphash.MakeSeed(),
		pattern:   pattern(101_000),
	}
}

// join adds a receiver and gives it its first link.
func (w *world) join(window int) {
	r := &receiver{w: w, cursor: w.log.Open(), inbox: session.NewInbox(window)}
	r.start = w.log.Next() - 1
	r.at = r.start
	w.receivers = append(w.receivers, r)
	r.connect()
}

// publish appends a message and checks what Append says about it.
func (w *world) publish(topic string, size int) {
	first := w.log.Next()
	m := session.Message{Topic: topic, Codec: byte(size % 3), Payload: w.pattern[first%1000:][:size]}
	held := w.log.Held()
	n, err := ident.Seq(len(w.published))+1, error(nil)
	if first%2 == 0 || !w.log.Extend(m.Topic, m.Codec, m.Class, m.Payload) {
		n, err = w.log.Append(m)
	}
	switch pieces := max(1, (size+session.PieceMax-1)/session.PieceMax); {
	case errors.Is(err, session.ErrFull) && held > 0 && w.log.Next() == first && w.log.Held() == held:
	case err != nil || n != ident.Seq(len(w.published))+1 || w.log.Next() != first+ident.Seq(pieces):
		w.t.Fatalf("Append(%q, %d bytes) = %d, %v with next number %d, was %d and %d held",
			topic, size, n, err, w.log.Next(), first, held)
	default:
		w.published[w.log.Next()-1], w.messages[w.log.Next()-1] = m, n
	}
}

// take lets the writer of the link write what it had and ask for more.
func (r *receiver) take(bytesMax int) {
	for _, s := range r.fresh {
		r.wire = append(r.wire, bytes.Clone(s.frame))
	}
	r.fresh = r.fresh[:0]
	pending := r.cursor.Pending()
	frames := r.cursor.Take(nil, bytesMax)
	if pending != (len(frames) > 0) {
		r.w.t.Fatalf("Pending = %v, Take gave %d frames", pending, len(frames))
	}
	total := 0
	for i, f := range frames {
		if total += len(f); i > 0 && total > bytesMax {
			r.w.t.Fatalf("Take(%d) gave %d frames of at least %d bytes", bytesMax, len(frames), total)
		}
		r.fresh = append(r.fresh, snapshot{f, maphash.Bytes(r.w.seed, f)})
	}
}

// read brings the next frame to the inbox and checks that it is what was published.
func (r *receiver) read() {
	if len(r.wire) == 0 {
		return
	}
	b := r.wire[0]
	r.wire = r.wire[1:]
	t := r.w.t
	raw, n, err := frame.Next(b)
	if err != nil || n != len(b) {
		t.Fatalf("frame %x: Next takes %d of %d bytes, %v", b, n, len(b), err)
	}
	e, err := frame.DecodeEvents(raw.Payload)
	if err != nil {
		t.Fatalf("frame %x: %v", b, err)
	}
	skip, lost, err := r.inbox.Accept(e, session.Cost(len(raw.Payload), e.Count))
	if err != nil {
		t.Fatalf("Accept(%d, %d) after %d: %v", e.First, e.Count, r.at, err)
	}
	r.lose(lost, e.First-1)
	if skip == e.Count {
		return
	}
	if want := r.at + 1; e.First+ident.Seq(skip) != want {
		t.Fatalf("run from %d, skip %d, lost %d: want number %d", e.First, skip, lost, want)
	}
	r.deliver(e, skip)
	if !e.More {
		r.held = append(r.held, r.at) // with all its pieces
	}
}

// deliver compares the messages of a run with what was published under their numbers.
func (r *receiver) deliver(e frame.Events, skip int) {
	run := e.Run
	if r.pieces.Wants(e) {
		whole, err := r.pieces.Add(e)
		if err != nil {
			r.w.t.Fatalf("Add(%d): %v", e.First, err)
		}
		r.at++
		if whole == nil {
			return
		}
		r.at--
		run, skip = whole, 0
	}
	for ; len(run) > 0; skip-- {
		var p []byte
		if p, run = frame.NextPayload(run); skip > 0 {
			e.Message++
			continue
		}
		r.at++
		want, ok := r.w.published[r.at]
		if r.w.messages[r.at] != e.Message {
			r.w.t.Fatalf("number %d is message %d, want %d", r.at, e.Message, r.w.messages[r.at])
		}
		e.Message++
		if !ok || string(e.Topic) != want.Topic || e.Codec != want.Codec || !bytes.Equal(p, want.Payload) {
			r.w.t.Fatalf("number %d: got %d bytes on %q, want %d on %q (published: %v)",
				r.at, len(p), e.Topic, len(want.Payload), want.Topic, ok)
		}
		r.messages++
	}
}

// lose counts a loss that the inbox reported, up to number to; only GiveUp may be the
// cause. A message whose first pieces came counts as one.
func (r *receiver) lose(n uint64, to ident.Seq) {
	want := uint64(0)
	for k := range r.w.published {
		if k > r.at && k <= to {
			want++
		}
	}
	if n != want || n > 0 && !r.gaveUp {
		r.w.t.Fatalf("%d messages lost from %d up to %d, want %d; gave up: %v", n, r.at, to, want, r.gaveUp)
	}
	if n == 0 {
		return
	}
	r.lost += n
	r.at = to
	r.pieces.Reset()
}

// release lets the i-th run that is held go.
func (r *receiver) release(i int) {
	if len(r.held) == 0 {
		return
	}
	i %= len(r.held)
	r.inbox.Release(r.held[i])
	r.held = append(r.held[:i:i], r.held[i+1:]...)
}

// ack puts an acknowledgement on the way back.
func (r *receiver) ack(force bool) {
	n, due := r.inbox.Ack(r.w.now, force)
	if !due {
		return
	}
	if len(r.held) > 0 && n >= r.held[0] {
		for _, h := range r.held {
			if h <= n {
				r.w.t.Fatalf("Ack = %d while the run to %d is held", n, h)
			}
		}
	}
	r.acks = append(r.acks, n)
}

// readAck brings the oldest acknowledgement to the sender.
func (r *receiver) readAck() {
	if len(r.acks) == 0 {
		return
	}
	n := r.acks[0]
	r.acks = r.acks[1:]
	if err := r.cursor.Acked(n); err != nil {
		r.w.t.Fatalf("Acked(%d): %v", n, err)
	}
}

// reset breaks the link: what is on the way is gone, what was lent stays as it was.
func (r *receiver) reset() {
	r.w.stale = append(r.w.stale, r.fresh...)
	r.fresh, r.wire, r.acks = nil, nil, nil
	r.connect()
}

// connect exchanges OPEN over a new link.
func (r *receiver) connect() {
	received, first, message := r.inbox.Received(), r.cursor.First(), r.cursor.Message()
	if received == 0 {
		received = r.start // a fresh inbox knows nothing; the cursor begins where it does
	}
	if err := r.cursor.Resume(received, r.inbox.Window()); err != nil {
		r.w.t.Fatalf("Resume(%d): %v", received, err)
	}
	lost, err := r.inbox.Start(first, message)
	if err != nil {
		r.w.t.Fatalf("Start(%d, %d): %v", first, message, err)
	}
	r.lose(lost, first-1)
}

// drain carries everything to the far end and the acknowledgements back. After GiveUp
// the receiver learns of it by the next message, so it may end before the last number,
// unless all is set.
func (r *receiver) drain(all bool) {
	last := r.w.log.Next() - 1
	for step := 0; r.cursor.Done() != last || r.at != last && (all || !r.gaveUp); step++ {
		if step > 100_000 {
			r.w.t.Fatalf("stuck: delivered up to %d of %d, acknowledged %d, pending %v",
				r.at, last, r.cursor.Done(), r.cursor.Pending())
		}
		r.take(1 << 20)
		for len(r.wire) > 0 {
			r.read()
		}
		for len(r.held) > 0 {
			r.release(step)
		}
		r.ack(true)
		for len(r.acks) > 0 {
			r.readAck()
		}
	}
}

// check looks for anything that is missing at the end.
func (r *receiver) check() {
	if last := r.w.log.Next() - 1; r.at != last {
		r.w.t.Fatalf("delivered or lost up to %d of %d", r.at, last)
	}
	want := 0
	for n := range r.w.published {
		if n > r.start {
			want++
		}
	}
	if r.messages+int(r.lost) != want {
		r.w.t.Fatalf("delivered %d messages and lost %d of %d", r.messages, r.lost, want)
	}
	if r.cursor.Waiting() != 0 {
		r.w.t.Fatalf("%d messages wait at the end", r.cursor.Waiting())
	}
	if r.inbox.Held() != 0 {
		r.w.t.Fatalf("inbox holds %d bytes at the end", r.inbox.Held())
	}
	if from, to := r.cursor.InDoubt(); from != to+1 {
		r.w.t.Fatalf("in doubt at the end: %d to %d", from, to)
	}
}

// finish drains every receiver and checks what must be so at the end.
func (w *world) finish() {
	for _, r := range w.receivers {
		r.drain(false)
	}
	w.publish("last", 1) // whoever gave up learns by it what was lost
	for _, r := range w.receivers {
		r.drain(true)
		r.check()
	}
	for _, s := range w.stale {
		if maphash.Bytes(w.seed, s.frame) != s.hash {
			w.t.Fatalf("a frame of a fenced link changed: %x", s.frame)
		}
	}
	if w.log.Held() != 0 {
		w.t.Fatalf("log holds %d bytes at the end", w.log.Held())
	}
}

// TestSessionAgainstModel does everything that may happen in any order: whatever the
// order, each receiver gets each message once, in the sender's order, or hears how many
// it missed (invariants D1 to D3).
func TestSessionAgainstModel(t *testing.T) {
	sizes := rapid.SampledFrom([]int{
		0, 1, 100, 127, 128, 1000, 20_000, session.PieceMax, session.PieceMax + 1, 100_000,
	})
	topics := rapid.SampledFrom([]string{"a", "orders.placed", "x.y.z"})
	windows := rapid.SampledFrom([]int{session.WindowMin, 300_000, 0})
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.SampledFrom([]int{1, 200_000, 0}).Draw(t, "bytesMax"))
		w.join(windows.Draw(t, "window"))
		any := func(t *rapid.T) *receiver {
			if len(w.receivers) == 0 {
				t.Skip("nobody is there")
			}
			return w.receivers[rapid.IntRange(0, len(w.receivers)-1).Draw(t, "receiver")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				topic, size := topics.Draw(t, "topic"), sizes.Draw(t, "size")
				for range rapid.SampledFrom([]int{1, 3, 50}).Draw(t, "times") {
					w.publish(topic, size)
				}
			},
			"take":    func(t *rapid.T) { any(t).take(rapid.IntRange(0, 100_000).Draw(t, "bytesMax")) },
			"read":    func(t *rapid.T) { any(t).read() },
			"release": func(t *rapid.T) { any(t).release(rapid.IntRange(0, 20).Draw(t, "which")) },
			"ack":     func(t *rapid.T) { any(t).ack(rapid.Bool().Draw(t, "force")) },
			"readAck": func(t *rapid.T) { any(t).readAck() },
			"reset":   func(t *rapid.T) { any(t).reset() },
			"wait":    func(*rapid.T) { w.now = w.now.Add(session.AckDelay / 2) },
			"trim":    func(*rapid.T) { w.log.Trim() },
			"give up": func(t *rapid.T) {
				r := any(t)
				first := r.cursor.First()
				if lost := r.cursor.GiveUp(); lost > 0 {
					r.gaveUp = true
				} else if first != w.log.Next() {
					t.Fatalf("GiveUp gave up nothing from %d to %d", first, w.log.Next())
				}
			},
			"join": func(t *rapid.T) {
				if len(w.receivers) < 3 {
					w.join(windows.Draw(t, "window"))
				}
			},
			"leave": func(t *rapid.T) {
				r := any(t)
				r.cursor.Close()
				w.stale = append(w.stale, r.fresh...)
				for i := range w.receivers {
					if w.receivers[i] == r {
						w.receivers = append(w.receivers[:i:i], w.receivers[i+1:]...)
						break
					}
				}
			},
		})
		w.finish()
	})
}

// TestResetAtEveryStep runs one script and breaks the link after each of its steps in
// turn, then after each pair of steps (case C02).
func TestResetAtEveryStep(t *testing.T) {
	script := []func(r *receiver){}
	for i := range 4 {
		script = append(
			script,
			func(r *receiver) { r.w.publish("a", 100*i) },
			func(r *receiver) { r.w.publish("b", session.PieceMax+i) },
			func(r *receiver) { r.take(40_000) },
			func(r *receiver) { r.take(1) },
			(*receiver).read,
			(*receiver).read,
			func(r *receiver) { r.release(1) },
			func(r *receiver) { r.ack(true) },
			(*receiver).readAck,
		)
	}
	run := func(t *testing.T, breaks ...int) {
		defer func() {
			if t.Failed() {
				t.Logf("with resets after steps %v", breaks)
			}
		}()
		w := newWorld(t, 0)
		w.join(0)
		r := w.receivers[0]
		for i, step := range script {
			step(r)
			for _, b := range breaks {
				if i == b {
					r.reset()
				}
			}
		}
		w.finish()
		if r.lost != 0 {
			t.Fatalf("%d messages lost", r.lost)
		}
	}
	for i := range script {
		for j := range i + 1 {
			run(t, j, i)
		}
	}
}
