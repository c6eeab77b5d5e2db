package espial

import (
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
)

// Target says which members an event is for, and what its publisher waits for. The zero
// Target is [All].
//
// Who is meant is decided when the event is published, by the members that this node
// lists then. Events for all are broadcasts, numbered apart from the others, which are
// direct: a reader of direct events that falls behind makes Publish wait.
type Target struct {
	kind   targetKind
	one    targetChoice
	id     NodeID
	names  string // targetNamed: a pattern
	key    string // targetWhere: of the metadata
	value  string // targetWhere: what it must be
	hashed string // chooseKeyed: what belongs to one member
	wish   frame.Wish
	enough int // confirmations; 0 for those of all
}

type targetKind uint8

const (
	targetAll targetKind = iota
	targetOthers
	targetOnly
	targetNamed
	targetWhere
	targetLeader
)

type targetChoice uint8

const (
	chooseEvery targetChoice = iota
	chooseInTurn
	chooseKeyed
)

// All is every member, this node included. It is the default.
func All() Target { return Target{} }

// Others is every member but this node.
func Others() Target { return Target{kind: targetOthers} }

// Only is the one member id, which may be this node.
func Only(id NodeID) Target { return Target{kind: targetOnly, id: id} }

// Named is the members, this node included, whose node names match a pattern, in which *
// stands for any number of characters and ? for one: db-1 or db-*. A node ID, or its
// first 16 characters at least, names a member as well.
func Named(pattern string) Target { return Target{kind: targetNamed, names: pattern} }

// Where is the members, this node included, whose metadata have that value under key.
func Where(key, value string) Target { return Target{kind: targetWhere, key: key, value: value} }

// Leader is the leader of the default election, as this node knows it.
func Leader() Target { return Target{kind: targetLeader} }

// OneOf is Named(pattern).One().
func OneOf(pattern string) Target { return Named(pattern).One() }

// One is one of the members that t means, in turn with each event.
func (t Target) One() Target {
	t.one = chooseInTurn
	return t
}

// For is the one of the members that t means to which key belongs: the same for the same
// key at every node, as long as that member is one. When it goes its keys are divided
// among the others, whose own keys stay (rendezvous hashing).
func (t Target) For(key string) Target {
	t.one, t.hashed = chooseKeyed, key
	return t
}

// Queued makes Publish wait until each of the members that t means has the event in the
// queue of every subscription that matches, 256 members at most. Who goes meanwhile is no
// longer waited for. What is missing in the end is told by an [UndeliveredError].
func (t Target) Queued() Target {
	t.wish = frame.WishQueued
	return t
}

// Handled is Queued, but waits until at each of the members a reader has handled the event:
// its loop came back for the next one. A subscription that ends before has not.
func (t Target) Handled() Target {
	t.wish = frame.WishHandled
	return t
}

// AtLeast makes Publish content with the confirmations of so many members, 256 at most, for
// [Target.Queued] and [Target.Handled]. The default is 0: it wants them of every member that
// has a subscription, and of one at least.
func (t Target) AtLeast(members int) Target {
	t.enough = members
	return t
}

// shortIDLen is the length of [NodeID.Short].
const shortIDLen = 16

// check returns a [TargetError] for a target that can mean nobody.
func (t *Target) check() error {
	confirmations := fmt.Sprintf("AtLeast(%d)", t.enough)
	switch {
	case t.kind == targetNamed && glob.CheckNames(t.names) != nil:
		return &TargetError{t.names, "is no pattern of node names: at most 63 of a-z, 0-9, -, _, * and ?"}
	case t.kind == targetWhere && t.key == "":
		return &TargetError{"=" + t.value, "has an empty metadata key"}
	case t.enough < 0 || t.enough > receiptsMax:
		return &TargetError{confirmations, fmt.Sprintf("is not between 0 and %d", receiptsMax)}
	case t.enough > 0 && t.wish == frame.WishNone:
		return &TargetError{confirmations, "needs Queued or Handled"}
	}
	return nil
}

// broadcast reports whether the event goes to everybody.
func (t *Target) broadcast() bool { return t.kind <= targetOthers && t.one == chooseEvery }

// means reports whether t, apart from its choice of one, means the member m.
func (t *Target) means(n *Node, m *core.Member) bool {
	switch t.kind {
	case targetOthers:
		return !m.Self
	case targetOnly:
		return NodeID(m.Record.ID) == t.id
	case targetNamed:
		return glob.MatchName(t.names, m.Record.Name) ||
			len(t.names) >= shortIDLen && strings.HasPrefix(m.Record.ID.String(), t.names)
	case targetWhere:
		v, ok := m.Record.Meta[t.key]
		return ok && v == t.value
	case targetLeader:
		l, ok := n.eng.Leader("")
		return ok && l.ID == m.Record.ID
	default:
		return true
	}
}

// members returns whom t means now, by join number, one at most if it chooses.
func (n *Node) members(t *Target) []ident.NodeID { return n.choose(t, n.meant(t)) }

// meant returns whom t means now apart from its choice of one, by join number.
func (n *Node) meant(t *Target) []ident.NodeID {
	var ids []ident.NodeID
	view := n.eng.View()
	for i := range view.Members {
		if t.means(n, &view.Members[i]) {
			ids = append(ids, view.Members[i].Record.ID)
		}
	}
	return ids
}

// choose returns those of ids that t means if it chooses one of them, else all.
func (n *Node) choose(t *Target, ids []ident.NodeID) []ident.NodeID {
	if len(ids) == 0 {
		return nil
	}
	switch t.one {
	case chooseInTurn:
		i := n.turn.Add(1) % uint64(len(ids))
		return ids[i : i+1]
	case chooseKeyed:
		return []ident.NodeID{owner(t.hashed, ids)}
	default:
		return ids
	}
}

// owner returns the one of the members to which key belongs: the one with the highest
// score, which depends on nothing but the key and its ID.
func owner(key string, ids []ident.NodeID) (best ident.NodeID) {
	var high uint64
	for _, id := range ids {
		h := fnv.New64a()
		_, _ = h.Write([]byte(key)) // never fails
		_, _ = h.Write(id[:])
		if score := h.Sum64(); best == (ident.NodeID{}) || score > high {
			best, high = id, score
		}
	}
	return best
}

// ParseTarget reads a target as the command espial takes it: all, others, leader, a
// pattern of node names, a node ID or its first 16 characters at least, or KEY=VALUE for
// metadata. With "one:" in front it is one of those in turn. The error is a [TargetError].
func ParseTarget(s string) (Target, error) {
	word, one := strings.CutPrefix(s, "one:")
	var t Target
	switch key, value, where := strings.Cut(word, "="); {
	case where:
		t = Where(key, value)
	case word == "all":
		t = All()
	case word == "others":
		t = Others()
	case word == "leader":
		t = Leader()
	default:
		t = Named(word)
	}
	if one {
		t = t.One()
	}
	return t, t.check()
}
