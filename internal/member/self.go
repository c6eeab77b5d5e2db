package member

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/frame"
)

const (
	// FoundingWindow is how long a node without a join number waits for an older
	// member before it takes number 1.
	FoundingWindow = 2 * time.Second

	// JoinMax is the highest join number: exact as a JSON number, and far enough from
	// overflow that a liar cannot make the next one wrap to the front.
	JoinMax = 1 << 53
)

// Self returns this node's own record, signed.
func (t *Table) Self() frame.Record { return t.self }

// SetMeta changes the metadata of this node. It keeps a copy. The error, if any, wraps
// what the signing of the record returned, as [frame.ErrTooLarge]; then nothing changed.
func (t *Table) SetMeta(meta map[string]string) error {
	if maps.Equal(t.self.Meta, meta) {
		return nil
	}
	r := t.self
	r.Meta = maps.Clone(meta)
	return t.renew(r)
}

// SetAddrs changes the addresses of this node, as [Table.SetMeta] does the metadata.
func (t *Table) SetAddrs(addrs []frame.Addr) error {
	if slices.Equal(t.self.Addrs, addrs) {
		return nil
	}
	r := t.self
	r.Addrs = slices.Clone(addrs)
	return t.renew(r)
}

// Refute raises the version of the own record: whoever sees it knows that this node was
// alive to sign it.
func (t *Table) Refute() { t.mustRenew(t.self) }

// Leave says goodbye in the own record. It is final.
func (t *Table) Leave() {
	r := t.self
	r.State = frame.Left
	t.mustRenew(r)
}

// ProposeJoin returns the join number for a newcomer: one more than the highest known
// here, own one included, at most [JoinMax].
func (t *Table) ProposeJoin() uint64 {
	highest := t.self.Join
	for _, m := range t.members {
		highest = max(highest, m.Record.Join)
	}
	return min(highest, JoinMax-1) + 1
}

// FixJoin takes n, limited to [JoinMax], as the join number of this node unless it has
// one. Zero is no number.
func (t *Table) FixJoin(n uint64) {
	if n == 0 || t.self.Join != 0 {
		return
	}
	r := t.self
	r.Join = min(n, JoinMax)
	t.mustRenew(r)
}

// overtake makes the own record newer than one that somebody has of this incarnation. It
// takes a clone of this process, with its memory, to make one.
func (t *Table) overtake(version uint64) {
	if version <= t.self.Version {
		return
	}
	r := t.self
	r.Version = version
	t.mustRenew(r)
}

// renew makes r, one version up, the own record.
func (t *Table) renew(r frame.Record) error {
	if t.self.State == frame.Left {
		return nil // goodbye was the last word
	}
	r.Version++
	if err := t.sign(&r); err != nil {
		return fmt.Errorf("member: own record: %w", err)
	}
	t.self = r
	t.act(SelfChanged{})
	return nil
}

// mustRenew is renew for what cannot make a record too large.
func (t *Table) mustRenew(r frame.Record) {
	if err := t.renew(r); err != nil {
		panic(err) //nolint:forbidigo // the same key signed a record of the same size before
	}
}
