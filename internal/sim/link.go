package sim

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/admission"
	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/frame"
)

const (
	// admitWithin is the deadline of handshake and admission, as in package link.
	admitWithin = 5 * time.Second

	// flights is the number of messages of a TLS handshake, the dialer's first: two
	// round trips with the end of the connection's own handshake.
	flights = 4
)

// link is one connection of a node, from the dial to the end.
type link struct {
	node *node
	end  *end
	dial *core.Dial // nil if the peer dialled
	peer instance

	flight  int // of the TLS handshake that comes next; above flights when it is done
	machine *admission.Machine
	helloAt time.Time   // when the HELLO of the peer came
	id      core.LinkID // 0 until it is up
	pairing *pairing
	buf     []byte // received and not yet decoded
	bye     frame.Bye
	closed  bool // by this end
	done    bool // the end of the dial was told
}

// newLink begins the handshake on a connection.
func (n *node) newLink(e *end, d *core.Dial) {
	l := &link{node: n, end: e, dial: d, peer: e.peer.proc.node.self, flight: 1}
	e.take(l)
	n.proc.after(admitWithin, func() {
		if l.id == 0 {
			l.fail(dial.TimedOut)
		}
	})
	if d != nil {
		l.handshake()
	}
}

// receive takes bytes of the peer.
func (l *link) receive(b []byte) {
	if l.closed {
		return
	}
	if l.flight <= flights {
		l.flight++
		l.handshake()
		return
	}
	if l.id != 0 {
		l.node.core.Heard(l.node.now(), l.id, l.node.now())
	}
	l.buf = append(l.buf, b...)
	for !l.closed {
		raw, size, err := frame.Next(l.buf)
		if err != nil {
			break // more is on its way
		}
		l.buf = l.buf[size:]
		l.read(raw)
	}
	l.node.carry()
}

// handshake sends the next message of the TLS handshake if it is this end's, and begins
// admission after the last.
func (l *link) handshake() {
	dialers := l.flight%2 == 1
	if l.flight <= flights && dialers == (l.dial != nil) {
		l.end.write([]byte{byte(l.flight)})
		l.flight++
	}
	// The acceptor is done when it sent the last one, the dialer when it came.
	if l.flight > flights {
		l.admit()
	}
}

// admit begins admission: the handshake proved the peer's ID.
func (l *link) admit() {
	n := l.node
	l.machine = admission.New(admission.Config{
		Self: n.self.id,
		Hello: frame.Hello{
			Proto: frame.Proto, Incarnation: n.self.inc, Holds: n.core.Holds(l.peer.id),
			Name: n.proc.name(), Host: n.proc.name(), Port: n.proc.addr.Port(),
		},
		CheckName: func(string) error { return nil },
	}, admission.Facts{
		Verified: admission.Verified{ID: l.peer.id, Remote: l.end.peer.proc.addr},
		Dialed:   l.dial != nil, AES: true,
	})
	if l.dial != nil && !l.dial.Pin.IsZero() && l.dial.Pin != l.peer.id {
		l.fail(dial.WrongID)
		return
	}
	l.step(l.machine.Start())
	n.carry()
}

// step carries out what admission decided.
func (l *link) step(acts []admission.Action) {
	n := l.node
	for _, a := range acts {
		switch a := a.(type) {
		case admission.Send:
			l.send(a.Frame)
		case admission.Ask:
			l.step(l.machine.Judged(n.judge(l.end.peer.proc)))
		case admission.Arbitrate:
			r := n.core.Arbitrate(n.now(), core.Offer{
				Peer: l.peer.id, Incarnation: a.Hello.Incarnation,
				PeerHolds: a.Hello.Holds, HelloAt: l.helloAt,
			})
			l.step(l.machine.Arbitrated(admission.Ruling{
				OK: r.OK, Full: r.Full, Serial: r.Serial, Join: r.Join,
			}))
		case admission.Up:
			l.up(a)
		case admission.Refuse:
			l.refused(a)
		case admission.Breach:
			n.must(a.Err)
		}
	}
}

// judge is the policy, which admits all but whom it refuses, if there is room. The arbiter is asked when it
// rules.
func (n *node) judge(p *process) admission.Verdict {
	if slices.Contains(n.proc.world.config.Refuses, Refusal{n.proc.host, p.host}) {
		n.record(Entry{Event: EventRefuse, Peer: p.number})
		return admission.Verdict{Code: frame.CodeFilter}
	}
	peer := p.node.self.id
	if n.self.id.Compare(peer) > 0 && !n.core.Admit(n.now(), peer) {
		return admission.Verdict{Code: frame.CodeFull}
	}
	return admission.Verdict{Admit: true, Join: n.core.Join()}
}

// up begins the life of the link.
func (l *link) up(u admission.Up) {
	n := l.node
	n.lastLink++
	l.id = n.lastLink
	n.links[l.id] = l
	up := core.Link{
		ID: l.id, Peer: l.peer.id, Incarnation: u.Hello.Incarnation, Name: u.Hello.Name, Tag: l.tag(),
		HelloAt: l.helloAt, Source: dial.Inbound, Serial: u.Serial, Join: u.Join,
		Addr: netip.AddrPortFrom(l.end.peer.proc.addr.Addr(), u.Hello.Port).String(),
	}
	if l.dial != nil {
		up.Dialed, up.DialNumber, up.Addr, up.Source = true, l.dial.Number, l.dial.Addr, l.dial.Source
	}
	n.record(Entry{Event: EventAccept, Peer: n.proc.world.byNode[l.peer]})
	n.core.LinkUp(n.now(), up)
	l.tell(dial.OK)
	n.carry()
	if l.closed {
		return // core knew better
	}
	l.pairing = n.pairingWith(l.peer)
	l.pairing.begin(l)
}

// tag is what both ends derive from the keys of the connection.
func (l *link) tag() (tag [8]byte) {
	binary.BigEndian.PutUint64(tag[:], l.end.number)
	return tag
}

// refused ends a connection that does not become a link.
func (l *link) refused(a admission.Refuse) {
	n := l.node
	kind := dial.Rejected
	switch a.Code {
	case frame.CodeDuplicate:
		kind = dial.Duplicate
	case frame.CodeSelf:
		kind = dial.Self
	case frame.CodeFull:
		kind = dial.Full
	default:
	}
	by := core.ByPeer
	if a.By == admission.Self {
		by = core.BySelf
	}
	if n.bugs(BugLenient) {
		by = core.ByPeer
	}
	n.core.Rejected(n.now(), core.Rejection{
		Peer: l.peer.id, Incarnation: l.peer.inc, Addr: l.end.peer.proc.addr.String(),
		By: by, Code: a.Code, Reason: a.Reason,
	})
	l.fail(kind)
}

// fail closes a connection that did not become a link.
func (l *link) fail(kind dial.Kind) {
	l.closed = true
	l.end.close()
	l.node.proc.forget(l.end)
	if kind == dial.Failed || kind == dial.TimedOut {
		l.node.core.Abandoned(l.node.now(), l.peer.id)
	}
	l.tell(kind)
	l.node.carry()
}

// tell reports the end of the dial, once.
func (l *link) tell(kind dial.Kind) {
	if l.dial == nil || l.done {
		return
	}
	l.done = true
	o := dial.Outcome{Kind: kind}
	if l.flight > flights {
		o.ID = l.peer.id
	}
	l.node.core.DialDone(l.node.now(), l.dial.Number, o)
}

// read takes one frame.
func (l *link) read(raw frame.Raw) {
	n := l.node
	if raw.Type == frame.TypeEvents && l.pairing != nil {
		e, err := frame.DecodeEvents(raw.Payload)
		n.must(err)
		if l.pairing.link == l {
			l.pairing.events(e, len(raw.Payload))
		}
		return
	}
	f, err := frame.Decode(raw)
	n.must(err)
	if l.id == 0 {
		l.admission(f)
		return
	}
	switch f := f.(type) {
	case frame.Bye:
		l.bye = f
	case frame.Open:
		if l.pairing != nil && l.pairing.current == l {
			l.pairing.open(f)
		}
	case frame.Acked:
		if l.pairing != nil && l.pairing.link == l {
			l.pairing.acked(f)
		}
	default:
		if !n.proc.overloaded() {
			n.control(l, f)
		}
	}
	n.carry()
}

// admission takes a frame before the link is up.
func (l *link) admission(f frame.Frame) {
	if _, ok := f.(frame.Hello); ok {
		l.helloAt = l.node.now()
		if l.node.bugs(BugEager) {
			l.node.record(Entry{Event: "added_node", Peer: l.node.proc.world.byNode[l.peer]})
		}
	}
	l.step(l.machine.Receive(f))
}

// control passes a control frame to the core, records after checking them.
func (n *node) control(l *link, f frame.Frame) {
	list, ok := f.(frame.Records)
	if !ok {
		n.core.Receive(n.now(), l.id, f)
		return
	}
	var rs []frame.Record
	for _, raw := range list.List {
		r, err := n.proc.world.recordOf(raw)
		n.must(err)
		rs = append(rs, r)
	}
	n.core.Learn(n.now(), l.id, rs)
}

// send writes a frame.
func (l *link) send(f frame.Frame) { l.write(f.Append(nil)) }

// write writes bytes that do not change any more.
func (l *link) write(b []byte) { l.end.write(b) }

// close says BYE and closes; what the peer sends from now on is not read.
func (l *link) close(bye frame.Bye) {
	if l.closed {
		return
	}
	l.closed = true
	l.end.write(bye.Append(nil))
	l.end.close()
	l.node.proc.after(0, func() { l.down(core.Closed{By: core.BySelf, Code: bye.Code}) })
}

// hangup takes the end of the connection.
func (l *link) hangup(why closeReason) {
	switch {
	case l.closed:
		return
	case l.id == 0:
		l.fail(dial.Failed)
		return
	}
	l.closed = true
	by := core.ByPeer
	if why == closeTimeout {
		by = core.ByNobody
	}
	l.down(core.Closed{By: by, Code: l.bye.Code})
}

// down tells the core and the session that the link is gone.
func (l *link) down(how core.Closed) {
	n := l.node
	delete(n.links, l.id)
	n.proc.forget(l.end)
	if l.pairing != nil {
		l.pairing.unlink(l)
	}
	n.core.LinkDown(n.now(), l.id, how)
	n.carry()
}
