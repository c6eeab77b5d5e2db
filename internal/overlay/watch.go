package overlay

import (
	"slices"

	"github.com/espial-go/espial/internal/ident"
)

// watchersMin is how many watch a member at least, so that no single one decides that it
// is dead.
const watchersMin = 3

// Watchers appends who is to probe a member and to confirm what others find: its
// neighbours in the graph and, where two rings name the same ones so that they are fewer
// than three, the second successor on ring 0. It needs no link: who has none opens one on
// demand. All nodes with the same view agree.
func (k *Keeper) Watchers(dst []ident.NodeID, id ident.NodeID) []ident.NodeID {
	u := k.view.member(id)
	if u == absent {
		return dst
	}
	return k.names(dst, k.view.watchers(nil, u, k.mesh))
}

// Watched appends whom this node is to probe: those of whom it is a watcher.
func (k *Keeper) Watched(dst []ident.NodeID) []ident.NodeID {
	if k.me == absent {
		return dst
	}
	list := k.view.neighbours(nil, k.me, k.mesh)
	if o := k.view.at(0, int(k.me)-2); o != k.me && slices.Contains(k.view.watchers(nil, o, k.mesh), k.me) {
		list = append(list, o)
	}
	slices.Sort(list)
	return k.names(dst, slices.Compact(list))
}

// watchers appends the watchers of a member, ascending.
func (v *View) watchers(dst []uint32, u uint32, mesh int) []uint32 {
	dst = v.neighbours(dst, u, mesh)
	slices.Sort(dst)
	dst = slices.Compact(dst)
	if o := v.at(0, int(u)+2); len(dst) < watchersMin && o != u && !slices.Contains(dst, o) {
		dst = append(dst, o)
		slices.Sort(dst)
	}
	return dst
}

// names appends the IDs of members.
func (k *Keeper) names(dst []ident.NodeID, list []uint32) []ident.NodeID {
	for _, u := range list {
		dst = append(dst, k.view.ids[u])
	}
	return dst
}
