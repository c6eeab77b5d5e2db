package engine

import (
	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
)

// graphOf returns who of a view keeps links with whom, as broadcasts need it.
func graphOf(v core.View) *gossip.Graph {
	starts := make(map[ident.NodeID]ident.Incarnation, len(v.Members))
	for _, m := range v.Members {
		starts[m.Record.ID] = m.Record.Incarnation
	}
	g := &gossip.Graph{}
	for i, id := range v.Graph.IDs {
		g.Members = append(g.Members, gossip.Member{ID: id, Incarnation: starts[id]})
		g.Links = append(g.Links, v.Graph.Neighbours(i))
	}
	return g
}

// public returns the key of a member, nil if there is none of that ID.
func (e *Engine) public(id ident.NodeID) []byte {
	for _, m := range e.View().Members {
		if m.Record.ID == id {
			return m.Record.Public
		}
	}
	return nil
}
