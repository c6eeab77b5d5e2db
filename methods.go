package espial

import (
	"iter"

	"github.com/espial-go/espial/codec"
)

// MethodInfo is what a member says of a method that it serves to this node. All of it is remote
// text: quote it where a terminal shows it.
type MethodInfo struct {
	Method      string   `json:"method"`                // its name
	Member      Sender   `json:"member"`                // who serves it
	Codec       codec.ID `json:"codec"`                 // of the results
	Argument    string   `json:"argument,omitempty"`    // the types by their names there; none for bytes
	Result      string   `json:"result,omitempty"`      // likewise
	Description string   `json:"description,omitempty"` // see [Describe]
}

// Methods yields what the members serve to this node, its own methods included: by join number of
// the members, and by name. Members tell it when it changes, and within a second where [To]
// begins or ceases to mean this node; [Node.Changes] has it as [MethodAdded] and [MethodRemoved].
// Of a member that serves so many that what it says of them exceeds 16 KiB some are missing; they
// can be called all the same.
func (n *Node) Methods() iter.Seq[MethodInfo] {
	return func(yield func(MethodInfo) bool) {
		for _, member := range n.eng.View().Members {
			from := Sender{ID: NodeID(member.Record.ID), Name: member.Record.Name}
			for _, m := range n.eng.Exchange().Methods(member.Record.ID) {
				if !yield(MethodInfo{
					Method: m.Name, Member: from, Codec: codec.ID(m.Codec),
					Argument: m.Argument, Result: m.Result, Description: m.About,
				}) {
					return
				}
			}
		}
	}
}
