package exchange

import (
	"context"
	"slices"
	"sync"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

// Receipts collects what members say of one message, under whatever numbers it goes to
// them. Make it with [Exchange.Receipts], hand it to Broadcast or Direct, and then to
// [Exchange.Await].
type Receipts struct {
	wish frame.Wish
	news chan struct{} // holds a token when something changed

	mu     sync.Mutex // guards what follows; taken last
	open   map[slot]struct{}
	result Outcome
}

// slot is one message to one member. A member may be asked twice: for what was broadcast, and
// as one of a group.
type slot struct {
	p  *Pair
	at place
}

// Outcome is what became of a message. The lists are in the order in which it became so.
type Outcome struct {
	Confirmed []ident.NodeID // did what was wished
	Nobody    []ident.NodeID // have no subscription, or have none any more
	Gone      []ident.NodeID // are no members any more
	Lost      []ident.NodeID // may or may not have it: it was given up, or their answer
	Open      []ident.NodeID // have not answered, by ID
}

// place is one message of a lane.
type place struct {
	lane   frame.Lane
	number ident.Seq // pieces not counted
}

// awaited is who waits for receipts of which messages.
type awaited struct {
	mu    sync.Mutex // guards what follows; taken before that of Receipts
	pairs map[*Pair]map[place]*Receipts
}

// Receipts returns an empty collection for a message with that wish.
func (x *Exchange) Receipts(w frame.Wish) *Receipts {
	return &Receipts{wish: w, news: make(chan struct{}, 1), open: map[slot]struct{}{}}
}

// wished returns what a message asks for; nothing for nil.
func (r *Receipts) wished() frame.Wish {
	if r == nil {
		return frame.WishNone
	}
	return r.wish
}

// expectAll notes that all members are asked about a broadcast. The caller holds the lock
// of the log, so that no answer can come before.
func (x *Exchange) expectAll(r *Receipts, number ident.Seq, others bool) {
	x.awaited.mu.Lock()
	defer x.awaited.mu.Unlock()
	// Under that lock, or who leaves at this moment would never be told of.
	for _, p := range x.members.Load().byID {
		if p != x.self || !others {
			x.awaited.add(p, place{frame.Broadcast, number}, r)
		}
	}
}

// expect notes that a member is asked about a direct message, as expectAll does.
func (x *Exchange) expect(r *Receipts, p *Pair, number ident.Seq) {
	x.awaited.mu.Lock()
	defer x.awaited.mu.Unlock()
	at := place{frame.Direct, number}
	x.awaited.add(p, at, r)
	if x.Member(p.id) != p {
		r.settle(p, at, gone)
		x.awaited.drop(p, at)
	}
}

// add notes one message. The caller holds mu.
func (a *awaited) add(p *Pair, at place, r *Receipts) {
	if a.pairs[p] == nil {
		a.pairs[p] = map[place]*Receipts{}
	}
	a.pairs[p][at] = r
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[slot{p, at}] = struct{}{}
}

// Await waits until so many members have confirmed, or nobody is left who can, or ctx
// ends. Then the collection is closed. The error is the cause of ctx, or [ErrClosed].
func (x *Exchange) Await(ctx context.Context, r *Receipts, enough int) (Outcome, error) {
	defer x.forgetReceipts(r)
	for {
		r.mu.Lock()
		out := r.outcome()
		r.mu.Unlock()
		if len(out.Confirmed) >= enough || len(out.Open) == 0 {
			return out, nil
		}
		select {
		case <-r.news:
		case <-ctx.Done():
			return out, context.Cause(ctx)
		case <-x.closed:
			return out, ErrClosed
		}
	}
}

// outcome returns what is known now. The caller holds mu.
func (r *Receipts) outcome() Outcome {
	out := Outcome{
		Confirmed: slices.Clone(r.result.Confirmed),
		Nobody:    slices.Clone(r.result.Nobody),
		Gone:      slices.Clone(r.result.Gone),
		Lost:      slices.Clone(r.result.Lost),
	}
	for s := range r.open {
		out.Open = append(out.Open, s.p.id)
	}
	slices.SortFunc(out.Open, ident.NodeID.Compare)
	// Each member once, under the best that is known of it.
	known := map[ident.NodeID]bool{}
	for _, list := range []*[]ident.NodeID{&out.Confirmed, &out.Open, &out.Gone, &out.Lost, &out.Nobody} {
		*list = slices.DeleteFunc(*list, func(id ident.NodeID) bool {
			before := known[id]
			known[id] = true
			return before
		})
	}
	return out
}

// forgetReceipts ends a collection.
func (x *Exchange) forgetReceipts(r *Receipts) {
	x.awaited.mu.Lock()
	defer x.awaited.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.open {
		x.awaited.drop(s.p, s.at)
	}
}

// drop forgets one message. The caller holds mu.
func (a *awaited) drop(p *Pair, at place) {
	delete(a.pairs[p], at)
	if len(a.pairs[p]) == 0 {
		delete(a.pairs, p)
	}
}

// settle notes what became of the message at the end of p. The caller holds the lock of
// awaited.
func (r *Receipts) settle(p *Pair, at place, list func(*Outcome) *[]ident.NodeID) {
	r.mu.Lock()
	delete(r.open, slot{p, at})
	l := list(&r.result)
	*l = append(*l, p.id)
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

func confirmed(o *Outcome) *[]ident.NodeID { return &o.Confirmed }
func nobody(o *Outcome) *[]ident.NodeID    { return &o.Nobody }
func gone(o *Outcome) *[]ident.NodeID      { return &o.Gone }
func lost(o *Outcome) *[]ident.NodeID      { return &o.Lost }

// answered takes a receipt of the peer. A peer can lie about its own verdict, and about
// nothing else.
func (a *awaited) answered(p *Pair, got frame.Receipt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	messages := a.pairs[p]
	if uint64(got.Count) <= uint64(len(messages)) { // most are about one
		for i := range ident.Seq(got.Count) {
			at := place{got.Lane, got.First + i}
			if r := messages[at]; r != nil {
				a.settle(p, at, r, got.Verdict)
			}
		}
		return
	}
	for at, r := range messages {
		if at.lane == got.Lane && at.number-got.First < ident.Seq(got.Count) { // below First it wraps
			a.settle(p, at, r, got.Verdict)
		}
	}
}

// settle notes what p says of one message. The caller holds mu.
func (a *awaited) settle(p *Pair, at place, r *Receipts, v frame.Verdict) {
	switch {
	case v == frame.VerdictNobody:
		r.settle(p, at, nobody)
	case v == frame.VerdictHandled || r.wish == frame.WishQueued:
		r.settle(p, at, confirmed)
	default:
		return // queued, and not yet handled
	}
	a.drop(p, at)
}

// leave tells everybody who waits for a receipt of somebody who is no member any more.
func (a *awaited) leave(member func(*Pair) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p, messages := range a.pairs {
		if member(p) {
			continue
		}
		for at, r := range messages {
			r.settle(p, at, gone)
		}
		delete(a.pairs, p)
	}
}

// lose tells everybody who waits for a receipt of p about a message of a lane from that number
// on that it may never come.
func (a *awaited) lose(p *Pair, lane frame.Lane, from ident.Seq) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for at, r := range a.pairs[p] {
		if at.lane == lane && at.number >= from {
			r.settle(p, at, lost)
			a.drop(p, at)
		}
	}
}

// loseAll is lose for all messages of both lanes of events.
func (a *awaited) loseAll(p *Pair) {
	for lane := range frame.Lanes {
		a.lose(p, frame.Lane(lane), 0)
	}
}

// receipt takes a receipt from the peer.
func (p *Pair) receipt(payload []byte) {
	if r, ok := frame.DecodeReceipt(payload); ok {
		p.x.awaited.answered(p, r)
	}
}

// answer tells the peer what became of its messages.
func (p *Pair) answer(r frame.Receipt) {
	p.errand(note(frame.TopicReceipt, r.Append(nil)))
}

// refuse answers for messages that reach no subscription.
func (p *Pair) refuse(ev *frame.Events) {
	if ev.Wish() != frame.WishNone {
		p.answer(verdict(ev, frame.VerdictNobody))
	}
}

// verdict returns the receipt for the messages of a run.
func verdict(ev *frame.Events, v frame.Verdict) frame.Receipt {
	return frame.Receipt{Lane: ev.Lane, Verdict: v, First: ev.Message, Count: uint32(ev.Count)}
}

// slip returns what tells the peer when the only message of a run is handled.
func (p *Pair) slip(ev *frame.Events) *mailbox.Slip {
	r := verdict(ev, frame.VerdictNobody)
	return mailbox.NewSlip(func(handled bool) {
		if handled {
			r.Verdict = frame.VerdictHandled
		}
		p.answer(r)
	})
}
