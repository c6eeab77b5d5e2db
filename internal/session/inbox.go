package session

import (
	"fmt"
	"math"
	"sort"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// When an [Inbox] acknowledges: at the first of these. The time is what a publisher
// that waits for acknowledgements pays at most; the others keep an ACKED frame below a
// hundredth of what it acknowledges.
const (
	AckBytes    = 64 << 10 // as Cost counts
	AckMessages = 1024
	AckDelay    = 20 * time.Millisecond
)

// WindowDefault is the window of an [Inbox] unless its owner chooses another, in bytes.
const WindowDefault = 4 << 20

// WindowMin is the smallest window, in bytes: the largest frame fits.
const WindowMin = frame.PayloadMax + Overhead*RunMax

// Inbox is the receiver's side of one lane: it tells new messages from duplicates and
// losses, and says when to acknowledge which. It lives as long as the session, over any
// number of links, and must be used by one goroutine at a time.
type Inbox struct {
	window   int
	open     bool
	received ident.Seq  // all up to it came, or were lost
	released ident.Seq  // all up to it are in their queues
	told     ident.Seq  // the last acknowledgement
	runs     ring[hold] // accepted and not released, or behind one that is not
	held     int        // cost of the runs that are not released

	owed  bool      // acknowledge at once: the last one may have been lost with its link
	bytes int       // cost of what was released since the last acknowledgement
	since time.Time // when Ack first saw something to acknowledge; zero for nothing
}

// hold is a run between its acceptance and its release.
type hold struct {
	last ident.Seq
	cost int
	done bool
}

// NewInbox returns an inbox that grants the peer a window of so many bytes as [Cost]
// counts: 0 means [WindowDefault], less than [WindowMin] means that.
func NewInbox(window int) *Inbox {
	if window == 0 {
		window = WindowDefault
	}
	return &Inbox{window: min(max(window, WindowMin), math.MaxUint32)}
}

// Window returns the window in bytes, for OPEN.
func (i *Inbox) Window() int { return i.window }

// Received returns the highest number up to which nothing is expected any more, for
// OPEN; 0 for none.
func (i *Inbox) Received() ident.Seq { return i.received }

// Held returns how much was accepted and not released, in bytes as [Cost] counts.
func (i *Inbox) Held() int { return i.held }

// Start takes the lowest number that the peer can still send, from its OPEN: the
// beginning of the session at the first time, and later what the peer has not given up.
// It returns how many messages are lost. Number zero is [ErrNumber].
func (i *Inbox) Start(first ident.Seq) (lost uint64, err error) {
	if first == 0 {
		return 0, fmt.Errorf("%w: peer opens a lane at 0", ErrNumber)
	}
	if !i.open {
		i.open = true
		i.received, i.released, i.told = first-1, first-1, first-1
		return 0, nil
	}
	i.owed = true
	if first-1 > i.received {
		lost = uint64(first - 1 - i.received)
		i.received = first - 1
		i.settle()
	}
	return lost, nil
}

// Accept takes a run of count messages from number first on, which costs so many bytes
// as [Cost] counts. Of the run the caller drops the first skip messages, which came
// before, and delivers the rest, if any, after telling that lost messages before it are
// missing for good. Unless it drops all, it owes a [Inbox.Release] of the run's last
// number. Errors are [ErrNotOpen], [ErrNumber] and [ErrWindow]; they change nothing.
func (i *Inbox) Accept(first ident.Seq, count, cost int) (skip int, lost uint64, err error) {
	switch {
	case !i.open:
		return 0, 0, ErrNotOpen
	case first == 0 || count < 1 || first > math.MaxUint64-ident.Seq(count):
		return 0, 0, fmt.Errorf("%w: %d messages from %d on", ErrNumber, count, first)
	}
	last := first + ident.Seq(count) - 1
	if last <= i.received {
		return count, 0, nil
	}
	if i.held+cost > i.window {
		return 0, 0, fmt.Errorf("%w: %d bytes held, %d more, window %d", ErrWindow, i.held, cost, i.window)
	}
	if next := i.received + 1; first < next {
		skip = int(next - first)
	} else {
		lost = uint64(first - next)
	}
	i.received = last
	i.held += cost
	i.runs.push(hold{last: last, cost: cost})
	return skip, lost, nil
}

// Release says that the run that ends with number last is in the queues of its
// subscribers, so that it may be acknowledged when all before it are. Runs may be
// released in any order, each once.
func (i *Inbox) Release(last ident.Seq) {
	h := i.find(last)
	if h == nil || h.last != last || h.done {
		//nolint:forbidigo // the caller lost count, and so would every acknowledgement
		panic(fmt.Sprintf("session: release of %d, released %d, received %d", last, i.released, i.received))
	}
	h.done = true
	i.held -= h.cost
	for i.runs.len() > 0 && i.runs.at(i.runs.low).done {
		h := i.runs.at(i.runs.low)
		i.released = h.last
		i.bytes += h.cost
		i.runs.pop()
	}
	i.settle()
}

// find returns the first run that ends at last or later; nil for none.
func (i *Inbox) find(last ident.Seq) *hold {
	r := &i.runs
	at := r.high - 1 // most runs are released as soon as they are accepted
	if r.len() == 0 || r.at(at).last != last {
		at = r.low + uint64(sort.Search(r.len(), func(k int) bool {
			return r.at(r.low+uint64(k)).last >= last
		}))
	}
	if at >= r.high {
		return nil
	}
	return r.at(at)
}

// settle counts what was lost as released, too, once nothing before it is held.
func (i *Inbox) settle() {
	if i.runs.len() == 0 {
		i.released = i.received
	}
}

// Ack returns the number to acknowledge and whether an ACKED frame is due: after
// [AckBytes], [AckMessages] or [AckDelay], on a new link, and with force whenever there
// is news, for a caller that writes to the link anyway. The caller sends what is due.
// It calls Ack after each batch of releases, which starts the clock, and when [Inbox.Next]
// says.
func (i *Inbox) Ack(now time.Time, force bool) (n ident.Seq, due bool) {
	if i.released == 0 || i.released == i.told && !i.owed {
		return 0, false
	}
	if i.since.IsZero() {
		i.since = now
	}
	if !force && !i.owed && i.bytes < AckBytes && i.released-i.told < AckMessages &&
		now.Before(i.since.Add(AckDelay)) {
		return 0, false
	}
	i.told, i.owed, i.bytes, i.since = i.released, false, 0, time.Time{}
	return i.told, true
}

// Next returns when [Inbox.Ack] is due if nothing happens before; ok is false if there
// is nothing to acknowledge.
func (i *Inbox) Next() (at time.Time, ok bool) {
	if i.since.IsZero() {
		return time.Time{}, false
	}
	return i.since.Add(AckDelay), true
}
