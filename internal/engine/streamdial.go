package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/link"
	"github.com/espial-go/espial/internal/mux"
)

// The link that a connection for streams needs.
const (
	// linkGrace is how long one that was dialled waits for it: the two ends of a link that
	// comes up learn it one after the other.
	linkGrace = time.Second

	// linkWait is how long a stream to a member without a link waits for one, and linkAgain
	// how often it asks for it: in a large cluster that is one on demand.
	linkWait  = 5 * time.Second
	linkAgain = time.Second
)

// dialStreams dials for streams until ctx ends.
func (e *Engine) dialStreams(ctx context.Context) error {
	for {
		select {
		case <-e.streams.poke:
			for _, d := range e.streams.take() {
				e.group.Go(func() error {
					e.dialStream(ctx, d)
					return nil // a peer that cannot be reached is no failure of this node
				})
			}
		case <-ctx.Done():
			e.streams.close()
			return nil
		}
	}
}

// dialStream dials a connection for streams and carries it until it ends.
func (e *Engine) dialStream(ctx context.Context, d *streamDial) {
	if d.bulk {
		defer e.streams.releaseBulk(d.key)
	}
	nc, err := e.reach(ctx, d)
	var c *carrier
	if err == nil {
		c, err = e.carrier(d.key, nc, carrierKind{dialed: true, bulk: d.bulk})
	}
	if !e.streams.dialed(d, c, err) {
		if c != nil {
			c.session.Close(mux.CodeLeave)
			c.session.Run(ctx)
		}
		return
	}
	e.carry(ctx, d.key, c)
}

// reach connects to a peer, and to this node by a connection in memory.
func (e *Engine) reach(ctx context.Context, d *streamDial) (net.Conn, error) {
	if d.key == (streamKey{e.cfg.Key.ID(), e.inc}) {
		return e.reachSelf(ctx, d)
	}
	var err error
	for _, addr := range d.addrs {
		var nc net.Conn
		if nc, err = e.reachAt(ctx, d, addr); err == nil {
			return nc, nil
		}
	}
	return nil, err
}

// reachAt connects to a peer at one address.
func (e *Engine) reachAt(ctx context.Context, d *streamDial, addr string) (net.Conn, error) {
	nc, err := e.dialAt(ctx, addr)
	if err != nil {
		return nil, err
	}
	c, err := link.Handshake(ctx, nc, link.StreamDialer, e.identity)
	if err != nil {
		return nil, err
	}
	if c.Peer() != d.key.id || e.cfg.RequireAES && !c.AES() {
		c.Close(frame.Bye{})
		return nil, fmt.Errorf("engine: %s is not the member, or without AES", addr)
	}
	if err := c.AskStreams(ctx, frame.Streams{From: e.inc, To: d.key.inc, Bulk: d.bulk}); err != nil {
		return nil, err
	}
	return c.Carry()
}

// reachSelf returns one end of a connection whose other end carries streams as well.
func (e *Engine) reachSelf(ctx context.Context, d *streamDial) (net.Conn, error) {
	near, far := net.Pipe()
	c, err := e.carrier(d.key, far, carrierKind{bulk: d.bulk})
	if err != nil {
		return nil, err
	}
	e.group.Go(func() error {
		c.session.Run(ctx)
		return nil
	})
	return near, nil
}

// carrierKind is what a connection for streams is.
type carrierKind struct {
	dialed bool // by this end
	bulk   bool // for one stream
}

// carrier makes a session of a connection with a peer, and closes it if that fails.
func (e *Engine) carrier(key streamKey, nc net.Conn, k carrierKind) (*carrier, error) {
	c := mux.Config{
		Dialed: k.dialed, Services: &e.streams.services,
		Local: e.cfg.Key.ID().String(), Remote: key.id.String(),
	}
	if k.bulk {
		c.StreamsMax = 1
	}
	if k.dialed || k.bulk {
		c.IdleMax = streamIdleMax
	}
	e.wrapStreams(&c, key.id, k.bulk)
	e.reportStreams(&c, key.id)
	s, err := mux.New(nc, c)
	if err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	counted, _ := nc.(*link.Carrier)
	return &carrier{session: s, conn: counted, bulk: k.bulk}, nil
}

// carry runs a connection that is known until it ends.
func (e *Engine) carry(ctx context.Context, key streamKey, c *carrier) {
	e.streams.see(e.View()) // it may be no member any more
	c.session.Run(ctx)
	e.streams.remove(key, c)
}

// acceptStreams carries a connection for streams that somebody else dialled. ready is
// called when it is known whether he may.
func (e *Engine) acceptStreams(ctx context.Context, c *link.Conn, ready func()) {
	var key streamKey
	var bulk bool
	reserved := false
	err := c.AnswerStreams(ctx, func(s frame.Streams) *frame.Reject {
		key, bulk = streamKey{c.Peer(), s.From}, s.Bulk
		no := e.judgeStreams(ctx, c, s)
		reserved = no == nil
		return no
	})
	ready()
	if reserved {
		defer e.streams.release(key, bulk)
	}
	if err != nil {
		e.streams.refused.Add(1)
		if log := e.throttled(classStreams); log != nil {
			log.Warn("connection for streams failed", "peer", c.Peer().Short(), "err", err)
		}
		return
	}
	nc, err := c.Carry()
	if err != nil {
		return // it broke
	}
	k, err := e.carrier(key, nc, carrierKind{bulk: bulk})
	if err != nil {
		return
	}
	if !e.streams.add(key, k) {
		k.session.Close(mux.CodeLeave)
	}
	e.carry(ctx, key, k)
}

// judgeStreams refuses whoever this node has no link with: nobody who was not admitted is
// let in by another door. The reservation of one who is let in is the caller's.
func (e *Engine) judgeStreams(ctx context.Context, c *link.Conn, s frame.Streams) *frame.Reject {
	key := streamKey{c.Peer(), s.From}
	switch {
	case e.cfg.RequireAES && !c.AES():
		return &frame.Reject{Code: frame.CodeCipher, Reason: c.Cipher()}
	case s.To != e.inc:
		return &frame.Reject{Code: frame.CodeDenied, Reason: "this is another start of the node"}
	case !e.linkComes(ctx, key):
		return &frame.Reject{Code: frame.CodeDenied, Reason: "there is no link"}
	case !e.streams.reserve(key, s.Bulk):
		return &frame.Reject{Code: frame.CodeFull, Reason: "too many connections"}
	}
	return nil
}

// linkComes reports whether there is a link, or one comes up now.
func (e *Engine) linkComes(ctx context.Context, key streamKey) bool {
	_, err := e.awaitLink(ctx, key, false)
	return err == nil
}

// awaitLink waits for a link with one start of a member, and returns where that takes links.
// Who needs the link asks for it and waits for 5 s; who is asked for streams waits for a
// second.
func (e *Engine) awaitLink(ctx context.Context, key streamKey, need bool) (addr string, err error) {
	grace := linkGrace
	if need {
		grace = linkWait
	}
	late := time.After(grace)
	for {
		moved := e.streams.moved()
		l, ok := query(e, func(time.Time) *peerLink { return e.linkWith(key) })
		switch {
		case !ok:
			return "", ErrClosed
		case l != nil:
			return l.addr, nil
		case need:
			e.need(key.id)
		}
		select {
		case <-moved:
		case <-time.After(linkAgain):
		case <-late:
			return "", ErrNotLinked
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// linkWith returns a link with one start of a member, be it one on demand, or nil. Only the
// owner calls it.
func (e *Engine) linkWith(key streamKey) *peerLink {
	if m, ok := e.member(key.id); !ok || m.Record.Incarnation != key.inc {
		return nil
	}
	for _, id := range e.linkIDs() {
		if l := e.links[id]; l.start == key {
			return l
		}
	}
	return nil
}
