package fault

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// watch is what the detector knows of one member.
type watch struct {
	id          ident.NodeID
	incarnation ident.Incarnation
	heard       time.Time // last evidence
	due         time.Time // not later than the next thing to do about it

	linked    bool
	closed    bool // its end closed the last link
	suspected bool
	refused   time.Time    // this node's redial was refused then; zero if not since heard
	accused   time.Time    // another member said so of its redial; likewise
	accuser   ident.NodeID // who said so last

	// What follows matters only while this node does not watch everybody.
	watched bool
	began   time.Time     // when this node began to watch it
	extra   time.Duration // how much longer than others it may be silent; see rest
	raised  bool          // this node told of a suspicion, and had no sign of life since
	doubted time.Time     // since when a refutation is waited for; zero if it is not

	number uint64        // of the last probe while it is not acked, else 0
	probed time.Time     // when it left
	wait   time.Duration // silence until the next probe, drawn anew for each
	wanted bool          // somebody waits for a fresh answer
	rtt    time.Duration // smoothed

	asked    time.Time // when helpers were last asked
	prompted time.Time // when a redial was last asked for on the word of others
	rounds   []round   // of helpers, oldest first
	asks     []ask     // requests of others, in the order they came
}

// sample takes a round trip into the smoothed one (RFC 6298, section 2: one eighth).
func (w *watch) sample(rtt time.Duration) {
	if w.rtt == 0 {
		w.rtt = max(rtt, 1)
		return
	}
	w.rtt = max(w.rtt+(rtt-w.rtt)/8, 1)
}

// draw returns the silence until the next probe. The two ends of a link draw different
// ones, so that mostly one probes and both are heard.
func (d *Detector) draw() time.Duration {
	return d.pace.probe*4/5 + time.Duration(d.rand.Int64N(int64(d.pace.probe/5)))
}

// since returns when the silence of w began, as far as it counts.
func (d *Detector) since(w *watch) time.Time {
	return later(later(w.heard, w.began), d.restarted).Add(w.extra)
}

// step does what is due for w and reports whether w is dead.
func (d *Detector) step(now time.Time, w *watch) (dead bool) {
	if w.watched && d.silent(now, w) || d.unrefuted(now, w) {
		return true
	}
	if d.probed(w) && !now.Before(d.probeDue(w)) {
		d.probe(now, w)
	}
	if w.watched && !now.Before(d.askDue(w)) {
		d.ask(now, w)
	}
	d.expire(now, w)
	d.plan(now, w)
	return false
}

// silent suspects w if it is silent for long, and reports whether it is dead by that.
func (d *Detector) silent(now time.Time, w *watch) (dead bool) {
	quiet := now.Sub(d.since(w))
	if quiet >= d.scaled(now, d.pace.suspect) && d.suspect(w) {
		w.raised = true
		d.act(Tell{ID: w.id, Incarnation: w.incarnation})
	}
	return quiet >= d.scaled(now, d.pace.remove)
}

// probed reports whether probes go to w: while it is watched, or when somebody waits for
// what it answers.
func (d *Detector) probed(w *watch) bool { return w.linked && (w.watched || w.wanted) }

// plan sets the time of the next step of w. Evidence that comes later makes the step
// come too early, never too late, and then it plans again: so Heard need not.
func (d *Detector) plan(now time.Time, w *watch) {
	var due time.Time // zero for nothing
	if w.watched {
		since := d.since(w)
		due = earlier(since.Add(d.scaled(now, d.pace.remove)), d.askDue(w))
		if !w.suspected {
			due = earlier(due, since.Add(d.scaled(now, d.pace.suspect)))
		}
	}
	if !w.doubted.IsZero() {
		due = sooner(due, d.doubtDue(now, w))
	}
	if d.probed(w) {
		due = sooner(due, d.probeDue(w))
	}
	if len(w.asks) > 0 {
		due = sooner(due, w.asks[0].at.Add(d.pace.reply))
	}
	if !due.IsZero() {
		// What is overdue is done now: only this node's own delay may look like one.
		due = later(due, now)
	}
	w.due, d.known = due, false
}

// probeDue returns when w is to be probed if it has a link.
func (d *Detector) probeDue(w *watch) time.Time {
	if w.wanted {
		return w.probed.Add(d.pace.gap)
	}
	quiet := later(d.since(w), w.probed).Add(w.wait)
	return earlier(quiet, w.probed.Add(measureEvery))
}

func (d *Detector) probe(now time.Time, w *watch) {
	d.number++
	w.number, w.probed, w.wait, w.wanted = d.number, now, d.draw(), false
	d.act(Probe{ID: w.id, Number: d.number})
}

// evidence takes a sign of life of the time at, unless it is an old one.
func (d *Detector) evidence(now time.Time, w *watch, at time.Time) {
	if at.After(w.heard) {
		d.lives(now, w, at)
	}
}

// lives is evidence that is not old.
func (d *Detector) lives(now time.Time, w *watch, at time.Time) {
	w.heard = at
	// A sign of life that is older than a refusal does not speak against it.
	if at.After(w.refused) {
		w.refused = time.Time{}
	}
	if at.After(w.accused) {
		w.accused = time.Time{}
	}
	if n := len(w.rounds); n > 0 && at.After(w.rounds[n-1].at) {
		w.rounds = w.rounds[:0] // answered by the member itself
	}
	w.raised, w.doubted = false, time.Time{}
	if w.suspected {
		d.revive(now, w)
		d.plan(now, w)
	}
}

// revive ends the suspicion of w if nothing supports it any more.
func (d *Detector) revive(now time.Time, w *watch) {
	if !w.suspected || !w.refused.IsZero() || now.Sub(w.heard) >= d.scaled(now, d.pace.suspect) {
		return
	}
	w.suspected = false
	d.act(Alive{ID: w.id})
}

// suspect makes w suspect and reports whether it was not yet.
func (d *Detector) suspect(w *watch) bool {
	if w.suspected {
		return false
	}
	w.suspected = true
	d.act(Suspect{ID: w.id})
	return true
}

// bury forgets w, which is dead.
func (d *Detector) bury(w *watch) {
	d.suspect(w)
	d.decline(w)
	if i, ok := d.index(w.id); ok {
		d.watches, d.known = slices.Delete(d.watches, i, i+1), false
	}
	others := d.trusting(w) && !w.accused.IsZero()
	d.act(Dead{ID: w.id, Silent: !w.closed && w.refused.IsZero() && !others})
}

// conclude buries whom the quick way decides: this node found it refusing, and another
// member did too or nobody else is left to look. One burial may leave nobody to look for
// the next.
func (d *Detector) conclude() {
	for {
		i := slices.IndexFunc(d.watches, func(w *watch) bool {
			return !w.refused.IsZero() && (!w.accused.IsZero() || !d.others(w))
		})
		if i < 0 {
			return
		}
		d.bury(d.watches[i])
	}
}

// others reports whether another member that is not suspect could look after w.
func (d *Detector) others(w *watch) bool {
	return slices.ContainsFunc(d.watches, func(o *watch) bool { return o != w && !o.suspected })
}
