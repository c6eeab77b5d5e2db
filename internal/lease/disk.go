package lease

import (
	"time"

	"github.com/espial-go/espial/internal/ident"
)

const (
	// roomAbove is how far above the clock the term on disk is, in milliseconds: an hour.
	// It is written anew when half of that is left, so a disk that is slow delays no
	// election, and one that fails is noticed half an hour before it costs a vote.
	roomAbove = 60 * 60 * 1000

	// spare is how many terms there is room for above the highest one in use, where that is
	// ahead of the clock. So a node that starts again and again uses up a second each time.
	spare = 1000
)

// disk is what this node has on disk about its votes. The number there is above all terms
// that it granted, not the last one, so that granting does not wait for a disk.
type disk struct {
	former ident.Term // an earlier life may have granted terms up to here
	kept   ident.Term // this one may grant terms up to here: [TermMax] without a disk
	asked  ident.Term // the last [Keep]
}

func newDisk(durable bool, kept ident.Term) disk {
	d := disk{former: min(kept, TermMax), kept: TermMax, asked: TermMax}
	if durable {
		d.kept, d.asked = d.former, d.former
	}
	return d
}

// Kept hears that term is on disk.
func (e *Election) Kept(now time.Time, term ident.Term) {
	e.enter(now)
	e.disk.kept = max(e.disk.kept, min(term, TermMax))
}

// taken returns the term that every new one must be above as far as this node knows. What
// is on disk counts here only: renewals are of reigns that began, whatever was granted since.
func (e *Election) taken() ident.Term { return max(e.seen, e.disk.former) }

// reserved reports whether the next term will find room on disk, if the clocks agree.
func (e *Election) reserved() bool {
	return e.disk.kept > e.taken() && uint64(e.disk.kept) >= e.clock(e.now)
}

// allows reports whether the disk has nothing against a claim. A term for which there is no
// room, of a clock that is far ahead, finds some when it is claimed again.
func (e *Election) allows(claim ident.Term) bool {
	e.reserve(claim)
	return e.taken() < claim && claim <= e.disk.kept
}

// reserve asks for room on disk above a term and above the clock, if half of it is used up.
func (e *Election) reserve(above ident.Term) {
	d, now := &e.disk, ident.Term(e.clock(e.now))
	if d.asked == TermMax || d.asked >= now+roomAbove/2 && d.asked >= above+spare/2 {
		return
	}
	d.asked = min(max(now+roomAbove, above+spare), TermMax)
	e.act(Keep{Term: d.asked})
}

// reserveAt returns when the clock will have used up half of the room.
func (e *Election) reserveAt() (time.Time, bool) {
	if e.disk.asked == TermMax {
		return time.Time{}, false
	}
	left := int64(e.disk.asked) - roomAbove/2 - int64(e.clock(e.now))
	return e.now.Add(time.Duration(min(max(left, 0), roomAbove)+1) * time.Millisecond), true
}
