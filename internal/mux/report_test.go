package mux_test

import (
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/memnet"
	"github.com/espial-go/espial/internal/mux"
)

// Each stream that is reported as opened is reported once as closed or timed out, at both ends,
// however it ends.
func TestEachStreamIsReportedTwice(t *testing.T) {
	tests := []struct {
		name         string
		end          func(p *pair, a, b *mux.Stream)
		atA, atB     mux.Event
		codeA, codeB mux.Code
	}{
		{"both close", func(_ *pair, a, b *mux.Stream) { a.Close(); b.Close() }, mux.Closed, mux.Closed, 0, 0},
		{"a reset", func(_ *pair, a, b *mux.Stream) {
			a.Reset(mux.CodeCanceled)
			time.Sleep(time.Second)
			b.Close()
		}, mux.Closed, mux.Closed, mux.CodeCanceled, mux.CodeCanceled},
		{"a reset that nobody looks at", func(p *pair, a, _ *mux.Stream) {
			a.Reset(mux.CodeCanceled)
			time.Sleep(time.Second)
			p.a.Close(mux.CodeLeave)
		}, mux.Closed, mux.Closed, mux.CodeCanceled, mux.CodeCanceled},
		{"both finish and nobody closes", func(p *pair, a, b *mux.Stream) {
			a.CloseWrite()
			b.CloseWrite()
			io.Copy(io.Discard, a)
			io.Copy(io.Discard, b)
			p.a.Close(mux.CodeLeave)
		}, mux.Closed, mux.Closed, 0, 0},
		{"one end closes and the other writes", func(_ *pair, a, b *mux.Stream) {
			a.Close()
			b.Write([]byte("x"))
			time.Sleep(time.Second)
			b.Close()
		}, mux.Closed, mux.Closed, mux.CodeClosed, mux.CodeClosed},
		{"one end never closes", func(_ *pair, a, b *mux.Stream) {
			a.Close()
			time.Sleep(time.Minute)
			b.Close()
		}, mux.TimedOut, mux.Closed, mux.CodeTimeout, mux.CodeTimeout},
		{"the connection breaks", func(p *pair, _, _ *mux.Stream) {
			p.connA.Close()
		}, mux.Closed, mux.Closed, mux.CodeLost, mux.CodeLost},
		{"the node leaves", func(p *pair, _, _ *mux.Stream) {
			p.a.Close(mux.CodeLeave)
		}, mux.Closed, mux.Closed, mux.CodeLeave, mux.CodeLeave},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				reports := map[bool][]mux.Report{}
				dialed, accepted := connections(t, memnet.New(1))
				p := joinWith(t, dialed, accepted, func(c *mux.Config) {
					c.Report = func(r mux.Report) {
						mu.Lock()
						defer mu.Unlock()
						reports[r.Dialed] = append(reports[r.Dialed], r)
					}
				})
				a, b := p.open(p.listen("api"), "api")
				tt.end(p, a, b)
				time.Sleep(time.Second)
				p.stop()
				for end, want := range map[bool][]mux.Report{
					true:  {{Service: "api", Dialed: true}, {tt.atA, "api", true, tt.codeA}},
					false: {{Service: "api"}, {tt.atB, "api", false, tt.codeB}},
				} {
					got := reports[end]
					if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
						t.Errorf("the end that dialled, %t, reports %v, want %v", end, got, want)
					}
				}
			})
		})
	}
}
