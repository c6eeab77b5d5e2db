package member

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Limits of what is remembered; the oldest is forgotten.
const (
	LostMax    = 1024
	PendingMax = 1024
	BuriedMax  = 4096
)

// DefaultRemoveAfter is the default of [Config.RemoveAfter].
const DefaultRemoveAfter = 3 * time.Second

var (
	// ErrOver reports a record of an incarnation that left, was expelled or replaced.
	ErrOver = errors.New("member: incarnation is over")

	// ErrRecord reports a record that no honest node signs.
	ErrRecord = errors.New("member: record refused")
)

// Config is what a table begins with.
type Config struct {
	// Record is the own record to be signed: Public, ID, Incarnation, Name, Host and
	// whatever else is known. Its Version begins at 1 if it is 0.
	Record frame.Record

	// Sign signs a record, as [frame.Record.Sign] does with the key of this node.
	Sign func(*frame.Record) error

	// Check refuses a record of another node, for instance for the grammar of its
	// name. Nil refuses none.
	Check func(frame.Record) error

	// RemoveAfter is the failure detector's: members that fall silent within it of one
	// another fell silent together. Zero means [DefaultRemoveAfter].
	RemoveAfter time.Duration

	// Rand spreads the exchanges of digests. It must not be used elsewhere at the same
	// time.
	Rand *rand.Rand
}

// Table is the member table of one node. After every call its actions are in
// [Table.Take] and its next wake-up is in [Table.Next].
type Table struct {
	self        frame.Record
	sign        func(*frame.Record) error
	check       func(frame.Record) error
	removeAfter time.Duration
	rand        *rand.Rand

	members map[ident.NodeID]*entry
	peers   int // members that are linked
	lost    *shelf[ident.NodeID, lost]
	pending *shelf[ident.NodeID, frame.Record]
	buried  *shelf[life, struct{}]

	// Of a partial mesh.
	partial  bool
	refused  *shelf[life, struct{}]  // by this node
	goodbyes *shelf[life, []byte]    // the last records of those that left
	ghosts   *shelf[life, time.Time] // when somebody was last told that it is gone

	founding  time.Time   // when this node takes join number 1
	exchanges []time.Time // when the next digests go out, in order
	silence   silence
	conflicts uint64
	actions   []Action
}

// entry is a listed member and what else there is to know of it.
type entry struct {
	Member
	synced   time.Time // when the records were last sent to it
	digested time.Time // when a digest was last sent to it
}

// lost is a member that failed and may return.
type lost struct {
	Member
	version uint64 // of its record when it failed
	silent  bool   // nothing but silence told so
	missing bool   // a Split named it
}

// New returns the table of a node that knows nobody, with its own record signed. It
// fails only if signing does.
func New(now time.Time, c Config) (*Table, error) {
	r := c.Record
	r.Version = max(r.Version, 1)
	if err := c.Sign(&r); err != nil {
		return nil, fmt.Errorf("member: own record: %w", err)
	}
	if c.RemoveAfter == 0 {
		c.RemoveAfter = DefaultRemoveAfter
	}
	return &Table{
		self:        r,
		sign:        c.Sign,
		check:       c.Check,
		removeAfter: c.RemoveAfter,
		rand:        c.Rand,
		members:     map[ident.NodeID]*entry{},
		lost:        newShelf[ident.NodeID, lost](LostMax),
		pending:     newShelf[ident.NodeID, frame.Record](PendingMax),
		buried:      newShelf[life, struct{}](BuriedMax),
		refused:     newShelf[life, struct{}](RefusedMax),
		goodbyes:    newShelf[life, []byte](GoodbyesMax),
		ghosts:      newShelf[life, time.Time](GhostsMax),
		founding:    now.Add(FoundingWindow),
	}, nil
}

// LinkUp reports that a link is up and that rec, verified, came over it from its
// subject, which source first named. An error that wraps [ErrOver] or [ErrRecord] means
// that the node cannot be a member: the caller closes the link.
func (t *Table) LinkUp(now time.Time, rec frame.Record, source string) error {
	if err := t.acceptable(rec); err != nil {
		return err
	}
	if rec.ID == t.self.ID {
		return fmt.Errorf("%w: %s is this node's own ID", ErrRecord, rec.ID.Short())
	}
	if rec.State == frame.Left {
		t.Merge(now, rec.ID, rec)
	}
	if t.isBuried(rec) || rec.State == frame.Left {
		return fmt.Errorf("%w: %s of %s", ErrOver, rec.Incarnation, rec.ID.Short())
	}
	if p, ok := t.pending.take(rec.ID); ok && p.Incarnation == rec.Incarnation && p.Version > rec.Version {
		rec = p // as recent as the link, and signed like it
	}
	e := t.members[rec.ID]
	if e != nil && e.Record.Incarnation != rec.Incarnation {
		t.replace(e)
		e = nil
	}
	t.refused.take(lifeOf(rec))
	if e != nil {
		t.update(rec.ID, e, rec)
		t.link(now, e)
		return nil
	}
	t.list(now, rec, source, rec.ID)
	return nil
}

// list adds a node that just proved its incarnation by a link, or of which a member told
// in a partial mesh. from is who brought its record.
func (t *Table) list(now time.Time, rec frame.Record, source string, from ident.NodeID) {
	l, known := t.lost.get(rec.ID)
	returned := known && l.Record.Incarnation == rec.Incarnation
	switch {
	case returned:
		t.lost.take(rec.ID)
		source = l.Source
		if l.Record.Version > rec.Version {
			rec = l.Record
		}
	case known && from == rec.ID:
		// A record alone does not tell which of the two runs now.
		t.lost.take(rec.ID)
		t.bury(l.Record)
	}
	e := &entry{Member: Member{Record: rec, Source: source, Since: now}}
	t.members[rec.ID] = e
	t.act(Added{e.Member})
	if from == rec.ID {
		t.link(now, e)
	}
	if t.partial && returned && rec.Version <= l.version {
		// Others that lost it list it again when it has signed a higher version.
		t.act(Accuse{To: rec.ID, ID: rec.ID, Incarnation: rec.Incarnation, Version: rec.Version})
	}
	t.act(Announce{Raw: rec.Raw, Except: from})
	if returned {
		t.returned(now, l, e.Member)
	}
}

// link marks e as linked and exchanges records with it.
func (t *Table) link(now time.Time, e *entry) {
	if !e.Linked {
		e.Linked = true
		t.peers++
		t.act(PeerAdded{e.Member})
		if t.peers == 1 {
			t.act(Connected{e.Member})
			t.hurry(now)
		}
	}
	e.synced = now
	t.act(Sync{To: e.Record.ID})
}

// LinkDown reports that the last link with id is down.
func (t *Table) LinkDown(id ident.NodeID) {
	if e := t.members[id]; e != nil {
		t.unlink(e)
	}
}

func (t *Table) unlink(e *entry) {
	if !e.Linked {
		return
	}
	e.Linked = false
	t.peers--
	t.act(PeerRemoved{e.Member})
	if t.peers == 0 {
		t.act(Disconnected{e.Member})
	}
}

// Merge takes a verified record that came over the link of from, of it or of others.
func (t *Table) Merge(now time.Time, from ident.NodeID, rec frame.Record) {
	e := t.members[rec.ID]
	switch {
	case t.acceptable(rec) != nil:
	case t.isBuried(rec):
		t.ghost(now, from, rec, true)
	case rec.ID == t.self.ID:
		if rec.Incarnation == t.self.Incarnation {
			t.overtake(rec.Version)
		}
	case e != nil && e.Record.Incarnation == rec.Incarnation:
		t.update(from, e, rec)
	case rec.State == frame.Left:
		t.forgo(rec)
	case t.partial && t.vouches(from) && (e == nil || t.gone(rec)):
		t.hear(now, from, rec)
	default:
		t.learn(rec)
	}
}

// update takes a record of the listed incarnation that from brought.
func (t *Table) update(from ident.NodeID, e *entry, rec frame.Record) {
	old := e.Record
	if rec.Version <= old.Version {
		if rec.Version == old.Version && !slices.Equal(rec.Raw, old.Raw) {
			t.conflicts++ // its subject signed two: keep to the one that is known
		}
		return
	}
	e.Record = rec
	if t.partial {
		t.act(Announce{Raw: rec.Raw, Except: from})
	}
	if rec.State == frame.Left {
		t.remove(e, Left)
		t.part(rec)
		return
	}
	if e.State == Suspect || t.partial {
		e.State = Alive
		t.act(Refuted{ID: rec.ID})
	}
	if differs(old, rec) {
		t.act(Updated{e.Member})
	}
}

// learn takes a record of a node, or of an incarnation, that is not listed. The caller
// hears of it each time: that a member still lists the node is news about the node.
func (t *Table) learn(rec frame.Record) {
	if p, ok := t.pending.get(rec.ID); ok && p.Incarnation == rec.Incarnation && p.Version > rec.Version {
		return
	}
	if l, ok := t.lost.get(rec.ID); ok && l.Record.Incarnation == rec.Incarnation {
		if rec.Version > l.Record.Version {
			l.Record = rec
			t.lost.put(rec.ID, l)
		}
	}
	t.pending.put(rec.ID, rec)
	t.act(Want{ID: rec.ID, Incarnation: rec.Incarnation, Addrs: rec.Addrs})
}

// forgo ends the waiting for an incarnation that left while it was not listed. One that
// was never heard of is not buried: strangers' goodbyes would push the others out.
func (t *Table) forgo(rec frame.Record) {
	if p, ok := t.pending.get(rec.ID); ok && p.Incarnation == rec.Incarnation {
		t.pending.take(rec.ID)
		t.part(rec)
	}
	if l, ok := t.lost.get(rec.ID); ok && l.Record.Incarnation == rec.Incarnation {
		t.lost.take(rec.ID)
		t.part(rec)
		t.act(Forget{ID: rec.ID})
	}
}

// acceptable refuses what no honest node signs: the highest numbers, after which none
// could follow, no incarnation, and what the check of the configuration refuses.
func (t *Table) acceptable(rec frame.Record) error {
	if rec.Incarnation == 0 || rec.Incarnation == math.MaxUint64 || rec.Version == math.MaxUint64 {
		return fmt.Errorf("%w: incarnation %s, version %d", ErrRecord, rec.Incarnation, rec.Version)
	}
	if t.check == nil {
		return nil
	}
	if err := t.check(rec); err != nil {
		return fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return nil
}

// Suspect reports that the failure detector suspects id.
func (t *Table) Suspect(id ident.NodeID) {
	if e := t.members[id]; e != nil && e.State == Alive {
		e.State = Suspect
		t.act(Suspected{e.Member})
	}
}

// Failed reports whether an incarnation of a node, which is not listed, failed and may return.
func (t *Table) Failed(id ident.NodeID, inc ident.Incarnation) bool {
	l, ok := t.lost.get(id)
	return ok && l.Record.Incarnation == inc
}

// Alive reports that the failure detector does not suspect id any more.
func (t *Table) Alive(id ident.NodeID) {
	if e := t.members[id]; e != nil {
		e.State = Alive
	}
}

// Dead reports that id failed; silent says that it fell silent, as after a cut, without
// closing a link. It is remembered as lost.
func (t *Table) Dead(now time.Time, id ident.NodeID, silent bool) {
	e := t.members[id]
	if e == nil {
		return
	}
	t.remove(e, Failed)
	if old, full := t.lost.put(id, lost{Member: e.Member, version: e.Record.Version, silent: silent}); full {
		t.act(Forget{ID: old})
	}
	if silent {
		t.fellSilent(now, e.Member)
	}
}

// Goodbye reports that id said goodbye on its link, whether or not its record did.
func (t *Table) Goodbye(id ident.NodeID) { t.dismiss(id, Left) }

// Expel reports that the cluster sent id away in the incarnation that is listed.
func (t *Table) Expel(id ident.NodeID) { t.dismiss(id, Expelled) }

func (t *Table) dismiss(id ident.NodeID, s State) {
	if e := t.members[id]; e != nil {
		t.remove(e, s)
		t.bury(e.Record)
		t.accuse(e.Record)
	}
}

// remove takes e off the list.
func (t *Table) remove(e *entry, s State) {
	t.unlink(e)
	delete(t.members, e.Record.ID)
	e.State = s
	t.act(Removed{e.Member})
}

// bury ends an incarnation for good.
func (t *Table) bury(rec frame.Record) { t.buried.put(lifeOf(rec), struct{}{}) }

func (t *Table) isBuried(rec frame.Record) bool { return t.Over(rec.ID, rec.Incarnation) }

// Take returns the actions since the last Take, in the order in which they must be
// carried out. They belong to the caller.
func (t *Table) Take() []Action {
	acts := t.actions
	t.actions = nil
	return acts
}

func (t *Table) act(a Action) { t.actions = append(t.actions, a) }
