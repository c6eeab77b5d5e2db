package mailbox

import (
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// lane is what a queue holds of one lane. The queue's lock guards it.
type lane struct {
	entries  []Entry // from head on; those before are zero
	head     int
	messages int // in entries; a loss counts as one, a stage as none
	bytes    int
}

// push appends an entry.
func (l *lane) push(e *Entry) {
	l.entries = append(l.entries, *e)
	l.messages += e.load()
	l.bytes += len(e.Data)
}

// last returns the latest entry, nil if there is none.
func (l *lane) last() *Entry {
	if l.head == len(l.entries) {
		return nil
	}
	return &l.entries[len(l.entries)-1]
}

// full reports whether the lane would be beyond its limits with an entry more. Into an
// empty one a run of any size fits as far as bytes go, for otherwise it never would.
func (l *lane) full(e *Entry, o *Options) bool {
	return l.messages+e.load() > o.MessagesMax || l.bytes > 0 && l.bytes+len(e.Data) > o.BytesMax
}

// over reports whether the lane is beyond its limits.
func (l *lane) over(o *Options) bool {
	return l.messages > o.MessagesMax || l.bytes > o.BytesMax && len(l.entries)-l.head > 1
}

// dropOldest drops messages from the front until the lane is within its limits, adds
// them to lost and returns how many, and the slips that nobody will handle. Buffers go back
// to the depot.
func (l *lane) dropOldest(o *Options, lost *losses, d *depot) (dropped uint64, slips []*Slip) {
	var stages []Entry // these alone are never dropped
	for l.over(o) {
		e := &l.entries[l.head]
		if e.Stage != StageNone {
			stages = append(stages, *e)
			*e = Entry{}
			l.head++
			continue
		}
		n := e.load()
		if l.bytes <= o.BytesMax {
			n = min(n, l.messages-o.MessagesMax)
		}
		l.messages -= n
		if e.loss() {
			lost.add(e.Lost)
		} else {
			lost.add(Loss{From: e.From, Topic: e.Topic, Lane: e.Lane, Count: uint64(n)})
			dropped += uint64(n)
		}
		if n < e.Count {
			l.bytes -= e.cut(n)
			continue
		}
		l.bytes -= len(e.Data)
		d.put(e.Data)
		if e.Slip != nil {
			slips = append(slips, e.Slip)
		}
		*e = Entry{}
		l.head++
	}
	for i := range stages {
		l.head--
		l.entries[l.head] = stages[len(stages)-1-i]
	}
	l.compact()
	return dropped, slips
}

// cut removes the first n messages of a run and returns how many bytes they took.
func (e *Entry) cut(n int) int {
	before := len(e.Data)
	for range n {
		_, e.Data = frame.NextPayload(e.Data)
	}
	e.First += ident.Seq(n)
	e.Count -= n
	return before - len(e.Data)
}

// compact moves the entries to the front when half of the slice lies before them, so
// that it does not creep through memory.
func (l *lane) compact() {
	if l.head < 16 || l.head < len(l.entries)/2 {
		return
	}
	n := copy(l.entries, l.entries[l.head:])
	clear(l.entries[n:])
	l.entries, l.head = l.entries[:n], 0
}
