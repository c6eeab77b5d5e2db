package memnet

import "time"

// signal wakes all goroutines that wait for a change. The lock of the network guards it.
type signal struct{ ch chan struct{} }

// wait returns a channel that the next broadcast closes. The waiter makes it, so that it
// belongs to the waiter's bubble.
func (s *signal) wait() <-chan struct{} {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) broadcast() {
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// await calls ready under the lock until it returns true, and waits for s in between.
func (n *Network) await(s *signal, ready func() bool) {
	n.mu.Lock()
	for !ready() {
		ch := s.wait()
		n.mu.Unlock()
		<-ch
		n.mu.Lock()
	}
	n.mu.Unlock()
}

// wake is a broadcast for a timer, which does not hold the lock.
func (n *Network) wake(s *signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s.broadcast()
}

// deadline is the read or write deadline of a socket. The lock of the network guards it.
type deadline struct {
	at    time.Time // zero: none
	timer *time.Timer
}

// set changes the deadline to at and has the waiters of s look at it now and then.
func (d *deadline) set(n *Network, s *signal, at time.Time) {
	d.stop()
	d.at = at
	if wait := time.Until(at); !at.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, func() { n.wake(s) })
	}
	s.broadcast()
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
