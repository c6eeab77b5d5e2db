package mailbox

import (
	"slices"
	"strings"
	"sync/atomic"
)

// countsMax is how many topics a box counts apart; the messages of others are not counted.
const countsMax = 4096

// Topic is what a box knows of a topic, or of the pattern of a subscription.
type Topic struct {
	Name          string
	Messages      uint64 // that came, whether anybody wanted them or not
	Subscriptions int    // that match the topic, or have the pattern
}

// counter returns what counts the messages of a topic. The caller holds mu.
func (b *Box) counter(topic string) *atomic.Uint64 {
	c := b.counts[topic]
	if c == nil {
		c = new(atomic.Uint64)
		if len(b.counts) < countsMax {
			b.counts[topic] = c
		}
	}
	return c
}

// Topics returns the topics on which messages came and the patterns of the subscriptions,
// by name.
func (b *Box) Topics() []Topic {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := map[string]*Topic{}
	for name, count := range b.counts {
		known[name] = &Topic{Name: name, Messages: count.Load(), Subscriptions: len(b.wanting(name))}
	}
	for _, q := range b.queues {
		if b.counts[q.pattern] != nil {
			continue // a topic, with those that match it
		}
		if known[q.pattern] == nil {
			known[q.pattern] = &Topic{Name: q.pattern}
		}
		known[q.pattern].Subscriptions++
	}
	var list []Topic
	for _, t := range known {
		list = append(list, *t)
	}
	slices.SortFunc(list, func(a, b Topic) int { return strings.Compare(a.Name, b.Name) })
	return list
}
