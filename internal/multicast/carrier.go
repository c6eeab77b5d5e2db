package multicast

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of a [Carrier].
const (
	outMax   = 256 // datagrams that wait to be sent; each is one of discovery, so small
	heardMax = 256 // sources of which is known by which socket they were heard

	// rejoinMin is the shortest time until a group is joined anew, and how much longer
	// it may be: below the 260 s after which a switch forgets a member (RFC 3376,
	// section 8.4).
	rejoinMin = time.Minute

	// errorPause keeps a socket that fails at once from keeping a core busy.
	errorPause = 100 * time.Millisecond
)

// ErrNoInterface reports that there is no interface to send on.
var ErrNoInterface = errors.New("multicast: no usable network interface")

// outgoing is a datagram to send; to the group if to is invalid.
type outgoing struct {
	b  []byte
	to netip.AddrPort
}

// Carrier carries datagrams between this node, a group, and single nodes. Its methods
// may be called by several goroutines.
type Carrier struct {
	c   Config
	out chan outgoing

	sent, received, stray, floods, dropped, sendErrors, openErrors, readErrors atomic.Uint64

	mu      sync.Mutex // guards what follows
	sockets []*socket  // senders before receivers
	heard   map[netip.AddrPort]*socket
	left    int // interfaces beyond nicsMax
	last    error
	closed  bool
}

// Open opens sockets on all suitable interfaces. It fails only if the Config is wrong:
// interfaces come and go, see [Carrier.Check]. Run must follow, or Close.
func Open(c Config) (*Carrier, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	r := &Carrier{c: c, out: make(chan outgoing, outMax), heard: make(map[netip.AddrPort]*socket)}
	r.scan()
	return r, nil
}

// Check returns nil if there is an interface to send on. Otherwise its error wraps
// [ErrNoInterface], says why and names the settings that help. Run goes on looking.
func (r *Carrier) Check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.ContainsFunc(r.sockets, func(s *socket) bool { return s.source.IsValid() }) {
		return nil
	}
	const advice = "set Multicast.Interface to one that is up and has an address, " +
		"or turn Multicast.Off on and name Seeds"
	switch {
	case r.last != nil:
		return fmt.Errorf("%w: %s: %w", ErrNoInterface, advice, r.last)
	case r.c.Interface != "":
		return fmt.Errorf("%w: %q is not one: %s", ErrNoInterface, r.c.Interface, advice)
	default:
		return fmt.Errorf("%w: %s", ErrNoInterface, advice)
	}
}

// Send sends b to the group on every interface. It does not wait and keeps nothing of b.
func (r *Carrier) Send(b []byte) { r.queue(outgoing{b: slices.Clone(b)}) }

// Reply sends b to one node that was heard, from the address at which it was heard or
// else from one of its subnet; to nobody else. It does not wait and keeps nothing of b.
func (r *Carrier) Reply(b []byte, to netip.AddrPort) {
	r.queue(outgoing{slices.Clone(b), netip.AddrPortFrom(to.Addr().Unmap(), to.Port())})
}

func (r *Carrier) queue(o outgoing) {
	select {
	case r.out <- o:
	default:
		r.dropped.Add(1)
	}
}

// Run receives and sends until ctx ends, then closes the sockets and returns nil once
// every goroutine has ended. It must be called once.
//
// receive is called for each datagram, by several goroutines at the same time; b is
// valid until it returns, and no more is received by that socket before. inSubnet says
// that the source lies in a subnet of the interface. moved is called when sockets came
// or went after the start, which is when a beacon is worth sending at once.
func (r *Carrier) Run(
	ctx context.Context, receive func(b []byte, from netip.AddrPort, inSubnet bool), moved func(),
) error {
	var wg sync.WaitGroup
	read := func(s *socket) { wg.Go(func() { r.read(ctx, s, receive) }) }
	defer wg.Wait()
	defer r.Close()
	for _, s := range r.snapshot() {
		read(s)
	}
	wg.Go(func() { r.write(ctx) })
	random := rand.New(rand.NewChaCha8(seed())) //nolint:gosec // jitter is no secret
	tick := time.NewTicker(r.c.Rescan)
	defer tick.Stop()
	for {
		r.rejoin(time.Now(), random)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		opened, changed := r.scan()
		for _, s := range opened {
			read(s)
		}
		if changed {
			moved()
		}
	}
}

// seed returns the seed of the jitter.
func seed() (s [32]byte) {
	_, _ = crand.Read(s[:]) // it never fails but ends the program
	return s
}

// Close closes all sockets. The end of Run does it too.
func (r *Carrier) Close() {
	r.mu.Lock()
	old := r.sockets
	r.sockets, r.closed = nil, true
	r.mu.Unlock()
	for _, s := range old {
		_ = s.conn.Close() // nothing to lose: datagrams are not buffered here
	}
}

// snapshot returns the open sockets.
func (r *Carrier) snapshot() []*socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.sockets)
}

// scan reads the list of interfaces, opens what is missing, closes what is not called
// for any more, and returns the sockets that it opened and whether anything changed.
func (r *Carrier) scan() (opened []*socket, changed bool) {
	list, left, err := nics(r.c.Interface, r.c.NoLoopback)
	if err != nil {
		r.openErrors.Add(1)
		r.note(err)
		return nil, false // better the old sockets than none
	}
	old := map[spec]*socket{}
	for _, s := range r.snapshot() {
		old[s.spec] = s
	}
	subnets := map[int]nic{}
	for _, n := range list {
		subnets[n.Index] = n
	}
	var now []*socket
	var failed error
	senders, receivers := specs(list, []netip.AddrPort{r.c.Group, r.c.Group6})
	for _, p := range slices.Concat(senders, receivers) {
		n := subnets[p.index]
		if s := old[p]; s != nil {
			delete(old, p)
			s.subnets.Store(&n.subnets)
			now = append(now, s)
			continue
		}
		s, err := open(p, n, r.c)
		if err != nil {
			r.openErrors.Add(1)
			failed = err
			continue
		}
		opened, now = append(opened, s), append(now, s)
	}
	r.install(now, left, failed)
	for _, s := range old {
		_ = s.conn.Close()
	}
	return opened, len(opened)+len(old) > 0
}

// install makes now the open sockets; if Close came in between it closes them.
func (r *Carrier) install(now []*socket, left int, failed error) {
	r.mu.Lock()
	closed := r.closed
	if !closed {
		r.sockets, r.left, r.last = now, left, failed
		clear(r.heard)
	}
	r.mu.Unlock()
	if closed {
		for _, s := range now {
			_ = s.conn.Close()
		}
	}
}

// note keeps an error for Check.
func (r *Carrier) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = err
}

// rejoin joins anew where it is time to.
func (r *Carrier) rejoin(now time.Time, random *rand.Rand) {
	for _, s := range r.snapshot() {
		if s.source.IsValid() || now.Before(s.rejoin) {
			continue
		}
		if first := s.rejoin.IsZero(); !first {
			if err := s.join(); err != nil {
				r.openErrors.Add(1)
				r.c.Logger.Debug("rejoin multicast group", "interface", s.name, "err", err)
			}
		}
		s.rejoin = now.Add(rejoinMin + time.Duration(random.Int64N(int64(rejoinMin))))
	}
}

// read receives by one socket until it is closed.
func (r *Carrier) read(ctx context.Context, s *socket, receive func([]byte, netip.AddrPort, bool)) {
	b, oob := make([]byte, datagramMax), make([]byte, 256)
	var p pace
	for {
		if d := p.next(time.Now()); d > 0 {
			r.floods.Add(1)
			pause(ctx, d)
		}
		n, oobn, _, from, err := s.conn.ReadMsgUDPAddrPort(b, oob)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			r.readErrors.Add(1)
			pause(ctx, errorPause)
			continue
		}
		r.received.Add(1)
		if n == len(b) || !s.meant(oob[:oobn]) {
			r.stray.Add(1)
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		inSubnet := contains(*s.subnets.Load(), from.Addr())
		if inSubnet {
			r.remember(from, s)
		}
		receive(b[:n], from, inSubnet)
	}
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// remember notes by which socket a source was heard. A reply must leave by the same
// where two interfaces are in one subnet: the node that asked knows one address only.
func (r *Carrier) remember(from netip.AddrPort, s *socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.heard) >= heardMax {
		clear(r.heard) // who was forgotten is served by a socket of the subnet
	}
	r.heard[from] = s
}

// write sends what is queued until ctx ends.
func (r *Carrier) write(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-r.out:
			if o.to.IsValid() {
				r.unicast(o)
			} else {
				r.broadcast(o.b)
			}
		}
	}
}

// broadcast sends to the group on every interface.
func (r *Carrier) broadcast(b []byte) {
	for _, s := range r.snapshot() {
		if s.source.IsValid() {
			r.count(s, s.send(b))
		}
	}
}

// unicast sends to one node.
func (r *Carrier) unicast(o outgoing) {
	s := r.route(o.to)
	if s == nil {
		r.sendErrors.Add(1)
		return
	}
	_, err := s.conn.WriteToUDPAddrPort(o.b, o.to)
	r.count(s, err)
}

// route returns the sender for a reply, or nil.
func (r *Carrier) route(to netip.AddrPort) *socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	by := r.heard[to]
	if by != nil && by.source.IsValid() {
		return by
	}
	var best *socket
	for _, s := range r.sockets {
		switch {
		case !s.reaches(to.Addr()):
		case by != nil && s.index == by.index:
			return s
		case best == nil:
			best = s
		}
	}
	return best
}

// count counts what was sent or failed.
func (r *Carrier) count(s *socket, err error) {
	if err == nil {
		r.sent.Add(1)
		return
	}
	r.sendErrors.Add(1)
	r.c.Logger.Debug("send multicast", "interface", s.name, "err", err)
}
