package overlay

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/espial-go/espial/internal/ident"
)

// RingsMax is the number of rings. An ID is a hash of 32 bytes, so it places a member on
// four rings that have nothing to do with each other.
const RingsMax = 4

// Member is what the overlay knows of a member.
type Member struct {
	ID ident.NodeID

	// Rings is the number of rings that its record states. A number outside 1 to
	// [RingsMax] counts as the nearest one inside.
	Rings uint8

	// Links is how many links its record says that it takes at most. 0, which is no limit,
	// and more than [LinksMax] count as that.
	Links uint16
}

// View is the members as one node sees them at one moment, in the order of every ring.
// The zero View has none. A View never changes, so it may be shared.
type View struct {
	ids   []ident.NodeID     // sorted: the order of ring 0, whose key is how they begin
	rings []uint8            // of each member, 1 to RingsMax
	links []uint16           // that each member takes at most, 1 to LinksMax
	order [RingsMax][]uint32 // of the members on ring 1 and above: places in ids
}

// NewView returns the view of a list of members in any order. One that is in it twice
// counts as what it is there last.
func NewView(list []Member) *View { return new(View).With(list, nil) }

// With returns a view in which some members are gone and some joined, after that. One
// that joined and is here already has its rings replaced. It copies the members, which is
// most of its cost where few change, and sorts those that joined.
func (v *View) With(joined []Member, gone []ident.NodeID) *View {
	w, to, fresh := v.edit(edits(joined, gone))
	var keys []key
	for ring := 1; ring < RingsMax; ring++ {
		keys = keys[:0]
		for _, u := range fresh {
			if int(w.rings[u]) > ring {
				keys = append(keys, key{w.word(ring, u), u})
			}
		}
		slices.SortFunc(keys, key.compare)
		w.order[ring] = w.insert(keys, to, v.order[ring], ring)
	}
	return w
}

// absent is the place of who is not a member.
const absent = ^uint32(0)

// edits returns what is to change, sorted by ID, each ID once. Rings and links are in
// range, and 0 for those that go.
func edits(joined []Member, gone []ident.NodeID) []Member {
	list := make([]Member, 0, len(gone)+len(joined))
	for _, id := range gone {
		list = append(list, Member{ID: id})
	}
	for _, m := range joined {
		if m.Links == 0 {
			m.Links = LinksMax
		}
		list = append(list, Member{
			ID: m.ID, Rings: min(max(m.Rings, 1), RingsMax), Links: min(m.Links, LinksMax),
		})
	}
	order := make([]uint32, len(list))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		return cmp.Or(list[a].ID.Compare(list[b].ID), cmp.Compare(a, b))
	})
	last := make([]Member, 0, len(list))
	for i, o := range order {
		if i+1 == len(order) || list[order[i+1]].ID != list[o].ID {
			last = append(last, list[o])
		}
	}
	return last
}

// edit returns the view that follows v without its rings, to where each member of v went,
// and who is new to the rings.
func (v *View) edit(list []Member) (w *View, to, fresh []uint32) {
	size := len(v.ids) + len(list)
	w = &View{
		ids: make([]ident.NodeID, 0, size), rings: make([]uint8, 0, size), links: make([]uint16, 0, size),
	}
	to = make([]uint32, 0, len(v.ids))
	keep := func(end int) { // the members of v from where it is up to end
		from, u := len(to), len(w.ids)
		w.ids, w.rings = append(w.ids, v.ids[from:end]...), append(w.rings, v.rings[from:end]...)
		w.links = append(w.links, v.links[from:end]...)
		for range end - from {
			to = append(to, uint32(u))
			u++
		}
	}
	for _, m := range list {
		i, here := slices.BinarySearchFunc(v.ids, m.ID, ident.NodeID.Compare)
		keep(i)
		if here && v.rings[i] == m.Rings && v.links[i] == m.Links {
			continue
		}
		if here {
			to = append(to, absent)
		}
		if m.Rings > 0 {
			fresh = append(fresh, uint32(len(w.ids)))
			w.ids, w.rings, w.links = append(w.ids, m.ID), append(w.rings, m.Rings), append(w.links, m.Links)
		}
	}
	keep(len(v.ids))
	return w, to, fresh
}

// insert returns the order of a ring from what it was, where its members went, and who
// comes.
func (v *View) insert(keys []key, to, old []uint32, ring int) []uint32 {
	order := make([]uint32, 0, len(old)+len(keys))
	for _, o := range old {
		if to[o] != absent {
			order = append(order, to[o])
		}
	}
	n := len(order)
	order = order[:n+len(keys)]
	for j, k := range slices.Backward(keys) { // so that each member moves once
		i := v.search(order[:n], k, ring)
		copy(order[i+j+1:], order[i:n])
		order[i+j] = k.member
		n = i
	}
	return order
}

// search returns where in an order of a ring a key is or would be.
func (v *View) search(order []uint32, k key, ring int) int {
	i, _ := slices.BinarySearchFunc(order, k, func(u uint32, k key) int {
		return key{v.word(ring, u), u}.compare(k)
	})
	return i
}

// key orders a ring: by a word of the ID, and where two members share it by the ID, which
// orders members.
type key struct {
	word   uint64
	member uint32
}

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.word, o.word), cmp.Compare(k.member, o.member))
}

// word returns the key of a member on a ring.
func (v *View) word(ring int, u uint32) uint64 { return binary.BigEndian.Uint64(v.ids[u][8*ring:]) }

// Len returns the number of members.
func (v *View) Len() int { return len(v.ids) }

// member returns the place of a node in ids, or absent.
func (v *View) member(id ident.NodeID) uint32 {
	i, ok := slices.BinarySearchFunc(v.ids, id, ident.NodeID.Compare)
	if !ok {
		return absent
	}
	return uint32(i)
}

// size returns how many members are on a ring.
func (v *View) size(ring int) int {
	if ring == 0 {
		return len(v.ids)
	}
	return len(v.order[ring])
}

// place returns where on a ring a member of it is.
func (v *View) place(ring int, u uint32) int {
	if ring == 0 {
		return int(u)
	}
	return v.search(v.order[ring], key{v.word(ring, u), u}, ring)
}

// at returns who is at a place of a ring, which begins anew where it ends.
func (v *View) at(ring, place int) uint32 {
	n := v.size(ring)
	place = (place%n + n) % n
	if ring == 0 {
		return uint32(place)
	}
	return v.order[ring][place]
}

// Complete reports whether the mesh of the members is complete: there are at most mesh of
// them, and each takes as many links as there are others. All nodes with one view agree.
func (v *View) Complete(mesh int) bool {
	others := len(v.ids) - 1
	return len(v.ids) <= mesh && !slices.ContainsFunc(v.links, func(n uint16) bool { return int(n) < others })
}
