package engine_test

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/engine"
)

// resetConn is a connection that the other end resets before it says a word.
type resetConn struct{ net.Conn }

func (resetConn) Read([]byte) (int, error)    { return 0, syscall.ECONNRESET }
func (resetConn) Write(b []byte) (int, error) { return len(b), nil }

// A process that dies closes its links before its listener, so the first redial may be taken.
func TestARedialThatADyingProcessTookIsTriedAgain(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer func(net.Conn, error) (net.Conn, error)
	}{
		{"reset in the handshake", func(net.Conn, error) (net.Conn, error) {
			nc, _ := net.Pipe()
			return resetConn{nc}, nil
		}},
		{"reset while it connects", func(net.Conn, error) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNRESET}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				defer c.close()
				a := c.start()
				var dying atomic.Bool
				b := c.start(func(cfg *engine.Config) {
					dial := cfg.Dial
					cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
						nc, err := dial(ctx, addr)
						if dying.CompareAndSwap(true, false) {
							return tc.answer(nc, err)
						}
						return nc, err
					}
				})
				c.waitFor(1)
				feed := b.Changes(t.Context())
				defer feed.Close()
				dying.Store(true)
				c.kill(a)
				killed := time.Now()
				for {
					batch, _, err := feed.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					for _, ch := range batch {
						if ch.Note == engine.NoteNone && ch.Kind == core.RemovedNode {
							if took := time.Since(killed); took > 100*time.Millisecond {
								t.Errorf("removed after %v, want 100ms at most", took)
							}
							return
						}
					}
				}
			})
		})
	}
}
