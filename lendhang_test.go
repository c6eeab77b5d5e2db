package espial_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
)

// stubborn is an object whose Close does what a test wants.
type stubborn struct{ close func() }

func (*stubborn) Ring() {}
func (s *stubborn) Close() error {
	s.close()
	return nil
}

// A Close that hangs, or ends its goroutine, holds up the release of nothing else.
func TestALentObjectThatDoesNotClose(t *testing.T) {
	for name, misdeed := range map[string]func(hold chan struct{}){
		"hangs":              func(hold chan struct{}) { <-hold },
		"ends its goroutine": func(chan struct{}) { runtime.Goexit() },
		"panics":             func(chan struct{}) { panic("no") },
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 3, func(c *cluster) {
				hold := make(chan struct{})
				defer close(hold)
				for _, n := range c.nodes[1:] {
					caller := espial.Caller{Sender: espial.Sender{ID: n.ID(), Name: n.Name()}}
					if _, err := espial.Lend(c.nodes[0], caller, &stubborn{func() { misdeed(hold) }}); err != nil {
						t.Fatal(err)
					}
				}
				for i, n := range c.nodes[1:] {
					n.Close()
					time.Sleep(time.Minute)
					synctest.Wait()
					if got, want := c.nodes[0].Status().Queues["lent_objects"], uint64(1-i); got != want {
						t.Errorf("%d objects are lent after %d borrowers went, want %d", got, i+1, want)
					}
				}
			})
		})
	}
}
