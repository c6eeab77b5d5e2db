package espial

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestAStreamThatNobodyTakesEnds: a client that listens may be frozen, or gone.
func TestAStreamThatNobodyTakesEnds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		do    func(b *berths, number uint64, free chan struct{})
		after time.Duration
	}{
		{"it waits for long", func(*berths, uint64, chan struct{}) {}, berthWait},
		{"the listener ends", func(b *berths, _ uint64, free chan struct{}) { b.drop(free) }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b berths
				near, far := net.Pipe()
				free := make(chan struct{}, 1)
				free <- struct{}{}
				begin := time.Now()
				number := b.add(near, free)
				another, _ := net.Pipe()
				full := make(chan struct{}, 1)
				full <- struct{}{}
				other := b.add(another, full)
				tt.do(&b, number, free)
				if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(begin) != tt.after {
					t.Errorf("it ended with %v after %v, want its end after %v", err, time.Since(begin), tt.after)
				}
				synctest.Wait()
				if b.take(number) != nil {
					t.Error("it can be taken still")
				}
				if tt.after == 0 && b.take(other) == nil {
					t.Error("a stream of another listener ended as well")
				}
			})
		})
	}
}

func TestAStreamIsTakenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b berths
		near, far := net.Pipe()
		defer far.Close()
		free := make(chan struct{}, 1)
		free <- struct{}{}
		number := b.add(near, free)
		taken := b.take(number)
		if taken == nil || taken.conn != near {
			t.Fatalf("take = %v, want the stream", taken)
		}
		if again := b.take(number); again != nil {
			t.Errorf("take for the second time = %v, want nil", again)
		}
		time.Sleep(2 * berthWait)
		taken.leave()
		if err := near.Close(); err != nil {
			t.Error(err)
		}
	})
}
