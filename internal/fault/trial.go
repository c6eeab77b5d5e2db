package fault

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

const (
	// answersMin is how many quick answers in a row pass a trial. A link that loses four
	// packets of five gives them once in 400,000 tries.
	answersMin = 8

	// promptMax is how much longer than the quickest a quick answer may take. What was lost
	// on the way takes longer: TCP sends it again after 200 ms at the earliest (Linux).
	promptMax = 180 * time.Millisecond
)

// trial is a member that was dead and has a link again, until it showed that it answers.
type trial struct {
	id      ident.NodeID
	number  uint64        // of the probe that is not acked
	probed  time.Time     // when it left
	best    time.Duration // the quickest of the answers that count
	answers int           // that count: in a row, each about as quick as the others
}

// Try begins the trial of id, which was dead and has a link again. Probes go out, each when
// the last one was acked, until id has [Passed]. The trial ends without a word when the link
// is down, or with [Detector.Add] or [Detector.Remove].
func (d *Detector) Try(now time.Time, id ident.NodeID) {
	d.acquit(id)
	t := &trial{id: id}
	d.trials = append(d.trials, t)
	d.test(now, t)
}

// test sends the next probe of a trial.
func (d *Detector) test(now time.Time, t *trial) {
	d.number++
	t.number, t.probed, d.known = d.number, now, false
	d.act(Probe{ID: t.id, Number: d.number})
}

// tested takes the ack of a trial's probe.
func (d *Detector) tested(now time.Time, t *trial) {
	rtt := now.Sub(t.probed)
	switch {
	case t.answers == 0, rtt < t.best-promptMax: // what was taken for quick was not
		t.answers, t.best = 1, rtt
	case rtt <= t.best+promptMax:
		t.answers, t.best = t.answers+1, min(t.best, rtt)
	default:
		t.answers = 0
	}
	if t.answers < answersMin {
		d.test(now, t)
		return
	}
	d.acquit(t.id)
	d.act(Passed{ID: t.id})
}

// retry repeats probes that were not answered for long: a node that is busy may drop one. What
// is merely late needs no second one, and who hears it here has the node for alive.
func (d *Detector) retry(now time.Time) {
	for _, t := range d.trials {
		if !now.Before(d.retryDue(t)) {
			t.answers = 0
			d.test(now, t)
		}
	}
}

// retryDue returns when the probe of a trial is repeated.
func (d *Detector) retryDue(t *trial) time.Time { return t.probed.Add(d.pace.remove) }

// acquit ends the trial of id, if there is one.
func (d *Detector) acquit(id ident.NodeID) {
	d.trials = slices.DeleteFunc(d.trials, func(t *trial) bool { return t.id == id })
	d.known = false
}

// onTrial returns the trial of id, or nil.
func (d *Detector) onTrial(id ident.NodeID) *trial {
	if i := slices.IndexFunc(d.trials, func(t *trial) bool { return t.id == id }); i >= 0 {
		return d.trials[i]
	}
	return nil
}
