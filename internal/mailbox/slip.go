package mailbox

import "sync/atomic"

// Slip learns what became of one message: whether a reader handled it, which is to come
// back for the next. Every queue that has the message keeps it, and the last one to let
// go tells. The methods may be called on a nil Slip.
type Slip struct {
	keepers atomic.Int32 // queues, and Deliver while it runs
	handled atomic.Bool
	tell    func(handled bool)
}

// NewSlip returns a slip for one call of [Box.Deliver]. Once all queues let the message go
// it calls tell, on the goroutine of the last one: with true if a reader handled it and
// false if there was no subscription, or all ended or dropped it before. tell must not
// block.
func NewSlip(tell func(handled bool)) *Slip {
	s := &Slip{tell: tell}
	s.keepers.Store(1)
	return s
}

// keep counts one more queue.
func (s *Slip) keep() {
	if s != nil {
		s.keepers.Add(1)
	}
}

// let counts one less.
func (s *Slip) let(handled bool) {
	if s == nil {
		return
	}
	if handled {
		s.handled.Store(true)
	}
	if s.keepers.Add(-1) == 0 {
		s.tell(s.handled.Load())
	}
}

// abandon lets go of what was dropped. No lock may be held.
func abandon(slips []*Slip) {
	for _, s := range slips {
		s.let(false)
	}
}

// Handled says that the reader has handled the entry. A reader who takes his time with
// those that came with it calls it before he comes back for the next; see [Queue.Next].
func (e *Entry) Handled() { e.settle(true) }

// Abandoned says that the reader ends without having handled the entry.
func (e *Entry) Abandoned() { e.settle(false) }

func (e *Entry) settle(handled bool) {
	e.Slip.let(handled)
	e.Slip = nil
}
