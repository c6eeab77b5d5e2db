package engine

import (
	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
)

// graphOf returns who of a view keeps links with whom: everybody with everybody.
func graphOf(v core.View) *gossip.Graph {
	members := make([]gossip.Member, 0, len(v.Members))
	for _, m := range v.Members {
		members = append(members, gossip.Member{ID: m.Record.ID, Incarnation: m.Record.Incarnation})
	}
	return gossip.Complete(members)
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
