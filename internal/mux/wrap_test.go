package mux_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/memnet"
	"github.com/espial-go/espial/internal/mux"
)

// Who ends the wrapping of a stream, and how soon the session can end while a wrapper hangs.
func TestWhatEndsAWrapper(t *testing.T) {
	tests := []struct {
		name string
		end  func(p *pair, cancel func())
		code mux.Code // at the other end
		took time.Duration
	}{
		{"its time", func(*pair, func()) {}, mux.CodeWrap, 5 * time.Second},
		{"the context", func(_ *pair, cancel func()) { cancel() }, mux.CodeCanceled, time.Second},
		{"the session", func(p *pair, _ func()) { p.a.Close(mux.CodeLeave) }, mux.CodeLeave, time.Second},
		{"the connection", func(p *pair, _ func()) { p.connA.Close() }, mux.CodeLost, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				back, failed := make(chan struct{}), 0
				dialed, accepted := connections(t, memnet.New(1))
				p := joinWith(t, dialed, accepted, func(c *mux.Config) {
					c.Wrap = func(st *mux.Stream) (net.Conn, error) {
						if st.Service() != "api" || st.Dialed() != c.Dialed {
							t.Errorf("the stream is for %q, dialled: %t", st.Service(), st.Dialed())
						}
						if st.Dialed() {
							<-back
						}
						return st, nil
					}
					c.Unwrapped = func(*mux.Stream, error) { failed++ }
				})
				ln := p.listen("api")
				a, b := p.open(ln, "api")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.AfterFunc(time.Second, func() { tt.end(p, cancel) })
				began := time.Now()
				if nc, err := a.Wrap(ctx); err == nil {
					t.Errorf("Wrap = %v", nc)
				}
				if took := time.Since(began); took < tt.took || took > tt.took+200*time.Millisecond {
					t.Errorf("Wrap took %v, want %v", took, tt.took)
				}
				if _, err := b.Read(make([]byte, 1)); codeOf(err) != tt.code {
					t.Errorf("the other end reads %v, want %v", err, tt.code)
				}
				if want := tt.code == mux.CodeWrap; (failed > 0) != want {
					t.Errorf("told of %d that failed, want one: %t", failed, want)
				}
				p.stop() // although the wrapper hangs
				close(back)
				synctest.Wait()
				if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Write = %v, want %v: nobody has the stream", err, net.ErrClosed)
				}
			})
		})
	}
}

// A wrapper that ends its goroutine fails at once, and does not count as one that hangs: 128 of
// those would end all streams of the node.
func TestAWrapperThatExitsFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dialed, accepted := connections(t, memnet.New(1))
		p := joinWith(t, dialed, accepted, func(c *mux.Config) {
			c.Wrap = func(st *mux.Stream) (net.Conn, error) {
				if st.Dialed() {
					runtime.Goexit()
				}
				return st, nil
			}
		})
		a, b := p.open(p.listen("api"), "api")
		began := time.Now()
		if nc, err := a.Wrap(t.Context()); err == nil || !strings.Contains(err.Error(), "Goexit") {
			t.Errorf("Wrap = %v, %v, want an error that names Goexit", nc, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("Wrap took %v, want none", took)
		}
		if _, err := b.Read(make([]byte, 1)); codeOf(err) != mux.CodeWrap {
			t.Errorf("the other end reads %v, want %v", err, mux.CodeWrap)
		}
	})
}
