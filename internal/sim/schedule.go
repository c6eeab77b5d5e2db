package sim

import (
	"slices"
	"time"
)

// Kind is one way in which a cluster suffers.
type Kind uint8

// The kinds of [Fault].
const (
	Partition Kind = iota // two sides that hear nothing of each other
	OneWay                // one direction between two hosts is cut
	Deaf                  // nothing arrives at one host
	Lossy                 // four of five segments to one host are lost
	Pause                 // one process is frozen
	Kill                  // one process is killed, and started again later
	Rekey                 // as Kill, but with a new key
	Move                  // as Kill, but on another port
	Leave                 // one process leaves, and is started again later
	Reset                 // every connection between two hosts is reset
	Rotate                // one process replaces its link with another host by a fresh one
	Update                // one process changes its metadata: no fault, but a change on its way
	kinds
)

// Fault is one thing that goes wrong.
type Fault struct {
	At   time.Duration // since the start of the run
	Last time.Duration // how long until it is over
	Kind Kind
	A, B int   // the hosts that it is about
	Side []int // the hosts on one side of a Partition
}

// Never is the Last of a fault that is not over before the run is.
const Never = time.Hour

// over returns when f is over, or when it begins if it never is.
func (f Fault) over() time.Duration {
	switch {
	case f.Last >= Never:
		return f.At
	case f.Kind == Leave || f.Kind == Kill || f.Kind == Rekey || f.Kind == Move:
		return f.At + exitAfter + f.Last
	}
	return f.At + f.Last
}

// The longest faults that a seed draws.
const (
	pauseMax   = 2500 * time.Millisecond
	restartMax = 4 * time.Second
	cutMax     = 8 * time.Second
)

// schedule draws what goes wrong between two instants, in the order of time.
func (w *world) schedule(from, to time.Duration) []Fault {
	// About one a second with 5 hosts. The number grows with the square root of the
	// hosts, so that a large cluster has members that are left in peace as well.
	span := int(to-from) / int(time.Second)
	n := 1
	for n*n < w.config.Nodes {
		n++
	}
	count := span * n / 3
	faults := make([]Fault, 0, count)
	for range count {
		faults = append(faults, w.draw(from, to))
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return int(a.At - b.At) })
	return faults
}

// draw draws one fault.
func (w *world) draw(from, to time.Duration) Fault {
	f := Fault{
		At:   from + time.Duration(w.rand.Int64N(int64(to-from))),
		Kind: Kind(w.rand.IntN(int(kinds))),
		A:    w.rand.IntN(w.config.Nodes),
		B:    w.rand.IntN(w.config.Nodes),
	}
	longest := cutMax
	switch f.Kind {
	case Partition:
		size := 1 + w.rand.IntN(max(w.config.Nodes-1, 1))
		f.Side = w.rand.Perm(w.config.Nodes)[:size]
	case Pause:
		longest = pauseMax
	case Kill, Rekey, Move, Leave:
		longest = restartMax
	default:
	}
	// Mostly short, sometimes long: half of the faults last less than a quarter.
	x := w.rand.Float64()
	f.Last = 20*time.Millisecond + time.Duration(x*x*float64(longest))
	return f
}

// inflict begins f and schedules its end.
func (w *world) inflict(f Fault) {
	switch f.Kind {
	case Partition:
		w.cutFor(f.Last, w.between(f.Side))
	case OneWay:
		if f.A != f.B {
			w.cutFor(f.Last, []path{{f.A, f.B}})
		}
	case Deaf:
		w.cutFor(f.Last, w.to(f.A))
	case Lossy:
		w.hinder(w.net.lossy, f.Last, w.to(f.A))
	case Pause:
		w.pauseFor(f.Last, f.A)
	case Kill, Rekey, Move, Leave:
		w.restart(f)
	case Reset:
		w.resetBetween(f.A, f.B)
	case Rotate:
		w.rotate(f.A, f.B)
	case Update:
		w.update(f.A)
	case kinds:
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

// to lists the directions from all others to a host.
func (w *world) to(host int) []path {
	var in []path
	for h := range w.config.Nodes {
		if h != host {
			in = append(in, path{h, host})
		}
	}
	return in
}

// cutFor cuts directions for a while.
func (w *world) cutFor(d time.Duration, paths []path) { w.hinder(w.net.cut, d, paths) }

// hinder cuts directions for a while, or makes them lossy, which to the checker is the same.
// Faults overlap: a direction is open again when every fault that hindered it is over.
func (w *world) hinder(how map[path]int, d time.Duration, paths []path) {
	hindered := func(p path) bool { return w.net.cut[p]+w.net.lossy[p] > 0 }
	for _, p := range paths {
		if !hindered(p) {
			w.record(Entry{Event: EventCut, Host: p.from, To: p.to})
		}
		how[p]++
	}
	w.loop.after(d, func() {
		for _, p := range paths {
			how[p]--
			if !hindered(p) {
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
func (w *world) restart(f Fault) {
	h := &w.hosts[f.A]
	p := h.proc
	if p == nil {
		return // it is down already
	}
	h.proc = nil
	switch {
	case f.Kind == Leave && !p.paused:
		p.node.leave()
	default:
		w.record(Entry{Event: EventKill, Node: p.number})
		p.kill()
	}
	w.loop.after(exitAfter+f.Last, func() {
		switch f.Kind {
		case Rekey:
			h.key++
		case Move:
			if f.A >= w.config.Seeds { // a seed that moves is not where the others look
				h.port++
			}
		default:
		}
		w.start(f.A)
	})
}

// update changes the metadata of the process on a host.
func (w *world) update(host int) {
	p := w.hosts[host].proc
	if p == nil {
		return
	}
	p.do(func() {
		at := w.loop.now.String()
		p.node.must(p.node.core.SetMeta(p.node.now(), map[string]string{"changed": at}))
		p.node.carry()
	})
}

// rotate replaces the link between two hosts, if there is one.
func (w *world) rotate(a, b int) {
	p := w.hosts[a].proc
	if p == nil {
		return
	}
	p.do(func() {
		for id := range p.node.lastLink {
			if l := p.node.links[id+1]; l != nil && l.end.peer.proc.host == b {
				p.node.core.Rotate(p.node.now(), id+1)
			}
		}
		p.node.carry()
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
