package sim

import "time"

// end is one end of a simulated TCP connection. Its bytes arrive in order; a lost
// segment delays everything behind it by the retransmission time-out, and what is
// cut flows again after the heal, unless the connection broke before.
type end struct {
	number uint64 // of the connection, the same at both ends
	net    *network
	proc   *process
	peer   *end

	// app is told what arrives; nil until the process took the end.
	app socket
	// early holds what arrived before that.
	early []func()

	state endState

	// The direction towards the peer.
	queue      []segment       // written, not yet on the wire
	flight     []time.Duration // when what is not acknowledged was written
	arrived    int             // how many of flight the peer's kernel has
	stalled    bool            // the first of queue was lost and is sent again later
	ackStalled bool            // the acknowledgement was lost and is asked for later
	rto        time.Duration
	arrival    time.Duration // when the last segment on the wire arrives
	guarded    bool          // a user time-out is scheduled
}

// socket is what a process makes of a connection. Both methods are called in the
// process, never while it is paused.
type socket interface {
	receive(b []byte)
	hangup(why closeReason)
}

// closeReason says why a connection ended.
type closeReason string

const (
	closeEOF     closeReason = "eof"     // the peer closed it
	closeReset   closeReason = "reset"   // the peer's kernel does not know it any more
	closeTimeout closeReason = "timeout" // nothing was acknowledged for userTimeout
)

// endState is how much of an end is left.
type endState uint8

const (
	endOpen   endState = iota
	endClosed          // the process closed it; what is queued still leaves
	endGone            // broken or killed: nothing leaves, nothing arrives
)

// segment is what one write sends; fin is the last.
type segment struct {
	b     []byte
	wrote time.Duration
	fin   bool
}

// connect returns the two ends of a new connection.
func (n *network) connect(from, to *process) (near, far *end) {
	n.conns++
	near, far = &end{number: n.conns, net: n, proc: from}, &end{number: n.conns, net: n, proc: to}
	near.peer, far.peer = far, near
	from.ends, to.ends = append(from.ends, near), append(to.ends, far)
	return near, far
}

// take gives the end to the process, which from now on is told what arrives.
func (e *end) take(app socket) {
	e.app = app
	for _, f := range e.early {
		f()
	}
	e.early = nil
}

// tell runs f with the end's socket, now or as soon as there is one.
func (e *end) tell(f func()) {
	e.proc.do(func() {
		if e.app == nil {
			e.early = append(e.early, f)
			return
		}
		f()
	})
}

func (e *end) out() path { return path{e.proc.host, e.peer.proc.host} }

// write sends b, which must not change afterwards.
func (e *end) write(b []byte) {
	if e.state == endOpen {
		e.send(segment{b: b, wrote: e.net.loop.now})
	}
}

// close sends what is queued and then the end of the stream; what the peer sends
// from now on is answered with a reset.
func (e *end) close() {
	if e.state == endOpen {
		e.send(segment{fin: true, wrote: e.net.loop.now})
		e.state = endClosed
	}
}

// reset gives the connection up without a word in order: the peer is reset after
// one latency, if a packet gets through.
func (e *end) reset() {
	if e.state == endGone {
		return
	}
	e.state, e.queue = endGone, nil
	if e.net.open(e.out()) {
		e.arrival = max(e.arrival, e.net.loop.now+e.net.delay())
		e.net.loop.after(e.arrival-e.net.loop.now, func() { e.peer.broken(closeReset) })
	}
}

// broken is what the kernel does when the connection is beyond repair.
func (e *end) broken(why closeReason) {
	was := e.state
	e.state, e.queue = endGone, nil
	if was == endOpen {
		e.tell(func() { e.app.hangup(why) })
	}
}

func (e *end) send(s segment) {
	e.queue = append(e.queue, s)
	e.guard(s.wrote)
	if !e.stalled {
		e.flush()
	}
}

// flush puts the queue on the wire until a segment is lost; the rest then waits for
// the retransmission of that one.
func (e *end) flush() {
	for len(e.queue) > 0 {
		if !e.net.through(e.out()) {
			e.stalled = true
			e.rto = max(rtoMin, 2*e.rto)
			e.net.loop.after(e.rto, e.retry)
			return
		}
		s := e.queue[0]
		e.queue = e.queue[1:]
		e.rto = 0
		e.flight = append(e.flight, s.wrote)
		e.arrival = max(e.arrival, e.net.loop.now+e.net.delay())
		e.net.loop.after(e.arrival-e.net.loop.now, func() { e.arrive(s) })
	}
	e.queue = nil
}

func (e *end) retry() {
	if e.state == endGone {
		return
	}
	e.stalled = false
	e.flush()
}

// arrive is the segment at the peer's kernel.
func (e *end) arrive(s segment) {
	e.arrived++
	p := e.peer
	switch {
	case p.state == endOpen && s.fin:
		p.tell(func() { p.ended() })
	case p.state == endOpen:
		p.tell(func() { p.app.receive(s.b) })
	case !s.fin:
		// Nobody reads this any more: the peer's kernel says so.
		if e.net.open(p.out()) {
			e.net.loop.after(e.net.delay(), func() { e.broken(closeReset) })
		}
		return
	}
	e.acknowledge()
}

// ended is the peer's end of stream, read after everything before it.
func (e *end) ended() {
	if e.state != endOpen {
		return
	}
	e.app.hangup(closeEOF)
	e.close()
}

// acknowledge tells the sender's kernel what arrived. While the way back is cut it
// takes a retransmission to ask again, which needs both ways. Random loss of
// acknowledgements is left out: each covers all before it.
func (e *end) acknowledge() {
	if e.ackStalled {
		return
	}
	if !e.net.open(e.peer.out()) {
		e.ackStalled = true
		e.askAgain(rtoMin)
		return
	}
	e.flight = e.flight[e.arrived:]
	e.arrived = 0
}

// askAgain tries after rto, then after twice that, to learn what arrived.
func (e *end) askAgain(rto time.Duration) {
	e.net.loop.after(rto, func() {
		switch {
		case e.state == endGone:
		case e.net.open(e.out()):
			e.ackStalled = false
			e.acknowledge()
		default:
			e.askAgain(2 * rto)
		}
	})
}

// guard schedules the user time-out for data written at the given time.
func (e *end) guard(wrote time.Duration) {
	if e.guarded {
		return
	}
	e.guarded = true
	e.net.loop.after(wrote+userTimeout-e.net.loop.now, e.expire)
}

func (e *end) expire() {
	e.guarded = false
	oldest, ok := e.oldest()
	switch {
	case !ok || e.state == endGone:
	case e.net.loop.now-oldest >= userTimeout:
		e.broken(closeTimeout)
	default:
		e.guard(oldest)
	}
}

// oldest returns when the oldest data was written that the peer has not
// acknowledged.
func (e *end) oldest() (time.Duration, bool) {
	if len(e.flight) > 0 {
		return e.flight[0], true
	}
	if len(e.queue) > 0 {
		return e.queue[0].wrote, true
	}
	return 0, false
}
