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
	AckBytes    = 256 << 10 // as Cost counts
	AckMessages = 4096
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
	came     bool       // something came, or was lost
	received ident.Seq  // all up to it came, or were lost
	whole    ident.Seq  // the last message that came as a whole, or was lost, pieces not counted
	more     bool       // of the next one some pieces came
	released ident.Seq  // all up to it are in their queues
	told     ident.Seq  // the last acknowledgement
	runs     ring[hold] // accepted and not released, or behind one that is not
	held     int        // cost of the runs that are not released
	pieces   int        // cost of the pieces that came and are not released
	oldest   uint64     // position in runs of the first of them

	owed  bool      // acknowledge at once: the last one may have been lost with its link
	bytes int       // cost of what was released since the last acknowledgement
	since time.Time // when Ack first saw something to acknowledge; zero for nothing
}

// hold is a run between its acceptance and its release.
type hold struct {
	last ident.Seq
	cost int
	more bool // a piece, and the message goes on in the next run
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

// Place returns how far the lane has come: all numbers up to received, all messages up to
// whole, and of the next message some pieces if part is set.
func (i *Inbox) Place() (received, whole ident.Seq, part bool) {
	return i.received, i.whole, i.more
}

// Opened reports whether the lane has begun.
func (i *Inbox) Opened() bool { return i.open }

// Came reports whether something came since, or was lost.
func (i *Inbox) Came() bool { return i.came }

// Start takes the lowest number that the peer can still send, and the message that it
// belongs to, from its OPEN: the beginning of the session at the first time, and later
// what the peer has not given up. It returns how many messages are lost. Numbers that
// cannot be are [ErrNumber].
func (i *Inbox) Start(first, message ident.Seq) (lost uint64, err error) {
	if message == 0 || message > first {
		return 0, fmt.Errorf("%w: peer opens a lane at %d, message %d", ErrNumber, first, message)
	}
	if !i.open {
		i.open = true
		i.received, i.released, i.told, i.whole = first-1, first-1, first-1, message-1
		return 0, nil
	}
	if first-1 > i.received {
		if lost, err = i.missing(uint64(first-1-i.received), message); err != nil {
			return 0, err
		}
		i.abandon()
		i.received, i.whole, i.came = first-1, message-1, true
		i.settle()
	}
	i.owed = true
	return lost, nil
}

// missing returns how many messages are lost if the message comes next and so many
// numbers are left out before it.
func (i *Inbox) missing(numbers uint64, message ident.Seq) (lost uint64, err error) {
	most := numbers
	if i.more && numbers > 0 {
		most++ // the one whose first pieces came
	}
	if lost = uint64(message - 1 - i.whole); message <= i.whole || lost > most || lost == 0 && numbers > 0 {
		return 0, fmt.Errorf("%w: message %d after %d and %d numbers", ErrNumber, message, i.whole, numbers)
	}
	return lost, nil
}

// abandon lets the pieces of a message go whose rest is lost.
func (i *Inbox) abandon() {
	if i.more {
		i.more = false
		i.free(i.runs.high)
		i.advance()
	}
}

// GiveUp is for a caller that has thrown away the pieces of a message that is not whole, and
// will do so with the rest of it: they count as released. It gives memory back that is not
// needed then.
func (i *Inbox) GiveUp() {
	if i.more {
		i.free(i.runs.high)
		i.advance()
	}
	if i.runs.len() == 0 {
		i.runs.reset()
	}
}

// Accept takes the run of a frame, which costs so many bytes as [Cost] counts. Of the
// run the caller drops the first skip messages, which came before, and delivers the rest,
// if any, after telling that lost messages before it are missing for good. Unless it
// drops all, it owes a [Inbox.Release] of the run's last number; for a message in pieces
// it owes that of the last piece alone. Errors are [ErrNotOpen], [ErrNumber] and
// [ErrWindow]; they change nothing.
func (i *Inbox) Accept(e frame.Events, cost int) (skip int, lost uint64, err error) {
	switch {
	case !i.open:
		return 0, 0, ErrNotOpen
	case e.First == 0 || e.Count < 1 || e.First > math.MaxUint64-ident.Seq(e.Count) || e.Message > e.First:
		return 0, 0, fmt.Errorf("%w: %d messages from %d on", ErrNumber, e.Count, e.First)
	}
	last := e.First + ident.Seq(e.Count) - 1
	if last <= i.received {
		return e.Count, 0, nil
	}
	if i.held+cost > i.window {
		return 0, 0, fmt.Errorf("%w: %d bytes held, %d more, window %d", ErrWindow, i.held, cost, i.window)
	}
	var gap uint64
	if next := i.received + 1; e.First < next {
		skip = int(next - e.First)
	} else {
		gap = uint64(e.First - next)
	}
	if lost, err = i.missing(gap, e.Message+ident.Seq(skip)); err != nil {
		return 0, 0, err
	}
	if lost > 0 {
		i.abandon()
	}
	i.received, i.came = last, true
	i.whole = e.Message + ident.Seq(e.Count) - 1
	if e.More {
		i.whole--
	}
	i.hold(hold{last: last, cost: cost, more: e.More})
	return skip, lost, nil
}

// hold keeps a run until it is released. The pieces of a message wait for its last one,
// because the queues hold all of them as soon as that is there; but no more than half of
// the window, or a message above the window would never come to its end.
func (i *Inbox) hold(h hold) {
	if !i.more {
		i.pieces, i.oldest = 0, i.runs.high
	}
	i.runs.push(h)
	i.held += h.cost
	if i.more = h.more; !i.more {
		return
	}
	i.pieces += h.cost
	to := i.oldest
	for over := i.pieces - i.window/2; over > 0; to++ {
		over -= i.runs.at(to).cost
	}
	i.free(to)
	i.advance()
}

// free marks the pieces before a position as released.
func (i *Inbox) free(to uint64) {
	for ; i.oldest < to; i.oldest++ {
		h := i.runs.at(i.oldest)
		h.done = true
		i.held -= h.cost
		i.pieces -= h.cost
	}
}

// Release says that the run that ends with number last is in the queues of its
// subscribers, so that it may be acknowledged when all before it are. Runs may be
// released in any order, each once; a message in pieces is released with its last one.
func (i *Inbox) Release(last ident.Seq) {
	at, ok := i.find(last)
	if !ok {
		//nolint:forbidigo // the caller lost count, and so would every acknowledgement
		panic(fmt.Sprintf("session: release of %d, released %d, received %d", last, i.released, i.received))
	}
	for h := i.runs.at(at); ; h = i.runs.at(at) {
		h.done = true
		i.held -= h.cost
		if at == i.runs.low {
			break
		}
		at--
		if h := i.runs.at(at); !h.more || h.done {
			break // no piece of the same message
		}
	}
	i.advance()
}

// advance drops the runs at the front that are released.
func (i *Inbox) advance() {
	for i.runs.len() > 0 && i.runs.at(i.runs.low).done {
		h := i.runs.at(i.runs.low)
		i.released = h.last
		i.bytes += h.cost
		i.runs.pop()
	}
	i.settle()
}

// find returns the position of the run that ends with number last and is to be released.
func (i *Inbox) find(last ident.Seq) (at uint64, ok bool) {
	r := &i.runs
	at = r.high - 1 // most runs are released as soon as they are accepted
	if r.len() == 0 || r.at(at).last != last {
		at = r.low + uint64(sort.Search(r.len(), func(k int) bool {
			return r.at(r.low+uint64(k)).last >= last
		}))
	}
	if at >= r.high {
		return 0, false
	}
	h := r.at(at)
	return at, h.last == last && !h.done && !h.more
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
	if !force && !i.owed && i.bytes < min(AckBytes, i.window/4) && i.released-i.told < AckMessages &&
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
