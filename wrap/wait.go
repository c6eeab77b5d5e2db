package wrap

import (
	"net"
	"os"
	"sync"
	"time"
)

// wait is what the waits of one direction of a connection heed: a deadline, which may move
// while they last, and the end of the connection.
type wait struct {
	mu     sync.Mutex // guards what follows
	by     time.Time  // zero for never
	closed bool
	moved  chan struct{} // closed when any of this changed
}

func newWait() wait { return wait{moved: make(chan struct{})} }

// until sets the deadline. It returns [net.ErrClosed] after end.
func (w *wait) until(by time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return net.ErrClosed
	}
	w.by = by
	w.move()
	return nil
}

// end ends all waits.
func (w *wait) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		w.move()
	}
}

// move makes those who wait look again. The caller holds mu.
func (w *wait) move() {
	close(w.moved)
	w.moved = make(chan struct{})
}

// state returns the deadline, a channel that is closed when that changes, and why nobody may
// wait any more.
func (w *wait) state() (by time.Time, moved <-chan struct{}, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		err = net.ErrClosed
	case !w.by.IsZero() && !w.by.After(time.Now()):
		err = os.ErrDeadlineExceeded
	}
	return w.by, w.moved, err
}

// reach waits until t, for ever if t is zero, or until wake has something. It returns
// [os.ErrDeadlineExceeded] or [net.ErrClosed] if that is first.
func (w *wait) reach(t time.Time, wake <-chan struct{}) error {
	for {
		by, moved, err := w.state()
		if err != nil {
			return err
		}
		if !t.IsZero() && !t.After(time.Now()) {
			return nil
		}
		select {
		case <-wake:
			return nil
		case <-moved:
		case <-timer(t):
		case <-timer(by):
		}
	}
}

// timer returns a channel that says when t has come, nil for the zero time.
func timer(t time.Time) <-chan time.Time {
	if t.IsZero() {
		return nil
	}
	return time.After(time.Until(t))
}
