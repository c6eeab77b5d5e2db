package dial

import (
	"math/rand/v2"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// Defaults of [Config].
const (
	RateMaxDefault   = 10 // a /24 with every address taken is tried in 25 s
	AtOnceMaxDefault = 16 // what black-holed addresses at the full rate occupy, and some
)

// Times of the schedule.
const (
	// Spacing is the shortest time between two dials of one address. It is below a
	// second so that a lone seed can be tried every second with some jitter: nodes
	// that start together must not knock in step for ever.
	Spacing = 800 * time.Millisecond

	// TurnMax is the longest time in which no seed or remembered node is dialled
	// while there is one to dial. The wait is drawn between Spacing and TurnMax.
	TurnMax = time.Second

	// BackoffMin and BackoffMax bound the wait after a failure: it is drawn between
	// BackoffMin and a ceiling that starts at twice that and doubles with each
	// failure up to BackoffMax.
	BackoffMin = time.Second
	BackoffMax = time.Minute

	// HigherWait is what the node with the higher ID waits before it dials a stranger
	// whose ID it knows: some beacon exchanges on a quiet network. It only saves a
	// second connection now and then; longer would delay every join where the lower
	// one is not dialling.
	HigherWait = 30 * time.Millisecond

	// RejectedRest is the rest of an ID that refused this node or was refused here,
	// and of an address where another ID answered than was claimed.
	RejectedRest = time.Minute

	// SelfRest is the rest of an address that led back to this node. It ends, because
	// addresses move: what is ours today may be a seed's tomorrow.
	SelfRest = 10 * time.Minute

	// StrangerAge is how long after a stranger was last named its next failure makes
	// it forgotten.
	StrangerAge = 10 * time.Minute
)

// rateWindow is the time over which Config.RateMax counts.
const rateWindow = time.Second

// Config holds the settings of a [Scheduler]. A zero field means its default.
type Config struct {
	Self      ident.NodeID // this node; candidates with this ID are ignored
	RateMax   int          // dials started in any second; default RateMaxDefault
	AtOnceMax int          // dials in flight; default AtOnceMaxDefault

	// Spare is how many of RateMax are kept for redials and turns, at least and by default 1.
	Spare int
}

// Start is a dial to begin now. The caller bounds it to one second, three with a scheme, and reports its end
// to [Scheduler.Done], once.
type Start struct {
	Number uint64       // names the dial in Done; the first is 1
	Addr   string       // host:port, or scheme://rest
	ID     ident.NodeID // who must answer; zero for whoever does
	Source Source       // who named the address first
}

// Stats counts what a [Scheduler] did since it was made.
type Stats struct {
	Candidates int    // addresses known now
	Dialing    int    // dials in flight now
	Started    uint64 // dials started
	Ignored    uint64 // candidates with an address that nobody can or may be dialled at
	Evicted    uint64 // candidates dropped because their source had its share
}

// Scheduler decides whom to dial when. Its inputs are methods that take the time; after
// each of them [Scheduler.Next] may have changed. It must be used by one goroutine.
type Scheduler struct {
	c       Config
	rand    *rand.Rand
	table   table
	linked  map[ident.NodeID]bool
	listed  map[ident.NodeID]bool      // members that are dialled on request alone
	flights map[uint64]*target         // by number
	busy    map[ident.NodeID]bool      // nodes that a dial in flight is pinned to
	rests   map[ident.NodeID]time.Time // when the rest of a rejected ID ends
	number  uint64                     // of the last dial started
	turn    time.Time                  // when the next seed or remembered node must be dialled
	served  [sources]uint64            // number of the last dial for each source
	starts  []time.Time                // ring: the last RateMax starts that count against the rate
	oldest  int                        // index in starts of the one longest ago
	stats   Stats
	next    time.Time // what Next returns
	nextOK  bool
	fresh   bool // next and nextOK are up to date
}

// New returns a Scheduler that knows nobody. r is the source of jitter.
func New(c Config, r *rand.Rand) *Scheduler {
	if c.RateMax <= 0 {
		c.RateMax = RateMaxDefault
	}
	if c.AtOnceMax <= 0 {
		c.AtOnceMax = AtOnceMaxDefault
	}
	c.Spare = min(max(c.Spare, 1), c.RateMax-1)
	return &Scheduler{
		c:       c,
		rand:    r,
		table:   newTable(),
		linked:  make(map[ident.NodeID]bool),
		listed:  make(map[ident.NodeID]bool),
		flights: make(map[uint64]*target),
		busy:    make(map[ident.NodeID]bool),
		rests:   make(map[ident.NodeID]time.Time),
		starts:  make([]time.Time, c.RateMax),
	}
}

// Found adds a candidate, or notes that a known one was named again. It is ignored if
// it names this node, or an address that cannot be dialled: no port, unspecified,
// multicast, broadcast, or, from anyone but the user, a name in place of an IP address,
// because resolving it would be a request that somebody else chose.
//
// That a peer names a remembered node, which is how the two halves of a healed split
// learn of each other, makes it due at once. That a peer names another known node cuts
// its back-off to [BackoffMin]: a member sees the node now, so what kept this node from
// it may be over. Being named again changes nothing else about when a candidate is
// dialled.
func (s *Scheduler) Found(now time.Time, c Candidate) {
	s.fresh = false
	addr, local, ok := parse(c.Addr, c.Source == Seed)
	if !ok || !c.Source.valid() {
		s.stats.Ignored++
		return
	}
	if c.ID == s.c.Self && !c.ID.IsZero() {
		return
	}
	if c.Source == Seed {
		c.ID = ident.NodeID{} // the user named the address, whoever lives there
	}
	if t := s.table.find(addr, c.ID); t != nil {
		s.named(now, t, c.Source)
		return
	}
	if c.Source == Seed && s.table.counts[Seed] >= shareMax {
		s.stats.Ignored++
		return
	}
	t := s.table.add(addr, c.ID, c.Source)
	t.seen = now
	t.place.local = local
	if !c.Source.dutiful() {
		t.hold = s.hold(now, c.ID)
	}
	s.stats.Evicted += uint64(s.table.trim(t))
}

// named notes that a known target was named again.
func (s *Scheduler) named(now time.Time, t *target, source Source) {
	t.seen = now
	if source == Seed && t.source != Seed && s.table.counts[Seed] < shareMax {
		s.table.move(t, Seed)
	}
	if source != Peer {
		return
	}
	if t.source == Remembered {
		t.place.due, t.hold = time.Time{}, s.hold(now, t.id)
		t.place.renamed = t.place.flying
	} else if soon := now.Add(BackoffMin); t.place.due.After(soon) {
		t.place.due = soon
	}
}

// hold returns when a stranger with the given ID may be dialled first.
func (s *Scheduler) hold(now time.Time, id ident.NodeID) time.Time {
	if !id.IsZero() && s.c.Self.Compare(id) > 0 {
		return now.Add(HigherWait)
	}
	return now
}

// Linked tells that a link with id is up: id is not dialled until Unlinked. If this
// node dialled, addr is the address that it reached; otherwise addr is a claim and
// changes nothing.
func (s *Scheduler) Linked(now time.Time, id ident.NodeID, addr string, dialed bool) {
	s.fresh = false
	if id.IsZero() {
		return
	}
	s.linked[id] = true
	for _, t := range s.table.targets {
		if t.id == id {
			t.urgent, t.asked = false, false
		}
	}
	if p := s.table.places[addr]; dialed && p != nil {
		p.met, p.reached, p.failures, p.due = id, now, 0, time.Time{}
	}
}

// Unlinked tells that the last link with id broke or was closed by it, and that id is
// still wanted at addrs. The first of them, which should be the one where it was linked,
// is redialled at once: whether that is refused is what tells a crash from a cut.
func (s *Scheduler) Unlinked(now time.Time, id ident.NodeID, addrs []string) {
	delete(s.linked, id)
	s.Remember(now, id, addrs)
	s.Want(now, id)
}

// Remember tells that id, which this node was linked with, is to be found again at
// addrs and no longer where it or a peer said before, until it is linked or forgotten:
// a member without a link, or one that failed and may be on the other side of a split.
func (s *Scheduler) Remember(now time.Time, id ident.NodeID, addrs []string) {
	s.fresh = false
	if id.IsZero() || id == s.c.Self {
		return
	}
	addrs = addrs[:min(len(addrs), addrsMax)]
	keep := make(map[string]bool, len(addrs))
	for i, a := range addrs {
		addr, local, ok := parse(a, false)
		if !ok {
			s.stats.Ignored++
			continue
		}
		if keep[addr] {
			continue
		}
		keep[addr] = true
		t := s.table.find(addr, id)
		if t == nil {
			t = s.table.add(addr, id, Remembered)
			t.place.local = local
		} else {
			s.table.move(t, Remembered)
		}
		t.seen, t.hold, t.order = now, time.Time{}, i
		s.stats.Evicted += uint64(s.table.trim(t))
	}
	s.table.drop(func(t *target) bool {
		return t.id == id && (t.source == Remembered || t.source == Peer) && !keep[t.place.addr]
	})
}

// Want asks for a dial of id now, whatever its back-off: at the first of the addresses
// to remember, or of a stranger at the one where it answered last. It does nothing if id
// is linked, has no known address, or is resting.
func (s *Scheduler) Want(_ time.Time, id ident.NodeID) {
	s.fresh = false
	if id.IsZero() || s.linked[id] {
		return
	}
	if t := s.table.best(id); t != nil {
		t.urgent = true
	}
}

// Forget drops what is known about id, which left or was expelled, and its link: this
// node does not dial it again until somebody names it again.
func (s *Scheduler) Forget(_ time.Time, id ident.NodeID) {
	s.fresh = false
	delete(s.linked, id)
	s.table.drop(func(t *target) bool { return t.id == id && !id.IsZero() })
}

// Stats returns the counters.
func (s *Scheduler) Stats() Stats {
	st := s.stats
	st.Candidates, st.Dialing = len(s.table.targets), len(s.flights)
	return st
}
