package memnet

import (
	"net"
	"slices"
	"syscall"
	"time"
)

// kind is what a segment carries.
type kind uint8

const (
	kindData  kind = iota
	kindOpen       // the end of the handshake: the peer may accept
	kindEnd        // no more data follows (FIN)
	kindReset      // the sender knows no such connection any more (RST)
)

// segment travels as one.
type segment struct {
	kind kind
	data []byte
	at   time.Time // of arrival; without meaning while the path is cut
}

// stream is one direction of a connection: what is on its way, and what has arrived and
// was not read. The lock of the network is held in all its methods but the timers'.
type stream struct {
	net      *Network
	src, dst *conn

	flight []segment   // sent and not arrived, in order; each waits for the one before it
	timer  *time.Timer // fires when the front of flight arrives
	cut    bool        // nothing passes; flight is held for retransmission

	unread net.Buffers // arrived and not read
	size   int         // bytes in flight and unread
	ended  bool        // kindEnd arrived

	unacked bool        // bytes arrived whose acknowledgement is cut off
	stalled time.Time   // since when a cut prevents acknowledgements; zero: it does not
	giveUp  *time.Timer // ends the connection when stalled too long
}

// room is how many bytes a writer may add now.
func (s *stream) room() int { return s.net.buffer - s.size }

// push sends g behind all that was sent before.
func (s *stream) push(g segment) {
	n, now := s.net, time.Now()
	from, to := s.src.host.ip, s.dst.host.ip
	s.cut = n.cut(from, to)
	if s.cut && g.kind == kindReset {
		return // nobody retransmits a reset
	}
	n.streams[s] = struct{}{}
	wait := n.delay(from, to)
	for rto := rtoMin; g.kind != kindReset && rto < rtoMax && n.lost(from, to); rto *= 2 {
		wait += rto
	}
	g.at = now.Add(wait)
	s.size += len(g.data)
	s.flight = append(s.flight, g)
	if s.cut {
		s.stall(now)
		return
	}
	s.land(now)
}

// land delivers what has arrived by now and sets the timer for the rest.
func (s *stream) land(now time.Time) {
	for len(s.flight) > 0 && !s.cut && !s.flight[0].at.After(now) {
		g := s.flight[0]
		s.flight[0] = segment{}
		s.flight = s.flight[1:]
		s.deliver(g, now)
	}
	switch {
	case len(s.flight) > 0 && !s.cut && s.timer == nil:
		s.timer = time.AfterFunc(s.flight[0].at.Sub(now), s.arrive)
	case len(s.flight) > 0 && !s.cut:
		s.timer.Reset(s.flight[0].at.Sub(now))
	case s.timer != nil:
		s.timer.Stop()
	}
	if len(s.flight) == 0 && s.src.gone() {
		delete(s.net.streams, s)
	}
}

// arrive is the timer's call.
func (s *stream) arrive() {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	s.land(time.Now())
}

func (s *stream) deliver(g segment, now time.Time) {
	c := s.dst
	switch {
	case g.kind == kindReset:
		c.fail(syscall.ECONNRESET)
		return
	case c.gone() && g.kind != kindEnd:
		c.out.push(segment{kind: kindReset})
	case c.gone():
	case g.kind == kindOpen:
		c.backlog.offer(c)
	case g.kind == kindEnd:
		s.ended = true
	default:
		s.unread = append(s.unread, g.data)
	}
	c.readable.broadcast()
	if s.net.cut(s.dst.host.ip, s.src.host.ip) {
		s.unacked = true
		s.stall(now)
	}
}

// drop forgets what is on its way.
func (s *stream) drop() {
	s.flight, s.unacked = nil, false
	s.settle()
	s.land(time.Now())
}

// pathChanged adapts to cuts made or healed.
func (s *stream) pathChanged(now time.Time) {
	from, to := s.src.host.ip, s.dst.host.ip
	was := s.cut
	s.cut = s.net.cut(from, to)
	s.unacked = s.unacked && s.net.cut(to, from)
	switch {
	case s.cut && !was:
		s.flight = slices.DeleteFunc(s.flight, func(g segment) bool { return g.kind == kindReset })
		if len(s.flight) > 0 {
			s.stall(now)
		}
	case was && !s.cut && len(s.flight) > 0:
		at := retransmission(s.stalled, now).Add(s.net.delay(from, to))
		for i := range s.flight {
			s.flight[i].at = at
		}
	}
	s.settle()
	s.land(now)
}

// retransmission returns when a sender tries again, for the first time not before now, that
// got no acknowledgement since the given time: after 200 ms, after 400 ms more and so on.
func retransmission(since, now time.Time) time.Time {
	at := since.Add(rtoMin)
	for rto := 2 * rtoMin; at.Before(now); rto = min(2*rto, rtoMax) {
		at = at.Add(rto)
	}
	return at
}

// stall notes that a cut prevents an acknowledgement from now on.
func (s *stream) stall(now time.Time) {
	if !s.stalled.IsZero() {
		return
	}
	s.stalled = now
	if d := s.net.userTimeout; d > 0 {
		s.giveUp = time.AfterFunc(d, func() { s.timeOut(now) })
	}
}

// settle ends a stall that has no reason any more.
func (s *stream) settle() {
	if s.unacked || s.cut && len(s.flight) > 0 {
		return
	}
	s.stalled = time.Time{}
	if s.giveUp != nil {
		s.giveUp.Stop()
		s.giveUp = nil
	}
}

// timeOut is the timer's call for the stall that began at since.
func (s *stream) timeOut(since time.Time) {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	if s.stalled.Equal(since) {
		s.src.abort(syscall.ETIMEDOUT)
	}
}
