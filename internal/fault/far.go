package fault

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// restMax is the longest time for which who has no link here but refutes every suspicion is
// left in peace.
const restMax = time.Minute

// Watch names the members that this node watches, ascending; nil for everybody, as at the
// beginning. They need not be known yet. Who is not watched is not judged by its silence:
// it is suspect when a member says so, and dead when it does not refute that within the
// time between suspicion and death, or at once when two of those who watch it found it
// refusing. Beginning to watch and ceasing to is evidence of nothing: silence begins then,
// and a SuspectAfter later where there is no link yet.
func (d *Detector) Watch(now time.Time, ids []ident.NodeID) {
	if !d.some {
		d.heard = later(d.heard, now)
	}
	if d.chosen, d.some = slices.Clone(ids), ids != nil; !d.some {
		d.owed = false
		d.trust()
	}
	for _, w := range d.watches {
		if watched := d.watching(w.id); watched != w.watched {
			d.turn(now, w, watched)
		}
	}
	d.known = false
}

// watching reports whether this node watches id.
func (d *Detector) watching(id ident.NodeID) bool {
	if !d.some {
		return true
	}
	_, ok := slices.BinarySearchFunc(d.chosen, id, ident.NodeID.Compare)
	return ok
}

// turn begins or ceases to watch w.
func (d *Detector) turn(now time.Time, w *watch, watched bool) {
	w.watched, w.extra = watched, 0
	if watched {
		w.began = now
		d.welcome(w)
	} else {
		w.rounds = w.rounds[:0]
		if w.suspected && w.doubted.IsZero() {
			w.doubted = now // this node told of it, so it is for w to answer
		}
	}
	d.plan(now, w)
}

// welcome leaves time for a link with w, which this node begins to watch and has none with:
// others have, or had, and what they say of it decides meanwhile.
func (d *Detector) welcome(w *watch) {
	if d.some && w.watched && !w.linked {
		w.extra = d.pace.suspect
	}
}

// trusting reports whether what others say of w decides: they look after it, and this node
// does not, or cannot reach it although they do.
func (d *Detector) trusting(w *watch) bool { return !w.watched || w.extra > 0 }

// doubt takes the suspicion of a member whom others look after, and reports whether w is
// dead by it.
func (d *Detector) doubt(now time.Time, w *watch, by ident.NodeID, refused bool) (dead bool) {
	if refused && !w.accused.IsZero() && w.accuser != by {
		d.bury(w)
		return true
	}
	if w.doubted.IsZero() {
		w.doubted = now
	}
	return false
}

// unrefuted suspects w if it had time to refute what others say, and reports whether it had
// so much of it that it is dead.
func (d *Detector) unrefuted(now time.Time, w *watch) (dead bool) {
	if w.doubted.IsZero() {
		return false
	}
	waited := now.Sub(later(w.doubted, d.restarted))
	if waited >= d.pace.grace {
		d.suspect(w)
	}
	return waited >= d.scaled(now, d.pace.remove-d.pace.suspect)
}

// doubtDue returns when unrefuted has something to do.
func (d *Detector) doubtDue(now time.Time, w *watch) time.Time {
	began := later(w.doubted, d.restarted)
	if !w.suspected {
		return began.Add(d.pace.grace)
	}
	return began.Add(d.scaled(now, d.pace.remove-d.pace.suspect))
}

// rest returns how much longer than usual w may be silent before this node raises the next
// suspicion, after one that w refuted without a link: twice as long as before the last one.
func (d *Detector) rest(w *watch) time.Duration {
	return max(min(2*(d.pace.suspect+w.extra), restMax)-d.pace.suspect, 0)
}

// listen takes note that somebody was heard at the time at.
func (d *Detector) listen(at time.Time) {
	if at.After(d.heard) {
		d.heard = at
		if d.cut {
			d.trust()
		}
	}
}

// despair suspects everybody when this node hears nobody: what others say of who is not
// watched cannot come either. When that lasts, all are dead, whoever watches them.
func (d *Detector) despair(now time.Time) {
	if !d.some || len(d.watches) == 0 {
		return
	}
	d.known = false // whoever was heard did not plan anew
	if now.Before(d.despairDue()) {
		return
	}
	if d.cut {
		for len(d.watches) > 0 {
			d.bury(d.watches[0])
		}
		d.cut = false
		return
	}
	d.cut, d.known = true, false
	for _, w := range d.watches {
		if !w.watched {
			d.suspect(w)
		}
	}
}

// despairDue returns when despair has something to do.
func (d *Detector) despairDue() time.Time {
	since := later(d.heard, d.restarted)
	if d.cut {
		return since.Add(d.pace.remove)
	}
	return since.Add(d.pace.suspect)
}

// trust ends the despair: who is suspect for no other reason is not any more.
func (d *Detector) trust() {
	if !d.cut {
		return
	}
	d.cut, d.known = false, false
	for _, w := range d.watches {
		if !w.watched && w.suspected && w.doubted.IsZero() {
			w.suspected = false
			d.act(Alive{ID: w.id})
		}
	}
}
