package exchange

import (
	"cmp"
	"container/list"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/session"
)

// Limits of what is kept to be replayed.
const (
	// keptBytesMax bounds what a node keeps of all topics, in bytes as [session.Cost]
	// counts. Beyond it the topic that takes most of it loses its oldest.
	keptBytesMax = 16 << 20

	// KeptMax is how many messages a node keeps of one topic at most.
	KeptMax = 65_536

	// replayBytesMax is how much of the direct log of a member its answers take, so that
	// they leave room for the rest.
	replayBytesMax = logBytesMax / 2

	// answersMax is how many questions of one member wait to be answered. Beyond it they
	// are answered with nothing.
	answersMax = 1024
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
	bytes int
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
	t.bytes += k.cost()
	s.bytes += k.cost()
	if alike := t.keys[k.key]; len(alike) > t.keep.Last {
		s.drop(t, alike[0])
	}
	for t.items.Len() > KeptMax {
		s.drop(t, t.items.Front())
	}
	for s.bytes > keptBytesMax {
		large := s.largest()
		s.drop(large, large.items.Front())
	}
}

// cost returns what counts of a message, with its key.
func (k *kept) cost() int { return session.Cost(len(k.m.Payload)+len(k.key), 1) }

// largest returns the topic that takes most; where topics take the same, any of them.
func (s *shelves) largest() *shelf {
	var large *shelf
	for _, t := range s.topics {
		if large == nil || t.bytes > large.bytes {
			large = t
		}
	}
	return large
}

// drop forgets one message, the oldest of its key.
func (s *shelves) drop(t *shelf, e *list.Element) {
	k, _ := t.items.Remove(e).(*kept)
	if t.keys[k.key] = t.keys[k.key][1:]; len(t.keys[k.key]) == 0 {
		delete(t.keys, k.key)
	}
	t.bytes -= k.cost()
	s.bytes -= k.cost()
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

// answer is what is replayed to the peer for one of its questions.
type answer struct {
	frame.Replay
	begun bool
	items []*kept // what is still to be replayed, once it began
}

// replay takes a question of the peer.
func (p *Pair) replay(payload []byte) {
	q, ok := frame.DecodeReplay(payload)
	if !ok || glob.CheckPattern(q.Pattern) != nil {
		p.x.forged.Add(1)
		return
	}
	p.mu.Lock()
	room := len(p.answers) < answersMax
	if room {
		p.answers = append(p.answers, answer{Replay: q})
	}
	p.mu.Unlock()
	if !room {
		p.errand(replayed(q.Question))
		return
	}
	p.reach()
}

// replayed returns the message that ends an answer.
func replayed(question uint64) session.Message {
	return note(frame.TopicReplayed, frame.Replay{Question: question}.Append(nil))
}

// reply puts answers into the log, one after the other, as far as there is room for them. The
// caller holds mu.
func (p *Pair) reply() {
	for len(p.answers) > 0 {
		a := &p.answers[0]
		if !a.begun {
			a.items, a.begun = p.x.shelves.match(a.Pattern), true
		}
		for len(a.items) > 0 {
			m := a.items[0].m
			m.Past = &frame.Past{Question: a.Question, Number: a.items[0].number}
			if p.log.Held() > replayBytesMax || p.x.direct.Load() > directBytesMax || !p.put(m) {
				return
			}
			a.items[0], a.items = nil, a.items[1:]
		}
		if !p.put(replayed(a.Question)) {
			return
		}
		p.answers[0], p.answers = answer{}, p.answers[1:]
	}
	p.answers = nil
}
