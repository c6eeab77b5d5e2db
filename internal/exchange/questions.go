package exchange

import (
	"sync"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/mailbox"
)

// questions are the subscriptions to which members replay what they keep. Each session is
// asked once, and again after its member was gone from the list, even if it goes on.
type questions struct {
	mu    sync.Mutex // guards what follows; taken before the locks of pairs
	last  uint64
	asked map[uint64]*question
	met   map[*Pair]bool // whose session goes on: whether the owner lists it
}

// question is one of them.
type question struct {
	frame.Replay
	wanted glob.Index[struct{}]
	queue  *mailbox.Queue
	open   map[*Pair]bool // whom it was put to: true until that one has replayed all
}

// SubscribeReplay is Subscribe for a reader that also wants what the members keep of their
// broadcasts: those of now, and each that comes later. It reads with a
// [mailbox.CatchUp].
func (x *Exchange) SubscribeReplay(pattern string, o mailbox.Options) (*mailbox.Queue, error) {
	qs := &x.questions
	qs.mu.Lock()
	defer qs.mu.Unlock()
	for p := range qs.met {
		o.Opening = append(o.Opening, p.origin())
	}
	q, err := x.Subscribe(pattern, o)
	if err != nil {
		return nil, err
	}
	qs.last++
	s := &question{
		Replay: frame.Replay{Question: qs.last, Pattern: pattern}, queue: q, open: map[*Pair]bool{},
	}
	s.wanted.Add(pattern, struct{}{})
	qs.asked[qs.last] = s
	for p := range qs.met {
		s.ask(p)
	}
	return q, nil
}

// origin names the peer as a [mailbox.CatchUp] does.
func (p *Pair) origin() mailbox.Origin { return mailbox.Origin{ID: p.id, Inc: p.inc} }

// ask asks one member. The caller holds the lock of the questions.
func (s *question) ask(p *Pair) {
	s.open[p] = true
	p.errand(note(frame.TopicReplay, s.Append(nil)))
}

// meet asks the member at the end of a new link, before its first message comes: all there
// is to ask where the session is fresh.
func (qs *questions) meet(p *Pair, fresh bool) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	qs.met[p] = p.x.Member(p.id) == p
	for _, s := range qs.asked {
		if _, asked := s.open[p]; fresh || !asked {
			s.queue.Enter(p.origin(), mailbox.StageOpening)
			s.ask(p)
		}
	}
}

// list ends the questions to members that went. Who has never been listed is about to be.
func (qs *questions) list(member func(*Pair) bool) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	for p, listed := range qs.met {
		if qs.met[p] = member(p); listed && !qs.met[p] {
			qs.end(p)
		}
	}
}

// over ends the questions to the peer of a session that ended.
func (qs *questions) over(p *Pair) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if !p.ended() { // it has begun anew meanwhile
		return
	}
	if _, met := qs.met[p]; met {
		delete(qs.met, p)
		qs.end(p)
	}
}

// end ends the questions to p. The caller holds mu.
func (qs *questions) end(p *Pair) {
	for _, s := range qs.asked {
		s.done(p)
		delete(s.open, p)
	}
}

// prune forgets the subscriptions that ended.
func (qs *questions) prune() {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	for id, s := range qs.asked {
		if s.queue.Ended() {
			delete(qs.asked, id)
		}
	}
}

// done notes that p has replayed all, or never will. The caller holds the lock of the
// questions.
func (s *question) done(p *Pair) {
	if s.open[p] {
		s.open[p] = false
		s.queue.Enter(p.origin(), mailbox.StageDone)
	}
}

// find returns the question that p still answers, nil if there is none of that number.
func (qs *questions) find(p *Pair, id uint64) *question {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if s := qs.asked[id]; s != nil && s.open[p] {
		return s
	}
	return nil
}

// replayed takes the end of an answer.
func (p *Pair) replayed(payload []byte) {
	qs := &p.x.questions
	q, ok := frame.DecodeReplay(payload)
	if !ok {
		return
	}
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if s := qs.asked[q.Question]; s != nil {
		s.done(p)
	}
}

// past takes a run that the peer replays.
func (p *Pair) past(ev frame.Events, past frame.Past, r mailbox.Run, rel mailbox.Releaser) {
	s := p.x.questions.find(p, past.Question)
	topic := string(ev.Topic)
	if s == nil || ev.Count != 1 || len(s.wanted.Match(nil, topic)) == 0 {
		if rel != nil {
			rel.Release(r.Lane, r.Last)
		}
		return
	}
	r.First = past.Number
	s.queue.Replay(topic, r, rel)
}
