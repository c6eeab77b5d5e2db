package gossip

import (
	"fmt"

	"github.com/espial-go/espial/internal/ident"
)

// Dump returns what the router knows of an origin, for the message of a failed test.
func (r *Router) Dump(m Member) string {
	o := r.byKey[Member{m.ID, m.Incarnation}]
	if o == nil {
		return "unknown"
	}
	p := &o.repair
	s := fmt.Sprintf("standing %d based %t proven %t base %d received %d whole %d part %d stored %d held %d; peers %d, ",
		o.standing, o.based, o.proven, o.base, o.received, o.whole, o.part, o.stored.len(), len(o.held), len(r.peers))
	for _, c := range p.claims {
		s += fmt.Sprintf("%s has %d to %d, ", c.peer.Short()[:4], c.first, c.last)
	}
	s += fmt.Sprintf("asked %q for %d to %d, tries %d, slot %d due %v wait %v", p.to.Short()[:4], p.first, p.last, p.tries, p.slot, p.due, p.wait)
	if p.proof != nil {
		s += fmt.Sprintf(", proven up to %d", p.proof.Last)
	}
	return s
}

// Children is [Graph.children].
func (g *Graph) Children(dst []ident.NodeID, root, self int) ([]ident.NodeID, int) {
	return g.children(dst, root, self)
}

// Spent returns how many members were looked at to derive trees.
func (r *Router) Spent() uint64 { return r.trees.visited }
