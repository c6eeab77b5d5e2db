package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/control"
	"github.com/espial-go/espial/internal/glob"
)

// Limits of a gate.
const (
	openingMax = 8               // streams that are being opened: a node answers 32 requests at a time
	takeMax    = 5 * time.Second // to take a stream, of the 10 s that it waits
	pauseMin   = 20 * time.Millisecond
	pauseMax   = time.Second
)

// gate opens streams for espial expose, forward and nc: by a running node of this host, which may go
// and come back, or by a node for the moment.
type gate struct {
	q       *question
	own     *espial.Node // nil if a running node does it
	opening chan struct{}

	mu   sync.Mutex    // guards what follows
	node *control.Node // the running node; nil while there is none
}

// far is the other end of a stream.
type far struct {
	io.ReadWriteCloser
	member espial.Sender
}

// newGate returns a gate by n or, if that is nil, by a node that joins for the moment.
func newGate(ctx context.Context, q *question, n *control.Node) (*gate, error) {
	g := &gate{q: q, node: n, opening: make(chan struct{}, openingMax)}
	if n != nil {
		return g, nil
	}
	var err error
	g.own, err = q.join(ctx)
	return g, err
}

// close ends the node for the moment.
func (g *gate) close() {
	if g.own != nil {
		_ = g.own.Close()
	}
}

// name returns the name of the node.
func (g *gate) name() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.own != nil:
		return g.own.Name()
	case g.node != nil:
		return g.node.Name
	default:
		return ""
	}
}

// running returns the running node, and looks for it if it was lost.
func (g *gate) running(ctx context.Context) (*control.Node, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.node == nil {
		n, err := g.q.find(ctx)
		if err != nil {
			return nil, err
		}
		if n == nil { // who joined for the moment has a node of its own
			return nil, &failure{codeNoNode, g.q.nobody(nil, nil)}
		}
		g.node = n
	}
	return g.node, nil
}

// lost reports whether err says that the running node is gone, and then forgets it.
func (g *gate) lost(ctx context.Context, n *control.Node, err error) bool {
	answer, answered := errors.AsType[*control.Error](err)
	if err == nil || ctx.Err() != nil || answered && answer.Code != control.CodeClosed {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.node == n {
		g.node = nil
	}
	return true
}

// attempt is what may succeed if it is repeated.
type attempt func(ctx context.Context) error

// patiently calls try again and again until it succeeds, fails for good, or wait is over; then it
// returns the last error. waits is told of the first one.
func patiently(ctx context.Context, wait time.Duration, try attempt, waits func(error)) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var last error
	for pause := pauseMin; ; pause = min(2*pause, pauseMax) {
		err := try(ctx)
		if err == nil || hopeless(err) {
			return err
		}
		if ctx.Err() == nil {
			if last == nil {
				waits(err)
			}
			last = err
		}
		select {
		case <-ctx.Done():
			return cmp.Or(last, errLate)
		case <-time.After(pause):
		}
	}
}

// errLate is what failed that had no answer at all in its time.
var errLate = errors.New("no answer in time")

// dial opens a stream to addr, service.peer.
func (g *gate) dial(ctx context.Context, addr string) (*far, error) {
	if g.own != nil {
		nc, err := g.own.Dial(ctx, addr)
		if err != nil {
			return nil, undressed(err)
		}
		return &far{nc, g.memberOf(nc)}, nil
	}
	by, _ := ctx.Deadline()
	left := max(time.Until(by).Milliseconds(), 1)
	return g.open(ctx, "dial", map[string]any{"to": addr, "timeout_ms": left})
}

// open asks the running node for a stream.
func (g *gate) open(ctx context.Context, verb string, args any) (*far, error) {
	select {
	case g.opening <- struct{}{}:
		defer func() { <-g.opening }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n, err := g.running(ctx)
	if err != nil {
		return nil, err
	}
	var facts struct {
		Member espial.Sender `json:"member"`
	}
	s, err := n.Open(ctx, verb, args, &facts)
	if g.lost(ctx, n, err) {
		return nil, control.ErrGone
	}
	if err != nil {
		return nil, err
	}
	return &far{s, facts.Member}, nil
}

// memberOf returns the member at the other end of a stream of the node for the moment.
func (g *gate) memberOf(nc net.Conn) espial.Sender {
	addr := nc.RemoteAddr().String()
	id, err := espial.ParseNodeID(addr[strings.LastIndexByte(addr, '.')+1:])
	if err != nil {
		return espial.Sender{}
	}
	for m := range g.own.Members() {
		if m.ID == id {
			return espial.Sender{ID: id, Name: m.Name}
		}
	}
	return espial.Sender{ID: id}
}

// taker takes a stream that a member opened.
type taker func(ctx context.Context) (*far, error)

// doorman is told of what comes, by one goroutine.
type doorman struct {
	max   int               // streams at a time
	ready func() error      // the node listens
	each  func(taker) error // a stream waits
}

// listen listens on a service until ctx or the node ends, or the doorman fails.
func (g *gate) listen(ctx context.Context, service string, d doorman) error {
	if g.own != nil {
		return g.listenAlone(ctx, service, d)
	}
	n, err := g.running(ctx)
	if err != nil {
		return err
	}
	args := map[string]any{"service": service, "max": d.max}
	err = n.Call(ctx, "listen", args, func(b json.RawMessage) error {
		if string(b) == "null" {
			return d.ready()
		}
		var s struct {
			Stream uint64 `json:"stream"`
		}
		if err := json.Unmarshal(b, &s); err != nil {
			return fmt.Errorf("the node sent %q: %w", b, err)
		}
		return d.each(func(ctx context.Context) (f *far, err error) {
			err = patiently(ctx, takeMax, func(ctx context.Context) (err error) { // the node may be busy
				f, err = g.open(ctx, "accept", map[string]any{"stream": s.Stream})
				return err
			}, func(error) {})
			return f, err
		})
	})
	_ = g.lost(ctx, n, err)
	return err
}

// listenAlone is listen by the node for the moment.
func (g *gate) listenAlone(ctx context.Context, service string, d doorman) error {
	ln, err := g.own.Listen(service)
	if err != nil {
		return undressed(err)
	}
	defer func() { _ = ln.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	if err := d.ready(); err != nil {
		return err
	}
	for {
		nc, err := ln.Accept()
		if err != nil {
			return undressed(err)
		}
		f := &far{nc, g.memberOf(nc)}
		if err := d.each(func(context.Context) (*far, error) { return f, nil }); err != nil {
			return err
		}
	}
}

// undressed returns an error of Dial or Listen without what the user knows: what was asked for.
func undressed(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		err = op.Err
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return errors.New("a program listens on the service already")
	}
	return err
}

// hopeless reports whether an error will be the same for ever.
func hopeless(err error) bool {
	if e, ok := errors.AsType[*control.Error](err); ok {
		forever := []string{codeTarget, codeNoStream, control.CodeVerb, control.CodeRequest}
		return slices.Contains(forever, e.Code)
	}
	_, target := errors.AsType[*espial.TargetError](err)
	return target
}

// checkPeer says what is wrong with service.peer.
func checkPeer(addr string) error {
	service, peer, ok := strings.Cut(addr, ".")
	if !ok {
		return usagef("%q is no SERVICE.PEER, such as postgres.db-1", addr)
	}
	if _, err := espial.ParseTarget(peer); err != nil {
		return usagef("%s", strings.TrimPrefix(err.Error(), "espial: "))
	}
	return checkService(service)
}

// checkService says what is wrong with the name of a service.
func checkService(service string) error {
	if glob.CheckName(service) != nil {
		return usagef("%q is no name of a service: at most 63 of a-z, 0-9, - and _", service)
	}
	return nil
}

// words returns an error for a line of a tunnel.
func words(err error) string {
	return strings.TrimPrefix(asFailure(err).text, control.ErrBroken.Error()+": ")
}
