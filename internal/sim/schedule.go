package sim

import (
	"slices"
	"time"
)

// faultKind is one way in which a cluster suffers.
type faultKind uint8

const (
	faultPartition faultKind = iota // two sides that hear nothing of each other
	faultOneWay                     // one direction between two hosts is cut
	faultDeaf                       // nothing arrives at one host
	faultPause                      // one process is frozen
	faultKill                       // one process is killed, and started again later
	faultRekey                      // as faultKill, but with a new key
	faultMove                       // as faultKill, but on another port
	faultLeave                      // one process leaves, and is started again later
	faultReset                      // every connection between two hosts is reset
	faultKinds
)

// fault is one thing that goes wrong.
type fault struct {
	at   time.Duration
	last time.Duration // until it is over
	kind faultKind
	a, b int   // the hosts that it is about
	side []int // one side of a partition
}

const (
	pauseMax   = 2500 * time.Millisecond
	restartMax = 4 * time.Second
	cutMax     = 8 * time.Second
)

// schedule draws what goes wrong between two instants, in the order of time.
func (w *world) schedule(from, to time.Duration) []fault {
	// Each host suffers about once in three seconds; the number grows with the square
	// root of the cluster, so that a large one has quiet members as well.
	span := int(to-from) / int(time.Second)
	n := 1
	for n*n < w.config.Nodes {
		n++
	}
	count := span * n / 3
	faults := make([]fault, 0, count)
	for range count {
		faults = append(faults, w.draw(from, to))
	}
	slices.SortStableFunc(faults, func(a, b fault) int { return int(a.at - b.at) })
	return faults
}

// draw draws one fault.
func (w *world) draw(from, to time.Duration) fault {
	f := fault{
		at:   from + time.Duration(w.rand.Int64N(int64(to-from))),
		kind: faultKind(w.rand.IntN(int(faultKinds))),
		a:    w.rand.IntN(w.config.Nodes),
		b:    w.rand.IntN(w.config.Nodes),
	}
	longest := cutMax
	switch f.kind {
	case faultPartition:
		size := 1 + w.rand.IntN(max(w.config.Nodes-1, 1))
		f.side = w.rand.Perm(w.config.Nodes)[:size]
	case faultPause:
		longest = pauseMax
	case faultKill, faultRekey, faultMove, faultLeave:
		longest = restartMax
	default:
	}
	// Mostly short, sometimes long: half of the faults last less than a quarter.
	x := w.rand.Float64()
	f.last = 20*time.Millisecond + time.Duration(x*x*float64(longest))
	return f
}

// inflict begins f and schedules its end.
func (w *world) inflict(f fault) {
	switch f.kind {
	case faultPartition:
		w.cutFor(f.last, w.between(f.side))
	case faultOneWay:
		if f.a != f.b {
			w.cutFor(f.last, []path{{f.a, f.b}})
		}
	case faultDeaf:
		var in []path
		for h := range w.config.Nodes {
			if h != f.a {
				in = append(in, path{h, f.a})
			}
		}
		w.cutFor(f.last, in)
	case faultPause:
		w.pauseFor(f.last, f.a)
	case faultKill, faultRekey, faultMove, faultLeave:
		w.restart(f)
	case faultReset:
		w.resetBetween(f.a, f.b)
	case faultKinds:
	}
}

// between lists both directions of every pair that a side parts.
func (w *world) between(side []int) []path {
	var cut []path
	for a := range w.config.Nodes {
		for b := range w.config.Nodes {
			if slices.Contains(side, a) != slices.Contains(side, b) {
				cut = append(cut, path{a, b})
			}
		}
	}
	return cut
}

// cutFor cuts directions for a while. Cuts overlap: one is open again when every fault
// that cut it is over.
func (w *world) cutFor(d time.Duration, paths []path) {
	for _, p := range paths {
		w.net.cut[p]++
		if w.net.cut[p] == 1 {
			w.record(Entry{Event: EventCut, Host: p.from, To: p.to})
		}
	}
	w.loop.after(d, func() {
		for _, p := range paths {
			w.net.cut[p]--
			if w.net.cut[p] == 0 {
				w.record(Entry{Event: EventHeal, Host: p.from, To: p.to})
			}
		}
	})
}

// pauseFor freezes the process on a host for a while.
func (w *world) pauseFor(d time.Duration, host int) {
	p := w.hosts[host].proc
	if p == nil || p.paused {
		return
	}
	w.record(Entry{Event: EventPause, Node: p.number})
	p.pause()
	w.loop.after(d, func() {
		if p.dead {
			return
		}
		w.record(Entry{Event: EventResume, Node: p.number})
		p.resume()
	})
}

// restart ends the process on a host and starts another one there later.
func (w *world) restart(f fault) {
	h := &w.hosts[f.a]
	p := h.proc
	if p == nil {
		return // it is down already
	}
	h.proc = nil
	switch {
	case f.kind == faultLeave && !p.paused:
		p.node.leave()
	default:
		w.record(Entry{Event: EventKill, Node: p.number})
		p.kill()
	}
	w.loop.after(exitAfter+f.last, func() {
		switch f.kind {
		case faultRekey:
			h.key++
		case faultMove:
			if f.a >= seeds { // a seed that moves is not where the others look
				h.port++
			}
		default:
		}
		w.start(f.a)
	})
}

// resetBetween breaks every connection between two hosts.
func (w *world) resetBetween(a, b int) {
	p := w.hosts[a].proc
	if p == nil {
		return
	}
	for _, e := range slices.Clone(p.ends) {
		if e.peer.proc.host == b && e.state == endOpen {
			e.broken(closeReset)
			e.peer.broken(closeReset)
		}
	}
}
