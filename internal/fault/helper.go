package fault

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

const (
	helpersMax = 3 // asked in a round (SWIM, section 3.1: enough for a loss of 10 %)
	roundsMax  = 8 // remembered of one target: longer than it takes to bury it
)

// Ask is a request of another member to probe a target for it.
type Ask struct {
	Number      uint64
	Target      ident.NodeID
	Incarnation ident.Incarnation // of Target
}

// ask is a request of another member that waits for a sign of life.
type ask struct {
	from   ident.NodeID
	number uint64
	at     time.Time
}

// round is one request of this node to several helpers.
type round struct {
	number   uint64
	at       time.Time
	helpers  []ident.NodeID
	answered bool
	judged   bool
}

// Asked reports that a member asks this node to probe a target. The answer is yes as
// soon as the target is heard, no after two fifths of SuspectAfter or if there is no
// link. A member has one request open for each target; a new one ends it with a no.
func (d *Detector) Asked(now time.Time, from ident.NodeID, a Ask) {
	if a.Target == d.self {
		d.act(Answer{To: from, Number: a.Number, Alive: a.Incarnation == d.incarnation})
		return
	}
	w := d.find(a.Target)
	if w == nil || w.incarnation != a.Incarnation || !w.linked || d.find(from) == nil {
		d.act(Answer{To: from, Number: a.Number})
		return
	}
	w.asks = slices.DeleteFunc(w.asks, func(o ask) bool {
		if o.from != from {
			return false
		}
		d.act(Answer{To: from, Number: o.number})
		return true
	})
	w.asks = append(w.asks, ask{from: from, number: a.Number, at: now})
	w.wanted = true
	if !now.Before(d.probeDue(w)) {
		d.probe(now, w)
	}
	d.plan(now, w)
}

// Result reports what helper from answered to the request number. A yes is evidence of
// the time of the request: the target was heard after it.
func (d *Detector) Result(now time.Time, from ident.NodeID, number uint64, alive bool) {
	for _, w := range d.watches {
		i := slices.IndexFunc(w.rounds, func(r round) bool { return r.number == number })
		if i < 0 {
			continue
		}
		r := &w.rounds[i]
		if !slices.Contains(r.helpers, from) {
			return
		}
		r.answered = true
		if alive {
			d.evidence(now, w, r.at)
		}
		return
	}
}

// ask sends requests to helpers, and judges how the former rounds went.
func (d *Detector) ask(now time.Time, w *watch) {
	d.judge(now, w)
	w.asked = now
	helpers := d.helpers(now, w)
	if len(helpers) == 0 {
		return
	}
	d.number++
	for _, id := range helpers {
		d.act(Request{Helper: id, Target: w.id, Incarnation: w.incarnation, Number: d.number})
	}
	if len(w.rounds) == roundsMax {
		w.rounds = slices.Delete(w.rounds, 0, 1)
	}
	w.rounds = append(w.rounds, round{number: d.number, at: now, helpers: helpers})
}

// askDue returns when helpers are to be asked about w.
func (d *Detector) askDue(w *watch) time.Time {
	return later(d.since(w).Add(d.pace.ask), w.asked.Add(d.pace.probe))
}

// helpers returns the members to ask about w: linked and not suspect, those first that
// were heard lately and not asked in the last round, else in random order.
func (d *Detector) helpers(now time.Time, w *watch) []ident.NodeID {
	var last []ident.NodeID
	if n := len(w.rounds); n > 0 {
		last = w.rounds[n-1].helpers
	}
	rank := func(o *watch) int {
		r := 0
		if slices.Contains(last, o.id) {
			r++
		}
		if now.Sub(o.heard) >= d.pace.fresh {
			r += 2
		}
		return r
	}
	var all []*watch
	for _, o := range d.watches {
		if o != w && o.linked && !o.suspected {
			all = append(all, o)
		}
	}
	d.rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	slices.SortStableFunc(all, func(a, b *watch) int { return rank(a) - rank(b) })
	var ids []ident.NodeID
	for _, o := range all[:min(len(all), helpersMax)] {
		ids = append(ids, o.id)
	}
	return ids
}

// judge lowers the trust in this node when a round stayed without any answer although
// one of its helpers was heard since: then it is this node that misses what is sent. A
// round whose helpers fell silent too says nothing, else a cut would delay its own
// discovery.
func (d *Detector) judge(now time.Time, w *watch) {
	for i := range w.rounds {
		r := &w.rounds[i]
		if r.answered || r.judged || now.Sub(r.at) < d.pace.answer {
			continue
		}
		r.judged = true
		if slices.ContainsFunc(r.helpers, func(id ident.NodeID) bool {
			o := d.find(id)
			return o != nil && o.heard.After(r.at)
		}) {
			d.health.worse(now, d.pace.answer)
		}
	}
}

// affirm answers those who asked about w before the time at, when it was heard.
func (d *Detector) affirm(w *watch, at time.Time) {
	w.asks = slices.DeleteFunc(w.asks, func(a ask) bool {
		if at.Before(a.at) {
			return false
		}
		d.act(Answer{To: a.from, Number: a.number, Alive: true})
		return true
	})
}

// expire tells those who waited too long that w did not answer.
func (d *Detector) expire(now time.Time, w *watch) {
	w.asks = slices.DeleteFunc(w.asks, func(a ask) bool {
		if now.Sub(a.at) < d.pace.reply {
			return false
		}
		d.act(Answer{To: a.from, Number: a.number})
		return true
	})
}

// decline tells everybody who asked about w that there is no way to it.
func (d *Detector) decline(w *watch) {
	for _, a := range w.asks {
		d.act(Answer{To: a.from, Number: a.number})
	}
	w.asks = nil
}
