package overlay

import (
	"slices"

	"github.com/espial-go/espial/internal/ident"
)

// Graph is the overlay of a whole view: who is linked with whom once every node has the
// links that it wants. It is equal at all nodes with the same view and configuration, and
// never changes. What one node alone wants is not in it: the links of [Keeper.Pin], those
// that fill up to MinPeers, and those in the place of a neighbour that cannot be reached.
type Graph struct {
	IDs    []ident.NodeID // of the members, sorted; not to be changed
	starts []uint32       // where the neighbours of each begin; one more at the end
	ends   []uint32
}

// Neighbours returns the neighbours of member i of IDs, as their places in it, ascending.
// They are not to be changed.
func (g Graph) Neighbours(i int) []uint32 { return g.ends[g.starts[i]:g.starts[i+1]] }

// Graph returns the overlay of v, where up to mesh members everybody is linked with
// everybody who takes so many links.
func (v *View) Graph(mesh int) Graph {
	var (
		n     = len(v.ids)
		g     = Graph{IDs: v.ids, starts: make([]uint32, 0, n+1)}
		whole = n <= mesh
		near  = make([][2 * RingsMax]uint32, n) // on the rings
		count = make([]uint8, n)
		total int
	)
	link := func(a, b uint32) {
		if c := count[a]; !slices.Contains(near[a][:c], b) {
			near[a][c] = b
			count[a]++
			total++
		}
	}
	for ring := range RingsMax {
		size := v.size(ring)
		for i := range size {
			if a, b := v.at(ring, i), v.at(ring, i+1); a != b {
				link(a, b)
				link(b, a)
			}
		}
	}
	if whole {
		total += n * (n - 1)
	}
	g.ends = make([]uint32, 0, total)
	for u := range uint32(n) {
		start := len(g.ends)
		g.starts = append(g.starts, uint32(start))
		g.ends = append(g.ends, near[u][:count[u]]...)
		if whole {
			g.ends = v.everybody(g.ends, u)
		}
		slices.Sort(g.ends[start:])
		g.ends = g.ends[:start+len(slices.Compact(g.ends[start:]))]
	}
	g.starts = append(g.starts, uint32(len(g.ends)))
	return g
}

// everybody appends all with whom a member is linked in a full mesh: those that take so
// many links, if it does itself.
func (v *View) everybody(dst []uint32, u uint32) []uint32 {
	others := len(v.ids) - 1
	if int(v.links[u]) < others {
		return dst
	}
	for o := range uint32(len(v.ids)) {
		if o != u && int(v.links[o]) >= others {
			dst = append(dst, o)
		}
	}
	return dst
}

// neighbours appends the neighbours of one member in the graph, in no order, and perhaps
// twice.
func (v *View) neighbours(dst []uint32, u uint32, mesh int) []uint32 {
	for ring := range int(v.rings[u]) {
		place := v.place(ring, u)
		for _, o := range [...]uint32{v.at(ring, place-1), v.at(ring, place+1)} {
			if o != u {
				dst = append(dst, o)
			}
		}
	}
	if len(v.ids) <= mesh {
		dst = v.everybody(dst, u)
	}
	return dst
}
