package overlay

import (
	"cmp"
	"slices"
)

// rank says what a link is for. The least gives way last.
type rank uint8

const (
	door     rank = 0                  // a newcomer, where there is nothing but ring 0
	near     rank = 1                  // the neighbours on ring 0, which alone connect all
	pinned   rank = 2                  // whom the user named
	newcomer rank = 3                  // who is no member yet
	far      rank = 4                  // the neighbours on ring 1; one more for each ring after it
	mesh     rank = far + RingsMax - 1 // everybody, in a small cluster
	filling  rank = mesh + 1           // for MinPeers
	guest    rank = filling + 1        // what the other end wants
	surplus  rank = guest + 1          // what this node dialled and does not want any more
)

// tries is how many members that failed a node passes on its way to others to fill up
// with; after that it waits until one of them is due again. So a node for which nobody
// has room asks four others in [RetryMax].
const tries = 4

// want is a member with which there should be a link.
type want struct {
	member uint32
	rank   rank
}

func (w want) byMember(o want) int {
	return cmp.Or(cmp.Compare(w.member, o.member), cmp.Compare(w.rank, o.rank))
}

func (w want) byRank(o want) int {
	return cmp.Or(cmp.Compare(w.rank, o.rank), cmp.Compare(w.member, o.member))
}

// decide computes with whom there should be a link: wants, and in seeks those that cannot
// be reached and are passed over. Both are sorted by member, and no member is in both.
func (k *Keeper) decide() {
	k.wants, k.seeks = k.wants[:0], k.seeks[:0]
	if k.me != absent {
		k.beside()
		k.asked()
		k.all()
		if k.wants = unique(k.wants); len(k.wants) > k.max {
			slices.SortFunc(k.wants, want.byRank)
			k.wants = k.wants[:k.max]
			slices.SortFunc(k.wants, want.byMember)
		}
		k.fill()
		k.seeks = unique(k.seeks)
	}
	k.judge()
}

// beside wants the next members that can be reached, both ways on each ring.
func (k *Keeper) beside() {
	for ring := range int(k.view.rings[k.me]) {
		r := near
		if ring > 0 {
			r = far + rank(ring-1)
		}
		place, size := k.view.place(ring, k.me), k.view.size(ring)
		for _, way := range [...]int{1, -1} {
			for step := 1; step < size; step++ {
				if k.consider(k.view.at(ring, place+way*step), r) {
					break
				}
			}
		}
	}
}

// asked wants those that the user pinned.
func (k *Keeper) asked() {
	for _, t := range k.ties {
		if t.pinned && t.member != absent {
			k.consider(t.member, pinned)
		}
	}
}

// all wants everybody in a small cluster.
func (k *Keeper) all() {
	if k.view.Len() > k.full() {
		return
	}
	for _, u := range k.view.everybody(nil, k.me) {
		k.consider(u, mesh)
	}
}

// consider wants a member, or seeks it if it is passed over. It reports which.
func (k *Keeper) consider(u uint32, r rank) bool {
	if t := k.get(k.view.ids[u]); t != nil && t.passed {
		k.seeks = append(k.seeks, want{u, r})
		return false
	}
	k.wants = append(k.wants, want{u, r})
	return true
}

// fill wants further successors on ring 0 up to MinPeers. Who chose this node counts.
// What it chose itself stays when others come: if links to spare were closed at once,
// those who lose one would look for another, and so on without an end.
func (k *Keeper) fill() {
	base := k.wants
	need := k.min - len(base)
	if need <= 0 {
		return
	}
	for _, t := range k.ties {
		if !t.extra() || t.member == absent || has(base, t.member) {
			continue
		}
		need--
		if t.filling {
			k.wants = append(k.wants, want{t.member, filling})
		}
	}
	failed := 0
	for step := 1; step < k.view.Len() && need > 0 && failed < tries; step++ {
		u := k.view.at(0, int(k.me)+step)
		switch {
		case has(base, u) || k.get(k.view.ids[u]).extra():
		case k.consider(u, filling):
			need--
		default:
			failed++
		}
	}
	slices.SortFunc(k.wants, want.byMember)
}

// extra reports whether there is a link that counts toward MinPeers if nothing else asks
// for it.
func (t *tie) extra() bool { return t != nil && t.linked && (t.filling || !t.dialed) }

// judge sets the rank of every link.
func (k *Keeper) judge() {
	for _, t := range k.ties {
		if !t.linked {
			continue
		}
		i, wanted := slices.BinarySearchFunc(k.wants, t.member, toMember)
		switch {
		case wanted:
			t.rank = k.wants[i].rank
		case t.pinned && t.member == absent:
			t.rank = pinned
		case t.member == absent && k.max == 2:
			t.rank = door
		case t.member == absent:
			t.rank = newcomer // the core closes it if it does not become a member
		case t.dialed:
			t.rank = surplus
		default:
			t.rank = guest
		}
		t.filling = t.rank == filling
	}
}

// has reports whether a member is among wants sorted by member.
func has(wants []want, u uint32) bool {
	_, ok := slices.BinarySearchFunc(wants, u, toMember)
	return ok
}

func toMember(w want, u uint32) int { return cmp.Compare(w.member, u) }

// unique returns the wants sorted by member, of each the one with the least rank.
func unique(wants []want) []want {
	slices.SortFunc(wants, want.byMember)
	return slices.CompactFunc(wants, func(a, b want) bool { return a.member == b.member })
}
