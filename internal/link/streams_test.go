package link_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/admission"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/link"
	"github.com/espial-go/espial/internal/memnet"
)

// shakeStreams runs the handshake of a connection for streams.
func shakeStreams(t *testing.T, dialed, accepted net.Conn) (a, b *link.Conn) {
	t.Helper()
	var wg sync.WaitGroup
	var errA, errB error
	wg.Go(func() { a, errA = link.Handshake(t.Context(), dialed, link.StreamDialer, newIdentity(t, 1)) })
	wg.Go(func() { b, errB = link.Handshake(t.Context(), accepted, link.Acceptor, newIdentity(t, 2)) })
	wg.Wait()
	if errA != nil || errB != nil {
		t.Fatalf("handshake: %v and %v", errA, errB)
	}
	return a, b
}

func TestTheDialerSaysWhatTheConnectionIsFor(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		a, b := shake(t, dialed, accepted)
		if a.ForStreams() || b.ForStreams() {
			t.Error("a link is for streams")
		}
	})
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		a, b := shakeStreams(t, dialed, accepted)
		if !a.ForStreams() || !b.ForStreams() || !a.Dialed() || b.Dialed() {
			t.Error("a connection for streams is not")
		}
	})
}

// What both ends said is followed by bytes, also by those that came with the answer.
func TestStreamsAreAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		a, b := shakeStreams(t, dialed, accepted)
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			var asked frame.Streams
			err := b.AnswerStreams(t.Context(), func(s frame.Streams) *frame.Reject {
				asked = s
				return nil
			})
			if err != nil || asked != (frame.Streams{From: 5, To: 6}) {
				t.Errorf("AnswerStreams = %v, asked for %+v", err, asked)
				return
			}
			kb, err := b.Carry()
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := kb.Write(make([]byte, 100<<10)); err != nil {
				t.Error(err)
			}
			kb.Close()
		})
		time.Sleep(time.Second) // until the bytes wait as well
		if err := a.AskStreams(t.Context(), frame.Streams{From: 5, To: 6}); err != nil {
			t.Fatal(err)
		}
		ka, err := a.Carry()
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(ka)
		if len(got) != 100<<10 {
			t.Errorf("%d bytes came, want %d", len(got), 100<<10)
		}
		if _, received := a.Bytes(); received == 0 || ka.Records() < 7 {
			t.Errorf("%d bytes and %d records are counted, want some and 7 at least", received, ka.Records())
		}
		defer ka.Close()
		time.Sleep(6 * time.Second) // no deadline of the setup is left
		if _, err := ka.Write([]byte("x")); errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Write = %v", err)
		}
	})
}

// A peer may put its answer and its first bytes into one record.
func TestBytesThatComeWithTheAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		a, b := shakeStreams(t, dialed, accepted)
		kb, err := b.Carry()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kb.Write(append(frame.Accept{}.Append(nil), "first bytes"...)); err != nil {
			t.Fatal(err)
		}
		if err := a.AskStreams(t.Context(), frame.Streams{From: 5, To: 6}); err != nil {
			t.Fatal(err)
		}
		ka, err := a.Carry()
		if err != nil {
			t.Fatal(err)
		}
		defer ka.Close()
		time.Sleep(time.Second) // until it is sent
		kb.Close()
		if got, _ := io.ReadAll(ka); string(got) != "first bytes" {
			t.Errorf("read %q, want the first bytes", got)
		}
	})
}

func TestStreamsAreRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		a, b := shakeStreams(t, dialed, accepted)
		var wg sync.WaitGroup
		var errA, errB error
		wg.Go(func() {
			errB = b.AnswerStreams(t.Context(), func(frame.Streams) *frame.Reject {
				return &frame.Reject{Code: frame.CodeDenied, Reason: "no link"}
			})
		})
		errA = a.AskStreams(t.Context(), frame.Streams{From: 5, To: 6})
		wg.Wait()
		for _, tt := range []struct {
			name string
			err  error
			by   admission.Side
		}{{"the dialer", errA, admission.Peer}, {"the acceptor", errB, admission.Self}} {
			e, ok := errors.AsType[*link.RefusedError](tt.err)
			if !ok || e.Refusal.By != tt.by || e.Refusal.Code != frame.CodeDenied || e.Refusal.Reason != "no link" {
				t.Errorf("%s gets %v, want the refusal", tt.name, tt.err)
			}
		}
	})
}

// A member that says something else is cut off at once, or when the time of the handshake
// is over; memory follows what it sent.
func TestHostileStreams(t *testing.T) {
	tests := []struct {
		name string
		sent []byte
		want error
		took time.Duration
	}{
		{"nothing", nil, nil, 5 * time.Second},
		{"half a frame", []byte{5, 0, 0, 16, 0}, nil, 5 * time.Second},
		{"another frame", frame.Accept{}.Append(nil), admission.ErrBreach, 0},
		{"HELLO", frame.Hello{Proto: 1, Incarnation: 5}.Append(nil), admission.ErrBreach, 0},
		{"a frame of 64 KiB", append([]byte{5, 1, 0, 0}, make([]byte, 2<<10)...), frame.ErrTooLarge, 0},
		{"a frame above the limit", append([]byte{5, 0, 4, 1}, make([]byte, 1025)...), frame.ErrTooLarge, 0},
		{"16 MiB announced", bytes.Repeat([]byte{255}, 4), frame.ErrTooLarge, 0},
		{"incarnation 0", make([]byte, 20), frame.ErrUnknown, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memnet.Network) {
				dialed, accepted := sockets(t, n)
				a, b := shakeStreams(t, dialed, accepted)
				ka, err := a.Carry()
				if err != nil {
					t.Fatal(err)
				}
				defer ka.Close()
				began := time.Now()
				go ka.Write(tt.sent)
				err = b.AnswerStreams(t.Context(), func(frame.Streams) *frame.Reject { return nil })
				if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
					t.Errorf("AnswerStreams = %v, want %v", err, tt.want)
				}
				if took := time.Since(began); took > tt.took+10*latency {
					t.Errorf("it took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

func TestAskStreamsHeedsItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		a, _ := shakeStreams(t, dialed, accepted)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err := a.AskStreams(ctx, frame.Streams{From: 5, To: 6})
		if took := time.Since(began); err == nil || took != time.Second {
			t.Errorf("AskStreams = %v after %v, want an error after 1 s", err, took)
		}
	})
}

// Short writes leave by themselves and in order with long ones, and make fewer records than
// there are of them.
func TestShortWritesAreGathered(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		a, b := shakeStreams(t, dialed, accepted)
		ka, errA := a.Carry()
		kb, errB := b.Carry()
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		defer ka.Close()
		defer kb.Close()
		before := ka.Records()
		var want []byte
		for i := range 1000 {
			data := bytes.Repeat([]byte{byte(i)}, 12)
			if i%100 == 50 {
				data = bytes.Repeat(data, 1000)
			}
			if _, err := ka.Write(data); err != nil {
				t.Fatal(err)
			}
			want = append(want, data...)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(kb, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("what came is not what was written: %v", err)
		}
		if made := ka.Records() - before; made > 500 {
			t.Errorf("1,000 short writes made %d records, want far fewer", made)
		}
	})
}

// A write that fails later is the error of the next one.
func TestAFailedWriteIsToldByTheNext(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		a, _ := shakeStreams(t, dialed, accepted)
		ka, err := a.Carry()
		if err != nil {
			t.Fatal(err)
		}
		defer ka.Close()
		ka.SetWriteDeadline(time.Now().Add(-time.Second))
		if _, err := ka.Write([]byte("x")); err != nil {
			t.Errorf("Write = %v, want nil: it is gathered", err)
		}
		time.Sleep(time.Second)
		for range 2 {
			if _, err := ka.Write([]byte("y")); err == nil {
				t.Error("Write = nil, want the error of the one before")
			}
		}
	})
}
