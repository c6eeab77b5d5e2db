package member

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

const (
	// exchangeEvery is the mean time between two digests to random peers.
	exchangeEvery = 5 * time.Second

	// answerEvery is the least time between two reactions to the digests of one peer,
	// so that two tables that cannot agree do not talk of nothing else.
	answerEvery = time.Second
)

// hurry adds digests one and two seconds after the first peer was found: without them
// one newcomer in six waited for the next round for longer than all the others.
func (t *Table) hurry(now time.Time) {
	t.exchanges = []time.Time{
		now.Add(time.Second), now.Add(2 * time.Second), now.Add(2*time.Second + t.pause()),
	}
}

// pause draws the time to the next digest: within a fifth of exchangeEvery of it.
func (t *Table) pause() time.Duration {
	return exchangeEvery*4/5 + time.Duration(t.rand.Int64N(int64(exchangeEvery*2/5)))
}

// Digested reports that a linked member has a table with this hash. If it is not 0 and
// differs from the own one, the records go out, and the own hash unless it just did, so
// that the member sends its records too.
func (t *Table) Digested(now time.Time, from ident.NodeID, hash uint64) {
	e := t.members[from]
	if e == nil || !e.Linked || hash == 0 {
		return
	}
	sync, digest := now.Sub(e.synced) >= answerEvery, now.Sub(e.digested) >= answerEvery
	if !sync && !digest || hash == t.Hash() {
		return // the own hash costs a walk over all members: not for each of a flood
	}
	if sync {
		e.synced = now
		t.act(Sync{To: from})
	}
	if digest {
		e.digested = now
		t.act(Digest{To: from, Hash: t.Hash()})
	}
}

// exchange sends a digest to a random peer.
func (t *Table) exchange(now time.Time) {
	var peers []*entry
	for _, m := range t.Members() {
		if m.Linked {
			peers = append(peers, t.members[m.Record.ID])
		}
	}
	if len(peers) == 0 {
		return
	}
	e := peers[t.rand.IntN(len(peers))]
	e.digested = now
	t.act(Digest{To: e.Record.ID, Hash: t.Hash()})
}

// Tick does what is due: the join number of a founder, a split to be judged, a digest to
// be sent.
func (t *Table) Tick(now time.Time) {
	if t.self.Join == 0 && !now.Before(t.founding) {
		t.FixJoin(1)
	}
	if s := t.silence.until; !s.IsZero() && !now.Before(s) {
		t.judge()
	}
	due := false
	for len(t.exchanges) > 0 && !now.Before(t.exchanges[0]) {
		t.exchanges, due = slices.Delete(t.exchanges, 0, 1), true
	}
	if !due {
		return
	}
	t.exchange(now)
	if len(t.exchanges) == 0 && t.peers > 0 {
		t.exchanges = append(t.exchanges, now.Add(t.pause()))
	}
}

// Next returns the time of the next Tick. It reports false when nothing is due ever. Ask
// again after every other call: an input can make it earlier.
func (t *Table) Next() (at time.Time, ok bool) {
	var due []time.Time
	if t.self.Join == 0 && t.self.State == frame.Alive {
		due = append(due, t.founding)
	}
	if !t.silence.until.IsZero() {
		due = append(due, t.silence.until)
	}
	if len(t.exchanges) > 0 {
		due = append(due, t.exchanges[0])
	}
	if len(due) == 0 {
		return time.Time{}, false
	}
	return slices.MinFunc(due, time.Time.Compare), true
}
