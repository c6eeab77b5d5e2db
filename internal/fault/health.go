package fault

import (
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// scoreMax bounds the score: time-outs grow at most ninefold (Lifeguard, section IV.A).
const scoreMax = 8

// health is how far this node trusts its own judgement.
type health struct {
	score  int
	raised time.Time // when it last got worse
	eased  time.Time // when it last got better
}

// worse raises the score, at most once in every, so that neither a liar nor one event
// with many consequences makes this node blind.
func (h *health) worse(now time.Time, every time.Duration) {
	if now.Sub(h.raised) < every {
		return
	}
	h.score, h.raised = min(h.score+1, scoreMax), now
}

// better lowers the score, at most once in every: the probes of one round count once.
func (h *health) better(now time.Time, every time.Duration) {
	if h.score == 0 || now.Sub(h.eased) < every {
		return
	}
	h.score, h.eased = h.score-1, now
}

// scaled returns base multiplied by the score, unless this node is cut off: then it is
// not its judgement that is in doubt.
func (d *Detector) scaled(now time.Time, base time.Duration) time.Duration {
	if d.health.score == 0 || d.isolated(now) {
		return base
	}
	return base * time.Duration(1+d.health.score)
}

// isolated reports whether every member is silent.
func (d *Detector) isolated(now time.Time) bool {
	for _, w := range d.watches {
		if w.watched && now.Sub(w.heard) < d.pace.suspect {
			return false
		}
	}
	return true
}

// refute answers a suspicion of this node itself, at most once in a probe interval. The
// others may be right in one thing: that this node is slow.
func (d *Detector) refute(now time.Time, inc ident.Incarnation) {
	switch {
	case inc != d.incarnation:
	case now.Sub(d.refuted) >= d.pace.probe:
		d.refuted, d.owed, d.known = now, false, false
		d.health.worse(now, d.pace.answer)
		d.act(Refute{})
	case d.some:
		// Whoever does not watch this node waits for the answer to each suspicion.
		d.owed, d.known = true, false
	}
}

// repay answers a suspicion that came too soon after another one.
func (d *Detector) repay(now time.Time) {
	if d.owed && now.Sub(d.refuted) >= d.pace.probe {
		d.refute(now, d.incarnation)
	}
}
