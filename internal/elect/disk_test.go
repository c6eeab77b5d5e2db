package elect_test

import (
	"testing"
	"time"

	"github.com/espial-go/espial/internal/elect"
	"github.com/espial-go/espial/internal/ident"
)

func TestKeptTerms(t *testing.T) {
	start := func(t *testing.T, view string) *script {
		s := newScript(t, view)
		s.e = elect.New(s.start, elect.Config{Self: name('m'), Incarnation: incOf('m'), Kept: reign('a', 1, 41)})
		return s.view(view)
	}
	t.Run("a node alone goes on from there", func(t *testing.T) {
		start(t, "m1").to(2000).want("say", "2000 leader m 42 elected", "2000 promoted 42")
	})
	t.Run("others learn of it", func(t *testing.T) {
		start(t, "a1 m2").want("", "0 say to all: nobody 41")
		newScript(t, "m1 z2").claims('z', elect.Claim{Last: 41}).to(2000).
			want("say", "2000 leader m 42 elected", "2000 promoted 42")
	})
	t.Run("the reign that it followed may go on", func(t *testing.T) {
		start(t, "a1 m2").says('a', 'a', 1, 41).want("say", "0 leader a 41 joined")
	})
	t.Run("another one under its term must rise", func(t *testing.T) {
		start(t, "z1 m2").says('z', 'z', 1, 41).want("", "0 say to all: nobody 41", "0 say to all: z 41 waiting")
	})
	t.Run("a later one is followed", func(t *testing.T) {
		start(t, "a1 m2").says('a', 'a', 1, 45).want("say", "0 leader a 45 joined")
	})
	t.Run("an earlier one must rise", func(t *testing.T) {
		start(t, "a1 m2").says('a', 'a', 1, 40).want("", "0 say to all: nobody 41", "0 say to all: a 41 waiting")
	})
	t.Run("it is no sign of another leader to those who have lost theirs", func(t *testing.T) {
		newScript(t, "a1 m2 z3").says('a', 'a', 1, 41).to(1000).claims('z', elect.Claim{Last: 41}).view("m2 z3").to(2000).
			want("say", "0 leader a 41 joined", "1000 leader nobody 41 gone", "1050 leader m 42 elected", "1050 promoted 42")
	})
	t.Run("terms that are used up stay so", func(t *testing.T) {
		s := newScript(t, "m1")
		s.e = elect.New(s.start, elect.Config{Self: name('m'), Incarnation: incOf('m'), Kept: reign('a', 1, elect.TermMax+1)})
		s.view("m1").to(9000).want("say")
	})
}

// B24: all stop and start again, among them one that missed the last terms. In the end
// the term is above all that there were.
func TestTermsGrowAcrossARestartOfAll(t *testing.T) { seeds(t, restartOfAll) }

func restartOfAll(seed uint64, n int) *world {
	w := settled(seed, n)
	w.durable = true
	late := w.rand.IntN(n)
	w.kill(late)
	w.run(5 * time.Second)
	for range w.rand.IntN(5) {
		w.resign((late + 1) % n)
	}
	w.check.agreed()
	var highest ident.Term
	for slot, r := range w.disks {
		highest = max(highest, r.Term)
		if slot != late {
			w.kill(slot)
		}
	}
	w.run(5 * time.Second)
	for slot := range n {
		w.after(w.below(5*time.Second), func() { w.boot(slot) })
	}
	w.run(12 * time.Second)
	if l := w.check.agreed(); len(l) != 1 || l[0] == nil || l[0].leads <= highest {
		w.check.fail("L3", "leaders %v, want one with a term above %d", l, highest)
	}
	w.quiet()
	return w
}

// A follower that starts again with its disk changes nothing.
func TestFollowerRestartsWithItsDisk(t *testing.T) { seeds(t, followerRestarts) }

func followerRestarts(seed uint64, n int) *world {
	w := settled(seed, n)
	w.durable = true
	slot := (w.leader() + 1 + w.rand.IntN(n-1)) % n
	w.kill(slot)
	w.run(w.below(5 * time.Second))
	from := w.now
	w.boot(slot)
	w.run(8 * time.Second)
	w.check.agreed()
	w.want("L9", "promotions", w.check.count(from, promoted), 0)
	w.want("L9", "renewals", w.check.count(from, renewed), 0)
	w.quiet()
	return w
}
