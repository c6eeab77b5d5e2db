package exchange

import (
	"cmp"
	"container/list"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
	"github.com/espial-go/espial/internal/session"
)

// Limits of what is kept to be replayed.
const (
	// keptBytesMax bounds what a node keeps of all topics, in bytes as [session.Cost]
	// counts. Beyond it the topic that has one more loses its oldest.
	keptBytesMax = 16 << 20

	// KeptMax is how many messages a node keeps of one topic at most.
	KeptMax = 65_536

	// errandsMax is how many messages wait for room in the direct log of one member: what
	// is replayed to it, and what the exchange itself has to say.
	errandsMax = 2 * KeptMax
)

// Keep says what of a topic is kept for subscriptions that come later.
type Keep struct {
	Last  int  // so many messages; of each key where they have keys
	Keyed bool // the messages have keys
}

// kept is one message that is kept. It is never modified.
type kept struct {
	number ident.Seq
	key    string
	m      session.Message
}

// shelf is what is kept of one topic.
type shelf struct {
	keep  Keep
	items list.List                  // of *kept, by number
	keys  map[string][]*list.Element // of each key, by number
}

// shelves are what a node keeps of its broadcasts.
type shelves struct {
	used atomic.Bool // there has been one; saves everybody else the look-up

	mu     sync.Mutex // guards what follows; taken last
	topics map[string]*shelf
	bytes  int
}

// Keep makes the node keep what it broadcasts on a topic from now on. The first call for a
// topic counts. What is kept is bounded: see [KeptMax], and 16 MiB for all topics.
func (x *Exchange) Keep(topic string, k Keep) {
	s := &x.shelves
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.topics[topic] == nil {
		s.topics[topic] = &shelf{keep: k, keys: map[string][]*list.Element{}}
		s.used.Store(true)
	}
}

// put keeps a broadcast if its topic is kept. The caller holds the lock of the log, so that
// numbers come in order.
func (s *shelves) put(number ident.Seq, m session.Message) {
	if !s.used.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[m.Topic]
	if t == nil {
		return
	}
	m.Payload = slices.Clone(m.Payload)
	m.Wish = frame.WishNone
	k := &kept{number: number, m: m}
	if t.keep.Keyed {
		k.key = m.Key
	}
	t.keys[k.key] = append(t.keys[k.key], t.items.PushBack(k))
	s.bytes += session.Cost(len(m.Payload), 1)
	if alike := t.keys[k.key]; len(alike) > t.keep.Last {
		s.drop(t, alike[0])
	}
	for t.items.Len() > KeptMax || s.bytes > keptBytesMax && t.items.Len() > 0 {
		s.drop(t, t.items.Front())
	}
}

// drop forgets one message, the oldest of its key.
func (s *shelves) drop(t *shelf, e *list.Element) {
	k, _ := t.items.Remove(e).(*kept)
	if t.keys[k.key] = t.keys[k.key][1:]; len(t.keys[k.key]) == 0 {
		delete(t.keys, k.key)
	}
	s.bytes -= session.Cost(len(k.m.Payload), 1)
}

// match returns what is kept of the topics that match a pattern, by number.
func (s *shelves) match(pattern string) (items []*kept) {
	var wanted glob.Index[struct{}]
	wanted.Add(pattern, struct{}{})
	s.mu.Lock()
	for topic, t := range s.topics {
		if len(wanted.Match(nil, topic)) > 0 {
			for e := t.items.Front(); e != nil; e = e.Next() {
				k, _ := e.Value.(*kept)
				items = append(items, k)
			}
		}
	}
	s.mu.Unlock()
	slices.SortFunc(items, func(a, b *kept) int { return cmp.Compare(a.number, b.number) })
	return items
}

// questions are the subscriptions to which members replay what they keep.
type questions struct {
	mu    sync.Mutex // guards what follows; taken before the locks of pairs
	last  uint64
	asked map[uint64]*question
}

// question is one of them.
type question struct {
	frame.Replay
	queue *mailbox.Queue
	open  map[*Pair]struct{} // who has not replayed all
}

// SubscribeReplay is Subscribe for a reader that also wants what the members keep of their
// broadcasts: those of now, and each that comes later. It reads with a
// [mailbox.CatchUp].
func (x *Exchange) SubscribeReplay(pattern string, o mailbox.Options) (*mailbox.Queue, error) {
	qs := &x.questions
	qs.mu.Lock()
	defer qs.mu.Unlock()
	var pairs []*Pair
	for _, p := range x.members.Load().byID {
		if p.asked {
			pairs = append(pairs, p)
			o.Opening = append(o.Opening, p.origin())
		}
	}
	q, err := x.Subscribe(pattern, o)
	if err != nil {
		return nil, err
	}
	qs.last++
	s := &question{frame.Replay{Question: qs.last, Pattern: pattern}, q, map[*Pair]struct{}{}}
	qs.asked[qs.last] = s
	for _, p := range pairs {
		s.ask(p)
	}
	return q, nil
}

// origin names the peer as a [mailbox.CatchUp] does.
func (p *Pair) origin() mailbox.Origin { return mailbox.Origin{ID: p.id, Inc: p.inc} }

// ask asks one member. The caller holds the lock of the questions.
func (s *question) ask(p *Pair) {
	s.open[p] = struct{}{}
	p.errand(note(frame.TopicReplay, s.Append(nil)))
}

// met asks a member with which a session has just begun, before its first message comes.
func (qs *questions) met(p *Pair) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	p.asked = true
	for _, s := range qs.asked {
		s.queue.Enter(p.origin(), mailbox.StageOpening)
		s.ask(p)
	}
}

// gone ends the questions to members that went, and forgets the subscriptions that ended.
func (qs *questions) gone(member func(*Pair) bool) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	for id, s := range qs.asked {
		if s.queue.Ended() {
			delete(qs.asked, id)
			continue
		}
		for p := range s.open {
			if !member(p) {
				s.done(p)
			}
		}
	}
}

// done notes that a member has replayed all, or never will.
func (s *question) done(p *Pair) {
	delete(s.open, p)
	s.queue.Enter(p.origin(), mailbox.StageDone)
}

// find returns the queue that waits for what p replays, nil if there is none. With last it
// is the last time.
func (qs *questions) find(p *Pair, id uint64, last bool) *mailbox.Queue {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	s := qs.asked[id]
	if s == nil {
		return nil
	}
	if _, open := s.open[p]; !open {
		return nil
	}
	if last {
		s.done(p)
	}
	return s.queue
}

// note returns a message of the exchange itself.
func note(topic string, payload []byte) session.Message {
	return session.Message{Topic: topic, Class: frame.ClassReliable, Payload: payload}
}

// errand puts a message to the peer behind those that wait for room in the log.
func (p *Pair) errand(m session.Message) {
	p.mu.Lock()
	if len(p.errands) < errandsMax {
		p.errands = append(p.errands, m)
	} else {
		p.x.unanswered.Add(1)
	}
	p.mu.Unlock()
	p.wake()
}

// run puts errands into the log as far as there is room. The caller holds mu.
func (p *Pair) run() {
	before, n := p.log.Held(), 0
	for n < len(p.errands) {
		if _, err := p.log.Append(p.errands[n]); errors.Is(err, session.ErrFull) {
			break
		}
		n++ // also what can never be sent
	}
	if p.errands = p.errands[n:]; len(p.errands) == 0 {
		p.errands = nil
	}
	p.x.direct.Add(int64(p.log.Held() - before))
}

// replay answers a question of the peer: with what is kept, and that this was all. While
// an answer is on its way another one is empty, or a peer could make a node hold any number
// of them.
func (p *Pair) replay(payload []byte) {
	q, ok := frame.DecodeReplay(payload)
	if !ok || glob.CheckPattern(q.Pattern) != nil {
		p.x.forged.Add(1)
		return
	}
	var items []*kept
	if p.pendingErrands() < KeptMax {
		items = p.x.shelves.match(q.Pattern)
	}
	for _, k := range items {
		m := k.m
		m.Past = &frame.Past{Question: q.Question, Number: k.number}
		p.errand(m)
	}
	end := frame.Replay{Question: q.Question}
	p.errand(note(frame.TopicReplayed, end.Append(nil)))
}

// pendingErrands returns how many messages wait for room.
func (p *Pair) pendingErrands() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.errands)
}

// replayed takes the end of an answer.
func (p *Pair) replayed(payload []byte) {
	if q, ok := frame.DecodeReplay(payload); ok {
		p.x.questions.find(p, q.Question, true)
	}
}

// past takes a run that the peer replays.
func (p *Pair) past(ev frame.Events, past frame.Past, r mailbox.Run, rel mailbox.Releaser) {
	q := p.x.questions.find(p, past.Question, false)
	if q == nil || ev.Count != 1 {
		if rel != nil {
			rel.Release(r.Lane, r.Last)
		}
		return
	}
	r.First = past.Number
	q.Replay(string(ev.Topic), r, rel)
}
