package sim

import (
	"cmp"
	"fmt"
	"time"

	"github.com/espial-go/espial/internal/agenda"
)

// loop is everything that is still to happen. Events of one instant run in the order in
// which they were scheduled, so a run has exactly one order.
type loop struct {
	now    time.Duration // since the start of the run
	busy   int           // events run at this instant
	agenda *agenda.Agenda[time.Duration, func()]
}

func newLoop() *loop {
	return &loop{agenda: agenda.New[time.Duration, func()](cmp.Compare[time.Duration])}
}

// after schedules run d from now.
func (l *loop) after(d time.Duration, run func()) { l.agenda.Add(l.now+max(d, 0), run) }

// instantMax bounds the events of one instant: a machine whose Tick leaves it due keeps a
// run from going on. Fifty nodes that heal a split have some thousands.
const instantMax = 1_000_000

// until runs every event up to and including the instant end and leaves the clock
// there.
func (l *loop) until(end time.Duration) {
	for at, run, ok := l.agenda.Due(end); ok; at, run, ok = l.agenda.Due(end) {
		if l.busy++; at != l.now {
			l.busy = 0
		}
		if l.busy > instantMax {
			//nolint:forbidigo // the run would never end
			panic(fmt.Sprintf("sim: %d events at %v and no end", l.busy, at))
		}
		l.now = at
		run()
	}
	l.now = end
}
