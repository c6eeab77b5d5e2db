package crew

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// TestCrew: functions run at once however many there are, goroutines that are done serve again, few
// of them wait, and none is left in the end.
func TestCrew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const spares = 4
		over := make(chan struct{})
		all := New(spares, over)
		var begun atomic.Int32
		hold := make(chan struct{})
		for range 3 * spares {
			all.Go(func() {
				begun.Add(1)
				<-hold
			})
		}
		synctest.Wait()
		if got := begun.Load(); got != 3*spares {
			t.Errorf("%d functions run at a time, want %d", got, 3*spares)
		}
		close(hold)
		synctest.Wait()
		if got := all.spares.Load(); got != spares {
			t.Errorf("%d goroutines wait, want %d", got, spares)
		}
		hold = make(chan struct{})
		all.Go(func() { <-hold })
		synctest.Wait()
		if got := all.spares.Load(); got != spares-1 {
			t.Errorf("while one function runs %d goroutines wait, want %d", got, spares-1)
		}
		close(hold)
		synctest.Wait()
		all.Go(runtime.Goexit)
		synctest.Wait()
		if got := all.spares.Load(); got != spares-1 {
			t.Errorf("after one ended its goroutine %d wait, want %d", got, spares-1)
		}
		close(over)
		all.Wait()
	})
}
