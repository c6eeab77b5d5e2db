package fault_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/fault"
)

// book checks what must hold of the actions of any detector, whatever it is told.
type book struct {
	t       *rapid.T
	d       *fault.Detector
	now     time.Time
	watched map[byte]bool // and whether suspected
	linked  map[byte]bool
	life    map[byte]time.Time   // last direct sign of life
	refused map[byte]time.Time   // when, if not since the last sign of life
	open    map[uint64]time.Time // requests of others without an answer
	probed  map[byte]uint64      // last probe
	trials  map[byte]int         // answers in a row, at most

	some    bool                   // not everybody is watched
	chosen  string                 // who is, then
	doubted map[byte]time.Time     // the first word of others since the last refutation
	accused map[byte]map[byte]bool // who else said "refused" since then
	heard   time.Time              // anybody
}

// check takes the actions of one call.
func (b *book) check() {
	for _, a := range b.d.Take() {
		switch a := a.(type) {
		case fault.Probe:
			_, trial := b.trials[a.ID[0]]
			b.must(b.linked[a.ID[0]] || trial, a)
			b.must(a.Number > b.probed[a.ID[0]], a)
			b.probed[a.ID[0]] = a.Number
		case fault.Request:
			_, ok := b.watched[a.Target[0]]
			b.must(!b.far(a.Target[0]), a)
			b.must(ok && b.linked[a.Helper[0]] && a.Helper != a.Target && !b.watched[a.Helper[0]], a)
		case fault.Answer:
			_, ok := b.open[a.Number]
			b.must(ok, a)
			delete(b.open, a.Number)
		case fault.Suspect:
			suspected, ok := b.watched[a.ID[0]]
			b.must(ok && !suspected, a)
			b.watched[a.ID[0]] = true
		case fault.Alive:
			b.must(b.watched[a.ID[0]], a)
			b.watched[a.ID[0]] = false
		case fault.Passed:
			b.must(b.trials[a.ID[0]] >= 8, a)
			delete(b.trials, a.ID[0])
		case fault.Dead:
			id := a.ID[0]
			b.must(b.watched[id], a)
			silent := b.now.Sub(b.life[id])
			b.must(silent >= 2700*time.Millisecond || !b.refused[id].IsZero() && !b.linked[id] || b.unrefuted(id), a)
			b.must(!b.far(id) || b.unrefuted(id) || !b.refused[id].IsZero() || b.now.Sub(b.heard) >= 2700*time.Millisecond, a)
			b.drop(id)
		}
	}
	if at, ok := b.d.Next(); ok != (len(b.watched)+len(b.trials) > 0) || ok && at.After(b.now.Add(5*time.Second)) {
		b.t.Fatalf("Next = %v, %v with %d members at %v", at, ok, len(b.watched), b.now)
	}
}

func (b *book) must(ok bool, a fault.Action) {
	b.t.Helper()
	if !ok {
		b.t.Fatalf("%T %+v must not be", a, a)
	}
}

// far reports whether somebody is not watched.
func (b *book) far(id byte) bool { return b.some && strings.IndexByte(b.chosen, id) < 0 }

// unrefuted reports whether what others say may be the end of somebody.
func (b *book) unrefuted(id byte) bool {
	first, ok := b.doubted[id]
	return ok && b.now.Sub(first) >= 1800*time.Millisecond || b.some && len(b.accused[id]) > 1
}

// said takes the word of one about another.
func (b *book) said(by, id byte, refused bool) {
	_, ok := b.watched[id]
	if _, known := b.watched[by]; !ok || !known || by == id {
		return
	}
	if b.some && b.doubted[id].IsZero() {
		b.doubted[id] = b.now
	}
	if b.accused[id] == nil {
		b.accused[id] = map[byte]bool{}
	}
	if refused {
		b.accused[id][by] = true
	}
}

// doubt takes note that a suspect who is not watched has to answer.
func (b *book) doubt(id byte) {
	if b.far(id) && b.watched[id] && b.doubted[id].IsZero() {
		b.doubted[id] = b.now
	}
}

func (b *book) drop(id byte) {
	delete(b.doubted, id)
	delete(b.accused, id)
	delete(b.trials, id)
	delete(b.watched, id)
	delete(b.linked, id)
}

// alive takes a sign of life that the detector is told of.
func (b *book) alive(id byte, at time.Time) {
	_, ok := b.watched[id]
	if ok && at.After(b.heard) {
		b.heard = at
	}
	if ok && at.After(b.life[id]) {
		b.life[id] = at
		if at.After(b.refused[id]) && !b.far(id) {
			delete(b.refused, id)
		}
	}
}

// TestAnyOrder tells a detector anything in any order.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		b := &book{
			t: t, now: time.Unix(1_000_000, 0), watched: map[byte]bool{}, linked: map[byte]bool{},
			life: map[byte]time.Time{}, refused: map[byte]time.Time{}, open: map[uint64]time.Time{}, probed: map[byte]uint64{},
			trials: map[byte]int{}, doubted: map[byte]time.Time{}, accused: map[byte]map[byte]bool{},
			d: fault.New(fault.Config{Self: name('s'), Incarnation: incOf(name('s'))}, rand.New(rand.NewPCG(seed, 1))),
		}
		someone := rapid.SampledFrom([]byte("abcds"))
		var asks uint64
		step := func(f func(id byte)) func(*rapid.T) {
			return func(t *rapid.T) {
				f(someone.Draw(t, "id"))
				b.check()
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": step(func(id byte) {
				if _, ok := b.watched[id]; !ok && id != 's' {
					b.watched[id], b.life[id] = false, b.now
					delete(b.refused, id)
				}
				delete(b.trials, id)
				b.d.Add(b.now, name(id), incOf(name(id)))
			}),
			"try": step(func(id byte) {
				if _, ok := b.watched[id]; !ok {
					b.trials[id] = 0
					b.d.Try(b.now, name(id))
				}
			}),
			"remove": step(func(id byte) { b.drop(id); b.d.Remove(name(id)) }),
			"link up": step(func(id byte) {
				if _, ok := b.watched[id]; ok {
					b.linked[id] = true
					b.alive(id, b.now)
					delete(b.refused, id)
				}
				b.d.LinkUp(b.now, name(id))
			}),
			"link down": step(func(id byte) {
				delete(b.linked, id)
				delete(b.trials, id)
				b.d.LinkDown(b.now, name(id), true)
			}),
			"heard": step(func(id byte) {
				at := b.now.Add(-time.Duration(rapid.IntRange(0, 300).Draw(b.t, "ago")) * time.Millisecond)
				b.alive(id, at)
				b.d.Heard(b.now, name(id), at)
			}),
			"acked": step(func(id byte) {
				if _, ok := b.trials[id]; ok {
					b.trials[id]++
				}
				b.d.Acked(b.now, name(id), b.probed[id])
			}),
			"result": step(func(id byte) { b.d.Result(b.now, name(id), rapid.Uint64Range(0, 300).Draw(b.t, "n"), true) }),
			"refused": step(func(id byte) {
				if !b.linked[id] {
					b.refused[id] = b.now
				}
				b.d.Refused(b.now, name(id))
			}),
			"refuted": step(func(id byte) {
				b.alive(id, b.now)
				b.heard = b.now
				if b.far(id) {
					delete(b.refused, id)
					delete(b.accused, id)
				}
				delete(b.doubted, id)
				b.d.Refuted(b.now, name(id))
			}),
			"suspected": step(func(id byte) {
				by, refused := someone.Draw(b.t, "by"), rapid.Bool().Draw(b.t, "refused")
				b.said(by, id, refused)
				b.heard = b.now
				b.d.Suspected(b.now, name(by), name(id), incOf(name(id)), refused)
			}),
			"watch": func(t *rapid.T) {
				b.chosen, b.some = rapid.SampledFrom([]string{"", "a", "ab", "bcd", "abcd"}).Draw(t, "whom"), true
				if rapid.Bool().Draw(t, "everybody") {
					b.some = false
					b.d.Watch(b.now, nil)
				} else {
					for id := range b.watched {
						b.doubt(id)
					}
					watch(b.chosen)(b.d, b.now)
				}
				b.check()
			},
			"asked": step(func(id byte) {
				asks++
				b.open[asks] = b.now
				b.d.Asked(b.now, name(someone.Draw(b.t, "from")), fault.Ask{
					Number: asks, Target: name(id), Incarnation: incOf(name(id)),
				})
			}),
			"time passes": func(t *rapid.T) {
				end := b.now.Add(time.Duration(rapid.IntRange(1, 1500).Draw(t, "ms")) * time.Millisecond)
				for range 10_000 {
					at, ok := b.d.Next()
					if !ok || at.After(end) {
						b.now = end
						return
					}
					b.now = later(b.now, at)
					b.d.Tick(b.now)
					b.check()
				}
				t.Fatalf("ticks without end at %v", b.now)
			},
			"": func(t *rapid.T) {
				for n, at := range b.open {
					if b.now.Sub(at) > 400*time.Millisecond {
						t.Fatalf("request %d of %v has no answer at %v", n, at, b.now)
					}
				}
			},
		})
	})
}
