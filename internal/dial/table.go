package dial

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// Limits of the table. A target costs about 300 bytes.
const (
	targetsMax = 1024
	shareMax   = targetsMax / 4 // of one source
	addrsMax   = 16             // of one remembered node: as many as a member record carries
)

// place is an address. Its back-off belongs to all who are said to live there.
type place struct {
	addr     string
	local    bool // loopback: costs no network anything, so the rate does not count it
	flying   bool // a dial is in flight
	renamed  bool // a peer named it during that dial, which failed perhaps for an old reason
	targets  int
	failures int
	last     time.Time    // when the last dial started
	urged    time.Time    // when the last redial started
	due      time.Time    // end of the back-off; turns and redials do not wait for it
	rest     time.Time    // end of a rest; everything waits for it
	met      ident.NodeID // who answered last
	reached  time.Time    // when
}

// target is an address together with who is said to live there: the unit that is
// dialled.
type target struct {
	place  *place
	id     ident.NodeID // zero for whoever answers
	source Source
	order  int       // among the addresses of a remembered node, the best first
	urgent bool      // redial without waiting for turn, spacing or back-off
	asked  bool      // one ordinary dial, though id is listed
	seen   time.Time // when it was named last
	hold   time.Time // the higher ID's wait
	rest   time.Time // end of a rest of the claim that id lives here
	turn   time.Time // when id, or the address of a target without one, was dialled last
}

// better reports whether t is a better place than u to find the node of both.
func (t *target) better(u *target) bool {
	return t.order < u.order || t.order == u.order && t.reached().After(u.reached())
}

// who returns who is expected at t: the ID that it is pinned to, else the one that
// answered last, else zero.
func (t *target) who() ident.NodeID {
	if t.id.IsZero() {
		return t.place.met
	}
	return t.id
}

// reached returns when the expected ID answered at t; zero if it never did.
func (t *target) reached() time.Time {
	if t.place.met != t.who() {
		return time.Time{}
	}
	return t.place.reached
}

type key struct {
	addr string
	id   ident.NodeID
}

// table holds the targets in the order of their arrival, so that no decision depends
// on the order of a map, and the places they share.
type table struct {
	targets []*target
	index   map[key]*target
	places  map[string]*place
	counts  [sources]int
}

func newTable() table {
	return table{index: make(map[key]*target), places: make(map[string]*place)}
}

// find returns the target for id at addr, or nil.
func (b *table) find(addr string, id ident.NodeID) *target { return b.index[key{addr, id}] }

// best returns the best target to find id, or nil if no address is known.
func (b *table) best(id ident.NodeID) (best *target) {
	for _, t := range b.targets {
		if t.id == id && (best == nil || t.better(best)) {
			best = t
		}
	}
	return best
}

// add appends a target that find does not know.
func (b *table) add(addr string, id ident.NodeID, source Source) *target {
	p := b.places[addr]
	if p == nil {
		p = &place{addr: addr}
		b.places[addr] = p
	}
	p.targets++
	t := &target{place: p, id: id, source: source}
	b.targets = append(b.targets, t)
	b.index[key{addr, id}] = t
	b.counts[source]++
	return t
}

// move gives t another source.
func (b *table) move(t *target, source Source) {
	b.counts[t.source]--
	b.counts[source]++
	t.source = source
}

// drop removes the targets that f selects and returns their number.
func (b *table) drop(f func(*target) bool) int {
	before := len(b.targets)
	b.targets = slices.DeleteFunc(b.targets, func(t *target) bool {
		if !f(t) {
			return false
		}
		delete(b.index, key{t.place.addr, t.id})
		b.counts[t.source]--
		t.place.targets--
		b.release(t.place)
		return true
	})
	return before - len(b.targets)
}

// release forgets p once nobody is said to live there and no dial is on its way.
func (b *table) release(p *place) {
	if p.targets == 0 && !p.flying {
		delete(b.places, p.addr)
	}
}

// trim makes room for the new target t: the one named longest ago goes, of the source
// of t if that exceeds its share, else of the largest source if the table is full.
// Seeds stay, for they are the user's. It returns the number of targets dropped.
func (b *table) trim(t *target) int {
	from := t.source
	switch {
	case from != Seed && b.counts[from] > shareMax:
	case len(b.targets) > targetsMax:
		from = b.largest()
	default:
		return 0
	}
	var oldest *target
	for _, u := range b.targets {
		if u.source == from && u != t && (oldest == nil || u.seen.Before(oldest.seen)) {
			oldest = u
		}
	}
	return b.drop(func(u *target) bool { return u == oldest })
}

// largest returns the source with the most targets, seeds excepted.
func (b *table) largest() Source {
	most := Multicast
	for s := Multicast; s <= Inbound; s++ {
		if b.counts[s] > b.counts[most] {
			most = s
		}
	}
	return most
}
