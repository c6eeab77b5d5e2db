package sim

import (
	"errors"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/session"
)

const (
	// stallMax is how long a member may hold up a full log of broadcasts, as in package
	// exchange.
	stallMax = 2 * time.Second

	// messageMax bounds the messages of the workload, in bytes.
	messageMax = 96 << 10
)

// pause draws the time to the next publication of a node. Large clusters publish less
// for each node, so that a run stays a matter of milliseconds.
func (n *node) pause() time.Duration {
	mean := 100 * time.Millisecond * time.Duration(max(1, n.proc.world.config.Nodes/5))
	return mean/2 + time.Duration(n.proc.world.rand.Int64N(int64(mean)))
}

// publish publishes one message to all or to one member, then plans the next.
func (n *node) publish() {
	if n.leaving || n.proc.world.silent {
		return
	}
	w := n.proc.world
	w.message++
	number := w.message
	m := session.Message{Topic: topic, Codec: frame.CodecRaw, Payload: writeMessage(number, n.size())}
	if w.rand.IntN(2) == 0 {
		n.append(n.broadcast, m, Entry{Message: number, Lane: uint8(frame.Broadcast)})
	} else if p := n.target(); p != nil {
		log := p.direct
		if n.bugs(BugMisroute) {
			log = n.target().direct
		}
		n.append(log, m, Entry{Message: number, Lane: uint8(frame.Direct), Peer: p.number})
	}
	for _, p := range n.pairings {
		p.flush()
	}
	n.proc.after(n.pause(), n.publish)
}

// append puts a message into a log. A full one refuses it, which is an answer too. Members
// that hold up the broadcasts of all for long lose what they have not taken, and the message
// that goes out instead tells them: that is why it is tried again after each of them.
func (n *node) append(log *session.Log, m session.Message, e Entry) {
	number, err := log.Append(m)
	for errors.Is(err, session.ErrFull) {
		slowest, since := log.Stalled(n.now())
		if log != n.broadcast || n.now().Sub(since) < stallMax {
			log.Forgo() // nobody waits for room
			return
		}
		slowest.GiveUp()
		number, err = log.Append(m)
	}
	n.peak = max(n.peak, log.Held())
	n.must(err)
	e.Event, e.First, e.Last = EventPublish, uint64(number), uint64(number)
	n.record(e)
}

// target draws a member to send to; nil while there is none.
func (n *node) target() *pairing {
	var members []*pairing
	for _, m := range n.view.Members {
		if p := n.pairingOf(m); p != nil && (n.proc.world.config.MaxPeers == 0 || p.link != nil) {
			members = append(members, p)
		}
	}
	if len(members) == 0 {
		return nil
	}
	return members[n.proc.world.rand.IntN(len(members))]
}

// pairingOf returns the session with a member.
func (n *node) pairingOf(m core.Member) *pairing {
	for _, p := range n.pairings {
		if p.peer.id == m.Record.ID && p.peer.inc == m.Record.Incarnation {
			return p
		}
	}
	return nil
}

// size draws the size of a message, in bytes: mostly small, sometimes more than a
// frame, rarely more than a piece.
func (n *node) size() int {
	switch x := n.proc.world.rand.IntN(40); {
	case x == 0:
		return session.PieceMax + n.proc.world.rand.IntN(messageMax-session.PieceMax)
	case x < 4:
		return n.proc.world.rand.IntN(20 << 10)
	default:
		return 8 + n.proc.world.rand.IntN(200)
	}
}
