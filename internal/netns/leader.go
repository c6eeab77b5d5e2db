package netns

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Agree waits until every node says that one and the same of them leads the default election,
// in the same term, and returns it with that term. What a node said before it began to follow
// somebody else does not count. It fails the test if that is not so when the given time is over.
func Agree(within time.Duration, nodes ...*Node) (leader *Node, term uint64) {
	end := time.Now().Add(within)
	var last Change // the highest term that one of the nodes has told of so far
	for i := 0; i < len(nodes); i++ {
		n := nodes[i]
		n.t.Helper()
		what := fmt.Sprintf("new_leader of these %d nodes", len(nodes))
		if last.Term > 0 {
			what += fmt.Sprintf(", %.*s in term %d,", shortBytes, last.Leader.ID, last.Term)
		}
		var c Change
		n.until(time.Until(end), what, func(all, _ []Change) bool {
			c = following(all)
			return one(nodes, c.Leader.ID) != nil &&
				(c.Term > last.Term || c.Term == last.Term && c.Leader == last.Leader)
		})
		if c.Term > last.Term && i > 0 {
			i = -1 // the others have to follow, too
		}
		last = c
	}
	return one(nodes, last.Leader.ID), last.Term
}

// Follows returns the last new_leader that the node printed for the default election. Its
// Leader is zero if nobody leads, and its Kind as well if there never was one.
func (n *Node) Follows() Change {
	n.mu.Lock()
	defer n.mu.Unlock()
	return following(n.changes)
}

// following returns the last new_leader of a history.
func following(changes []Change) Change {
	for _, c := range slices.Backward(changes) {
		if c.Kind == "new_leader" && c.Election == "" {
			return c
		}
	}
	return Change{}
}

// one returns the node with an ID, nil if none has it.
func one(nodes []*Node, id string) *Node {
	for _, n := range nodes {
		if n.ID != "" && strings.HasPrefix(id, n.ID) {
			return n
		}
	}
	return nil
}
