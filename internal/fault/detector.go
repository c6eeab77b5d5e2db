package fault

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// Defaults and limits of [Config].
const (
	DefaultSuspectAfter = time.Second
	DefaultRemoveAfter  = 3 * time.Second
	SuspectAfterMin     = 10 * time.Millisecond // below it a scheduler's delay is a silence
)

// Config says who watches and how patient it is.
type Config struct {
	Self        ident.NodeID      // this node
	Incarnation ident.Incarnation // of this node

	// SuspectAfter is the silence within which a member is suspected. Zero means
	// [DefaultSuspectAfter]; less than [SuspectAfterMin] is raised to it.
	SuspectAfter time.Duration

	// RemoveAfter is the silence within which a member is dead. Zero means
	// [DefaultRemoveAfter]; less than twice SuspectAfter is raised to that, because a
	// suspect needs time to be heard.
	RemoveAfter time.Duration
}

// Detector watches the members that it was told of. After every call its actions are in
// [Detector.Take] and its next wake-up is in [Detector.Next].
type Detector struct {
	self        ident.NodeID
	incarnation ident.Incarnation
	pace        pace
	rand        *rand.Rand
	watches     []*watch       // sorted by ID, so that no order is left to chance
	trials      []*trial       // in the order in which they began
	chosen      []ident.NodeID // whom this node watches, sorted; unless it watches all
	some        bool           // it does not watch all
	heard       time.Time      // when anybody was heard last
	cut         bool           // nobody was heard for so long that nobody far is trusted
	owed        bool           // a suspicion of this node waits for its refutation
	restarted   time.Time      // no silence began before: this node was paused until then
	refuted     time.Time      // when the last Refute was asked for
	health      health
	number      uint64 // of the last probe or request
	actions     []Action

	next  time.Time // what Next returns, if known
	known bool
}

// New returns a detector that watches nobody yet. It draws from r, which must not be
// used elsewhere at the same time.
func New(c Config, r *rand.Rand) *Detector {
	if c.SuspectAfter == 0 {
		c.SuspectAfter = DefaultSuspectAfter
	}
	if c.RemoveAfter == 0 {
		c.RemoveAfter = DefaultRemoveAfter
	}
	c.SuspectAfter = max(c.SuspectAfter, SuspectAfterMin)
	c.RemoveAfter = max(c.RemoveAfter, 2*c.SuspectAfter)
	return &Detector{
		self:        c.Self,
		incarnation: c.Incarnation,
		pace:        paceOf(c.SuspectAfter, c.RemoveAfter),
		rand:        r,
	}
}

// Add begins to watch id. Being listed is evidence. A member that is watched in another
// incarnation is forgotten first; one that is watched already is left alone.
func (d *Detector) Add(now time.Time, id ident.NodeID, inc ident.Incarnation) {
	d.acquit(id)
	d.listen(now) // it came itself, or somebody told of it
	i, known := d.index(id)
	switch {
	case id == d.self, known && d.watches[i].incarnation == inc:
		return
	case known:
		d.decline(d.watches[i])
	default:
		d.watches = slices.Insert(d.watches, i, nil)
	}
	w := &watch{
		id: id, incarnation: inc, watched: d.watching(id), heard: now, probed: now, wait: d.draw(),
	}
	d.watches[i] = w
	d.welcome(w)
	d.plan(now, w)
}

// Remove stops watching id, because it left, was expelled or replaced. Those who asked
// this node to probe it are answered.
func (d *Detector) Remove(id ident.NodeID) {
	d.acquit(id)
	i, known := d.index(id)
	if !known {
		return
	}
	d.decline(d.watches[i])
	d.watches, d.known = slices.Delete(d.watches, i, i+1), false
	d.conclude()
}

// LinkUp reports that a link with id is up: the best evidence there is. A probe measures
// its round trip at once.
func (d *Detector) LinkUp(now time.Time, id ident.NodeID) {
	w := d.find(id)
	if w == nil {
		return
	}
	if d.some && w.suspected {
		d.act(Tell{ID: id, Incarnation: w.incarnation}) // it may not know, and only it can refute
	}
	w.linked, w.closed, w.refused, w.accused = true, false, time.Time{}, time.Time{}
	w.heard, w.rounds, w.extra, w.raised = now, w.rounds[:0], 0, false
	d.listen(now)
	if w.watched {
		w.doubted = time.Time{}
	}
	d.revive(now, w)
	d.probe(now, w)
	d.plan(now, w)
}

// LinkDown reports that the last link with id is down; silence runs on from the last
// evidence. Closed says that the end of id closed or reset it, which a cut does not do.
// The caller redials.
func (d *Detector) LinkDown(now time.Time, id ident.NodeID, closed bool) {
	d.acquit(id)
	w := d.find(id)
	if w == nil || !w.linked {
		return
	}
	w.linked, w.closed, w.number, w.wanted = false, closed, 0, false
	d.decline(w)
	d.plan(now, w)
}

// Heard reports that a frame came on a link of id at the time at, which is not later
// than now. It costs next to nothing while id is not suspect.
func (d *Detector) Heard(now time.Time, id ident.NodeID, at time.Time) {
	w := d.find(id)
	if w == nil {
		return
	}
	at = earlier(at, now)
	d.listen(at)
	if w.watched {
		d.evidence(now, w, at)
	} else {
		w.heard = later(w.heard, at)
	}
	if len(w.asks) > 0 {
		d.affirm(w, at)
	}
}

// Acked reports the ack of a probe. It returns the round trip if number is that of the
// last probe sent to id and not acked yet. An ack is a frame: the caller reports it to
// [Detector.Heard] as well.
func (d *Detector) Acked(now time.Time, id ident.NodeID, number uint64) (rtt time.Duration, ok bool) {
	if t := d.onTrial(id); t != nil && t.number == number {
		d.tested(now, t)
		return 0, false
	}
	w := d.find(id)
	if w == nil || number == 0 || w.number != number {
		return 0, false
	}
	rtt = now.Sub(w.probed)
	w.number = 0
	w.sample(rtt)
	if rtt < d.pace.probe {
		d.health.better(now, d.pace.probe)
	}
	return rtt, true
}

// RTT returns the smoothed round trip of the probes to id on its present and former
// links. It reports false if none was answered yet.
func (d *Detector) RTT(id ident.NodeID) (time.Duration, bool) {
	w := d.find(id)
	if w == nil || w.rtt == 0 {
		return 0, false
	}
	return w.rtt, true
}

// Suspected reports that member by suspects id, and whether it found id refusing, for
// which it has to be one of those who watch id. Nobody is dead by it alone: this node
// looks for itself or, if it does not watch id, waits for what id and others say.
func (d *Detector) Suspected(
	now time.Time, by, id ident.NodeID, inc ident.Incarnation, refused bool,
) {
	d.listen(now) // it came from somebody
	if id == d.self {
		d.refute(now, inc)
		return
	}
	w := d.find(id)
	if w == nil || w.incarnation != inc || by == id || d.find(by) == nil {
		return
	}
	if d.trusting(w) && d.doubt(now, w, by, refused) {
		d.conclude()
		return
	}
	if refused {
		w.accused, w.accuser = now, by
	}
	if w.watched {
		d.look(now, w, refused)
	}
	d.plan(now, w)
	d.conclude()
}

// look looks after w, of whom a member said that it is silent or refused a redial.
func (d *Detector) look(now time.Time, w *watch, refused bool) {
	switch {
	case w.linked:
		w.wanted = true
		if !now.Before(d.probeDue(w)) {
			d.probe(now, w)
		}
	case refused && w.refused.IsZero():
		if now.Sub(w.prompted) >= d.pace.prompt {
			w.prompted = now
			d.act(Redial{ID: w.id})
		}
	case now.Sub(w.asked) >= d.pace.prompt:
		d.ask(now, w)
	}
}

// Refused reports that a redial of id was refused, or that somebody else answered
// there. It counts only while no link with id is up.
func (d *Detector) Refused(now time.Time, id ident.NodeID) {
	w := d.find(id)
	if w == nil || w.linked {
		return
	}
	if w.extra > 0 && now.Before(d.since(w).Add(d.pace.suspect)) {
		return // others reach it, and this node asked often enough
	}
	w.refused = now
	if !w.watched {
		d.conclude()
		return
	}
	d.suspect(w)
	w.raised = true
	d.act(Tell{ID: id, Incarnation: w.incarnation, Refused: true})
	d.conclude()
	if d.find(id) == nil {
		return
	}
	if now.Sub(w.asked) >= d.pace.prompt {
		d.ask(now, w)
	}
	d.plan(now, w)
}

// Refuted reports that a newer record with the signature of id came: id was alive when
// it signed, and it signs when it hears that it is suspected.
func (d *Detector) Refuted(now time.Time, id ident.NodeID) {
	d.listen(now) // it came from somebody
	w := d.find(id)
	if w == nil {
		return
	}
	if d.some && w.watched && w.raised && !w.linked {
		w.extra = d.rest(w)
	}
	w.doubted = time.Time{}
	if !w.watched {
		w.refused, w.accused = time.Time{}, time.Time{}
		d.lives(now, w, now)
		return
	}
	d.evidence(now, w, now)
}

// Tick does what is due. A Tick before [Detector.Next] does nothing; one that comes
// late by more than a quarter of SuspectAfter means that this node did not run.
func (d *Detector) Tick(now time.Time) {
	due, ok := d.Next()
	if !ok || now.Before(due) {
		return
	}
	if now.Sub(due) > d.pace.late {
		d.restarted = now
		d.health.worse(now, 0)
	}
	// Suspicions first: whether somebody else is left to look is the same question
	// for all who are due.
	var dead []*watch
	for _, w := range d.watches {
		if !w.due.IsZero() && !now.Before(w.due) && d.step(now, w) {
			dead = append(dead, w)
		}
	}
	for _, w := range dead {
		d.bury(w)
	}
	d.despair(now)
	d.repay(now)
	d.conclude()
	d.retry(now)
}

// Next returns the time of the next Tick. It reports false when nobody is watched or on
// trial and nothing is waited for. Ask again after every other call: an input can make it earlier.
func (d *Detector) Next() (at time.Time, ok bool) {
	if len(d.watches)+len(d.trials) == 0 {
		return time.Time{}, false
	}
	if !d.known {
		d.next, d.known = d.due(), true
	}
	return d.next, !d.next.IsZero()
}

// due returns when the first thing is due, zero if nothing is.
func (d *Detector) due() (at time.Time) {
	for _, w := range d.watches {
		if !w.due.IsZero() {
			at = sooner(at, w.due)
		}
	}
	for _, t := range d.trials {
		at = sooner(at, d.retryDue(t))
	}
	if d.some && len(d.watches) > 0 {
		at = sooner(at, d.despairDue())
		if d.owed {
			at = sooner(at, d.refuted.Add(d.pace.probe))
		}
	}
	return at
}

// Take returns the actions since the last Take, in the order in which they must be
// carried out. They belong to the caller.
func (d *Detector) Take() []Action {
	acts := d.actions
	d.actions = nil
	return acts
}

func (d *Detector) act(a Action) { d.actions = append(d.actions, a) }

// find returns the watch of id, or nil.
func (d *Detector) find(id ident.NodeID) *watch {
	if i, ok := d.index(id); ok {
		return d.watches[i]
	}
	return nil
}

func (d *Detector) index(id ident.NodeID) (int, bool) {
	return slices.BinarySearchFunc(d.watches, id, func(w *watch, id ident.NodeID) int {
		return w.id.Compare(id)
	})
}
