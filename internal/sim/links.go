package sim

import (
	"cmp"
	"maps"
	"slices"
)

// links checks A24 at the end of a history: a node has one link with each of the others or,
// in a partial mesh, with some of them.
func (k *checker) links(e Entry, others []int) {
	for _, n := range e.Links {
		k.ends[pair{e.Node, n}] = true
	}
	switch {
	case k.most == 0:
		if !slices.Equal(e.Links, others) {
			k.fail("A24", e.Node, "there are links with %v, wanted is one with each of %v", e.Links, others)
		}
	case len(e.Links) > k.most:
		k.fail("A24", e.Node, "there are links with %v, at most %d may be", e.Links, k.most)
	case len(slices.Compact(slices.Clone(e.Links))) < len(e.Links):
		k.fail("A24", e.Node, "there are links with %v, wanted is at most one with each", e.Links)
	}
}

// degree: in a partial mesh no node ever has more peers than it may.
func (k *checker) degree(node int) {
	if k.most > 0 && k.peers[node] > k.most {
		k.fail("A24", node, "%d peers, at most %d may be", k.peers[node], k.most)
	}
}

// network checks A24 for all nodes of a partial mesh together: both ends have a link, and
// the links make one network.
func (k *checker) network() {
	if k.most == 0 || !k.calm {
		return
	}
	links := slices.SortedFunc(maps.Keys(k.ends), func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.node, b.node), cmp.Compare(a.peer, b.peer))
	})
	for _, l := range links {
		if !k.ends[pair{l.peer, l.node}] {
			k.fail("A24", l.node, "there is a link with node %d, which has none", l.peer)
		}
	}
	alive := slices.Sorted(maps.Keys(k.procs))
	alive = slices.DeleteFunc(alive, func(n int) bool { return k.procs[n].died })
	if len(alive) == 0 {
		return
	}
	reached := reach(alive[0], links)
	for _, n := range alive {
		if !reached[n] {
			k.fail("A24", n, "no way leads here over the links of the others")
		}
	}
}

// reach returns to whom the links lead from a node.
func reach(from int, links []pair) map[int]bool {
	reached := map[int]bool{from: true}
	for next := []int{from}; len(next) > 0; next = next[1:] {
		for _, l := range links {
			if l.node == next[0] && !reached[l.peer] {
				reached[l.peer] = true
				next = append(next, l.peer)
			}
		}
	}
	return reached
}
