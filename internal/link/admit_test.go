package link_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/admission"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/link"
	"github.com/espial-go/espial/internal/memnet"
)

// refusal returns what err says about who refused and why.
func refusal(err error) admission.Refuse {
	if e, ok := errors.AsType[*link.RefusedError](err); ok {
		return e.Refusal
	}
	return admission.Refuse{}
}

func TestAdmissionBringsALinkUp(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		a, b := shake(t, dialed, accepted)
		one, two := newIdentity(t, 1), newIdentity(t, 2)
		pa, pb := policy(one, "a"), policy(two, "b")
		heard := map[string]time.Time{}
		for name, p := range map[string]*link.Policy{"a": &pa, "b": &pb} {
			p.Arbitrate = func(_ context.Context, h frame.Hello, at time.Time) admission.Ruling {
				heard[h.Name] = at // one of the two is the arbiter
				if name == h.Name {
					t.Errorf("%s rules about itself", name)
				}
				return admission.Ruling{OK: true, Serial: 3, Join: 2}
			}
			p.Judge = func(_ context.Context, v admission.Verified, c admission.Claimed) admission.Verdict {
				if (v.ID != one.ID()) == (c.Name == "a") {
					t.Errorf("%v claims to be %q", v.ID, c.Name)
				}
				return admission.Verdict{Admit: true, Join: 7}
			}
		}
		start := time.Now()
		upA, upB, errA, errB := admit(t, a, b, pa, pb)
		if errA != nil || errB != nil {
			t.Fatalf("admission: %v and %v", errA, errB)
		}
		if upA.Hello.Name != "b" || upB.Hello.Name != "a" || upA.Serial != 3 || upB.Serial != 3 || upA.Join+upB.Join != 9 {
			t.Errorf("links %+v and %+v", upA, upB)
		}
		if took := time.Since(start); took > 4*latency {
			t.Errorf("admission took %v, want four flights at most", took)
		}
		if len(heard) != 1 {
			t.Errorf("%d rulings, want 1", len(heard))
		}
	})
}

func TestRefusalReachesBothEnds(t *testing.T) {
	no := func(context.Context, admission.Verified, admission.Claimed) admission.Verdict {
		return admission.Verdict{Reason: "not today"}
	}
	tests := []struct {
		name string
		edit func(a, b *link.Policy)
		byA  bool
		want frame.Code
	}{
		{"the dialer's filter", func(a, _ *link.Policy) { a.Judge = no }, true, frame.CodeFilter},
		{"the acceptor's filter", func(_, b *link.Policy) { b.Judge = no }, false, frame.CodeFilter},
		{"the acceptor's cluster", func(_, b *link.Policy) { b.Config.Hello.Cluster[0]++ }, false, frame.CodeCluster},
		{"a filter that panics", func(_, b *link.Policy) {
			b.Judge = func(context.Context, admission.Verified, admission.Claimed) admission.Verdict { panic("oh") }
		}, false, frame.CodeFilter},
		{"a filter that leaves its goroutine", func(_, b *link.Policy) {
			b.Judge = func(context.Context, admission.Verified, admission.Claimed) admission.Verdict {
				runtime.Goexit()
				return admission.Verdict{Admit: true}
			}
		}, false, frame.CodeFilter},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memnet.Network) {
				dialed, accepted := sockets(t, n)
				a, b := shake(t, dialed, accepted)
				pa, pb := policy(newIdentity(t, 1), "a"), policy(newIdentity(t, 2), "b")
				tt.edit(&pa, &pb)
				start := time.Now()
				_, _, errA, errB := admit(t, a, b, pa, pb)
				self, peer := refusal(errB), refusal(errA)
				if tt.byA {
					self, peer = peer, self
				}
				if self.By != admission.Self || peer.By != admission.Peer || self.Code != tt.want || peer.Code != tt.want ||
					self.Reason != peer.Reason {
					t.Errorf("admission ended with %v and %v, want code %s at both", errA, errB, tt.want)
				}
				if took := time.Since(start); took > 10*latency {
					t.Errorf("the refusal took %v", took)
				}
			})
		})
	}
}

// A socket that is closed with bytes unread resets the connection, and on many systems
// the reset destroys what the peer has not read yet. So a REJECT is followed by an
// orderly end, whatever the peer still sends.
func TestRefusalIsNotResetAway(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		raw, c := stranger(t, dialed, accepted)
		done := make(chan error)
		var said []byte
		go func() {
			hello := frame.Hello{Proto: 1, Cluster: [16]byte{2}, Incarnation: 5, Name: "a"}
			_, err := raw.Write(hello.Append(nil))
			time.Sleep(3 * latency) // by now the node has refused
			_, werr := raw.Write(make([]byte, 2<<10))
			time.Sleep(3 * latency)
			err = errors.Join(err, werr)
			if err == nil {
				said, err = io.ReadAll(raw)
			}
			raw.Close()
			done <- err
		}()
		_, err := c.Admit(t.Context(), policy(newIdentity(t, 2), "b"))
		if refusal(err).Code != frame.CodeCluster {
			t.Errorf("Admit = %v, want code %s", err, frame.CodeCluster)
		}
		if err := <-done; errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the stranger reads %v", err)
		}
		if f, _, err := frame.Next(said); err != nil || f.Type != frame.TypeReject {
			t.Errorf("the stranger reads %x, want REJECT", said)
		}
	})
}

func TestDuplicateIsRefusedByTheArbiter(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		a, b := shake(t, dialed, accepted)
		pa, pb := policy(newIdentity(t, 1), "a"), policy(newIdentity(t, 2), "b")
		no := func(context.Context, frame.Hello, time.Time) admission.Ruling { return admission.Ruling{} }
		pa.Arbitrate, pb.Arbitrate = no, no
		_, _, errA, errB := admit(t, a, b, pa, pb)
		if refusal(errA).Code != frame.CodeDuplicate || refusal(errB).Code != frame.CodeDuplicate {
			t.Errorf("admission ended with %v and %v, want %s", errA, errB, frame.CodeDuplicate)
		}
	})
}

func TestNodeThatReachesItself(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		a, b := shake(t, dialed, accepted)
		// Both ends are told that they are who is at the other end.
		_, _, errA, errB := admit(t, a, b, policy(newIdentity(t, 2), "a"), policy(newIdentity(t, 1), "a"))
		if refusal(errA).Code != frame.CodeSelf || refusal(errB).Code != frame.CodeSelf {
			t.Errorf("admission ended with %v and %v, want %s", errA, errB, frame.CodeSelf)
		}
	})
}

// A filter has 2 s. One that heeds its context costs nothing more; one that does not
// keeps the connection's place until it returns, or the node ends.
func TestFilterThatHangs(t *testing.T) {
	tests := []struct {
		name  string
		hangs time.Duration // 0: until its context ends
		until time.Duration // when Admit returns
	}{
		{"until its context ends", 0, 2 * time.Second},
		{"for ten seconds", 10 * time.Second, 10 * time.Second},
		{"for an hour, and the node ends", time.Hour, time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memnet.Network) {
				dialed, accepted := sockets(t, n)
				a, b := shake(t, dialed, accepted)
				pa, pb := policy(newIdentity(t, 1), "a"), policy(newIdentity(t, 2), "b")
				pb.Judge = func(ctx context.Context, _ admission.Verified, _ admission.Claimed) admission.Verdict {
					if tt.hangs > 0 {
						time.Sleep(tt.hangs)
					} else {
						<-ctx.Done()
					}
					return admission.Verdict{Admit: true}
				}
				start := time.Now()
				var told time.Duration
				pb.Refused = func(*link.RefusedError) { told = time.Since(start) }
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				done := make(chan error)
				go func() {
					_, err := b.Admit(ctx, pb)
					done <- err
				}()
				_, errA := a.Admit(t.Context(), pa)
				if took := time.Since(start); refusal(errA).Code != frame.CodeFilter || took > 2*time.Second+10*latency {
					t.Errorf("the peer learns %v after %v, want a refusal after 2 s", errA, took)
				}
				errB := <-done
				took := time.Since(start)
				if refusal(errB).Code != frame.CodeFilter || took < tt.until || took > tt.until+10*latency {
					t.Errorf("Admit = %v after %v, want a refusal after %v", errB, took, tt.until)
				}
				if told < 2*time.Second || told > 2*time.Second+10*latency {
					t.Errorf("Refused was called after %v, want 2 s", told)
				}
				time.Sleep(time.Hour) // lets the filter end
			})
		})
	}
}

// strangerKey makes an ID below that of the node with key 2, so that the stranger is the
// arbiter.
const strangerKey = 5

// stranger completes the handshake by itself and talks raw TLS then.
func stranger(t *testing.T, dialed, accepted net.Conn) (*tls.Conn, *link.Conn) {
	t.Helper()
	raw := tls.Client(dialed, config(own(t, newKey(t, strangerKey))))
	done := make(chan error)
	go func() { done <- raw.HandshakeContext(t.Context()) }()
	c, err := link.Handshake(t.Context(), accepted, link.Acceptor, newIdentity(t, 2))
	if err = errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	return raw, c
}

func TestAdmissionEndsAtTheFirstIllegalByte(t *testing.T) {
	hello := frame.Hello{Proto: 1, Cluster: [16]byte{1}, Incarnation: 5, Name: "a"}.Append(nil)
	later := frame.AppendField(slices.Clip(hello), 1, nil)
	frame.Seal(later)
	tests := []struct {
		name string
		send []byte
		want error      // at the node
		code frame.Code // or this refusal
	}{
		{"EVENTS before HELLO", encode([]byte("boo")), admission.ErrBreach, ""},
		{"ACCEPT before HELLO", frame.Accept{Serial: 1}.Append(nil), admission.ErrBreach, ""},
		{"a second HELLO", append(slices.Clip(hello), hello...), admission.ErrBreach, ""},
		{"an unknown frame", []byte{99, 0, 0, 0}, admission.ErrBreach, ""},
		{"an optional frame", []byte{200, 0, 0, 0}, admission.ErrBreach, ""},
		{"64 KiB and a byte announced", []byte{1, 1, 0, 1}, admission.ErrBreach, ""},
		{"a HELLO of 64 KiB", append([]byte{1, 1, 0, 0}, make([]byte, 1<<16)...), admission.ErrBreach, ""},
		{"24 KiB of a frame that is not complete", append([]byte{1, 1, 0, 0}, make([]byte, 24<<10-4)...), admission.ErrBreach, ""},
		{"a critical field of a later protocol", later, nil, frame.CodeVersion},
		{"REJECT", frame.Reject{Code: "why"}.Append(nil), nil, "why"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memnet.Network) {
				dialed, accepted := sockets(t, n)
				raw, c := stranger(t, dialed, accepted)
				go func() {
					_, _ = raw.Write(tt.send)
					_, _ = raw.Read(make([]byte, 1<<16))
					raw.Close()
				}()
				p := policy(newIdentity(t, 2), "b")
				p.Arbitrate = nil // nobody gets so far
				start := time.Now()
				up, err := c.Admit(t.Context(), p)
				if tt.want != nil && !errors.Is(err, tt.want) || refusal(err).Code != tt.code {
					t.Errorf("Admit = %+v, %v; want %v%s", up, err, tt.want, tt.code)
				}
				if took := time.Since(start); took > time.Second {
					t.Errorf("Admit ended after %v", took)
				}
			})
		})
	}
}

func TestStrangerWhoSaysNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		start := time.Now()
		_, c := stranger(t, dialed, accepted)
		_, err := c.Admit(t.Context(), policy(newIdentity(t, 2), "b"))
		if took := time.Since(start); err == nil || took > 5*time.Second || took < 5*time.Second-10*latency {
			t.Errorf("Admit = %v after %v, want an error 5 s after the handshake began", err, took)
		}
	})
}

func TestContextEndsAdmission(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		_, c := stranger(t, dialed, accepted)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Admit(ctx, policy(newIdentity(t, 2), "b"))
		if took := time.Since(start); err == nil || took != time.Second {
			t.Errorf("Admit = %v after %v, want an error after 1 s", err, took)
		}
	})
}

// What the arbiter sends right behind its ACCEPT may arrive in the same read.
func TestFramesBehindAcceptAreNotLost(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		raw, c := stranger(t, dialed, accepted)
		accept := frame.Accept{Serial: 9, Join: 4}
		go func() {
			_, _ = raw.Write(frame.Hello{Proto: 1, Cluster: [16]byte{1}, Incarnation: 5, Name: "a"}.Append(nil))
			time.Sleep(10 * latency)
			_, _ = raw.Write(append(accept.Append(nil), frame.Probe{Number: 1}.Append(nil)...))
		}()
		if _, err := c.Admit(t.Context(), policy(newIdentity(t, 2), "b")); err != nil {
			t.Fatal(err)
		}
		h := &end{}
		done := make(chan error)
		go func() { done <- c.Run(t.Context(), h) }()
		synctest.Wait()
		if got := h.received(); len(got) != 1 || !strings.HasPrefix(got[0], "PROBE") {
			t.Errorf("received %q, want the PROBE behind ACCEPT", got)
		}
		raw.Close()
		<-done
	})
}

// Memory follows bytes received: a length that is announced costs nothing.
func TestAnnouncedLengthsCostNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		const conns = 50
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		var raws []*tls.Conn
		for i := range conns {
			dialed, accepted := sockets(t, n)
			raw, c := stranger(t, dialed, accepted)
			raws = append(raws, raw)
			if i%2 == 0 { // before HELLO
				go func() {
					_, err := c.Admit(ctx, policy(newIdentity(t, 2), "b"))
					done <- err
				}()
				continue
			}
			go func() { done <- c.Run(ctx, &end{}) }() // and after ACCEPT
		}
		synctest.Wait()
		before := heap()
		for _, raw := range raws {
			if _, err := raw.Write([]byte{1, 0, 255, 255}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * latency)
		synctest.Wait()
		if grown := heap() - before; grown > conns*8<<10 {
			t.Errorf("%d announced lengths of 64 KiB cost %d bytes", conns, grown)
		}
		cancel()
		for range conns {
			if <-done == nil {
				t.Error("a connection ended without an error")
			}
		}
	})
}

// heap returns the bytes in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
