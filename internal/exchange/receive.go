package exchange

import (
	"errors"
	"fmt"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
	"github.com/espial-go/espial/internal/session"
)

// events takes a run of messages: duplicates are dropped, a jump of the numbers is
// reported, the rest goes to the subscriptions. It runs on the one goroutine that
// reads the pair's link, so runs reach the queues in the order of their numbers.
func (p *Pair) events(ev frame.Events, cost int) error {
	p.mu.Lock()
	in := p.in[ev.Lane]
	skip, lost, err := in.Accept(ev.First, ev.Count, cost)
	p.spoke = true
	p.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%w: EVENTS: %w", ErrBreach, err)
	}
	p.lost(ev.Lane, lost)
	if skip == ev.Count {
		return nil
	}
	last := ev.First + ident.Seq(ev.Count) - 1
	assembled := p.parts[ev.Lane].Wants(ev)
	whole, err := p.assemble(&ev)
	if err != nil {
		return err
	}
	if !whole {
		p.Release(ev.Lane, last)
		return nil
	}
	for range skip {
		_, ev.Run = frame.NextPayload(ev.Run)
	}
	ev.First, ev.Count = ev.First+ident.Seq(skip), ev.Count-skip
	switch topic := string(ev.Topic); {
	case p == p.x.self && ev.Class&notSelf != 0:
		p.Release(ev.Lane, last)
		return nil
	case glob.CheckTopic(topic) != nil, glob.Reserved(topic):
		// No Publish takes it, so the member forges: it must not pass for a change.
		p.x.forged.Add(uint64(ev.Count))
		p.Release(ev.Lane, last)
		return nil
	}
	p.x.box.Deliver(&p.parts[ev.Lane].route, ev.Topic, mailbox.Run{
		From: p.id, Name: p.name, Lane: ev.Lane, First: ev.First,
		Codec: ev.Codec, Data: ev.Run, Owned: assembled, Count: ev.Count, At: time.Now(),
	}, p)
	return nil
}

// assemble joins pieces. It reports whether ev holds whole messages now; the last
// piece of a large one brings all of it. A message above this node's limit is lost to
// it, which is no fault of the peer's, whose limit may be higher.
func (p *Pair) assemble(ev *frame.Events) (whole bool, err error) {
	parts := &p.parts[ev.Lane]
	switch {
	case parts.skipping:
		parts.skipping = ev.More
		return false, nil
	case !parts.Wants(*ev):
		return true, nil
	}
	run, broken := parts.Add(*ev)
	if errors.Is(broken, session.ErrTooLarge) {
		parts.skipping = ev.More
		p.x.box.Lost(mailbox.Loss{From: p.id, Lane: ev.Lane, Count: 1})
		return false, nil
	}
	if broken != nil {
		return false, fmt.Errorf("%w: EVENTS: %w", ErrBreach, broken)
	}
	ev.Run, ev.More = run, false
	return run != nil, nil
}

// lost reports messages of the peer that will never come.
func (p *Pair) lost(lane frame.Lane, count uint64) {
	if count == 0 {
		return
	}
	p.parts[lane].Reset()
	p.x.box.Lost(mailbox.Loss{From: p.id, Lane: lane, Count: count})
}

// Release notes that the subscriptions took the messages of lane up to last, so that
// they can be acknowledged. Mailboxes call it, once for each run.
func (p *Pair) Release(lane frame.Lane, last ident.Seq) {
	now := time.Now()
	p.mu.Lock()
	in := p.in[lane]
	in.Release(last)
	n, due := in.Ack(now, false)
	if due {
		p.owed[lane] = n
	} else {
		p.schedule(now)
	}
	p.mu.Unlock()
	if due {
		p.wake()
	}
}
