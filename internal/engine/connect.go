package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/espial-go/espial/internal/admission"
	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/link"
	"github.com/espial-go/espial/internal/packet"
)

// filtersMax bounds the calls of the user's filter that run at once: one that never
// returns costs its own goroutine, and no more than so many.
const filtersMax = 128

// linksMax bounds the links of a node.
const linksMax = 1024

// peerLink is a link as the owner sees it.
type peerLink struct {
	conn  *link.Conn
	pair  *exchange.Pair
	start streamKey // whose it is
	addr  string    // where the peer takes links
	heard time.Time // what core was told last
	since time.Time

	onDemand bool
	bytes    uint64 // both ways, when core was told last that it is used
}

// dial carries out a dial that core decided.
func (e *Engine) dial(ctx context.Context, d core.Dial) {
	e.group.Go(func() error {
		c, err := e.connect(ctx, d)
		if err != nil && !d.Pin.IsZero() && isBroken(err) {
			// When a process dies, Linux closes its links before its listener, which still
			// takes the redial of a peer and then resets it. Asked again it refuses, and
			// that is what tells a dead process from a lost network.
			select {
			case <-time.After(redialPause):
			case <-ctx.Done():
			}
			c, err = e.connect(ctx, d)
		}
		if err != nil {
			e.done(d, dial.Outcome{Kind: dialKind(err)})
			return nil
		}
		e.admit(ctx, c, d, func() {})
		return nil
	})
}

// redialPause is what a dying process gets to close its listener. It takes microseconds
// where nothing else runs; a tenth of what a crash may take to be noticed is left for it.
const redialPause = 20 * time.Millisecond

// connect connects to the address of d and runs the handshake.
func (e *Engine) connect(ctx context.Context, d core.Dial) (*link.Conn, error) {
	nc, err := e.dialAt(ctx, d.Addr)
	if err != nil {
		return nil, err
	}
	return e.handshake(ctx, nc, d)
}

// handshake runs TLS over nc, which is closed if that fails.
func (e *Engine) handshake(ctx context.Context, nc net.Conn, d core.Dial) (*link.Conn, error) {
	role := link.Acceptor
	if d.Number != 0 {
		role = link.Dialer
	}
	c, err := link.Handshake(ctx, nc, role, e.identity)
	if err != nil {
		e.dropped.handshakes.Add(1)
		if log := e.throttled(classHandshake); log != nil {
			addr := cmp.Or(d.Addr, nc.RemoteAddr().String()) // what was dialled, or who called
			log.Warn("handshake failed", "addr", addr, "err", err)
		}
		return nil, err
	}
	return c, nil
}

// isBroken reports whether the other end dropped a connection that stood, or was about to.
func isBroken(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// dialKind says what a failed dial or handshake tells about the address.
func dialKind(err error) dial.Kind {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, errRefusedWindows):
		return dial.Refused
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return dial.TimedOut
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return dial.Unreachable
	}
	return dial.Failed
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

// errRefusedWindows is WSAECONNREFUSED, which is not syscall.ECONNREFUSED there.
const errRefusedWindows = syscall.Errno(10061)

// done tells core how a dial ended; an inbound connection has no number.
func (e *Engine) done(d core.Dial, o dial.Outcome) {
	if d.Number != 0 {
		e.put(func(now time.Time) { e.core.DialDone(now, d.Number, o) })
	}
}

// admit makes a link of a connection with a peer that proved its ID, and runs it until it
// ends. ready is called when admission is over.
func (e *Engine) admit(ctx context.Context, c *link.Conn, d core.Dial, ready func()) {
	if !d.Pin.IsZero() && d.Pin != c.Peer() {
		c.Close(frame.Bye{})
		e.done(d, dial.Outcome{Kind: dial.WrongID, ID: c.Peer()})
		return
	}
	up, err := c.Admit(ctx, e.policy(ctx, c, d))
	ready()
	if err == nil {
		e.run(ctx, c, d, up)
		return
	}
	if _, refused := errors.AsType[*link.RefusedError](err); !refused {
		e.dropped.handshakes.Add(1)
		// A node that looks for whoever had this address before hangs up when it finds
		// another: once a minute and for life, so that it is nothing to warn of.
		if !errors.Is(err, io.EOF) {
			if log := e.throttled(classAdmission); log != nil {
				log.Warn("admission failed", "peer", c.Peer().Short(), "err", err)
			}
		}
		e.put(func(now time.Time) { e.core.Abandoned(now, c.Peer()) })
		e.done(d, dial.Outcome{Kind: dial.Failed, ID: c.Peer()})
	}
}

// refusal tells core who refused whom.
func (e *Engine) refusal(c *link.Conn, d core.Dial, refused *link.RefusedError) {
	if refused.Refusal.By == admission.Peer && d.Number == 0 && refused.Hello.Incarnation == 0 {
		return // a caller that never said who it is answered nothing; see Node.WaitFor
	}
	outcome := dial.Outcome{Kind: dial.Rejected, ID: c.Peer()}
	r := core.Rejection{
		Peer: c.Peer(), Incarnation: refused.Hello.Incarnation, Name: refused.Hello.Name,
		Addr: e.listenAddr(c, d, refused.Hello.Port), By: core.BySelf,
		Code: refused.Refusal.Code, Reason: refused.Refusal.Reason, OnDemand: onDemand(d, refused.Hello),
	}
	if refused.Refusal.By == admission.Peer {
		r.By = core.ByPeer
	}
	switch r.Code {
	case frame.CodeSelf:
		outcome.Kind = dial.Self
	case frame.CodeDuplicate:
		outcome.Kind = dial.Duplicate
	case frame.CodeFull:
		outcome.Kind = dial.Full
	default:
	}
	e.put(func(now time.Time) {
		e.core.Rejected(now, r)
		if d.Number != 0 {
			e.core.DialDone(now, d.Number, outcome)
		}
	})
}

// greeting is what the owner knows that admission needs.
type greeting struct {
	holds [8]byte
	join  uint64
	meta  map[string]string
	full  bool
}

// policy is this node's part in the admission of c.
func (e *Engine) policy(ctx context.Context, c *link.Conn, d core.Dial) link.Policy {
	g, err := ask(ctx, e, func(time.Time) greeting {
		return greeting{
			holds: e.core.Holds(c.Peer()), join: e.core.Join(), meta: e.core.Self().Meta,
			full: len(e.links) >= linksMax,
		}
	})
	return link.Policy{
		Refused: func(r *link.RefusedError) { e.refusal(c, d, r) },
		Config: admission.Config{
			Self: e.cfg.Key.ID(), RequireAES: e.cfg.RequireAES, CheckName: glob.CheckName,
			Hello: frame.Hello{
				Proto: frame.Proto, Cluster: packet.Tag(e.cfg.Cluster), Incarnation: e.inc, Holds: g.holds,
				Name: e.cfg.Name, Host: e.cfg.Host, Port: e.cfg.listenPort(), Meta: g.meta,
				OnDemand: d.OnDemand,
			},
		},
		Judge: func(ctx context.Context, v admission.Verified, cl admission.Claimed) admission.Verdict {
			if g.full || err != nil {
				return admission.Verdict{Code: frame.CodeFull, Reason: fmt.Sprintf("%d links", linksMax)}
			}
			if e.filters.Add(1); e.filters.Load() > filtersMax {
				e.filters.Add(-1)
				return admission.Verdict{Reason: "the filter is busy"}
			}
			defer e.filters.Add(-1)
			if e.cfg.Judge != nil {
				if err := e.cfg.Judge(ctx, v, cl); err != nil {
					return admission.Verdict{Reason: err.Error()}
				}
			}
			if e.hasRoom(ctx, c.Peer(), onDemand(d, frame.Hello{OnDemand: cl.OnDemand})) {
				return admission.Verdict{Admit: true, Join: g.join}
			}
			return admission.Verdict{Code: frame.CodeFull, Reason: "no room for another link"}
		},
		Arbitrate: func(ctx context.Context, h frame.Hello, heard time.Time) admission.Ruling {
			r, err := ask(ctx, e, func(now time.Time) core.Ruling {
				return e.core.Arbitrate(now, core.Offer{
					Peer: c.Peer(), Incarnation: h.Incarnation, PeerHolds: h.Holds, HelloAt: heard,
					OnDemand: onDemand(d, h),
				})
			})
			return admission.Ruling{OK: r.OK && err == nil, Full: r.Full, Serial: r.Serial, Join: r.Join}
		},
	}
}

// run runs a link that both ends accepted.
func (e *Engine) run(ctx context.Context, c *link.Conn, d core.Dial, up admission.Up) {
	tag, err := c.Tag()
	if err != nil {
		c.Close(frame.Bye{})
		e.done(d, dial.Outcome{Kind: dial.Failed, ID: c.Peer()})
		return
	}
	id := core.LinkID(e.lastLink.Add(1))
	pair := e.exchange.Pair(c.Peer(), up.Hello.Incarnation, up.Hello.Name)
	l := &peerLink{
		conn: c, pair: pair, since: time.Now(), onDemand: onDemand(d, up.Hello),
		start: streamKey{c.Peer(), up.Hello.Incarnation}, addr: e.listenAddr(c, d, up.Hello.Port),
	}
	ok := e.put(func(now time.Time) {
		e.links[id] = l
		e.streams.stir()
		e.core.LinkUp(now, core.Link{
			ID: id, Peer: c.Peer(), Incarnation: up.Hello.Incarnation, Name: up.Hello.Name, Tag: tag,
			Dialed: d.Number != 0, DialNumber: d.Number, Addr: l.addr, Remote: c.Remote().Addr(),
			Source: d.Source, Serial: up.Serial, Join: up.Join, HelloAt: c.HelloAt(), OnDemand: l.onDemand,
		})
		if d.Number != 0 {
			e.core.DialDone(now, d.Number, dial.Outcome{Kind: dial.OK, ID: c.Peer()})
		}
	})
	if ok {
		// Our record goes first on the link: an input that comes after LinkUp is carried
		// out when what LinkUp decided is sent.
		_, ok = query(e, func(time.Time) struct{} { return struct{}{} })
	}
	if !ok {
		c.Close(frame.Bye{})
		return
	}
	closed := e.move(ctx, id, l)
	e.put(func(now time.Time) {
		delete(e.links, id)
		e.core.LinkDown(now, id, closed)
	})
}

// move carries the pair's messages over the link until it ends, and says how it ended.
// It waits for a former link of the pair to be done, because messages are handed on in
// order by one reader at a time.
func (e *Engine) move(ctx context.Context, id core.LinkID, l *peerLink) core.Closed {
	c, p := l.conn, l.pair
	release, err := p.Acquire(ctx, c.Closed())
	if err != nil {
		c.Close(frame.Bye{})
		return core.Closed{}
	}
	defer release()
	if l.onDemand {
		p.AttachOnDemand(c)
	} else {
		p.Attach(c)
	}
	defer p.Detach()
	err = c.Run(ctx, &handler{e: e, id: id, pair: p})
	if bye, ok := errors.AsType[*link.ByeError](err); ok {
		return core.Closed{By: core.ByPeer, Code: bye.Bye.Code}
	}
	if err == nil {
		return core.Closed{By: core.BySelf}
	}
	if log := e.throttled(classLink); log != nil {
		log.Info("link broke", "peer", c.Peer().Short(), "err", err)
	}
	if isBroken(err) {
		return core.Closed{By: core.ByPeer}
	}
	return core.Closed{}
}

// handler is what a link moves bytes for.
type handler struct {
	e    *Engine
	id   core.LinkID
	pair *exchange.Pair

	// introduced says that the peer's own record came over this link. Only the reader
	// uses it. Before that the peer is nobody whom this node lists, so it must neither
	// publish nor read.
	introduced bool

	waiting atomic.Int64 // what waits for the owner, as inputCost counts
}

// Fill implements [link.Handler].
func (h *handler) Fill(dst [][]byte, bytesMax int) [][]byte { return h.pair.Fill(dst, bytesMax) }

// Receive implements [link.Handler]: data goes to the exchange, control to the owner.
func (h *handler) Receive(frames []frame.Raw) error {
	for _, raw := range frames {
		if err := h.receive(raw); err != nil {
			h.e.dropped.breaches.Add(1)
			return err
		}
	}
	return nil
}

func (h *handler) receive(raw frame.Raw) error {
	switch raw.Type {
	case frame.TypeEvents, frame.TypeAcked, frame.TypeOpen:
		if !h.introduced {
			return fmt.Errorf("engine: %v before the peer's record", raw.Type)
		}
		return h.pair.Receive(raw)
	default:
		if raw.Type.Gossip() {
			return h.pair.Receive(raw) // which refuses it before OPEN
		}
	}
	f, err := frame.Decode(raw)
	if err != nil || f == nil {
		return err // nil for an optional frame of a later protocol
	}
	switch f := f.(type) {
	case frame.Records:
		return h.learn(f, inputCost(raw))
	case frame.Suspicion:
		return h.accused(f, inputCost(raw))
	case frame.Hello, frame.Accept, frame.Reject, frame.Streams, frame.Service:
		return fmt.Errorf("engine: %v after admission", raw.Type)
	}
	if raw.Type.Election() {
		h.offer(inputCost(raw), func(now time.Time) {
			h.e.core.Heard(now, h.id, now)
			if h.e.current(h) {
				h.e.council.Receive(h.e.cfg.Awake(), h.pair.ID(), f)
			}
		})
		return nil
	}
	h.offer(inputCost(raw), func(now time.Time) {
		h.e.core.Heard(now, h.id, now)
		h.e.core.Receive(now, h.id, f)
	})
	return nil
}

// offer is [Engine.offer] for a frame of the link, within the link's share of the queue.
func (h *handler) offer(cost int64, f input) (taken bool) {
	if h.waiting.Add(cost) > shareMax {
		h.waiting.Add(-cost)
		h.e.dropped.inputs.Add(1)
		return false
	}
	taken = h.e.offer(func(now time.Time) {
		h.waiting.Add(-cost)
		f(now)
	})
	if !taken {
		h.waiting.Add(-cost)
	}
	return taken
}

// learn verifies the member records of a frame, on the reader's goroutine, before the
// owner sees them. One that does not hold is the sender's fault: an honest node passes
// on only what it verified.
func (h *handler) learn(f frame.Records, cost int64) error {
	rs := make([]frame.Record, 0, len(f.List))
	for _, raw := range f.List {
		r, err := frame.DecodeRecord(raw)
		if errors.Is(err, frame.ErrUnknown) {
			continue // of a later protocol
		}
		if err == nil && !h.e.known(r) {
			err = r.Verify()
		}
		if err == nil {
			err = checkRecord(r)
		}
		if err != nil {
			h.e.dropped.records.Add(1)
			return err
		}
		rs = append(rs, r)
	}
	learn := func(now time.Time) { h.e.core.Learn(now, h.id, rs) }
	own := func(r frame.Record) bool { return r.ID == h.pair.ID() }
	if !h.introduced && slices.ContainsFunc(rs, own) {
		// This once the reader waits for a place: without it the peer is not listed.
		h.introduced = true
		h.e.put(learn)
		return nil
	}
	h.offer(cost, learn)
	return nil
}

// known reports whether a record is byte for byte one that the owner lists, which was
// verified before.
func (e *Engine) known(r frame.Record) bool {
	m, listed := e.member(r.ID)
	return listed && string(m.Record.Raw) == string(r.Raw)
}

// checkRecord holds the grammars that package frame leaves to its callers.
func checkRecord(r frame.Record) error {
	if err := glob.CheckName(r.Name); err != nil {
		return err
	}
	if r.ID == (ident.NodeID{}) {
		return errors.New("engine: record without a subject")
	}
	for _, a := range r.Addrs {
		if _, err := netip.ParseAddrPort(a.Addr); a.Scheme == frame.TCP && err != nil {
			return fmt.Errorf("engine: record of %s: %w", r.ID.Short(), err)
		}
	}
	return nil
}
