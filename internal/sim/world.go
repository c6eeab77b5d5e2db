package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Times of a run.
const (
	// startSpread is the time in which the first processes start.
	startSpread = 200 * time.Millisecond

	// chaosFrom is when things begin to go wrong.
	chaosFrom = 2 * time.Second

	// settleAfter is how long the members may take to agree when faults stop
	// (invariant M3).
	settleAfter = 15 * time.Second

	// drainAfter is how long before the end nobody publishes any more, so that all can
	// arrive (invariant D6).
	drainAfter = time.Second

	// exitAfter is what a process takes from its goodbye to its end: the most that Close
	// takes.
	exitAfter = 250 * time.Millisecond
)

// Config says what to run. A run depends on nothing else.
type Config struct {
	Seed  uint64
	Nodes int // hosts, each with one process at a time

	// Chaos is how long things go wrong that the seed draws; 0 for a quiet run.
	Chaos time.Duration

	// Faults go wrong besides.
	Faults []Fault

	// Latency is the time of one way, the same for every packet; 0 lets the seed choose.
	Latency time.Duration

	// MinPeers and MaxPeers are how many links every node looks for and has at most; 0
	// means the default of package overlay. With a limit the mesh is partial.
	MinPeers, MaxPeers int

	// Loss is the probability that a segment is lost until all faults are over, besides what
	// the seed draws.
	Loss float64

	// Refuses says whose policy refuses whom: host A all that run on host B.
	Refuses []Refusal

	// Seeds is how many hosts are named to everybody; default 2.
	Seeds int

	// Together starts all processes at the same instant, not within 200 ms.
	Together bool

	// Bug makes every node wrong in one way, to show that the checker sees it.
	Bug Bug
}

// Refusal is one line of a policy.
type Refusal struct{ A, B int }

// Result is what came of a run.
type Result struct {
	History    History
	Violations []Violation
}

// world is everything that a run consists of.
type world struct {
	config  Config
	loop    *loop
	rand    *rand.Rand
	net     *network
	hosts   []host
	procs   []*process // all that ever ran, by number - 1
	history History
	byNode  map[instance]int        // number of the process
	records map[string]frame.Record // decoded, by their bytes
	message uint64                  // number of the last message published
	silent  bool                    // nobody publishes any more
}

// host is a machine.
type host struct {
	proc *process // nil while none runs
	key  int      // how often the key was changed
	port uint16
}

// instance names a process as nodes do.
type instance struct {
	id  ident.NodeID
	inc ident.Incarnation
}

// Run runs one cluster: it starts, suffers, and must settle after that.
func Run(c Config) Result {
	if c.Seeds == 0 {
		c.Seeds = 2
	}
	w := newWorld(c)
	for h := range c.Nodes {
		var at time.Duration
		if !c.Together {
			at = time.Duration(w.rand.Int64N(int64(startSpread)))
		}
		w.loop.after(at, func() { w.start(h) })
	}
	if w.net.loss = c.Loss; c.Loss > 0 {
		w.record(Entry{Event: EventLoss, Count: uint64(w.net.loss * 1000)})
	}
	faults := c.Faults
	if c.Chaos > 0 {
		w.net.loss = [...]float64{0, 0.01, 0.05, 0.10}[w.rand.IntN(4)]
		w.net.drop = [...]float64{0, 0, 0.01, 0.05}[w.rand.IntN(4)]
		w.record(Entry{Event: EventLoss, Count: uint64(w.net.loss * 1000)})
		faults = append(w.schedule(chaosFrom, chaosFrom+c.Chaos), faults...)
	}
	calm := time.Duration(0)
	for _, f := range faults {
		w.loop.after(f.At, func() { w.inflict(f) })
		calm = max(calm, f.over())
	}
	w.loop.until(calm)
	w.net.loss, w.net.drop = 0, 0
	w.record(Entry{Event: EventCalm})
	w.loop.until(calm + settleAfter - drainAfter)
	w.silent = true
	w.loop.until(calm + settleAfter)
	w.finish()
	return Result{History: w.history, Violations: check(w.history, c)}
}

func newWorld(c Config) *world {
	r := rand.New(rand.NewPCG(c.Seed, uint64(c.Nodes))) //nolint:gosec // as in newNode
	w := &world{config: c, rand: r, loop: newLoop()}
	w.net = &network{loop: w.loop, rand: w.rand, cut: map[path]int{}, lossy: map[path]int{}}
	w.net.bound = map[netip.AddrPort]*process{}
	w.net.latency = c.Latency
	if c.Latency == 0 {
		w.net.latency = [...]time.Duration{
			50 * time.Microsecond, 200 * time.Microsecond, 2 * time.Millisecond, 20 * time.Millisecond,
			100 * time.Millisecond,
		}[w.rand.IntN(5)]
		w.net.jitter = w.net.latency / 2
	}
	w.byNode, w.records = map[instance]int{}, map[string]frame.Record{}
	for range c.Nodes {
		w.hosts = append(w.hosts, host{port: 27272})
	}
	return w
}

// record appends to the history.
func (w *world) record(e Entry) {
	e.At = w.loop.now
	w.history = append(w.history, e)
}

// start starts a process on a host that has none.
func (w *world) start(h int) {
	p := &process{world: w, number: len(w.procs) + 1, host: h, addr: hostAddr(h, w.hosts[h].port)}
	w.procs = append(w.procs, p)
	w.hosts[h].proc = p
	w.net.bound[p.addr] = p
	p.node = newNode(p, publicKey(h, w.hosts[h].key))
	w.byNode[p.node.self] = p.number
	w.record(Entry{Event: EventStart, Node: p.number, Host: h, Text: p.node.self.id.Short()})
	p.node.begin()
}

// seedsOf names the seeds to a host.
func (w *world) seedsOf(host int) []string {
	var addrs []string
	for h := range min(w.config.Seeds, w.config.Nodes) {
		if h != host {
			addrs = append(addrs, hostAddr(h, w.hosts[h].port).String())
		}
	}
	return addrs
}

// running lists the processes that are up, by host.
func (w *world) running() []*process {
	var up []*process
	for _, h := range w.hosts {
		if h.proc != nil {
			up = append(up, h.proc)
		}
	}
	return up
}

// finish records what every node knows at the end.
func (w *world) finish() {
	for _, p := range w.running() {
		p.node.report()
	}
}

// publicKey is the public key of a host: an Ed25519 key in its DER form, of which
// nobody knows the private half, because nobody needs it here (see node.sign).
func publicKey(host, generation int) []byte {
	var seed [16]byte
	binary.BigEndian.PutUint64(seed[:], uint64(host))
	binary.BigEndian.PutUint64(seed[8:], uint64(generation))
	sum := sha256.Sum256(seed[:])
	prefix := []byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}
	return append(prefix, sum[:]...)
}
