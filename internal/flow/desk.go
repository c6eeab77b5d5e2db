package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Errors of [Desk.Offer].
var (
	ErrFull   = fmt.Errorf("flow: %d flows wait for this member, or %d for all", PeerMax, DeskMax)
	ErrClosed = errors.New("flow: closed")
)

// Offer is a flow that a member may read.
type Offer struct {
	Peer string // the ID of who may take it

	// Ctx is the life of the flow: when it ends, nobody can take it any more, and who reads it is
	// cut off. Cancel ends it; it is called when nobody took the flow, and when its reader goes.
	Ctx    context.Context
	Cancel context.CancelFunc

	// Write writes the values, and finishes with the last item. It runs on a goroutine of its own, for which
	// nobody waits, and must not panic.
	Write func(w *Writer)

	// Done is called once: when Write returned, or when it never will be called.
	Done func()
}

// Desk keeps the flows of a node that wait for who reads them. The zero Desk is ready.
type Desk struct {
	running sync.WaitGroup // nobody waits: what makes values may not look at its context

	mu      sync.Mutex // guards what follows
	waiting map[Number]*waiting
	byPeer  map[string]int
	closed  bool
}

// waiting is an offer that nobody took.
type waiting struct {
	Offer

	late *time.Timer // ends it
	over func() bool // forgets what is to happen when Ctx ends
}

// Offer keeps a flow for 30 s. The error is [ErrFull] or [ErrClosed]; then Done is not called.
func (d *Desk) Offer(o Offer) (Number, error) {
	n := newNumber()
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return Number{}, ErrClosed
	case len(d.waiting) >= DeskMax || d.byPeer[o.Peer] >= PeerMax:
		return Number{}, ErrFull
	case d.waiting == nil:
		d.waiting, d.byPeer = map[Number]*waiting{}, map[string]int{}
	}
	d.waiting[n] = &waiting{
		Offer: o, late: time.AfterFunc(TakeWithin, o.Cancel),
		over: context.AfterFunc(o.Ctx, func() {
			if d.remove(n, o.Peer) != nil {
				o.Done()
			}
		}),
	}
	d.byPeer[o.Peer]++
	return n, nil
}

// remove takes a flow for that member off the desk, and returns nil if it is not there.
func (d *Desk) remove(n Number, peer string) *waiting {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.waiting[n]
	if w == nil || w.Peer != peer {
		return nil
	}
	delete(d.waiting, n)
	if d.byPeer[peer]--; d.byPeer[peer] == 0 {
		delete(d.byPeer, peer)
	}
	w.late.Stop()
	w.over()
	return w
}

// Waiting returns how many flows wait for who reads them.
func (d *Desk) Waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.waiting)
}

// Serve hands out flows on the streams of a listener, whose RemoteAddr is the ID of who reads,
// until the listener is closed. Then it ends those that wait, and there are no more.
func (d *Desk) Serve(ln net.Listener) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			break
		}
		d.running.Go(func() { d.answer(nc) })
	}
	d.mu.Lock()
	d.closed = true
	var all []context.CancelFunc
	for _, w := range d.waiting {
		all = append(all, w.Cancel)
	}
	d.mu.Unlock()
	for _, cancel := range all {
		cancel()
	}
}

// answer gives whoever opened a stream the flow whose number it shows.
func (d *Desk) answer(nc net.Conn) {
	defer func() { _ = nc.Close() }() // it may be over already
	var n Number
	_ = nc.SetReadDeadline(time.Now().Add(showWithin)) // fails where the next line does
	if _, err := io.ReadFull(nc, n[:]); err != nil {
		return
	}
	_ = nc.SetReadDeadline(time.Time{}) // likewise
	w := d.remove(n, nc.RemoteAddr().String())
	if w == nil {
		_, _ = nc.Write(appendItem(nil, Unknown, nil)) // its reader is told, or is gone
		return
	}
	d.pour(nc, w.Offer)
}

// pour writes a flow until it ends or its reader goes.
func (d *Desk) pour(nc net.Conn, o Offer) {
	defer o.Done()
	stop := context.AfterFunc(o.Ctx, func() { _ = nc.Close() })
	d.running.Go(func() {
		_, _ = nc.Read(make([]byte, 1)) // a reader says nothing more: this is its end
		o.Cancel()
	})
	w := NewWriter()
	d.running.Go(func() { w.Run(nc) })
	o.Write(w)
	w.close()
	if stop() {
		_ = nc.Close() // before Cancel does, or a reset could overtake the last item
	}
	o.Cancel()
}
