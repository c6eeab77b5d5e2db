package espial

import (
	"iter"
	"slices"

	"github.com/espial-go/espial/internal/ident"
)

// ServiceInfo is what a member says of a service on which it listens.
type ServiceInfo struct {
	Service string `json:"service"` // its name
	Member  Sender `json:"member"`  // who listens
}

// Services yields on what the members listen for streams, this node included: by join number of
// the members, and by name. Members tell it when it changes, and of those that were there before
// it is known when [Node.WaitFor] returns; [Node.Changes] has it as [ServiceAdded] and
// [ServiceRemoved]. Of a member with more than 256 services some may be missing; they can be
// dialled by its name all the same.
func (n *Node) Services() iter.Seq[ServiceInfo] {
	return func(yield func(ServiceInfo) bool) {
		for _, member := range n.eng.View().Members {
			from := Sender{ID: NodeID(member.Record.ID), Name: member.Record.Name}
			services, _ := n.eng.Exchange().Listening(member.Record.ID)
			for _, service := range services {
				if !yield(ServiceInfo{Service: service, Member: from}) {
					return
				}
			}
		}
	}
}

// listening returns which of the members listen on a service, which have not said on what they do,
// and which do not.
func (n *Node) listening(ids []ident.NodeID, service string) (listening, silent, deaf []ident.NodeID) {
	for _, id := range ids {
		switch listens, told := n.listens(id, service); {
		case listens:
			listening = append(listening, id)
		case told:
			deaf = append(deaf, id)
		default:
			silent = append(silent, id)
		}
	}
	return listening, silent, deaf
}

// listens reports whether a member has said that it listens on a service, and whether it has said
// on what it listens at all.
func (n *Node) listens(id ident.NodeID, service string) (listens, told bool) {
	services, told := n.eng.Exchange().Listening(id)
	_, listens = slices.BinarySearch(services, service)
	return listens, told
}
