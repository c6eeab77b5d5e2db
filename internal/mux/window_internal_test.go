package mux

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Windows of one connection grow by 64 MiB together; a stream that ends gives its share back.
func TestWindowsGrowWithinABudget(t *testing.T) {
	var g growth
	spans := make([]*span, 5)
	for i := range spans {
		spans[i] = &span{growth: &g}
		if err := spans[i].ReserveMemory(windowMin, 255); err != nil {
			t.Fatalf("the first window of stream %d: %v", i, err)
		}
		want := error(nil)
		if i == 4 {
			want = errGrowth
		}
		if err := spans[i].ReserveMemory(windowMax, 128); !errors.Is(err, want) {
			t.Errorf("stream %d grows: %v, want %v", i, err, want)
		}
	}
	spans[0].Done()
	spans[0].Done()
	if err := spans[0].ReserveMemory(1, 128); !errors.Is(err, errGrowth) {
		t.Errorf("a stream that ended grows: %v, want %v", err, errGrowth)
	}
	if err := spans[4].ReserveMemory(windowMax, 128); err != nil {
		t.Errorf("stream 4 grows after another ended: %v", err)
	}
	spans[4].ReleaseMemory(windowMax)
	if held := g.held.Load(); held != 3*windowMax {
		t.Errorf("%d bytes are held, want %d", held, 3*windowMax)
	}
}

// Streams that are given up before yamux could send their first byte leave nothing behind.
func TestGivenUpStreamsLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		s, err := New(near, Config{Dialed: true, Services: &Services{}})
		if err != nil {
			t.Fatal(err)
		}
		var running, opening sync.WaitGroup
		defer running.Wait()
		defer far.Close()
		running.Go(func() { s.Run(t.Context()) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range openingMax { // twice as many as the queue of yamux holds
			opening.Go(func() {
				if _, err := s.Open(ctx, "api"); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Open = %v, want %v", err, context.DeadlineExceeded)
				}
			})
		}
		opening.Wait()
		go io.Copy(io.Discard, far)
		time.Sleep(time.Second)
		if n := s.y.NumStreams(); n != 0 || s.Streams() != 0 {
			t.Errorf("%d streams of yamux and %d of ours are left, want none", n, s.Streams())
		}
	})
}
