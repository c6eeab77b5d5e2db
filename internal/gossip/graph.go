package gossip

import (
	"iter"
	"slices"

	"github.com/espial-go/espial/internal/ident"
)

// Member is one node of a [Graph].
type Member struct {
	ID          ident.NodeID
	Incarnation ident.Incarnation
}

// Graph says who is a member, this node included, and which pairs keep a link. Members that
// agree on who is there have equal graphs, so that they derive the same trees. It must not
// change once it was handed over.
type Graph struct {
	Members []Member // ascending by ID, each ID once

	// Links holds for each member the indices of those that it keeps a link with, ascending
	// and without itself. Whoever is in somebody's list has that one in its own.
	Links [][]uint32
}

// index returns the place of id among the members, and whether it is one.
func (g *Graph) index(id ident.NodeID) (int, bool) {
	return slices.BinarySearchFunc(g.Members, id, func(m Member, id ident.NodeID) int {
		return m.ID.Compare(id)
	})
}

// lists reports whether an origin is a member.
func (g *Graph) lists(k Member) bool {
	at, ok := g.index(k.ID)
	return ok && g.Members[at].Incarnation == k.Incarnation
}

// linked reports whether a member keeps a link with another one.
func (g *Graph) linked(self int, id ident.NodeID) bool {
	at, listed := g.index(id)
	if self < 0 || !listed {
		return false
	}
	_, linked := slices.BinarySearch(g.Links[self], uint32(at))
	return linked
}

// without yields the members whose IDs are not among those of another graph.
func (g *Graph) without(other *Graph) iter.Seq[Member] {
	return func(yield func(Member) bool) {
		rest := other.Members
		for _, m := range g.Members {
			for len(rest) > 0 && rest[0].ID.Compare(m.ID) < 0 {
				rest = rest[1:]
			}
			if (len(rest) == 0 || rest[0].ID != m.ID) && !yield(m) {
				return
			}
		}
	}
}

// children appends to dst those to whom member self passes on what member root published,
// and returns how many members it looked at.
//
// The tree is the one of a breadth-first search from the root, so nobody is farther from it
// than it has to be. A member's parent is the first in order of those neighbours that are
// one step nearer to the root. So it depends on distances alone, and one more member
// changes the tree around itself and nowhere else, which matters as long as some have
// heard of it and some have not.
func (g *Graph) children(dst []ident.NodeID, root, self int) (children []ident.NodeID, visited int) {
	distance := make([]uint16, len(g.Members)) // from the root, and 1 more; 0 for unknown
	queue := make([]uint32, 1, len(g.Members))
	queue[0], distance[root] = uint32(root), 1
	for head := 0; head < len(queue); head++ {
		at := queue[head]
		if own := distance[self]; own > 0 && distance[at] > own {
			break // all neighbours of self have their distance
		}
		for _, to := range g.Links[at] {
			if distance[to] == 0 {
				distance[to] = distance[at] + 1
				queue = append(queue, to)
			}
		}
	}
	own := distance[self]
	for _, to := range g.Links[self] {
		if own > 0 && distance[to] == own+1 && g.nearest(distance, to) == uint32(self) {
			dst = append(dst, g.Members[to].ID)
		}
	}
	return dst, len(queue)
}

// nearest returns the first neighbour of a member that is one step nearer to the root.
func (g *Graph) nearest(distance []uint16, of uint32) uint32 {
	for _, at := range g.Links[of] {
		if distance[at]+1 == distance[of] {
			return at
		}
	}
	return of // the root itself
}
