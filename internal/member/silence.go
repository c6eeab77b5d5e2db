package member

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// silence gathers members that fell silent close to one another.
type silence struct {
	gone   []hush    // within one RemoveAfter of the next, oldest first
	until  time.Time // when to judge; zero when there is nothing new
	healed time.Time // of the last Healed
}

// hush is one member that fell silent.
type hush struct {
	member Member
	at     time.Time
}

// fellSilent judges at once if nobody is left to fall silent as well, else when it has
// been quiet for a third of RemoveAfter: the deaths of one cut are spread by the time
// since each was last heard, which is at most half a SuspectAfter.
func (t *Table) fellSilent(now time.Time, m Member) {
	s := &t.silence
	s.gone = slices.DeleteFunc(s.gone, func(h hush) bool { return now.Sub(h.at) > t.removeAfter })
	s.gone = append(s.gone, hush{m, now})
	s.until = now.Add(t.removeAfter / 3)
	if len(t.members) == 0 {
		t.judge()
	}
}

// judge reports a split if one member is too few to be an accident of its own.
func (t *Table) judge() {
	s := &t.silence
	s.until = time.Time{}
	if len(s.gone) == 0 || (len(s.gone) == 1 && len(t.members) > 0) {
		return
	}
	split := Split{Here: t.Members()}
	for _, h := range s.gone {
		split.Gone = append(split.Gone, h.member)
		if l, ok := t.lost.get(h.member.Record.ID); ok {
			l.missing = true
			t.lost.put(h.member.Record.ID, l)
		}
	}
	slices.SortFunc(split.Gone, compare)
	t.act(split)
}

// returned takes note that l is back in the same incarnation as m.
func (t *Table) returned(now time.Time, l lost, m Member) {
	t.recall(m.Record.ID)
	if !l.missing || now.Sub(t.silence.healed) < t.removeAfter {
		return
	}
	t.silence.healed = now
	t.act(Healed{m})
}

// recall takes id out of those that fell silent: it is back.
func (t *Table) recall(id ident.NodeID) {
	t.silence.gone = slices.DeleteFunc(t.silence.gone, func(h hush) bool { return h.member.Record.ID == id })
}
