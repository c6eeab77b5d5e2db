package frame

import (
	"encoding/binary"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// LeaseRule states the electorate of an election. It is the first frame about it on a link.
type LeaseRule struct {
	Election   string     // its name, at most [ElectionMax] bytes; the default one has none
	Electorate uint64     // n for Quorum(n); for Voters a hash with the highest bit set
	Seen       ident.Term // the highest term that the sender saw
	Leads      ident.Term // the term in which it leads, or 0
}

// Type returns [TypeLeaseRule].
func (LeaseRule) Type() Type { return TypeLeaseRule }

// Append implements [Frame].
func (l LeaseRule) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendStr(begin(dst, TypeLeaseRule), l.Election)
	dst = binary.BigEndian.AppendUint64(dst, l.Electorate)
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.Seen))
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.Leads))
	Seal(dst[start:])
	return dst
}

func decodeLeaseRule(r *reader) LeaseRule {
	l := LeaseRule{Election: r.election(), Electorate: r.u64(), Seen: r.term(), Leads: r.term()}
	r.fields()
	return l
}

// LeaseKind says what a [LeaseAsk] asks for.
type LeaseKind uint8

// The kinds of a [LeaseAsk].
const (
	LeasePoll  LeaseKind = iota // would you grant?
	LeaseClaim                  // a vote for a new reign
	LeaseRenew                  // the vote again, by the leader

	leaseKinds
)

// LeaseAsk asks a voter for its vote. A node that is not a voter learns from a renewal who
// leads.
type LeaseAsk struct {
	Election    string
	Kind        LeaseKind
	Electorate  uint64            // as in [LeaseRule]
	Incarnation ident.Incarnation // of the sender
	Number      uint64            // ties the answer to the question
	Term        ident.Term        // 0 in a poll
	After       ident.Term        // the reign that was released to the sender, or 0
}

// Type returns [TypeLeaseAsk].
func (LeaseAsk) Type() Type { return TypeLeaseAsk }

// Append implements [Frame].
func (l LeaseAsk) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendStr(begin(dst, TypeLeaseAsk), l.Election)
	dst = append(dst, byte(l.Kind))
	dst = binary.BigEndian.AppendUint64(dst, l.Electorate)
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.Incarnation))
	dst = binary.BigEndian.AppendUint64(dst, l.Number)
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.Term))
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.After))
	Seal(dst[start:])
	return dst
}

func decodeLeaseAsk(r *reader) LeaseAsk {
	l := LeaseAsk{Election: r.election(), Kind: LeaseKind(r.u8())}
	if l.Kind >= leaseKinds {
		r.fail(ErrMalformed, "kind is %d", l.Kind)
	}
	l.Electorate, l.Incarnation, l.Number = r.u64(), r.incarnation(), r.u64()
	l.Term, l.After = r.term(), r.term()
	r.fields()
	return l
}

// LeaseAnswer answers a [LeaseAsk].
type LeaseAnswer struct {
	Election    string
	Granted     bool
	Electorate  uint64            // of the sender, as in [LeaseRule]
	Incarnation ident.Incarnation // as in the question
	Number      uint64            // as in the question
	Seen        ident.Term        // the sender grants no claim up to this term
	Clock       uint64            // of the sender, in milliseconds since 1970
	Wait        time.Duration     // asking again is of no use before; whole microseconds, at most 71 minutes
}

// Type returns [TypeLeaseAnswer].
func (LeaseAnswer) Type() Type { return TypeLeaseAnswer }

// Append implements [Frame].
func (l LeaseAnswer) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendStr(begin(dst, TypeLeaseAnswer), l.Election)
	dst = appendFlag(dst, l.Granted)
	dst = binary.BigEndian.AppendUint64(dst, l.Electorate)
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.Incarnation))
	dst = binary.BigEndian.AppendUint64(dst, l.Number)
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.Seen))
	dst = binary.BigEndian.AppendUint64(dst, l.Clock)
	dst = binary.BigEndian.AppendUint32(dst, micros(l.Wait))
	Seal(dst[start:])
	return dst
}

func decodeLeaseAnswer(r *reader) LeaseAnswer {
	l := LeaseAnswer{
		Election: r.election(), Granted: r.flag(), Electorate: r.u64(), Incarnation: r.incarnation(),
		Number: r.u64(), Seen: r.term(), Clock: r.u64(), Wait: time.Duration(r.u32()) * time.Microsecond,
	}
	r.fields()
	return l
}

// micros returns d in microseconds, rounded up, so that who waits that long does not come
// too early.
func micros(d time.Duration) uint32 {
	const most = 1<<32 - 1
	us := min(max(d, 0), most*time.Microsecond) + time.Microsecond - 1
	return uint32(us / time.Microsecond)
}

// LeaseRelease gives back the votes of a reign that is over or never began.
type LeaseRelease struct {
	Election  string
	Term      ident.Term
	Successor ident.NodeID // who may claim first; zero for nobody
}

// Type returns [TypeLeaseRelease].
func (LeaseRelease) Type() Type { return TypeLeaseRelease }

// Append implements [Frame].
func (l LeaseRelease) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendStr(begin(dst, TypeLeaseRelease), l.Election)
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.Term))
	dst = append(dst, l.Successor[:]...)
	Seal(dst[start:])
	return dst
}

func decodeLeaseRelease(r *reader) LeaseRelease {
	l := LeaseRelease{Election: r.election(), Term: r.term()}
	copy(l.Successor[:], r.take(len(l.Successor)))
	r.fields()
	return l
}

// LeaseReign says who leads, on behalf of a leader that the receiver may have no link with.
type LeaseReign struct {
	Election   string
	Over       bool   // nobody does any more: the leader ended its reign
	Electorate uint64 // as in [LeaseRule]
	Leader     ident.NodeID
	Term       ident.Term
}

// Type returns [TypeLeaseReign].
func (LeaseReign) Type() Type { return TypeLeaseReign }

// Append implements [Frame].
func (l LeaseReign) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendStr(begin(dst, TypeLeaseReign), l.Election)
	dst = appendFlag(dst, l.Over)
	dst = binary.BigEndian.AppendUint64(dst, l.Electorate)
	dst = append(dst, l.Leader[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.Term))
	Seal(dst[start:])
	return dst
}

func decodeLeaseReign(r *reader) LeaseReign {
	l := LeaseReign{
		Election: r.election(), Over: r.flag(), Electorate: r.u64(), Leader: r.nodeID(), Term: r.term(),
	}
	r.fields()
	return l
}

// LeasePromote asks the leader to hand over.
type LeasePromote struct {
	Election string
	Target   ident.NodeID
	Term     ident.Term // of the reign that is to end; 0 for any
}

// Type returns [TypeLeasePromote].
func (LeasePromote) Type() Type { return TypeLeasePromote }

// Append implements [Frame].
func (l LeasePromote) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendStr(begin(dst, TypeLeasePromote), l.Election)
	dst = append(dst, l.Target[:]...)
	dst = appendTerm(dst, l.Term)
	Seal(dst[start:])
	return dst
}

func decodeLeasePromote(r *reader) LeasePromote {
	l := LeasePromote{Election: r.election(), Target: r.nodeID()}
	l.Term = r.termField()
	return l
}
