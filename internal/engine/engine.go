// Package engine runs a node: it owns the machines of the control path, the clock,
// the random source and every goroutine.
//
// One goroutine, the owner, feeds core and the beacon machine and carries out what
// they decide. Everything else brings it inputs: the goroutine that sets a link up, a
// link's reader, a dial that ended, the API. Payloads do not pass it: they go through
// package exchange.
//
//	e, err := engine.New(cfg) // listens
//	err = e.Run(ctx)          // until ctx ends; then says goodbye
package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial/internal/admission"
	"github.com/espial-go/espial/internal/beacon"
	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/council"
	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/link"
	"github.com/espial-go/espial/internal/mux"
	"github.com/espial-go/espial/internal/packet"
)

// ErrClosed reports that the engine ended.
var ErrClosed = errors.New("engine: closed")

// ErrPins reports more addresses than [Engine.PinAddr] takes.
var ErrPins = fmt.Errorf("engine: more than %d addresses", core.PinsMax)

// Config holds what a node is made of. All of it is checked before.
type Config struct {
	Key     *ident.Key
	Cluster string
	Name    string
	Host    string
	Meta    map[string]string
	Seeds   []string

	Ineligible   bool
	RequireAES   bool
	SuspectAfter time.Duration
	RemoveAfter  time.Duration
	MinPeers     int // see core.Config
	MaxPeers     int
	EventMax     int

	// Listener takes links; the engine closes it.
	Listener net.Listener

	// Scheme is the one of the addresses at which Listener takes links. Default [frame.TCP].
	Scheme string

	// Addrs are the addresses that others are told.
	Addrs []frame.Addr

	// Readdress returns them anew when the interfaces of the host changed; nil where
	// they cannot change.
	Readdress func() ([]frame.Addr, error)

	// Dial opens a connection to an address as [frame.Addr.String] has it, and Schemes are
	// those that it speaks; none means [frame.TCP] alone.
	Dial    func(ctx context.Context, addr string) (net.Conn, error)
	Schemes []string

	// Beacons carries discovery datagrams; nil for none.
	Beacons Beacons

	// Judge is the user's filter; nil admits everybody. It runs on a goroutine of its
	// own, has a deadline, and may panic.
	Judge func(ctx context.Context, v admission.Verified, c admission.Claimed) error

	// StreamChanges has changes report every stream.
	StreamChanges bool

	// Wrap gives a stream to the user's wrappers; nil for none. What it returns is as for
	// [mux.Config].
	Wrap func(st *mux.Stream, s StreamInfo) (net.Conn, error)

	// RotateRecords is how many records a link sends before it is replaced. Default
	// 2^24; tests lower it.
	RotateRecords uint64

	// Mode is the one of the default election.
	Mode council.Mode

	// Kept is what an earlier life of this node left on disk of its elections; nil for no
	// disk. Keep puts marks there, whatever is there of their elections. It is called by
	// one goroutine and may take its time, for which the end of Run then waits.
	Kept map[string]council.Mark
	Keep func(marks map[string]council.Mark) error

	// Awake is a clock that goes on while the machine sleeps, with any beginning.
	// Default [AwakeClock].
	Awake func() time.Time

	// Listening is reported as the first change.
	Listening Change

	Logger *slog.Logger
}

// Change is what the engine reports: what core reports, or that readers are told
// something of their own.
type Change struct {
	core.Change
	Note    Note
	Count   uint64         // with NoteInDoubt
	Report  council.Report // with NoteElection
	Method  string         // with NoteMethodAdded and NoteMethodRemoved
	Service string         // with the notes of services and streams
}

// Note says which of the reports that core does not know a [Change] is.
type Note uint8

// The notes.
const (
	NoteNone           Note = iota // Change.Kind says what it is
	NoteListening                  // the node takes links
	NoteInDoubt                    // a session ended with messages unacknowledged
	NoteElection                   // Change.Report says what
	NoteDiskDown                   // marks of elections cannot be written; Change.Reason says why
	NoteDiskUp                     // they can again
	NoteMethodAdded                // the member serves Change.Method to this node from now on
	NoteMethodRemoved              // it serves it no more
	NoteServiceAdded               // the member listens on Change.Service from now on
	NoteServiceRemoved             // it listens on it no more
	NoteStreamOpened               // a stream with the member for Change.Service, opened by Change.By
	NoteStreamClosed               // it is over; Change.Reason says why if that was before its time
	NoteStreamTimeout              // the member took too long
)

// Engine runs one node.
type Engine struct {
	cfg      Config
	inc      ident.Incarnation
	identity *link.Identity
	exchange *exchange.Exchange
	inputs   chan input
	poke     chan struct{} // holds a token when paths may have changed
	ended    chan struct{} // closed when the owner returned, so that nobody waits for it
	hub      *hub
	gate     link.Gate
	filters  atomic.Int64 // calls of Judge that run
	throttle throttle
	needs    needs
	keeper   *keeper
	streams  *streams
	group    *errgroup.Group // set by Run, before anything uses it

	// Owned by the owner goroutine.
	core    *core.Core
	council *council.Council
	beacons *beacon.Finder
	links   map[core.LinkID]*peerLink
	refused map[ident.NodeID]core.Rejection // by others, at most refusedMax
	pinned  []ident.NodeID                  // who votes with this node
	leaving bool
	diskErr error // why marks of elections cannot be written, nil if they can

	lastLink atomic.Uint64
	view     atomic.Pointer[core.View]
	homes    atomic.Pointer[homes] // of the members of view
	reigns   *reigns
	hearsay  *hearsay
	dropped  counters

	mu    sync.Mutex // guards what follows
	paths pathState
}

// counters count what was refused or lost.
type counters struct {
	inputs, breaches, handshakes, records, suspicions, unspoken atomic.Uint64
}

// New makes a node that does nothing before Run.
func New(cfg Config) (*Engine, error) {
	if cfg.Awake == nil {
		cfg.Awake = AwakeClock
	}
	cfg.Scheme = cmp.Or(cfg.Scheme, frame.TCP)
	if len(cfg.Schemes) == 0 {
		cfg.Schemes = []string{frame.TCP}
	}
	if cfg.RotateRecords == 0 {
		cfg.RotateRecords = rotateRecords
	}
	identity, err := link.NewIdentity(cfg.Key)
	if err != nil {
		return nil, err
	}
	inc, err := ident.NewIncarnation(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("engine: draw an incarnation: %w", err)
	}
	e := &Engine{
		cfg: cfg, inc: inc, identity: identity, hub: newHub(), reigns: newReigns(), keeper: newKeeper(),
		streams: newStreams(),
		hearsay: newHearsay(),
		inputs:  make(chan input, inputsMax), poke: make(chan struct{}, 1), ended: make(chan struct{}),
		links: map[core.LinkID]*peerLink{}, refused: map[ident.NodeID]core.Rejection{},
	}
	e.paths.changed = make(chan struct{})
	e.paths.Changed = e.paths.changed
	e.exchange = exchange.New(exchange.Config{
		Self: cfg.Key.ID(), Incarnation: inc, Name: cfg.Name, EventMax: cfg.EventMax,
		InDoubt: e.inDoubt, Offer: e.offered, Listen: e.listens,
		Need: e.need, Opened: e.poked, Stale: e.stale,
		Sign: cfg.Key.Sign, Public: e.public,
	})
	e.streams.services.Changed = e.listening
	e.core, err = core.New(time.Now(), core.Config{
		Self: cfg.Key.ID(), Record: e.record(),
		Sign:         func(r *frame.Record) error { return r.Sign(cfg.Key.Sign) },
		Vouch:        func(s *frame.Suspicion) error { return s.Sign(cfg.Key.Sign) },
		SuspectAfter: cfg.SuspectAfter, RemoveAfter: cfg.RemoveAfter,
		MinPeers: cfg.MinPeers, MaxPeers: cfg.MaxPeers, Seeds: cfg.Seeds, Schemes: cfg.Schemes,
		Rand: newRand(),
	})
	if err != nil {
		return nil, err
	}
	if cfg.Beacons != nil {
		e.beacons = beacon.New(beacon.Config{
			Tag: packet.Tag(cfg.Cluster), ID: cfg.Key.ID(), Incarnation: inc, Port: cfg.listenPort(),
			Linked: e.linked, Nonce: newNonce,
		}, newRand())
	}
	e.council = council.New(council.Config{
		Self: cfg.Key.ID(), Incarnation: inc, Eligible: !cfg.Ineligible, Kept: cfg.Kept,
	})
	e.council.SetWall(cfg.Awake(), time.Now())
	if err := e.council.Open(cfg.Awake(), "", cfg.Mode); err != nil {
		return nil, err
	}
	e.view.Store(&core.View{Members: []core.Member{{Record: e.core.Self(), Self: true, Since: time.Now()}}})
	e.homes.Store(&homes{})
	return e, nil
}

// record is what this node says about itself.
func (e *Engine) record() frame.Record {
	return frame.Record{
		Public: e.cfg.Key.Public(), ID: e.cfg.Key.ID(), Incarnation: e.inc,
		Name: e.cfg.Name, Host: e.cfg.Host,
		Addrs: e.cfg.Addrs, Ineligible: e.cfg.Ineligible, Meta: e.cfg.Meta,
	}
}

// newRand returns a random source that nobody can foresee.
func newRand() *mrand.Rand {
	var seed [32]byte
	rand.Read(seed[:])                       // never fails: it ends the program instead
	return mrand.New(mrand.NewChaCha8(seed)) //nolint:gosec // seeded from crypto/rand
}

// listenPort returns the TCP port at which links are taken; 0 for none.
func (c *Config) listenPort() uint16 {
	if a, ok := c.Listener.Addr().(*net.TCPAddr); ok && c.Scheme == frame.TCP {
		return a.AddrPort().Port()
	}
	return 0
}

// Exchange returns the data room of the node.
func (e *Engine) Exchange() *exchange.Exchange { return e.exchange }

// View returns the present list of members.
func (e *Engine) View() core.View { return *e.view.Load() }

// Run works until ctx ends, then says goodbye on every link, waits for every goroutine
// that it started, and returns the first error; nil if ctx ended it.
func (e *Engine) Run(ctx context.Context) error {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	group, gctx := errgroup.WithContext(inner)
	e.group = group
	group.Go(func() error {
		defer cancel() // the owner says goodbye, then everything else ends
		return e.own(gctx, ctx.Done())
	})
	group.Go(func() error { return e.exchange.Run(gctx) })
	group.Go(func() error { return e.dialStreams(gctx) })
	group.Go(func() error {
		return link.Serve(gctx, e.cfg.Listener, func(nc net.Conn) { e.accept(gctx, nc) })
	})
	if e.cfg.Beacons != nil {
		group.Go(func() error { return e.listenBeacons(gctx) })
	}
	if e.cfg.Keep != nil {
		group.Go(func() error { return e.keep(gctx) })
	}
	err := group.Wait()
	e.exchange.Close()
	e.endReigns()
	e.view.Store(&core.View{Members: []core.Member{e.Self()}})
	e.hub.end()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// offered reports what a member serves.
func (e *Engine) offered(peer ident.NodeID, name, method string, served bool) {
	note := NoteMethodRemoved
	if served {
		note = NoteMethodAdded
	}
	m := core.Member{Record: frame.Record{ID: peer, Name: name}}
	e.hub.report(Change{Note: note, Method: method, Change: core.Change{At: time.Now(), Member: m}})
}

// listens reports on what a member listens.
func (e *Engine) listens(peer ident.NodeID, name, service string, open bool) {
	note := NoteServiceRemoved
	if open {
		note = NoteServiceAdded
	}
	m := core.Member{Record: frame.Record{ID: peer, Name: name}}
	e.hub.report(Change{Note: note, Service: service, Change: core.Change{At: time.Now(), Member: m}})
}

// inDoubt reports messages that may not have arrived.
func (e *Engine) inDoubt(peer ident.NodeID, inc ident.Incarnation, count uint64) {
	m := core.Member{Record: frame.Record{ID: peer, Incarnation: inc}}
	e.hub.report(Change{Note: NoteInDoubt, Count: count, Change: core.Change{At: time.Now(), Member: m}})
}
