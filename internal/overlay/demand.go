package overlay

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// Limits of [Demand].
const (
	DemandMax  = 32               // links on demand of a node, whoever opened them
	DemandIdle = 10 * time.Second // unused for so long, a link on demand is closed

	// DemandHold is how long a link on demand is safe from giving way to another one
	// after it was used: no shorter than it takes to open one and to be answered.
	DemandHold = time.Second
)

// Demand is the table of links on demand: with members that are no peers, for a direct
// message or a probe. They do not count toward MaxPeers. The zero Demand is empty. It
// must be used by one goroutine.
type Demand struct {
	uses []use // the one used longest ago first
}

// use is one link on demand, or one that is being opened.
type use struct {
	id ident.NodeID
	at time.Time // when it was used last
}

// Use takes a place for a link with id, or notes that its link is used now. Where there
// is no place left, the link that was used longest ago gives way: the caller closes the
// one with instead, unless that is zero. If that one was used within [DemandHold] ok is
// false; [Demand.Spare] says when to try again.
func (d *Demand) Use(now time.Time, id ident.NodeID) (instead ident.NodeID, ok bool) {
	if d.Drop(id); len(d.uses) >= DemandMax {
		if now.Before(d.Spare()) {
			return ident.NodeID{}, false
		}
		instead = d.uses[0].id
		d.uses = slices.Delete(d.uses, 0, 1)
	}
	d.uses = append(d.uses, use{id, now})
	return instead, true
}

// Spare returns when Use has a place for another link. The time may lie in the past.
func (d *Demand) Spare() time.Time {
	if len(d.uses) < DemandMax {
		return time.Time{}
	}
	return d.uses[0].at.Add(DemandHold)
}

// Drop gives the place of id free: its link went down, did not come up, or is a peer's
// now. It reports whether there was one.
func (d *Demand) Drop(id ident.NodeID) bool {
	i := slices.IndexFunc(d.uses, func(u use) bool { return u.id == id })
	if i >= 0 {
		d.uses = slices.Delete(d.uses, i, i+1)
	}
	return i >= 0
}

// Tick returns whose links to close, because they were not used for [DemandIdle]. They
// are not in the table any more.
func (d *Demand) Tick(now time.Time) []ident.NodeID {
	var idle []ident.NodeID
	for len(d.uses) > 0 && now.Sub(d.uses[0].at) >= DemandIdle {
		idle = append(idle, d.uses[0].id)
		d.uses = slices.Delete(d.uses, 0, 1)
	}
	return idle
}

// Next returns when Tick has a link to close; ok is false while there is none.
func (d *Demand) Next() (at time.Time, ok bool) {
	if len(d.uses) == 0 {
		return time.Time{}, false
	}
	return d.uses[0].at.Add(DemandIdle), true
}

// Len returns the number of places taken.
func (d *Demand) Len() int { return len(d.uses) }
