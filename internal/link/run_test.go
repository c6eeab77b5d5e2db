package link_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/link"
	"github.com/espial-go/espial/internal/memnet"
)

// encode returns a frame of EVENTS' type with payload; Run does not look inside.
func encode(payload []byte) []byte {
	b := append([]byte{byte(frame.TypeEvents), 0, 0, 0}, payload...)
	frame.Seal(b)
	return b
}

func TestControlAndDataArrive(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		a, b := linkedOver(t, n)
		r := run(t, a, b)
		r.atA.data = [][]byte{encode([]byte("one")), encode([]byte("two"))}
		a.Wake()
		if err := b.Send(frame.Probe{Number: 7}.Append(nil)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(latency)
		synctest.Wait()
		if got, want := r.atB.received(), []string{"EVENTS one", "EVENTS two"}; !slices.Equal(got, want) {
			t.Errorf("B received %q, want %q", got, want)
		}
		if got, want := r.atA.received(), []string{"PROBE \x00\x00\x00\x00\x00\x00\x00\x07"}; !slices.Equal(got, want) {
			t.Errorf("A received %q, want %q", got, want)
		}
		if heard := b.Heard(); !heard.Equal(time.Now()) {
			t.Errorf("B heard A at %v, want %v", heard, time.Now())
		}
		if sent, received := a.Bytes(); sent != 14 || received != 12 {
			t.Errorf("A counts %d bytes sent and %d received, want 14 and 12", sent, received)
		}
		a.Close(frame.Bye{Code: frame.CodeClose})
		r.wait()
	})
}

// The goodbye reaches the peer, with its reason, and in the time of one flight.
func TestCloseSaysGoodbye(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		a, b := linkedOver(t, n)
		r := run(t, a, b)
		synctest.Wait()
		if err := a.Send(frame.Probe{Number: 1}.Append(nil)); err != nil {
			t.Fatal(err)
		}
		bye := frame.Bye{Code: frame.CodeLeave, Reason: "so long"}
		start := time.Now()
		a.Close(bye)
		a.Close(frame.Bye{Code: frame.CodeIdle, Reason: "a second call counts for nothing"})
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %v, want no time", took)
		}
		errA, errB := r.wait()
		if errA != nil || byeOf(errB) != bye {
			t.Errorf("ended with %v and %v, want nil and %v", errA, errB, bye)
		}
		if took := time.Since(start); took > 2*latency {
			t.Errorf("closing took %v, want one flight and its answer", took)
		}
		if got := r.atB.received(); len(got) != 1 {
			t.Errorf("B received %q, want what was queued before Close", got)
		}
		if err := a.Send(nil); err == nil {
			t.Error("Send after the end returned nil")
		}
	})
}

// A link whose writer always finds more to send is closed as well.
func TestCloseSaysGoodbyeUnderLoad(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		a, b := linkedOver(t, n)
		r := run(t, a, b)
		data := [][]byte{encode(make([]byte, 16<<10))}
		r.atA.fill = func() [][]byte { return data }
		r.atB.fill = func() [][]byte { return data }
		r.atA.receive, r.atB.receive = func([]frame.Raw) {}, func([]frame.Raw) {}
		a.Wake()
		b.Wake()
		time.Sleep(20 * time.Millisecond)
		start := time.Now()
		a.Close(frame.Bye{Code: frame.CodeLeave})
		errA, errB := r.wait()
		if errA != nil || byeOf(errB).Code != frame.CodeLeave {
			t.Errorf("ended with %v and %v, want nil and BYE", errA, errB)
		}
		if took := time.Since(start); took > 250*time.Millisecond {
			t.Errorf("closing took %v, limit 250 ms", took)
		}
	})
}

// A peer that reads nothing cannot hold a link open.
func TestCloseUnblocksAWriter(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		a, b := linkedOver(t, n)
		data := [][]byte{encode(make([]byte, 16<<10))}
		done := make(chan error)
		go func() { done <- a.Run(t.Context(), &end{fill: func() [][]byte { return data }}) }()
		a.Wake()
		synctest.Wait() // B does not run: the socket is full
		start := time.Now()
		a.Close(frame.Bye{Code: frame.CodeClose})
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("closing took %v, limit 100 ms", took)
		}
		b.Close(frame.Bye{})
	})
}

// A socket that is closed with bytes unread resets the connection, which may destroy
// the BYE on its way. So the end that closes takes what still comes.
func TestCloseTakesWhatStillComes(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		raw, c := stranger(t, dialed, accepted)
		done := make(chan error)
		go func() { done <- c.Run(t.Context(), &end{}) }()
		synctest.Wait()
		start := time.Now()
		c.Close(frame.Bye{Code: frame.CodeIdle})
		for range 9 {
			if _, err := raw.Write(encode(make([]byte, 1<<10))); err != nil {
				t.Fatalf("write %v after Close: %v", time.Since(start), err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("a peer that does not close kept the link for %v, want 100 ms", took)
		}
		said := make([]byte, 64)
		k, err := raw.Read(said)
		if want := (frame.Bye{Code: frame.CodeIdle}).Append(nil); err != nil || !bytes.Equal(said[:k], want) {
			t.Errorf("the peer reads %x, %v; want %x", said[:k], err, want)
		}
	})
}

// A writer that fails because the peer has closed leaves the reader time to find the
// peer's BYE, which came before.
func TestGoodbyeBehindAReset(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		raw, c := stranger(t, dialed, accepted)
		busy := make(chan struct{})
		h := &end{receive: func([]frame.Raw) { <-busy }}
		done := make(chan error)
		go func() { done <- c.Run(t.Context(), h) }()
		if _, err := raw.Write(frame.Probe{}.Append(nil)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * latency) // the reader is busy with PROBE now
		if _, err := raw.Write(frame.Bye{Code: frame.CodeLeave}.Append(nil)); err != nil {
			t.Fatal(err)
		}
		dialed.Close()
		for range 3 { // the first write is answered with a reset, a later one fails
			time.Sleep(3 * latency)
			_ = c.Send(frame.Ack{}.Append(nil))
		}
		time.Sleep(latency)
		close(busy)
		if err := <-done; byeOf(err).Code != frame.CodeLeave {
			t.Errorf("Run = %v, want BYE", err)
		}
	})
}

// clogged is a socket that fails to write when it is told to.
type clogged struct {
	net.Conn
	clog atomic.Bool
}

var errClogged = errors.New("clogged")

func (c *clogged) Write(b []byte) (int, error) {
	if c.clog.Load() {
		return 0, errClogged
	}
	return c.Conn.Write(b)
}

func TestRunSaysWhyTheWriterFailed(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		c := &clogged{Conn: dialed}
		a, b := linked(t, c, accepted)
		r := run(t, a, b)
		c.clog.Store(true)
		if err := a.Send(frame.Ack{}.Append(nil)); err != nil {
			t.Fatal(err)
		}
		if errA, errB := r.wait(); !errors.Is(errA, errClogged) || errB == nil {
			t.Errorf("ended with %v and %v, want %v and an error", errA, errB, errClogged)
		}
	})
}

func TestCloseBeforeRun(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		a, b := linkedOver(t, n)
		done := make(chan error)
		atB := &end{}
		go func() { done <- b.Run(t.Context(), atB) }()
		a.Close(frame.Bye{Code: frame.CodeDuplicate})
		select {
		case <-a.Closed():
		default:
			t.Error("Closed is open after Close")
		}
		if err := a.Run(t.Context(), &end{}); err != nil {
			t.Errorf("Run after Close = %v, want nil", err)
		}
		if err := <-done; byeOf(err).Code != frame.CodeDuplicate {
			t.Errorf("the peer's Run = %v, want BYE", err)
		}
	})
}

func TestPeerThatVanishesIsNoGoodbye(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		a, b := linked(t, dialed, accepted)
		r := run(t, a, b)
		synctest.Wait()
		dialed.Close()
		errA, errB := r.wait()
		if errA == nil || errB == nil || byeOf(errB) != (frame.Bye{}) {
			t.Errorf("ended with %v and %v, want errors", errA, errB)
		}
	})
}

func TestContextEndsALink(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		a, b := linkedOver(t, n)
		r := run(t, a, b)
		synctest.Wait()
		r.cancelA()
		errA, errB := r.wait()
		if !errors.Is(errA, context.Canceled) || errB == nil {
			t.Errorf("ended with %v and %v, want %v and an error", errA, errB, context.Canceled)
		}
	})
}

// Who breaks the protocol is told, and Run says what the breach was.
func TestBreachIsTold(t *testing.T) {
	broken := errors.New("no such lane")
	tests := []struct {
		name string
		send []byte // from A to B
		fail error  // of B's handler
		want error
	}{
		{"the handler refuses a frame", frame.Probe{}.Append(nil), broken, broken},
		{"a frame that announces 64 KiB and a byte", []byte{8, 1, 0, 1}, nil, frame.ErrTooLarge},
		{"a BYE that does not decode", []byte{byte(frame.TypeBye), 0, 0, 1, 200}, nil, frame.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memnet.Network) {
				a, b := linkedOver(t, n)
				r := run(t, a, b)
				r.atB.fail = tt.fail
				r.atB.data = [][]byte{encode(make([]byte, 60<<10))} // on its way, and not lost
				b.Wake()
				if err := a.Send(tt.send); err != nil {
					t.Fatal(err)
				}
				errA, errB := r.wait()
				if !errors.Is(errB, tt.want) {
					t.Errorf("B ended with %v, want %v", errB, tt.want)
				}
				if bye := byeOf(errA); bye.Code != frame.CodeProtocol || !strings.Contains(bye.Reason, tt.want.Error()) {
					t.Errorf("A ended with %v, want a BYE with code protocol and the reason", errA)
				}
				if got := r.atA.received(); len(got) != 1 {
					t.Errorf("A received %d frames that were under way, want 1", len(got))
				}
			})
		})
	}
}

func TestFramesBeforeAByeAreHandedOver(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		a, b := linkedOver(t, n)
		r := run(t, a, b)
		three := frame.Ack{}.Append(frame.Bye{Code: "why"}.Append(frame.Probe{}.Append(nil)))
		if err := a.Send(three); err != nil {
			t.Fatal(err)
		}
		_, errB := r.wait()
		if byeOf(errB).Code != "why" {
			t.Errorf("B ended with %v, want BYE", errB)
		}
		if got := r.atB.received(); len(got) != 1 || !strings.HasPrefix(got[0], "PROBE") {
			t.Errorf("B received %q, want what came before BYE and nothing behind it", got)
		}
	})
}

func TestOverflowEndsTheLink(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		a, b := linkedOver(t, n)
		f := encode(make([]byte, 60<<10))
		var err error
		for range 100 {
			if err = a.Send(f); err != nil {
				break
			}
		}
		if !errors.Is(err, link.ErrOverflow) {
			t.Fatalf("Send = %v, want %v", err, link.ErrOverflow)
		}
		if queued := a.Queued(); queued > 1<<20 {
			t.Errorf("%d bytes queued, limit 1 MiB", queued)
		}
		if err := a.Run(t.Context(), &end{}); !errors.Is(err, link.ErrOverflow) {
			t.Errorf("Run = %v, want %v", err, link.ErrOverflow)
		}
		b.Close(frame.Bye{})
	})
}

// Data waits for control, never the other way round: a probe that is sent while the
// writer is busy with data leaves before what it has not asked for yet.
func TestControlGoesBeforeData(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		a, b := linkedOver(t, n)
		r := run(t, a, b)
		fills := 0
		r.atA.fill = func() [][]byte {
			if fills++; fills == 3 {
				if err := a.Send(frame.Probe{}.Append(nil)); err != nil {
					t.Error(err)
				}
			}
			if fills > 6 {
				return nil
			}
			return [][]byte{encode([]byte{byte('0' + fills)})}
		}
		a.Wake()
		time.Sleep(latency)
		synctest.Wait()
		want := []string{
			"EVENTS 1", "EVENTS 2", "EVENTS 3", "PROBE " + strings.Repeat("\x00", 8),
			"EVENTS 4", "EVENTS 5", "EVENTS 6",
		}
		if got := r.atB.received(); !slices.Equal(got, want) {
			t.Errorf("B received %q, want %q", got, want)
		}
		a.Close(frame.Bye{})
		r.wait()
	})
}

// Every frame arrives, whole and in order, both ways at once, over a network that loses
// segments; sizes are such that frames straddle records, reads and buffers.
func TestOrderUnderLoad(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		n.SetLatency(0, time.Millisecond)
		n.SetLoss(0.001)
		a, b := linkedOver(t, n)
		r := run(t, a, b)
		const count = 2000
		sizes := []int{8, 100, 4000, 4096, 16380, 16384, 40000, frame.PayloadMax}
		// The producer's counter and the consumer's belong to one goroutine each.
		source := func() func() [][]byte {
			sent := 0
			return func() [][]byte {
				if sent == count {
					return nil
				}
				payload := make([]byte, sizes[sent%len(sizes)])
				binary.BigEndian.PutUint64(payload, uint64(sent))
				sent++
				return [][]byte{encode(payload)}
			}
		}
		done := make(chan error, 2)
		sink := func() func([]frame.Raw) {
			got := 0
			return func(frames []frame.Raw) {
				for _, f := range frames {
					number, size := binary.BigEndian.Uint64(f.Payload), len(f.Payload)
					if number != uint64(got) || size != sizes[got%len(sizes)] {
						done <- fmt.Errorf("frame %d of %d bytes in place of %d of %d", number, size, got, sizes[got%len(sizes)])
					}
					if got++; got == count {
						done <- nil
					}
				}
			}
		}
		r.atA.fill, r.atB.fill = source(), source()
		r.atA.receive, r.atB.receive = sink(), sink()
		a.Wake()
		b.Wake()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		a.Close(frame.Bye{})
		r.wait()
	})
}

// A link rotates by the number of records, so they are counted.
func TestRecordsAreCounted(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		a, b := linkedOver(t, n)
		r := run(t, a, b)
		send := func() {
			r.atA.data = [][]byte{encode(make([]byte, 40<<10))} // 40 KiB and a header: three records
			a.Wake()
			synctest.Wait()
			time.Sleep(time.Second) // until b has them
		}
		send()
		send() // more than b sent in the handshake
		sent, taken := a.Records(), b.Records()
		send()
		if got := a.Records() - sent; got != 3 {
			t.Errorf("%d records for 40 KiB, want 3", got)
		}
		if got := b.Records() - taken; got != 3 {
			t.Errorf("%d records for 40 KiB at who reads them, want 3", got)
		}
		a.Close(frame.Bye{})
		r.wait()
	})
}
