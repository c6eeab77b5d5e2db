package gossip

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// standing is what an origin is to this node.
type standing uint8

const (
	stranger standing = iota // neighbours tell of it, the graph does not have it yet
	member                   // in the graph, or this node itself
	former                   // was in the graph less than AgeMax ago
	absent                   // was in the graph longer ago: its numbers are all that is left
)

// heard reports whether anything is delivered, kept or asked for of such an origin.
func (s standing) heard() bool { return s == member || s == former }

// part is what became of a message of which not all pieces came yet.
type part uint8

const (
	partNone    part = iota // there is none
	partTaken               // the pieces so far were delivered
	partSkipped             // it is lost, and so will be the rest of it
)

// origin is what this node knows of the broadcasts of one start of one node.
type origin struct {
	Member
	standing standing
	since    time.Time // when it got its standing
	place    int       // in Router.order

	// based says that received and whole tell where this node begins. Until something
	// proven, that is signed, was delivered, they are what a neighbour said. counted says
	// that whole is known, too; neighbours are told nothing before.
	based, proven, counted bool

	// settled says that it was a member for long before anything was heard of it, so that
	// whatever it signed before is missing.
	settled bool
	basedAt time.Time

	// opened says that start and startWhole are where a link with the origin began: all
	// beyond is for this node, whatever neighbours say.
	opened            bool
	start, startWhole ident.Seq

	// base and baseWhole are where this node began, which neighbours are told first.
	base, baseWhole ident.Seq
	told            bool

	received ident.Seq // all up to it was delivered, or is lost
	whole    ident.Seq // messages so far, lost ones included; the number of the last one
	part     part      // of the message that goes on with received+1
	bare     ident.Seq // up to it some came without a signature
	late     ident.Seq // up to it what was signed later came again

	stored      fifo // delivered, ascending, without a gap; up to received but for what comes late
	storedBytes int
	proof       *frame.Proof // of the last batch if nothing is stored; nil for none
	held        []*entry     // not yet, ascending, with a gap before the first one
	heldBytes   int
	news        bool // in Router.news

	repair repair
	tree   tree
}

// begin makes received and whole the place where this node begins.
func (o *origin) begin(now time.Time, received, whole ident.Seq, counted bool) {
	o.based, o.counted, o.basedAt = true, counted, now
	o.received, o.whole = received, whole
	o.base, o.baseWhole = received, whole
}

// next returns the number of the message that number received+1 belongs to.
func (o *origin) next() ident.Seq {
	if o.part == partSkipped {
		return o.whole
	}
	return o.whole + 1
}

// fits reports whether a batch that begins with number received+1 goes on with the
// messages where the ones before it ended. Only an origin that lies signs another one.
func (o *origin) fits(b *frame.Relay) bool {
	if o.part == partNone && !o.proven {
		return true // the signature outweighs what a neighbour said
	}
	return b.Message == o.next() && b.Continues == (o.part != partNone)
}

// take counts a batch as delivered that begins with number received+1. It returns how many
// numbers of it to skip: the rest of a message whose beginning did not come.
func (o *origin) take(b *frame.Relay) (skip int) {
	if b.Continues && o.part != partTaken {
		skip = b.Head
	}
	if !o.counted {
		o.base, o.baseWhole = b.First-1, b.Message-1
	}
	o.received, o.whole, o.proven, o.counted = b.Last, b.Whole, true, true
	switch {
	case !b.More:
		o.part = partNone
	case b.Continues && skip == int(b.Last-b.First)+1:
		o.part, o.whole = partSkipped, b.Message // all of the batch is skipped, and more will be
	default:
		o.part = partTaken
	}
	return skip
}

// jump gives up the numbers before a batch, and returns how many messages are lost with
// them: all between, and the one that the batch continues.
func (o *origin) jump(b *frame.Relay) (lost uint64) {
	whole := b.Message - 1
	if b.Continues {
		whole++
	}
	lost = o.lose(b.First-1, whole)
	o.part = partNone
	return lost
}

// jumpTo gives up the numbers up to the end of a batch of which only the proof is left.
func (o *origin) jumpTo(p *frame.Proof) (lost uint64) {
	whole, part := p.Whole, partNone
	if p.More {
		whole, part = whole+1, partSkipped
	}
	lost = o.lose(p.Last, whole)
	o.part, o.proven, o.counted = part, true, true
	return lost
}

// lose passes over the numbers up to last, and messages up to whole, and returns how many
// of these are lost. The origin signed that; the numbers bound it should it be a lie.
func (o *origin) lose(last, whole ident.Seq) (lost uint64) {
	numbers := uint64(last - o.received)
	if o.part == partTaken {
		numbers++ // the message whose first pieces came
	}
	if o.counted && whole > o.whole {
		lost = min(uint64(whole-o.whole), numbers)
	}
	o.received, o.whole = last, whole
	return lost
}

// mark returns what to tell neighbours.
func (o *origin) mark() frame.Mark {
	first := o.received + 1
	if all := o.stored.all(); len(all) > 0 && all[len(all)-1].batch.Last == o.received {
		first = all[0].batch.First
	}
	return frame.Mark{
		Origin: o.ID, Incarnation: o.Incarnation, First: first, Last: o.received, Message: o.next(),
	}
}

// markAt returns what was to tell at a former moment, as far as the store reaches back.
func (o *origin) markAt(then time.Time) frame.Mark {
	if o.basedAt.After(then) {
		return o.baseMark() // this node did not know the origin then
	}
	m := o.mark()
	all := o.stored.all()
	at, _ := slices.BinarySearchFunc(all, then, func(e *entry, then time.Time) int {
		if e.at.After(then) {
			return 1
		}
		return -1
	})
	for at < len(all) && all[at].batch.First <= o.bare {
		at++ // what was signed later came earlier
	}
	if at < len(all) {
		b := &all[at].batch
		m.Last, m.Message = b.First-1, b.Message
	}
	return m
}

// baseMark returns what to tell neighbours first: where this node began. Whoever does not
// know the origin yet begins there, too, and counts from there what it misses.
func (o *origin) baseMark() frame.Mark {
	return frame.Mark{
		Origin: o.ID, Incarnation: o.Incarnation, First: o.base + 1, Last: o.base, Message: o.baseWhole + 1,
	}
}
