package sim

import (
	"cmp"
	"maps"
	"slices"
)

// laneKey is one sequence of messages: what peer sends to node on a lane. For what is
// sent to all, node is 0.
type laneKey struct {
	node, peer int
	lane       uint8
}

func (a laneKey) compare(b laneKey) int {
	return cmp.Or(cmp.Compare(a.node, b.node), cmp.Compare(a.peer, b.peer), cmp.Compare(a.lane, b.lane))
}

// laneTruth is what a node has of a lane.
type laneTruth struct {
	next      uint64          // the lowest number that is neither delivered nor reported lost
	delivered map[uint64]bool // by message
}

// delivery checks D1 to D5.
func (k *checker) delivery(e Entry) {
	key := laneKey{e.Node, e.Peer, e.Lane}
	switch e.Event {
	case EventPublish:
		k.messages[e.Message] = e
		k.sent[laneKey{e.Peer, e.Node, e.Lane}] = e.Last
	case EventOpen:
		if t := k.lanes[key]; t != nil {
			k.fail("D2", e.Node, "the session with node %d begins twice", e.Peer)
		}
		k.lanes[key] = &laneTruth{next: e.First, delivered: map[uint64]bool{}}
	case EventLost:
		if t := k.lanes[key]; t != nil {
			t.next += e.Count
		}
	case EventDeliver:
		k.deliver(e, k.lanes[key])
	case EventMemory:
		if limit := uint64(logMax + messageMax); e.Count > limit {
			k.fail("D5", e.Node, "a send log held %d bytes, limit %d", e.Count, limit)
		}
	default:
	}
}

// deliver checks one delivery.
func (k *checker) deliver(e Entry, t *laneTruth) {
	if !k.accepted[pair{e.Node, e.Peer}] {
		k.fail("M1", e.Node, "message %d of node %d before their ACCEPT", e.Message, e.Peer)
	}
	sent, ok := k.messages[e.Message]
	switch {
	case !ok || sent.Node != e.Peer || sent.Lane != e.Lane || sent.Peer != 0 && sent.Peer != e.Node:
		k.fail("D4", e.Node, "message %d on lane %d is not what node %d sent", e.Message, e.Lane, e.Peer)
		return
	case t == nil:
		k.fail("D1", e.Node, "message %d of node %d before the session began", e.Message, e.Peer)
		return
	case t.delivered[e.Message]:
		k.fail("D2", e.Node, "message %d of node %d twice", e.Message, e.Peer)
		return
	case e.First < t.next:
		k.fail("D1", e.Node, "message %d of node %d has number %d where %d is next",
			e.Message, e.Peer, e.First, t.next)
	case e.First > t.next:
		k.fail("D3", e.Node, "message %d of node %d has number %d, %d is next and no loss was reported",
			e.Message, e.Peer, e.First, t.next)
	case e.First != sent.First || e.Last != sent.Last:
		k.fail("D4", e.Node, "message %d of node %d has numbers %d to %d, sent as %d to %d",
			e.Message, e.Peer, e.First, e.Last, sent.First, sent.Last)
	}
	t.delivered[e.Message] = true
	t.next = e.Last + 1
}

// resolved checks D6 at the end of a history: everything that was published to somebody
// who still runs was delivered or reported lost.
func (k *checker) resolved() {
	if !k.calm {
		return
	}
	for _, key := range slices.SortedFunc(maps.Keys(k.lanes), laneKey.compare) {
		t := k.lanes[key]
		n, x := k.procs[key.node], k.procs[key.peer]
		if n.died || x.died || k.most > 0 && !k.ends[pair{key.node, key.peer}] {
			continue
		}
		sent := max(k.sent[key], k.sent[laneKey{0, key.peer, key.lane}])
		if t.next <= sent {
			k.fail("D6", key.node, "of lane %d of node %d, which sent up to %d, number %d is missing",
				key.lane, key.peer, sent, t.next)
		}
	}
}
