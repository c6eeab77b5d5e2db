package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mux"
)

// bulkMax bounds the connections of a bulk stream each that one end dialled to one
// incarnation of the other, held at both ends.
const bulkMax = 16

// errShare reports a bulk stream that got no connection of its own and is to share one.
var errShare = errors.New("engine: no connection for a bulk stream")

// OpenBulk is [Engine.OpenStream] for a stream with a connection of its own, if there can be one.
func (e *Engine) OpenBulk(ctx context.Context, id ident.NodeID, service string) (*mux.Stream, error) {
	st, err := e.openBulk(ctx, id, service)
	if errors.Is(err, errShare) {
		return e.OpenStream(ctx, id, service)
	}
	return st, err
}

// openBulk opens a stream on a connection of its own, which ends with it. It returns
// [errShare] if there is none to be had, and otherwise the errors of [Engine.OpenStream].
func (e *Engine) openBulk(ctx context.Context, id ident.NodeID, service string) (*mux.Stream, error) {
	m, ok := e.member(id)
	if !ok {
		return nil, exchange.ErrNoMember
	}
	addrs, err := e.streamAddrs(ctx, m)
	if err != nil {
		return nil, err
	}
	d := e.streams.dialBulk(streamKey{id, m.Record.Incarnation}, addrs)
	if d == nil {
		return nil, errShare
	}
	select {
	case <-d.done:
	case <-e.ended:
		return nil, ErrClosed
	case <-ctx.Done():
		e.streams.abandon(d)
		return nil, context.Cause(ctx)
	}
	if d.err != nil {
		return nil, fmt.Errorf("%w: %w", errShare, d.err)
	}
	st, err := d.carrier.session.Open(ctx, service)
	d.carrier.session.Retire() // no other stream; it ends with this one
	if errors.Is(err, mux.ErrEnded) {
		err = fmt.Errorf("%w: %w", errShare, err)
	}
	return st, err
}

// dialBulk begins the dial of a connection for one stream, nil if there are too many.
func (s *streams) dialBulk(key streamKey, addrs []string) *streamDial {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peer(key)
	defer s.tidy(key)
	if p.bulkOut >= bulkMax {
		return nil
	}
	p.bulkOut++
	d := &streamDial{key: key, addrs: addrs, bulk: true, done: make(chan struct{})}
	s.begin(d)
	return d
}

// releaseBulk takes back what dialBulk counted.
func (s *streams) releaseBulk(key streamKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers[key].bulkOut--
	s.tidy(key)
}

// abandon gives up a dial of dialBulk, and what came of it.
func (s *streams) abandon(d *streamDial) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.abandoned = true
	if d.carrier != nil {
		d.carrier.session.Retire()
	}
}
