package exchange

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/espial-go/espial/internal/crew"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/session"
)

// ErrNoCalls reports a member that knows no calls.
var ErrNoCalls = errors.New("exchange: the member knows no calls")

// ServedError reports a method that is served already.
type ServedError struct{ Method string }

// Error names the method.
func (e *ServedError) Error() string { return "exchange: served already: " + e.Method }

// Service is a method that this node serves.
type Service struct {
	Method string // checked by the caller
	Hidden bool   // nobody is told of it

	About frame.Method // what members are told of it, but for the name

	// CallsMax is how many calls of it run at a time; one more is refused as busy.
	CallsMax int

	// Serves reports whether a member may call the method: to others it is not there. It is
	// called by the readers of links and must not block; nil is for everybody.
	Serves func(id ident.NodeID) bool

	// Handle executes one call. It is called on a goroutine of its own, with a context that ends
	// when the caller gives up, is gone, or its deadline comes. It must not panic.
	Handle func(ctx context.Context, from Sender, q Request) Reply
}

// Sender says who calls.
type Sender struct {
	ID   ident.NodeID
	Name string
}

// sparesMax is how many goroutines wait for a call to execute. Where 64 calls come at a time, new
// ones whose stacks grow would cost the callee a fifth.
const sparesMax = 64

// services are the methods that this node serves.
type services struct {
	byName atomic.Pointer[map[string]*service] // never modified
	mu     sync.Mutex                          // held while it is replaced
	crew   *crew.Crew                          // executes calls
}

type service struct {
	Service

	running atomic.Int64
}

// Serve adds methods, all or none, until stop is called; calls that run then go on, and are
// answered. Either all are hidden or none. The error is a [ServedError] or [ErrClosed].
func (x *Exchange) Serve(list ...Service) (stop func(), err error) {
	if x.over() {
		return nil, ErrClosed
	}
	change := x.change
	if len(list) > 0 && list[0].Hidden {
		change = x.replace
	}
	added := make([]*service, len(list))
	for i, s := range list {
		added[i] = &service{Service: s}
	}
	change(func(m map[string]*service) {
		for _, s := range added {
			if m[s.Method] != nil {
				err = &ServedError{s.Method}
				return
			}
		}
		for _, s := range added {
			m[s.Method] = s
		}
	})
	if err != nil {
		return nil, err
	}
	return func() {
		change(func(m map[string]*service) {
			for _, s := range added {
				if m[s.Method] == s {
					delete(m, s.Method)
				}
			}
		})
	}, nil
}

// replace replaces the methods, and tells nobody.
func (x *Exchange) replace(with func(map[string]*service)) {
	x.services.mu.Lock()
	defer x.services.mu.Unlock()
	x.swap(with)
}

// swap replaces the methods. The caller holds the lock of the services.
func (x *Exchange) swap(with func(map[string]*service)) {
	next := map[string]*service{}
	if m := x.services.byName.Load(); m != nil {
		next = maps.Clone(*m)
	}
	with(next)
	x.services.byName.Store(&next)
}

// change replaces the methods, and tells the members.
func (x *Exchange) change(with func(map[string]*service)) {
	x.services.mu.Lock()
	before := x.offer(x.cfg.Self)
	x.swap(with)
	now := x.offer(x.cfg.Self)
	x.services.mu.Unlock()
	x.compare(x.cfg.Self, x.cfg.Name, before, now)
	x.advertiseAll()
}

// Unserve ends all methods; calls that run go on, and are answered.
func (x *Exchange) Unserve() {
	x.change(func(m map[string]*service) { clear(m) })
}

// service returns the method of that name, nil if there is none.
func (x *Exchange) service(method string) *service { return x.serviceOf([]byte(method)) }

// serviceOf is service for the topic of a message, and allocates nothing.
func (x *Exchange) serviceOf(topic []byte) *service {
	m := x.services.byName.Load()
	if m == nil {
		return nil
	}
	return (*m)[string(topic)]
}

// called takes a run of the lane of calls. Its bytes are valid until it returns unless they are
// owned. It never waits.
func (p *Pair) called(ev frame.Events, owned bool) {
	number := ev.Message
	switch string(ev.Topic) {
	case frame.TopicMethods:
		lists(ev.Run, p.advertised)
		return
	case frame.TopicServices:
		lists(ev.Run, p.listened)
		return
	}
	for run := ev.Run; len(run) > 0; number++ {
		var payload []byte
		if payload, run = frame.NextPayload(run); !owned {
			payload = slices.Clone(payload)
		}
		if len(ev.Topic) > 0 {
			p.begin(number, p.x.serviceOf(ev.Topic), ev.Codec, payload)
		} else if a, ok := frame.DecodeAnswer(payload); ok {
			p.answered(a, ev.Codec)
		} else {
			p.x.forged.Add(1)
		}
	}
}

// lists hands on each list of a run.
func lists(run []byte, take func(list []byte)) {
	for len(run) > 0 {
		var list []byte
		list, run = frame.NextPayload(run)
		take(list)
	}
}

// begin begins to execute a call of a method, nil for one that is not served, or refuses it.
func (p *Pair) begin(number ident.Seq, s *service, codec uint8, payload []byte) {
	c, ok := frame.DecodeCall(payload)
	refusal := frame.OutcomeNoHandler
	switch {
	case !ok:
		p.x.forged.Add(1)
	case s == nil || !s.serves(p.id):
	case len(c.Value) > p.x.cfg.EventMax:
		refusal = frame.OutcomeTooLarge
	case p.execute(s, number, c, codec):
		return
	default:
		p.x.busy.Add(1)
		refusal = frame.OutcomeBusy
	}
	p.tell(frame.Answer{Number: number, Outcome: refusal})
}

// execute executes a call on a goroutine that does nothing else meanwhile, if there is room for
// one more.
func (p *Pair) execute(s *service, number ident.Seq, c frame.Call, codec uint8) bool {
	ctx, stop := context.WithCancel(p.x.life)
	if c.Timeout > 0 {
		stop()
		ctx, stop = context.WithTimeout(p.x.life, c.Timeout)
	}
	if s.running.Add(1) > int64(s.CallsMax) || !p.admit(number, stop) {
		stop()
		s.running.Add(-1)
		return false
	}
	q := Request{Method: s.Method, Codec: codec, Value: c.Value}
	p.x.services.crew.Go(func() {
		r := Reply{Answer: frame.Answer{Outcome: frame.OutcomePanicked}} // where Handle ends the goroutine
		defer func() {
			stop()
			s.running.Add(-1)
			if uint64(len(r.Value)) > c.AnswerMax || len(r.Value) > p.x.cfg.EventMax {
				r = Reply{Answer: frame.Answer{Outcome: frame.OutcomeTooLong}}
			}
			r.Number = number
			payload := r.Append(make([]byte, 0, r.Size()))
			p.respond(session.Message{Codec: r.Codec, Payload: payload}, number)
		}()
		r = s.Handle(ctx, Sender{ID: p.id, Name: p.name}, q)
	})
	return true
}

// admit notes a call as one at work, if there is room for it.
func (p *Pair) admit(number ident.Seq, stop context.CancelFunc) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls.callee.Begin(number, stop)
}

// respond sends the answer to a call. It waits for room as long as the node lives.
func (p *Pair) respond(m session.Message, number ident.Seq) {
	for {
		p.mu.Lock()
		_, err := p.post(m)
		if !errors.Is(err, session.ErrFull) {
			p.calls.callee.Done(number)
			p.mu.Unlock()
			p.reach()
			return
		}
		room := p.calls.room.wait()
		p.mu.Unlock()
		if p.x.wait(p.x.life, room, lookAgain) != nil {
			return
		}
	}
}

// cancel stops a call that the peer waits for no more.
func (p *Pair) cancel(number ident.Seq) {
	p.mu.Lock()
	stop, ok := p.calls.callee.Cancel(number)
	p.mu.Unlock()
	if ok {
		stop()
	}
}
