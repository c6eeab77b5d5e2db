package link_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/admission"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/link"
	"github.com/espial-go/espial/internal/memnet"
)

// trickle is how often a flood writes a step, so that what is left of it is written when
// somebody has ended the connection already.
const trickle = 10 * time.Microsecond

// flood writes steps of a foreign end until the connection ends, or n of them are written, and
// returns how many were.
func (f *foreign) flood(n int, step func(i int) []byte) int {
	for i := range n {
		if _, err := f.nc.Write(step(i)); err != nil {
			return i
		}
		time.Sleep(trickle)
	}
	return n
}

// meet runs the handshake between a foreign dialer and a node, and returns both ends.
func meet(t *testing.T, n *memnet.Network) (*foreign, *link.Conn) {
	t.Helper()
	dialed, accepted := sockets(t, n)
	met := make(chan *foreign, 1)
	go func() {
		defer close(met)
		met <- newForeign(t, dialed, 1)
	}()
	c, err := link.Handshake(t.Context(), accepted, link.Acceptor, newIdentity(t, 2))
	f := <-met
	if err != nil || f == nil {
		t.Fatalf("handshake: %v", err)
	}
	return f, c
}

// hello is a HELLO as long as one may be.
func hello() []byte {
	meta := map[string]string{"a": string(make([]byte, frame.MetaMax-100))}
	return frame.Hello{Proto: frame.Proto, Cluster: [16]byte{1}, Incarnation: 5, Name: "a", Meta: meta}.Append(nil)
}

// A stranger may not make TLS work for every byte that it is read before admission (D11).
func TestRecordsBeforeAdmissionAreFew(t *testing.T) {
	for _, tt := range []struct {
		name string
		step func(f *foreign, b byte) []byte
		want error // nil for any
	}{
		{"a byte each", func(f *foreign, b byte) []byte { return f.record(typeData, b) }, admission.ErrBreach},
		{"a KeyUpdate each", func(f *foreign, _ byte) []byte { return f.update(true) }, nil},
		{"a KeyUpdate before each byte", func(f *foreign, b byte) []byte {
			return append(f.update(false), f.record(typeData, b)...)
		}, admission.ErrBreach},
		{"a KeyUpdate that wants another before each byte", func(f *foreign, b byte) []byte {
			return append(f.update(true), f.record(typeData, b)...)
		}, admission.ErrBreach},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memnet.Network) {
				f, c := meet(t, n)
				sent := make(chan int, 1)
				go func() {
					b := hello()
					sent <- f.flood(10_000, func(i int) []byte { return tt.step(f, b[i]) })
				}()
				_, err := c.Admit(t.Context(), policy(newIdentity(t, 2), "b"))
				if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
					t.Errorf("admission ended with %v, want %v", err, tt.want)
				}
				// What was on its way for a round trip and the reader's turn is not counted.
				if got := <-sent; got > 64+int(4*latency/trickle) {
					t.Errorf("the connection ended after %d steps", got)
				}
			})
		})
	}
}

// The 64th record that brings no whole HELLO is the last one that is waited for.
func TestSixtyFourRecordsAreRead(t *testing.T) {
	for _, tt := range []struct {
		records int
		breach  bool // else the admission goes on, to its end after 5 s
	}{{63, false}, {64, true}} {
		inBubble(t, func(t *testing.T, n *memnet.Network) {
			f, c := meet(t, n)
			go func() {
				for _, b := range hello()[:tt.records] {
					_, _ = f.nc.Write(f.record(typeData, b))
				}
				_, _ = io.Copy(io.Discard, f.conn)
			}()
			began := time.Now()
			_, err := c.Admit(t.Context(), policy(newIdentity(t, 2), "b"))
			took := time.Since(began)
			if errors.Is(err, admission.ErrBreach) != tt.breach || took < time.Second != tt.breach {
				t.Errorf("%d records: %v after %v, want a breach at once: %t", tt.records, err, took, tt.breach)
			}
		})
	}
}

// A peer whose TLS makes small records is admitted all the same.
func TestHelloMayComeInPieces(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		f, c := meet(t, n)
		go func() {
			_, _ = f.nc.Write(f.update(true))
			_, _ = f.nc.Write(f.data(hello(), 400))
			_, _ = io.Copy(io.Discard, f.conn)
		}()
		heard := errors.New("the HELLO came")
		p := policy(newIdentity(t, 2), "b")
		ctx, cancel := context.WithCancelCause(t.Context())
		p.Judge = func(context.Context, admission.Verified, admission.Claimed) admission.Verdict {
			cancel(heard)
			return admission.Verdict{Reason: "seen enough"}
		}
		_, err := c.Admit(ctx, p)
		if !errors.Is(context.Cause(ctx), heard) {
			t.Errorf("admission ended with %v before the filter was asked", err)
		}
	})
}

// admitted returns a foreign end that is admitted, and the node's end, which runs.
func admitted(t *testing.T, n *memnet.Network) (f *foreign, ended <-chan error, at *end) {
	t.Helper()
	f, c := meet(t, n)
	self := newIdentity(t, 2)
	up := make(chan error, 1)
	go func() {
		_, err := c.Admit(t.Context(), policy(self, "b"))
		up <- err
	}()
	accept := frame.Accept{}
	if newKey(t, 1).ID().Compare(self.ID()) < 0 { // then f is the arbiter of the two
		accept = frame.Accept{Serial: 3, Join: 2}
	}
	h := frame.Hello{Proto: frame.Proto, Cluster: [16]byte{1}, Incarnation: 5, Name: "a"}.Append(nil)
	if _, err := f.nc.Write(f.data(accept.Append(h), len(h))); err != nil {
		t.Fatal(err)
	}
	if err := <-up; err != nil {
		t.Fatalf("admission: %v", err)
	}
	end, at := make(chan error, 1), &end{}
	go func() { end <- c.Run(t.Context(), at) }()
	return f, end, at
}

// An admitted peer may replace its keys now and then, and not all the time (D11).
func TestKeyUpdatesOfAPeerAreFew(t *testing.T) {
	probe := frame.Probe{Number: 1}.Append(nil)
	for _, ask := range []bool{false, true} {
		inBubble(t, func(t *testing.T, n *memnet.Network) {
			f, ended, at := admitted(t, n)
			go func() { _, _ = io.Copy(io.Discard, f.conn) }()
			step := func(int) []byte { return append(f.update(ask), f.data(probe, len(probe))...) }
			if got := f.flood(64, step); got != 64 {
				t.Errorf("asking %t: the link ended after %d updates in its life", ask, got)
			}
			time.Sleep(100 * latency)
			if got := len(at.received()); got != 64 {
				t.Errorf("asking %t: %d probes came beside 64 updates", ask, got)
			}
			begin := time.Now()
			f.flood(100_000, step)
			f.nc.Close()
			if err := <-ended; !errors.Is(err, link.ErrBlank) {
				t.Errorf("asking %t: the link ended with %v, want %v", ask, err, link.ErrBlank)
			}
			if took := time.Since(begin); took > 200*time.Millisecond {
				t.Errorf("asking %t: the link ended after %v", ask, took)
			}
			if got := len(at.received()); got != 64 {
				t.Errorf("asking %t: %d probes came in all, want no more than 64", ask, got)
			}
		})
	}
}
