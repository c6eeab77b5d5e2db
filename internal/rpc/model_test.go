package rpc_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/rpc"
)

// message is what crosses between the two machines.
type message struct {
	number ident.Seq // of the message
	about  ident.Seq // the call of an answer or a cancellation; 0 for a call
}

// lane is one direction of a session: in order, nothing twice, and what the sender gave up is a
// jump of the numbers.
type lane struct {
	last      ident.Seq // number of the last message
	taken     ident.Seq // the last one that left the sender
	delivered ident.Seq
	waiting   []message
}

func (l *lane) send(about ident.Seq) ident.Seq {
	l.last++
	l.waiting = append(l.waiting, message{l.last, about})
	return l.last
}

// giveUp drops what is not delivered. Where onward is set, what left the sender arrives still.
func (l *lane) giveUp(onward bool) {
	keep := l.waiting[:0]
	for _, m := range l.waiting {
		if onward && m.number <= l.taken {
			keep = append(keep, m)
		}
	}
	l.waiting = keep
}

// next delivers the oldest message, and reports whether some before it were given up.
func (l *lane) next() (m message, jump, ok bool) {
	if len(l.waiting) == 0 {
		return message{}, false, false
	}
	m, l.waiting = l.waiting[0], l.waiting[1:]
	jump, l.delivered = m.number != l.delivered+1, m.number
	l.taken = max(l.taken, m.number)
	return m, jump, true
}

// pairing is a caller and a callee, whose sessions end as they please.
type pairing struct {
	t    *testing.T
	rand *rand.Rand

	caller rpc.Caller[ident.Seq]
	callee rpc.Callee[ident.Seq]
	there  lane
	back   lane

	running  []ident.Seq
	waiting  map[ident.Seq]bool
	executed map[ident.Seq]int
	unsent   map[ident.Seq]bool // whose caller was told so
	stopped  map[ident.Seq]bool
}

// TestOneOutcome: in every run each caller that waits hears one thing, a call is executed at most
// once, and never if its caller was told that it was not sent.
func TestOneOutcome(t *testing.T) {
	for seed := range uint64(2000) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			p := &pairing{
				t: t, rand: rand.New(rand.NewPCG(seed, 0)),
				waiting: map[ident.Seq]bool{}, executed: map[ident.Seq]int{},
				unsent: map[ident.Seq]bool{}, stopped: map[ident.Seq]bool{},
			}
			for range 200 {
				p.step()
			}
			p.finish()
		})
	}
}

func (p *pairing) step() {
	switch p.rand.IntN(12) {
	case 0, 1, 2:
		number := p.there.send(0)
		p.caller.Call(number, number)
		p.waiting[number] = true
	case 3: // a batch is on its way
		p.there.taken = p.there.last
	case 4, 5, 6:
		p.deliver()
	case 7, 8:
		p.work()
	case 9:
		p.abandon()
	case 10:
		if p.rand.IntN(8) == 0 { // the session ends at the caller
			p.heard(p.caller.End(p.there.taken))
			p.there.giveUp(p.rand.IntN(2) == 0)
		}
	default:
		if p.rand.IntN(8) == 0 { // the session ends at the callee
			p.callee.CancelAll()
			p.back.giveUp(p.rand.IntN(2) == 0)
		}
	}
}

// deliver delivers a message each way.
func (p *pairing) deliver() {
	if m, jump, ok := p.there.next(); ok {
		if jump {
			p.callee.CancelAll()
		}
		if m.about != 0 {
			if number, ok := p.callee.Cancel(m.about); ok && number != m.about {
				p.t.Errorf("the cancellation of call %d stops call %d", m.about, number)
			}
			p.stopped[m.about] = true
		} else {
			p.executed[m.number]++
			p.callee.Begin(m.number, m.number)
			p.running = append(p.running, m.number)
		}
	}
	if m, jump, ok := p.back.next(); ok {
		if jump {
			p.heard(p.caller.Lose(p.there.taken))
		}
		if who, waiting := p.caller.Answer(m.about); waiting {
			p.hear(who, m.about, true)
		}
	}
}

// work ends one call.
func (p *pairing) work() {
	if len(p.running) == 0 {
		return
	}
	i := p.rand.IntN(len(p.running))
	number := p.running[i]
	p.running = append(p.running[:i], p.running[i+1:]...)
	p.callee.Done(number)
	p.back.send(number)
}

// abandon gives one call up.
func (p *pairing) abandon() {
	for number := range p.there.last {
		if p.waiting[number+1] {
			if p.caller.Abandon(number + 1) {
				delete(p.waiting, number+1)
				p.there.send(number + 1)
			} else {
				p.t.Errorf("call %d is waited for, and cannot be given up", number+1)
			}
			return
		}
	}
}

func (p *pairing) heard(ended []rpc.Ended[ident.Seq]) {
	for _, e := range ended {
		p.hear(e.Waiter, e.Number, e.Sent)
	}
}

// hear takes what a caller is told.
func (p *pairing) hear(who, number ident.Seq, sent bool) {
	if who != number || !p.waiting[number] {
		p.t.Errorf("the caller of %d hears of call %d, waiting %v", who, number, p.waiting[number])
	}
	delete(p.waiting, number)
	if !sent {
		p.unsent[number] = true
	}
}

// finish delivers everything and ends the session at the caller.
func (p *pairing) finish() {
	for len(p.there.waiting)+len(p.back.waiting)+len(p.running) > 0 {
		p.deliver()
		p.work()
	}
	p.heard(p.caller.End(p.there.taken))
	for number := range p.waiting {
		p.t.Errorf("the caller of %d never heard of it", number)
	}
	for number, times := range p.executed {
		if times != 1 || p.unsent[number] {
			p.t.Errorf("call %d was executed %d times; not sent: %v", number, times, p.unsent[number])
		}
	}
	if p.callee.Running() != 0 || p.caller.Open() != 0 {
		p.t.Errorf("%d calls are at work and %d open in the end", p.callee.Running(), p.caller.Open())
	}
}
