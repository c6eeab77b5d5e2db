package elect_test

import (
	"cmp"
	"hash"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/agenda"
	"github.com/espial-go/espial/internal/elect"
)

// event is something that happens at one process, or to the world if it has none.
type event struct {
	of *process
	do func()
}

// pair is two slots, or one direction between them.
type pair struct{ a, b int }

func pairOf(a, b int) pair { return pair{min(a, b), max(a, b)} }

// link is one connection. What is sent on it arrives in order, late if there is a cut, or
// never if the link breaks first.
type link struct {
	up    bool
	since time.Time
	ends  [2]*process
	last  map[int]time.Time // slot of the receiver → arrival of the last frame
	stuck map[int][]func()  // slot of the receiver → what waits for the end of a cut
	timed bool              // in a mesh: somebody will look whether it is to break
}

// world is processes in slots, and membership as internal/member and internal/fault
// give it: a member is listed by the first link with it, and removed some time after
// nobody can reach it any more.
type world struct {
	start, now time.Time
	rand       *rand.Rand
	agenda     *agenda.Agenda[time.Time, event]
	slots      []*process // nil where none runs
	links      map[pair]*link
	dialing    map[pair]bool
	cut        map[pair]bool // from a to b
	keys       int           // IDs given out
	incs       int           // incarnations given out
	relink     time.Duration // a link is up so long after it can be, at most
	loss       int           // per cent of the segments
	bug        bug
	durable    bool                // a process that is started in a slot has the disk of the last one
	disks      map[int]elect.Reign // by slot: the last one that was followed
	mesh       *mesh               // nil: everybody has links with everybody
	check      *checker
	trace      hash.Hash64 // of all actions, if not nil
}

func newWorld(seed uint64, n int) *world {
	w := &world{
		agenda: agenda.New[time.Time, event](time.Time.Compare),
		start:  time.Unix(1_000_000, 0), rand: rand.New(rand.NewPCG(seed, 0)), slots: make([]*process, n),
		links: map[pair]*link{}, dialing: map[pair]bool{}, cut: map[pair]bool{}, relink: 1500 * time.Millisecond,
		disks: map[int]elect.Reign{},
	}
	w.now = w.start
	w.check = &checker{w: w}
	return w
}

// settled returns a world of n processes that run for some time and agree.
func settled(seed uint64, n int) *world {
	w := newWorld(seed, n)
	for i := range n {
		w.boot(i)
	}
	w.run(6 * time.Second)
	return w
}

func (w *world) below(d time.Duration) time.Duration { return time.Duration(w.rand.Int64N(int64(d))) }

func (w *world) between(a, b time.Duration) time.Duration { return a + w.below(b-a) }

// at puts an event on the queue.
func (w *world) at(when time.Time, of *process, do func()) {
	w.agenda.Add(when, event{of, do})
}

func (w *world) after(d time.Duration, do func()) { w.at(w.now.Add(d), nil, do) }

// run lets d pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	const eventsMax = 100_000
	for n := 0; ; n++ {
		at, e, ok := w.agenda.Due(end)
		if !ok {
			break
		}
		if n == eventsMax {
			w.check.fail("L9", "no end of events")
			w.agenda.Clear()
			return
		}
		w.now = at
		switch {
		case e.of == nil:
			e.do()
		case e.of.ended:
		case at.Before(e.of.until):
			w.at(e.of.until, e.of, e.do)
		default:
			e.do()
			e.of.settle()
		}
	}
	w.now = end
}

func (w *world) cutEither(a, b int) bool { return w.cut[pair{a, b}] || w.cut[pair{b, a}] }

// running reports whether p is there and not paused.
func (w *world) running(p *process) bool { return p != nil && !p.ended && !w.now.Before(p.until) }

// reach looks at the network anew after a change: links that can come up or must break.
func (w *world) reach() {
	if w.mesh != nil {
		w.remesh()
		return
	}
	for a := range w.slots {
		for b := range a {
			k := pairOf(a, b)
			l := w.links[k]
			pa, pb := w.slots[k.a], w.slots[k.b]
			if l != nil && l.up {
				if w.cutEither(a, b) || !w.running(pa) || !w.running(pb) {
					w.after(w.between(900*time.Millisecond, 2700*time.Millisecond), func() { w.sever(l, k) })
				} else {
					l.flush(w)
				}
				continue
			}
			if w.running(pa) && w.running(pb) && !w.cutEither(a, b) && !w.dialing[k] {
				w.dialing[k] = true
				w.after(w.below(w.relink), func() { w.connect(k) })
			}
		}
	}
	for x := range w.slots {
		for y := range w.slots {
			w.watch(w.slots[x], y)
		}
	}
}

// sever breaks a link that has been silent since a cut, unless it came back.
func (w *world) sever(l *link, k pair) {
	if !l.up || !w.cutEither(k.a, k.b) && w.running(l.ends[0]) && w.running(l.ends[1]) {
		return
	}
	w.part(l)
	w.reach()
}

func (l *link) flush(w *world) {
	for _, p := range l.ends {
		from := l.ends[0].slot + l.ends[1].slot - p.slot
		if w.cut[pair{from, p.slot}] {
			continue
		}
		for _, f := range l.stuck[p.slot] {
			l.carry(w, p, f)
		}
		l.stuck[p.slot] = nil
	}
}

// carry brings what is sent on l to p, unless the link breaks before.
func (l *link) carry(w *world, p *process, receive func()) {
	from := l.ends[0].slot + l.ends[1].slot - p.slot
	if w.cut[pair{from, p.slot}] {
		l.stuck[p.slot] = append(l.stuck[p.slot], receive)
		return
	}
	delay := w.between(100*time.Microsecond, 800*time.Microsecond)
	for again := 50 * time.Millisecond; w.rand.IntN(100) < w.loss; again *= 2 {
		delay += again // a segment was lost
	}
	at := w.now.Add(delay)
	if at.Before(l.last[p.slot]) {
		at = l.last[p.slot]
	}
	l.last[p.slot] = at
	w.at(at, p, func() {
		switch {
		case !l.up:
		case w.cut[pair{from, p.slot}]:
			l.stuck[p.slot] = append(l.stuck[p.slot], receive)
		default:
			receive()
		}
	})
}

// connect brings a link up, if it still can be.
func (w *world) connect(k pair) {
	w.dialing[k] = false
	pa, pb := w.slots[k.a], w.slots[k.b]
	if !w.running(pa) || !w.running(pb) || w.cutEither(k.a, k.b) || w.links[k] != nil && w.links[k].up {
		return
	}
	l := &link{up: true, since: w.now, ends: [2]*process{pa, pb}, last: map[int]time.Time{}, stuck: map[int][]func(){}}
	w.links[k] = l
	if w.mesh != nil {
		w.spread()
	}
	for _, p := range []*process{pa, pb} {
		q := pa
		if p == pa {
			q = pb
		}
		join := p.highest() + 1
		l.carry(w, q, func() {
			q.meet(p)
			q.fix(join)
			q.e.Linked(w.now, p.id)
		})
	}
}

// split cuts the slots into sides, given as the side of each slot.
func (w *world) split(side func(slot int) int) {
	for a := range w.slots {
		for b := range w.slots {
			w.cut[pair{a, b}] = side(a) != side(b)
		}
	}
	w.reach()
}

func (w *world) heal() { w.split(func(int) int { return 0 }) }

// first returns the running processes by rank.
func (w *world) first() []*process {
	all := slices.DeleteFunc(slices.Clone(w.slots), func(p *process) bool { return p == nil })
	slices.SortFunc(all, func(a, b *process) int { return cmp.Or(cmp.Compare(a.join-1, b.join-1), a.id.Compare(b.id)) })
	return all
}
