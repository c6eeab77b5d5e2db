package member

import (
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Meet takes the record, verified, that the subject itself sent over a link that makes no
// peer of it, and reports whether that incarnation is a member then. Who is not listed is
// listed as if a member had told of it; the link proves that it runs, and that another
// incarnation does not. One that is lost here hears so, and proves by a higher version that
// it is there.
func (t *Table) Meet(now time.Time, rec frame.Record) bool {
	if t.acceptable(rec) != nil || rec.ID == t.self.ID || t.isBuried(rec) {
		return false
	}
	e := t.members[rec.ID]
	switch {
	case e != nil && e.Record.Incarnation == rec.Incarnation:
		t.update(rec.ID, e, rec)
	case rec.State == frame.Left:
		t.forgo(rec)
	case e != nil && e.Linked:
		return false // its link will tell
	default:
		if e != nil {
			t.replace(e)
		}
		t.refused.take(lifeOf(rec))
		t.enter(now, rec)
	}
	e = t.members[rec.ID]
	return e != nil && e.Record.Incarnation == rec.Incarnation
}

// enter lists who is met, if the mesh is partial and it is not lost here.
func (t *Table) enter(now time.Time, rec frame.Record) {
	l, known := t.lost.get(rec.ID)
	switch {
	case !t.partial:
		t.learn(rec)
	case known && l.Record.Incarnation == rec.Incarnation && rec.Version <= l.version:
		t.act(Accuse{To: rec.ID, ID: rec.ID, Incarnation: rec.Incarnation, Version: rec.Version})
	default:
		t.hear(now, ident.NodeID{}, rec)
	}
}
