package member

import (
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Limits of what a partial mesh needs besides; the oldest is forgotten.
const (
	RefusedMax  = 1024 // incarnations that this node refused
	GoodbyesMax = 256  // records that say goodbye, to be shown to who has not heard
	GhostsMax   = 4096 // incarnations of which somebody was told that they are gone
)

// ghostEvery is the least time between two answers about one incarnation.
const ghostEvery = time.Second

// hearsay is the source of a member that others told of first.
const hearsay = "peer"

// Partial says whether the mesh is partial: then members are listed by their records as
// well, as soon as a linked member passes them on, and news are passed on to all others.
// Call it whenever [Table.Candidates] or the list may have changed: in a partial mesh it
// lists those candidates that it may.
func (t *Table) Partial(now time.Time, partial bool) {
	t.partial = partial
	if !partial {
		return
	}
	for _, rec := range t.Candidates() {
		t.pending.take(rec.ID)
		t.hear(now, ident.NodeID{}, rec)
	}
}

// Candidates returns the records of nodes that are not listed and would be in a partial
// mesh, in the order in which they were heard of first.
func (t *Table) Candidates() (recs []frame.Record) {
	for _, rec := range t.pending.all {
		if t.members[rec.ID] == nil && !t.gone(rec) && !t.isRefused(rec) && !t.isBuried(rec) {
			recs = append(recs, rec)
		}
	}
	return recs
}

// Refuse reports that this node's own policy refused an incarnation. It is not listed by
// its record from now on, but still when a link with it comes up after all.
func (t *Table) Refuse(id ident.NodeID, inc ident.Incarnation) {
	t.refused.put(life{id, inc}, struct{}{})
	if e := t.members[id]; t.partial && e != nil && !e.Linked && e.Record.Incarnation == inc {
		t.remove(e, Failed)
	}
}

// vouches reports whether a node may tell of others: a linked member.
func (t *Table) vouches(id ident.NodeID) bool {
	e := t.members[id]
	return e != nil && e.Linked
}

// hear lists a node of which from told. One that is lost here is gone until its record has
// a higher version than the one at which it was lost: it signs that when it hears so.
func (t *Table) hear(now time.Time, from ident.NodeID, rec frame.Record) {
	switch {
	case t.isRefused(rec):
	case t.gone(rec):
		l, _ := t.lost.get(rec.ID)
		t.ghost(now, from, rec, !l.silent)
	default:
		if p, ok := t.pending.get(rec.ID); ok && p.Incarnation == rec.Incarnation {
			t.pending.take(rec.ID)
		}
		t.list(now, rec, hearsay, from)
	}
}

// gone reports whether an incarnation is lost here, and what a record of it says is of
// before.
func (t *Table) gone(rec frame.Record) bool {
	l, known := t.lost.get(rec.ID)
	return known && l.Record.Incarnation == rec.Incarnation && rec.Version <= l.version
}

// ghost tells from that an incarnation which it lists is gone: by the goodbye itself if
// there was one, else by this node's own word.
func (t *Table) ghost(now time.Time, from ident.NodeID, rec frame.Record, refused bool) {
	k := lifeOf(rec)
	if !t.partial || rec.State == frame.Left || !t.vouches(from) {
		return
	}
	if last, ok := t.ghosts.get(k); ok && now.Sub(last) < ghostEvery {
		return
	}
	t.ghosts.put(k, now)
	if raw, ok := t.goodbyes.get(k); ok {
		t.act(Inform{To: from, Raw: raw})
		return
	}
	t.act(Accuse{
		To: from, ID: rec.ID, Incarnation: rec.Incarnation, Version: rec.Version, Refused: refused,
	})
}

// replace takes an incarnation off the list in whose place a link proved another one.
func (t *Table) replace(e *entry) {
	t.remove(e, Failed)
	t.bury(e.Record)
	t.accuse(e.Record)
}

// accuse tells all who cannot know it that a member is gone for good.
func (t *Table) accuse(rec frame.Record) {
	if t.partial {
		t.act(Accuse{ID: rec.ID, Incarnation: rec.Incarnation, Version: rec.Version, Refused: true})
	}
}

// part buries an incarnation that said goodbye, with its last word.
func (t *Table) part(rec frame.Record) {
	t.bury(rec)
	t.goodbyes.put(lifeOf(rec), rec.Raw)
}

func (t *Table) isRefused(rec frame.Record) bool {
	_, refused := t.refused.get(lifeOf(rec))
	return refused
}
