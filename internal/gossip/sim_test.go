package gossip_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
)

// seeds is how many runs of the simulation there are, and from where on:
// go test ./internal/gossip -run TestChurn -gossip.seeds=1000, or -gossip.seed=7 for one.
var (
	seeds   = flag.Int("gossip.seeds", 0, "run the simulation of churn with so many seeds; 0 for 30, 10 with -race")
	oneSeed = flag.Int("gossip.seed", -1, "run the simulation of churn with this seed only")
)

const (
	slots  = 30
	chaos  = 8 * time.Second
	settle = 20 * time.Second
	ageMax = gossip.AgeMaxMin
)

// churn is a network in which nodes come and go, links break, queues are full, and
// everybody learns of everybody at another time.
type churn struct {
	*network
	until time.Time // no more faults after that
	side  []bool    // by slot, while there is a split
}

// runChurn runs one seed, and returns the network at its end.
func runChurn(seed uint64, b bug) *network {
	w := newNetwork(seed, slots)
	w.bug = b
	w.config = gossip.Config{StoreMax: gossip.StoreMaxMin, AgeMax: ageMax}
	c := &churn{network: w, until: w.now.Add(chaos)}
	w.cut = func(a, b int) bool { return c.side != nil && c.side[a] != c.side[b] }
	for slot := range slots * 2 / 3 {
		w.after(w.below(300*time.Millisecond), func() { c.join(slot) })
	}
	w.after(0, c.trouble)
	w.after(0, c.traffic)
	w.after(0, c.audit)
	w.after(0, c.tend)
	w.run(chaos)
	w.run(settle)
	for _, p := range w.procs {
		if p != nil && !p.dead {
			p.complete()
		}
	}
	return w
}

// alive returns the slots that run, and one of them by chance; -1 for none.
func (c *churn) alive() (all []int, one int) {
	for slot, p := range c.procs {
		if p != nil && !p.dead {
			all = append(all, slot)
		}
	}
	if len(all) == 0 {
		return nil, -1
	}
	return all, all[c.rand.IntN(len(all))]
}

// join starts a process. A first link brings it in, then all learn of it, and it of all,
// each in its time.
func (c *churn) join(slot int) {
	if p := c.procs[slot]; p != nil && !p.dead {
		return
	}
	p := c.boot(slot)
	p.sees([]gossip.Member{p.self})
	c.after(c.below(3*time.Millisecond), func() { c.enter(p) })
	for _, o := range c.procs {
		if o != nil && o != p {
			c.acquaint(p, o, 5*time.Millisecond)
		}
	}
}

// enter gives a process its first link.
func (c *churn) enter(p *proc) {
	for try := 0; try < 100 && !p.dead && len(p.links) == 0; try++ {
		if _, slot := c.alive(); slot != p.slot && (try > 50 || !c.procs[slot].linked.IsZero()) {
			c.connect(p, c.procs[slot])
		}
	}
}

// acquaint makes two processes learn of each other, each in its time.
func (c *churn) acquaint(p, q *proc, least time.Duration) {
	c.after(least+c.below(200*time.Millisecond), func() { c.learn(p, q) })
	c.after(least+c.below(200*time.Millisecond), func() { c.learn(q, p) })
}

// learn makes p list q, as soon as both are in the cluster and on one side.
func (c *churn) learn(p, q *proc) {
	switch {
	case p.dead || q.dead || slices.Contains(p.view, q.self):
		return
	case p.linked.IsZero() || q.linked.IsZero() || c.cut(p.slot, q.slot):
		c.after(c.below(200*time.Millisecond), func() { c.learn(p, q) })
		return
	}
	view := slices.DeleteFunc(slices.Clone(p.view), func(m gossip.Member) bool { return m.ID == q.self.ID })
	if at, ok := q.listed[p.self]; ok && c.now.Sub(at) > ageMax/2 {
		p.hasty[q.self] = true // what it heard before is forgotten
	}
	p.listed[q.self] = c.now
	c.see(p, append(view, q.self))
	if k := c.books[p.self]; k.listed[q.self] == nil {
		last := k.last()
		k.listed[q.self] = &last
	}
}

// unlist makes p forget a member, unless it is there in another incarnation by now.
func (c *churn) unlist(p *proc, m gossip.Member) {
	if !p.dead {
		if c.now.Sub(p.listed[m]) < 3*ageMax/6 {
			p.hasty[m] = true
		}
		c.see(p, slices.DeleteFunc(slices.Clone(p.view), func(o gossip.Member) bool { return o == m }))
	}
}

// see gives p a view, and dials whom it wants a link with then.
func (c *churn) see(p *proc, view []gossip.Member) {
	slices.SortFunc(view, byID)
	p.sees(view)
	c.relink(p)
}

// tend makes every process look after its links, and again after a while.
func (c *churn) tend() {
	for _, p := range c.procs {
		if p != nil && !p.dead {
			c.enter(p)
			c.relink(p)
		}
	}
	c.after(100*time.Millisecond, c.tend)
}

// wants returns whom p wants a link with: its neighbours in its own graph.
func (c *churn) wants(p *proc) []*proc {
	at := slices.Index(p.view, p.self)
	var all []*proc
	for _, i := range p.graph.Links[at] {
		all = append(all, c.procs[c.slots[p.view[i].ID]])
	}
	return all
}

// relink dials those with whom p wants a link, and closes what neither end wants.
func (c *churn) relink(p *proc) {
	wanted := c.wants(p)
	for _, q := range wanted {
		if p.links[q.slot] != nil {
			continue
		}
		c.after(time.Millisecond+c.below(4*time.Millisecond), func() { c.dial(p, q) })
	}
	for slot := range c.procs {
		l := p.links[slot]
		if l != nil && !l.peer.dead && !slices.Contains(wanted, l.peer) && len(p.view) > 1 && len(p.links) > 2 &&
			!slices.Contains(c.wants(l.peer), p) {
			c.close(l)
		}
	}
}

func (c *churn) dial(p, q *proc) {
	if c.procs[p.slot] == p && c.procs[q.slot] == q {
		c.connect(p, q)
	}
}

// close takes both ends of a link down, one after the other.
func (c *churn) close(l *link) {
	a, b := l.other.peer, l.peer
	a.disconnect(l)
	c.after(c.hop(), func() { b.disconnect(l.other) })
}

// kill ends a process. Its links close at once, or nobody notices for a while; the others
// remove it in their time.
func (c *churn) kill(slot int, silent bool) {
	p := c.procs[slot]
	p.dead = true
	c.books[p.self].closed = true
	for other := range c.procs {
		if l := p.links[other]; l != nil {
			wait := c.hop()
			if silent {
				wait += c.below(800 * time.Millisecond)
			}
			c.after(wait, func() { l.peer.disconnect(l.other); p.disconnect(l) })
		}
	}
	for _, q := range c.procs {
		if q != nil && q != p {
			c.after(300*time.Millisecond+c.below(time.Second), func() { c.unlist(q, p.self) })
		}
	}
}

// split cuts the slots into two sides for a time: links go down, both sides remove each
// other, and meet again.
func (c *churn) split(d time.Duration) {
	c.side = make([]bool, slots)
	for slot := range c.side {
		c.side[slot] = c.rand.IntN(2) == 0
	}
	for _, p := range c.procs {
		for slot := range c.procs {
			if p == nil || !c.cut(p.slot, slot) {
				continue
			}
			if l := p.links[slot]; l != nil {
				c.after(c.below(500*time.Millisecond), func() { p.disconnect(l) })
			}
			if q := c.procs[slot]; q != nil {
				c.after(time.Second+c.below(time.Second), func() {
					if c.cut(p.slot, q.slot) {
						c.unlist(p, q.self)
					}
				})
			}
		}
	}
	c.after(d, c.heal)
}

func (c *churn) heal() {
	c.side = nil
	for a, p := range c.procs {
		for _, q := range c.procs[:a] {
			if p != nil && q != nil && !p.dead && !q.dead {
				c.acquaint(p, q, time.Millisecond)
			}
		}
	}
	c.bridge()
}

// bridge makes a first link between those who do not know each other yet, as a dial to
// somebody who was lost does.
func (c *churn) bridge() {
	for _, p := range c.procs {
		_, slot := c.alive()
		if p != nil && !p.dead && slot != p.slot {
			c.connect(p, c.procs[slot])
		}
	}
}

// trouble makes something go wrong, and again after a while.
func (c *churn) trouble() {
	if c.now.After(c.until) {
		if c.side != nil {
			c.heal()
		}
		return
	}
	c.after(20*time.Millisecond+c.below(300*time.Millisecond), c.trouble)
	all, slot := c.alive()
	switch n := c.rand.IntN(20); {
	case n < 4 && len(all) < slots:
		for range 100 {
			if s := c.rand.IntN(slots); c.procs[s] == nil || c.procs[s].dead {
				c.join(s)
				return
			}
		}
	case n < 6 && len(all) > slots/2:
		c.kill(slot, c.rand.IntN(2) == 0)
	case n < 7 && len(all) > slots/2:
		c.kill(slot, false)
		c.after(10*time.Millisecond+c.below(100*time.Millisecond), func() { c.join(slot) })
	case n < 10:
		if l := c.someLink(slot); l != nil {
			c.close(l)
			p, q := l.other.peer, l.peer
			c.after(5*time.Millisecond+c.below(500*time.Millisecond), func() { c.dial(p, q) })
		}
	case n == 10 && c.side == nil && c.now.Sub(c.start) > 2*time.Second:
		c.split(500*time.Millisecond + c.below(6*time.Second))
	default:
		for range 5 {
			if l := c.someLink(slot); l != nil {
				l.full = c.now.Add(10*time.Millisecond + c.below(500*time.Millisecond))
			}
		}
	}
}

// someLink returns one of the links of a slot.
func (c *churn) someLink(slot int) *link {
	if slot < 0 {
		return nil
	}
	p := c.procs[slot]
	for range 20 {
		if l := p.links[c.rand.IntN(slots)]; l != nil {
			return l
		}
	}
	return nil
}

// traffic lets somebody publish, and again after a while: mostly a little, sometimes more
// than a store holds.
func (c *churn) traffic() {
	if c.now.After(c.until.Add(time.Second)) {
		return
	}
	c.after(c.below(60*time.Millisecond), c.traffic)
	_, slot := c.alive()
	if slot < 0 || c.procs[slot].linked.IsZero() {
		return
	}
	p, times := c.procs[slot], 1
	if c.rand.IntN(20) == 0 {
		times = 12
	}
	for range times {
		p.publish(c.pieces(p.writer.open)...)
	}
	if p.writer.open {
		p.publish(piece{count: 1, size: 10})
	}
}

// pieces draws what a batch is made of.
func (c *churn) pieces(open bool) (all []piece) {
	for range 1 + c.rand.IntN(4) {
		k := piece{count: 1 + c.rand.IntN(3), size: c.rand.IntN(200), more: c.rand.IntN(4) == 0}
		if c.rand.IntN(8) == 0 {
			k.size, k.count = 15_000, 1
		}
		if open || k.more {
			k.count = 1
		}
		open = k.more
		all = append(all, k)
	}
	return all
}

// audit looks at what every router keeps, and again after a while.
func (c *churn) audit() {
	for _, p := range c.procs {
		if p == nil || p.dead {
			continue
		}
		if s := p.r.Stats(); s.Bytes > gossip.StoreMaxMin || s.Held > s.Bytes {
			c.fail("D5: %d keeps %d bytes and holds %d of them, limit %d", p.slot, s.Bytes, s.Held, gossip.StoreMaxMin)
		}
	}
	if c.now.Before(c.until.Add(settle)) {
		c.after(100*time.Millisecond, c.audit)
	}
}

// complete holds that a process has everything that the present members published since
// they list it, or was told how much it missed.
func (p *proc) complete() {
	w := p.net
	for _, q := range w.procs {
		if q == nil || q.dead || q == p {
			continue
		}
		k, r := w.books[q.self], p.readers[q.self]
		listed := k.listed[p.self]
		switch {
		case listed == nil:
			w.fail("the simulation is wrong: %d does not list %d", q.slot, p.slot)
		case r == nil && k.last() > *listed:
			w.fail("D3: %d got nothing of %d, which published %d messages, %d since it lists it",
				p.slot, q.slot, k.last(), k.last()-*listed)
		case r == nil:
		case !r.begun && *listed+ident.Seq(r.before) < k.last():
			w.fail("D3: %d got nothing of %d but a loss of %d, of %d messages since it lists it",
				p.slot, q.slot, r.before, k.last()-*listed)
		case !r.begun:
		case r.start > *listed && !p.hasty[q.self] && k.since(r.start).Sub(p.listed[q.self]) > ageMax/4:
			w.fail("D3: %d begins with %d after message %d, listed at %d", p.slot, q.slot, r.start, *listed)
		case r.message != k.last() || r.open:
			w.fail("D3: %d has messages up to %d of %d of %d", p.slot, r.message, k.last(), q.slot)
		}
	}
}

// Whatever goes wrong, every node gets each message once, in the order of its origin, or
// hears how many it missed (D1 to D5), and in the end everybody has come to the end.
func TestChurn(t *testing.T) {
	from, to := 0, *seeds
	switch {
	case *oneSeed >= 0:
		from, to = *oneSeed, *oneSeed+1
	case to == 0 && raceEnabled:
		to = 10
	case to == 0:
		to = 30
	}
	const shards = 2
	for shard := range shards {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			var sum totals
			for seed := from + shard; seed < to; seed += shards {
				w := runChurn(uint64(seed), none)
				sum.add(w)
				if len(w.violations) > 0 {
					t.Fatalf("seed %d: %d violations\n%s\nreplay: go test ./internal/gossip -run TestChurn -gossip.seed=%d",
						seed, len(w.violations), strings.Join(w.violations[:min(len(w.violations), 10)], "\n"), seed)
				}
			}
			t.Logf("%+v", sum)
		})
	}
}

// totals says what the runs of a test were about.
type totals struct {
	published, delivered, lost, payloads, unknown int
	stats                                         gossip.Stats
}

func (s *totals) add(w *network) {
	for _, k := range w.books {
		s.published += int(k.last())
	}
	s.payloads += w.payloads
	for _, p := range w.procs {
		if p == nil {
			continue
		}
		for _, r := range p.readers {
			s.lost += int(r.lost)
			s.delivered += int(r.message - r.start)
			if r.over {
				s.unknown++
			}
		}
		n := p.r.Stats()
		s.stats.Batches += n.Batches
		s.stats.Duplicates += n.Duplicates
		s.stats.Lost += n.Lost
		s.stats.Strange += n.Strange
		s.stats.Clashing += n.Clashing
		s.stats.Refused += n.Refused
		s.stats.Pulls += n.Pulls
		s.stats.Timeouts += n.Timeouts
		s.stats.Trees += n.Trees
		s.stats.Floods += n.Floods
	}
}
