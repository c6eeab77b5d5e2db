package mailbox

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/espial-go/espial/internal/frame"
)

// group is the subscriptions of one group that want a topic.
type group struct {
	name   string
	queues []*Queue
	turn   atomic.Uint32
}

// newWay sorts the subscriptions that want a topic.
func newWay(topic string, queues []*Queue) *way {
	w := &way{topic: topic}
	for _, q := range queues {
		if q.opts.Group == "" {
			w.queues = append(w.queues, q)
			continue
		}
		at, found := slices.BinarySearchFunc(w.groups, q.opts.Group, func(g *group, name string) int {
			return strings.Compare(g.name, name)
		})
		if !found {
			w.groups = slices.Insert(w.groups, at, &group{name: q.opts.Group})
		}
		w.groups[at].queues = append(w.groups[at].queues, q)
	}
	return w
}

// takers returns the queues for a run where there are groups: what is for a group goes to
// one of it. Of the others the groups get no broadcasts, because the sender chooses who
// does, and of direct runs one for each group.
func (w *way) takers(r *Run) (queues []*Queue) {
	if len(r.Group) == 0 {
		queues = append(queues, w.queues...)
		if r.Lane == frame.Broadcast {
			return queues
		}
	}
	for _, g := range w.groups {
		if len(r.Group) == 0 || string(r.Group) == g.name {
			if q := g.pick(r); q != nil {
				queues = append(queues, q)
			}
		}
	}
	return queues
}

// pick returns the next subscription that takes a run, nil if none does.
func (g *group) pick(r *Run) *Queue {
	turn := int(g.turn.Add(1))
	for i := range g.queues {
		if q := g.queues[(turn+i)%len(g.queues)]; !q.ended.Load() && q.opts.wants(r.From, r.Lane) {
			return q
		}
	}
	return nil
}

// Interests returns what the groups subscribe to, each once, sorted.
func (b *Box) Interests() []frame.Interest {
	var list []frame.Interest
	b.mu.Lock()
	for _, q := range b.queues {
		if q.opts.Group != "" {
			o := &q.opts
			list = append(list, frame.Interest{Group: o.Group, Pattern: q.pattern, Except: o.Except})
		}
	}
	b.mu.Unlock()
	slices.SortFunc(list, func(x, y frame.Interest) int {
		return cmp.Or(strings.Compare(x.Group, y.Group), strings.Compare(x.Pattern, y.Pattern),
			strings.Compare(x.Except, y.Except))
	})
	return slices.Compact(list)
}
