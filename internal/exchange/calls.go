package exchange

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/rpc"
	"github.com/espial-go/espial/internal/session"
)

// CallError reports a call that got no answer.
type CallError struct {
	// Sent reports that the method may have been executed. Otherwise it certainly was not, and
	// never will be.
	Sent bool
	Err  error // why: [ErrNoMember], [ErrClosed], the cause of the context, ...
}

// Error says whether the call was sent.
func (e *CallError) Error() string {
	if e.Sent {
		return fmt.Sprintf("exchange: call sent, and not answered: %v", e.Err)
	}
	return fmt.Sprintf("exchange: call not sent: %v", e.Err)
}

// Unwrap returns why.
func (e *CallError) Unwrap() error { return e.Err }

// lanes is how many a pair has: those of events, and that of calls.
const lanes = frame.Lanes + 1

// desk is the lane of calls of a pair, in both directions: a session of its own, because a reader
// of direct messages that falls behind must not hold up the answer that it may be waiting for.
type desk struct {
	log     *session.Log
	cursor  *session.Cursor
	room    room              // in log, or for one more call
	errands []session.Message // wait for room in log: what the reader of a link has to say
	deaf    bool              // the peer knows no calls

	methods  notice // what each serves to the other
	services notice // what each listens on

	caller rpc.Caller[*waiter]
	callee rpc.Callee[context.CancelFunc]
}

// newDesk returns the lane of calls for values up to that size, in bytes.
func newDesk(eventMax int) desk {
	d := desk{log: session.NewLog(frame.Calls, session.Limits{
		BytesMax: logBytesMax, EventMax: eventMax + frame.CallOverhead,
	})}
	d.cursor = d.log.Open()
	return d
}

// open returns what OPEN says of the lane. The caller holds the lock of the pair.
func (d *desk) open(in *session.Inbox) frame.OpenLane {
	return frame.OpenLane{
		First: d.cursor.First(), Message: d.cursor.Message(),
		Received: in.Received(), Window: uint32(in.Window()),
	}
}

// idle reports whether everything is acknowledged, and nothing at work. The caller holds the lock
// of the pair.
func (d *desk) idle() bool {
	return len(d.errands) == 0 && !d.telling() && d.cursor.Waiting() == 0 && d.callee.Running() == 0
}

// telling reports whether the peer is to be told a list. The caller holds the lock of the pair.
func (d *desk) telling() bool { return d.methods.telling || d.services.telling }

// Request is what a caller wants.
type Request struct {
	Method string // checked by the caller
	Codec  uint8
	Value  []byte
}

// Reply is the answer to a call.
type Reply struct {
	frame.Answer // Value belongs to the receiver

	Codec uint8
}

// waiter is who waits for a reply. Waiters are used again.
type waiter struct {
	done    chan result // has room for one
	payload []byte      // scratch: of the request
}

type result struct {
	reply Reply
	err   error
}

// payloadMax is the largest scratch of a waiter that is kept, in bytes.
const payloadMax = 64 << 10

// Call calls a method of a member, which may be this node, and waits for the answer, in its own
// words, until ctx ends: then the callee is told at once. While it has no room, or 1,024 calls
// to the member are open, it waits. The error is a [CallError].
func (x *Exchange) Call(ctx context.Context, id ident.NodeID, q Request) (Reply, error) {
	w, ok := x.waiters.Get().(*waiter)
	if !ok {
		w = &waiter{done: make(chan result, 1)}
	}
	reply, err := x.call(ctx, id, q, w)
	if cap(w.payload) <= payloadMax {
		x.waiters.Put(w)
	}
	return reply, err
}

// call is Call for a waiter, whose channel is empty before and after.
func (x *Exchange) call(ctx context.Context, id ident.NodeID, q Request, w *waiter) (Reply, error) {
	for {
		p := x.Member(id)
		number, room, err := x.ask(ctx, p, q, w)
		switch {
		case err == nil:
			p.reach()
			return p.await(ctx, number, w)
		case !errors.Is(err, session.ErrFull):
			return Reply{}, &CallError{Err: err}
		}
		if err := x.wait(ctx, room, lookAgain); err != nil {
			p.mu.Lock()
			p.calls.log.Forgo()
			p.calls.room.open()
			p.mu.Unlock()
			return Reply{}, &CallError{Err: err}
		}
	}
}

// ask puts a request into the log of a member, nil for none, or returns where to wait for room.
func (x *Exchange) ask(
	ctx context.Context, p *Pair, q Request, w *waiter,
) (number ident.Seq, room <-chan struct{}, err error) {
	c := frame.Call{AnswerMax: uint64(x.cfg.EventMax), Value: q.Value}
	if at, ok := ctx.Deadline(); ok {
		if c.Timeout = time.Until(at); c.Timeout <= 0 {
			return 0, nil, context.DeadlineExceeded // its timer may be late
		}
	}
	switch {
	case ctx.Err() != nil:
		return 0, nil, context.Cause(ctx)
	case x.over():
		return 0, nil, ErrClosed
	case p == nil:
		return 0, nil, ErrNoMember
	}
	w.payload = c.Append(w.payload[:0])
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case x.Member(p.id) != p: // under the lock of hangUp, or nobody would end the call
		return 0, nil, ErrNoMember
	case p.calls.caller.Full():
		return 0, p.calls.room.wait(), session.ErrFull
	}
	number, err = p.post(session.Message{Topic: q.Method, Codec: q.Codec, Payload: w.payload})
	if err != nil {
		return 0, p.calls.room.wait(), err
	}
	p.calls.caller.Call(number, w)
	return number, nil, nil
}

// post puts a message into the log of calls. The caller holds mu.
func (p *Pair) post(m session.Message) (ident.Seq, error) {
	switch {
	case p.calls.deaf:
		return 0, ErrNoCalls
	case p.x.direct.Load() > directBytesMax:
		return 0, session.ErrFull
	}
	number, err := p.calls.log.Append(m)
	p.count()
	return number, err
}

// await waits for the answer to a call.
func (p *Pair) await(ctx context.Context, number ident.Seq, w *waiter) (Reply, error) {
	cause := ErrClosed
	select {
	case r := <-w.done:
		return r.reply, r.err
	case <-p.x.closed:
	case <-ctx.Done():
		cause = context.Cause(ctx)
	}
	p.mu.Lock()
	abandoned := p.calls.caller.Abandon(number)
	p.mu.Unlock()
	if !abandoned { // it came at the same time
		r := <-w.done
		return r.reply, r.err
	}
	p.tell(frame.Answer{Number: number, Outcome: frame.OutcomeCanceled})
	return Reply{}, &CallError{Sent: true, Err: cause}
}

// tell says something of a call, without waiting for room.
func (p *Pair) tell(a frame.Answer) {
	p.mu.Lock()
	if len(p.calls.errands) < errandsMax {
		p.calls.errands = append(p.calls.errands, session.Message{Payload: a.Append(nil)})
	} else {
		p.x.unanswered.Add(1)
	}
	p.mu.Unlock()
	p.reach()
}

// take appends what there is to send of calls to dst. The caller holds mu.
func (p *Pair) take(dst [][]byte, bytesMax int) [][]byte {
	d := &p.calls
	p.notify(&d.methods, frame.TopicMethods)
	p.notify(&d.services, frame.TopicServices)
	for len(d.errands) > 0 {
		if _, err := p.post(d.errands[0]); errors.Is(err, session.ErrFull) {
			break
		}
		d.errands[0] = session.Message{}
		d.errands = d.errands[1:]
	}
	if len(d.errands) == 0 {
		d.errands = nil
	}
	return d.cursor.Take(dst, bytesMax)
}

// resumeCalls takes what the peer's OPEN says of the lane: nothing if it knows none. The caller
// holds mu.
func (p *Pair) resumeCalls(l frame.OpenLane) error {
	if p.calls.deaf = l == (frame.OpenLane{}); p.calls.deaf {
		p.hangUp()
		return nil
	}
	return p.calls.cursor.Resume(l.Received, int(l.Window))
}

// ackedCalls takes an acknowledgement, and reports whether there is something to send.
func (p *Pair) ackedCalls(number ident.Seq) (pending bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := &p.calls
	err = d.cursor.Acked(number)
	p.count()
	d.room.open()
	return d.cursor.Pending() || len(d.errands) > 0 || d.telling(), err
}

// answered takes what the peer says of a call.
func (p *Pair) answered(a frame.Answer, codec uint8) {
	if a.Outcome == frame.OutcomeCanceled {
		p.cancel(a.Number)
		return
	}
	p.mu.Lock()
	w, waiting := p.calls.caller.Answer(a.Number)
	p.calls.room.open()
	p.mu.Unlock()
	if waiting {
		w.done <- result{reply: Reply{Answer: a, Codec: codec}}
	}
}

// hangUp ends all calls between this node and the peer: what is not sent never will be, who
// waits is told, and what is at work for the peer is told to stop. The caller holds mu.
func (p *Pair) hangUp() {
	d := &p.calls
	taken := d.cursor.Taken()
	d.cursor.GiveUp()
	p.count()
	d.errands = nil
	d.methods.forget() // the next sweep or link tells it
	d.services.forget()
	p.end(d.caller.End(taken))
	for _, stop := range d.callee.CancelAll() {
		stop()
	}
	d.room.open()
}

// hangUp ends the calls of those that are no members any more.
func (m *members) hangUp(member func(*Pair) bool) {
	if m == nil { // the first ones
		return
	}
	for _, p := range m.byID {
		if !member(p) {
			p.mu.Lock()
			p.hangUp()
			p.mu.Unlock()
		}
	}
}

// hungUp takes a jump of the numbers: the peer has hung up, and begun anew.
func (p *Pair) hungUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := &p.calls
	p.end(d.caller.Lose(d.cursor.Taken()))
	for _, stop := range d.callee.CancelAll() {
		stop()
	}
	d.room.open()
}

// end tells who waits for answers that will not come. The caller holds mu.
func (p *Pair) end(calls []rpc.Ended[*waiter]) {
	cause := ErrNoMember
	if p.x.over() {
		cause = ErrClosed
	}
	for _, c := range calls {
		c.Waiter.done <- result{err: &CallError{Sent: c.Sent, Err: cause}}
	}
}
