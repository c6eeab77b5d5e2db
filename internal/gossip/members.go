package gossip

import (
	"cmp"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// View tells who is a member and who keeps links with whom. What a member published is
// still delivered and passed on for AgeMax after it went, because others may miss it. If
// it is there in another incarnation, the former one is over at once.
func (r *Router) View(now time.Time, g *Graph) {
	r.enter()
	former := r.graph
	r.tenure.turn(now, r.cfg.long(), former, g)
	for m := range former.without(g) {
		if r.byKey[m] == nil && r.tenure.settled.lists(m) && m.ID != r.cfg.Self {
			r.add(now, m, member) // to be a former one, of which nothing was heard
		}
	}
	r.graph, r.self = g, -1
	r.view++
	if at, ok := g.index(r.cfg.Self); ok {
		r.self = at
	}
	for _, p := range r.peers {
		p.stray = !g.linked(r.self, p.id)
	}
	r.assign(now)
}

// assign gives every origin the standing that it has in the graph.
func (r *Router) assign(now time.Time) {
	var over []*origin
	for _, o := range r.order {
		_, listed := r.graph.index(o.ID)
		switch {
		case o == r.own:
		case r.graph.lists(o.Member):
			r.join(now, o)
		case listed && o.standing != stranger:
			over = append(over, o)
		case o.standing == member:
			r.depart(now, o)
		}
	}
	slices.SortFunc(over, func(a, b *origin) int {
		return cmp.Or(a.ID.Compare(b.ID), cmp.Compare(a.Incarnation, b.Incarnation))
	})
	for _, o := range over {
		r.end(now, o)
	}
}

// base makes an origin begin with the first batch that it signed since it last did without, if
// it was a member for long before anything was heard of it, and not before that batch if not.
func (r *Router) base(now time.Time, o *origin, b *frame.Relay) {
	first, message := b.Since()
	switch {
	case o.proven:
		return
	case !o.based && !o.settled:
		if o.opened && first > o.start { // it signed nothing that the link does not bring
			o.begin(now, o.start, o.startWhole, true)
		}
		return
	}
	if !o.based || o.settled && o.received > first-1 {
		o.begin(now, first-1, message-1, true)
		return
	}
	r.raise(now, o, first, message)
}

// raise makes an origin of which nothing came begin with a number and a message, if it begins
// earlier: nothing before was signed. But it never begins behind where a link with it began.
func (r *Router) raise(now time.Time, o *origin, first, message ident.Seq) {
	if o.opened && first-1 > o.start {
		first, message = o.start+1, o.startWhole+1
	}
	if !o.based || o.received < first-1 {
		o.begin(now, first-1, message-1, true)
	}
}

// known returns what is known of an origin that is a member or was one, nil for others.
func (r *Router) known(now time.Time, k Member) *origin {
	o := r.byKey[k]
	if o == nil && k.ID != r.cfg.Self && r.graph.lists(k) {
		o = r.add(now, k, member)
	}
	if o == nil || !o.standing.heard() || o == r.own {
		return nil
	}
	return o
}

// add begins to remember an origin.
func (r *Router) add(now time.Time, k Member, s standing) *origin {
	o := &origin{Member: k, standing: s, since: now, place: len(r.order)}
	o.settled = s == member && r.tenure.long(now, r.cfg.long(), r.graph, k)
	o.repair.slot = -1
	r.byKey[k] = o
	r.order = append(r.order, o)
	if s == stranger {
		r.strangers++
		r.watch(now)
	}
	return o
}

// meet returns the origin that a mark is about; nil if it is not to be remembered.
func (r *Router) meet(now time.Time, k Member) *origin {
	o := r.byKey[k]
	switch {
	case o != nil:
		return o
	case r.graph.lists(k):
		return r.add(now, k, member)
	case r.strangers < StrangersMax:
		return r.add(now, k, stranger)
	}
	r.stats.Strange++
	return nil
}

// join makes an origin a member.
func (r *Router) join(now time.Time, o *origin) {
	switch o.standing {
	case member:
		return
	case stranger:
		r.strangers--
	case former, absent:
		r.formers = slices.DeleteFunc(r.formers, func(f *origin) bool { return f == o })
	}
	o.standing, o.since = member, now
	r.tell(now, o)
	r.settle(now, o)
}

// depart makes an origin a former member.
func (r *Router) depart(now time.Time, o *origin) {
	o.standing, o.since = former, now
	r.formers = append(r.formers, o)
	r.watch(now)
}

// watch makes sure that origins are forgotten in time.
func (r *Router) watch(now time.Time) {
	if r.sweep.IsZero() {
		r.sweep = now.Add(r.cfg.AgeMax / 4)
	}
}

// clean forgets strangers that did not become members, and of former members all but their
// numbers.
func (r *Router) clean(now time.Time) {
	r.sweep = time.Time{}
	var gone []*origin
	for _, o := range r.order {
		if o.standing == stranger && now.Sub(o.since) >= r.cfg.AgeMax {
			gone = append(gone, o)
		}
	}
	for _, o := range gone {
		r.remove(o)
	}
	for _, o := range r.formers {
		switch {
		case o.standing == absent:
		case now.Sub(o.since) >= r.cfg.AgeMax:
			r.rest(now, o)
			o.standing = absent
			r.settle(now, o)
		default:
			r.watch(now)
		}
	}
	for len(r.formers) > FormersMax {
		r.end(now, r.formers[0])
	}
	if r.strangers > 0 {
		r.watch(now)
	}
}

// rest ends all hope for what is missing of an origin that has gone, and forgets its
// batches.
func (r *Router) rest(now time.Time, o *origin) {
	if !o.based && len(o.held) > 0 {
		o.begin(now, o.held[0].batch.First-1, o.held[0].batch.Message-1, true)
	}
	for len(o.held) > 0 || o.repair.proof != nil {
		r.giveUp(now, o)
		o.repair.prune(o.received)
	}
	r.store.clear(o, true)
	r.trees.leave(o)
}

// end forgets an origin that does not come back, after what it left.
func (r *Router) end(now time.Time, o *origin) {
	r.rest(now, o)
	if o.based && o.repair.claimed() > o.received {
		r.out.Deliveries = append(r.out.Deliveries, Delivery{
			Origin: o.ID, Incarnation: o.Incarnation, Unknown: true,
		})
	}
	r.remove(o)
}

// remove forgets an origin.
func (r *Router) remove(o *origin) {
	switch o.standing {
	case stranger:
		r.strangers--
	case former, absent:
		r.formers = slices.DeleteFunc(r.formers, func(f *origin) bool { return f == o })
	case member:
	}
	r.store.clear(o, true)
	r.trees.leave(o)
	r.timers.set(o, time.Time{})
	if o.news {
		r.news = slices.DeleteFunc(r.news, func(n *origin) bool { return n == o })
	}
	delete(r.byKey, o.Member)
	last := r.order[len(r.order)-1]
	r.order[o.place], last.place = last, o.place
	r.order[len(r.order)-1] = nil
	r.order = r.order[:len(r.order)-1]
}
