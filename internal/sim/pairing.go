package sim

import (
	"encoding/binary"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/session"
)

const (
	// unlinkedMax ends a session without a link, as in package exchange.
	unlinkedMax = 30 * time.Second

	// takeMax is how much of the data a writer takes at a time, in bytes.
	takeMax = 64 << 10

	// topic is the one of every message.
	topic = "sim.message"
)

// pairing is this node with one incarnation of another: a session, and if that ended
// what makes the loss exact when the two meet again. It outlives links.
type pairing struct {
	node     *node
	peer     instance
	number   int   // of the peer's process
	current  *link // the newest link; nil while there is none
	opened   bool  // this node's OPEN left on current
	heard    bool  // the peer's OPEN came on current
	link     *link // current once both OPENs did
	resumed  bool  // link is not the first
	unlinked int   // counts losses of the link, so that a timer knows whether it is late

	direct *session.Log
	out    [frame.Lanes]*session.Cursor
	in     [frame.Lanes]*inbox
}

// inbox is the receiver's side of one lane.
type inbox struct {
	*session.Inbox
	pieces session.Assembler
	began  bool
}

func (n *node) newPairing(peer instance) *pairing {
	p := &pairing{node: n, peer: peer, number: n.proc.world.byNode[peer]}
	p.direct = n.newLog(frame.Direct)
	for i := range p.in {
		p.in[i] = &inbox{Inbox: session.NewInbox(windowMax)}
	}
	return p
}

// begin begins or resumes the session on a new link. The old link is fenced: what it
// still brings is not read.
func (p *pairing) begin(l *link) {
	p.current, p.link, p.opened, p.heard = l, nil, false, false
	if p.out[0] == nil {
		p.out = [frame.Lanes]*session.Cursor{p.node.broadcast.Open(), p.direct.Open()}
	}
	p.greet()
}

// greet opens the session on the link as soon as the peer is a member: who is not listed
// neither reads nor publishes.
func (p *pairing) greet() {
	if p.current == nil || p.opened || !p.node.lists(p.peer) {
		return
	}
	p.opened = true
	var o frame.Open
	for i := range o.Lanes {
		o.Lanes[i] = frame.OpenLane{
			First: p.out[i].First(), Message: p.out[i].Message(),
			Received: p.in[i].Received(), Window: uint32(p.in[i].Window()),
		}
		if p.node.bugs(BugNoDedupe) && p.resumed {
			o.Lanes[i].Received -= min(o.Lanes[i].Received, 1) // an OPEN that is a little stale
		}
	}
	p.current.send(o)
	p.join()
}

// open takes the peer's OPEN on the current link.
func (p *pairing) open(o frame.Open) {
	for i, lane := range o.Lanes {
		in := p.in[i]
		lost, err := in.Start(lane.First, lane.Message)
		p.node.must(err)
		if !in.began {
			in.began = true
			begin := Entry{Event: EventOpen, Peer: p.number, Lane: uint8(i), First: uint64(lane.Message)}
			p.node.record(begin)
		}
		p.lost(frame.Lane(i), lost)
		err = p.out[i].Resume(lane.Received, int(lane.Window))
		p.node.must(err)
	}
	if p.node.bugs(BugForgetful) && p.resumed {
		return
	}
	p.heard = true
	p.join()
}

// join begins to carry messages when both ends have opened the session on the link.
func (p *pairing) join() {
	if !p.opened || !p.heard {
		return
	}
	p.link, p.resumed = p.current, true
	p.acknowledge(true)
	p.flush()
}

// lost reports what will not come. Pieces of a message whose rest is lost are lost with
// it.
func (p *pairing) lost(lane frame.Lane, count uint64) {
	if count == 0 {
		return
	}
	p.in[lane].pieces.Reset()
	if !p.node.bugs(BugQuietLoss) {
		p.node.record(Entry{Event: EventLost, Peer: p.number, Lane: uint8(lane), Count: count})
	}
}

// flush writes what the peer's windows allow.
func (p *pairing) flush() {
	if p.link == nil {
		return
	}
	for _, c := range p.out {
		for c.Pending() {
			for _, b := range c.Take(nil, takeMax) {
				p.link.write(append([]byte(nil), b...))
			}
		}
	}
}

// events takes one frame of events.
func (p *pairing) events(e frame.Events, size int) {
	in := p.in[e.Lane]
	skip, lost, err := in.Accept(e, session.Cost(size, e.Count))
	p.node.must(err)
	last := e.First + ident.Seq(e.Count) - 1
	p.lost(e.Lane, lost)
	if skip == e.Count && !p.node.bugs(BugNoDedupe) {
		return
	}
	p.deliver(in, e, skip)
	if skip < e.Count && !e.More {
		in.Release(last)
	}
	p.acknowledge(false)
}

// deliver hands the messages of a frame to the subscriber, who always has room.
func (p *pairing) deliver(in *inbox, e frame.Events, skip int) {
	if in.pieces.Wants(e) {
		run, err := in.pieces.Add(e)
		p.node.must(err)
		if run != nil {
			payload, _ := frame.NextPayload(run)
			p.delivered(e.Lane, e.Message, payload)
		}
		return
	}
	type message struct {
		number  ident.Seq
		payload []byte
	}
	var run []message
	rest := e.Run
	for i := range e.Count {
		var payload []byte
		payload, rest = frame.NextPayload(rest)
		if i >= skip || p.node.bugs(BugNoDedupe) {
			run = append(run, message{e.Message + ident.Seq(i), payload})
		}
	}
	if p.node.bugs(BugReorder) && len(run) > 1 {
		run[0], run[1] = run[1], run[0]
	}
	for _, m := range run {
		p.delivered(e.Lane, m.number, m.payload)
	}
}

func (p *pairing) delivered(lane frame.Lane, number ident.Seq, payload []byte) {
	p.node.record(Entry{
		Event: EventDeliver, Peer: p.number, Lane: uint8(lane), First: uint64(number), Last: uint64(number),
		Message: readMessage(payload),
	})
}

// acknowledge sends the acknowledgements that are due and plans the next.
func (p *pairing) acknowledge(force bool) {
	if p.link == nil {
		return
	}
	for i, in := range p.in {
		if n, due := in.Ack(p.node.now(), force); due {
			p.link.send(frame.Acked{Lane: frame.Lane(i), Number: n})
		}
		if at, ok := in.Next(); ok {
			p.node.proc.after(at.Sub(p.node.now()), func() { p.acknowledge(false) })
		}
	}
}

// acked takes an acknowledgement.
func (p *pairing) acked(a frame.Acked) {
	if p.node.bugs(BugHoard) {
		return
	}
	p.node.must(p.out[a.Lane].Acked(a.Number))
	p.flush()
}

// unlink tells that a link is gone; after unlinkedMax the session goes, too.
func (p *pairing) unlink(l *link) {
	if p.current != l {
		return
	}
	p.current, p.link = nil, nil
	p.unlinked++
	count := p.unlinked
	p.node.proc.after(unlinkedMax, func() {
		if count == p.unlinked && p.current == nil {
			p.end()
		}
	})
}

// end ends the session: nothing is kept for the peer any more.
func (p *pairing) end() {
	for i, c := range p.out {
		c.Close()
		p.out[i] = nil
	}
	p.node.record(Entry{Event: EventEnd, Peer: p.number})
}

// writeMessage makes the payload of a message: its number, and filler that depends on
// it.
func writeMessage(number uint64, size int) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, max(size, 8)), number)
	for len(b) < size {
		b = append(b, byte(number)+byte(len(b)))
	}
	return b
}

// readMessage returns the number of a message, or 0 if it is not as it was written.
func readMessage(b []byte) uint64 {
	if len(b) < 8 {
		return 0
	}
	number := binary.BigEndian.Uint64(b)
	for i := 8; i < len(b); i++ {
		if b[i] != byte(number)+byte(i) {
			return 0
		}
	}
	return number
}
