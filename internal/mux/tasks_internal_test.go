package mux

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// Tasks run at once however many there are, goroutines that are done serve again, few of them
// wait, and none is left in the end.
func TestTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		all := newTasks(over)
		var begun atomic.Int32
		hold := make(chan struct{})
		for range 3 * sparesMax {
			all.start(func() {
				begun.Add(1)
				<-hold
			})
		}
		synctest.Wait()
		if got := begun.Load(); got != 3*sparesMax {
			t.Errorf("%d tasks run at a time, want %d", got, 3*sparesMax)
		}
		close(hold)
		synctest.Wait()
		if got := all.spares.Load(); got != sparesMax {
			t.Errorf("%d goroutines wait, want %d", got, sparesMax)
		}
		hold = make(chan struct{})
		all.start(func() { <-hold })
		synctest.Wait()
		if got := all.spares.Load(); got != sparesMax-1 {
			t.Errorf("while one task runs %d goroutines wait, want %d", got, sparesMax-1)
		}
		close(hold)
		close(over)
		all.wait()
	})
}
