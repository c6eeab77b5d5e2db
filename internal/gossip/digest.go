package gossip

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// DigestInterval is the time between two digests, which leave only if there is news. What
// was dropped on its way is missed for so long at most, and half of it on average.
const DigestInterval = 100 * time.Millisecond

// greetMax is how long a neighbour may still move the place where this node begins with an
// origin of which it has delivered nothing. Newcomers find their neighbours in less, and
// one of them that lies is corrected by the next.
const greetMax = 5 * time.Second

// phase returns by how much the digests of a node are late, so that those of nodes that
// start together are not together.
func phase(id ident.NodeID) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(id[:4])) % DigestInterval
}

// tell puts an origin that came farther into the next digest.
func (r *Router) tell(now time.Time, o *origin) {
	if o.news || !o.counted || !o.standing.heard() {
		return
	}
	o.news = true
	r.news = append(r.news, o)
	if r.digest.IsZero() {
		r.digest = r.beat(now)
	}
}

// beat returns the time of the next digest after now.
func (r *Router) beat(now time.Time) time.Time {
	since := now.Sub(r.start)
	if since < 0 {
		return r.start
	}
	return r.start.Add(since - since%DigestInterval + DigestInterval)
}

// report tells all neighbours what is new. Beyond one frame the rest waits for the next
// digest, so that what digests cost has a limit.
func (r *Router) report(now time.Time) {
	start, told := len(r.marks), 0
	for _, o := range r.news {
		if len(r.marks)-start > frame.MarksMax-2 {
			break
		}
		if !o.told {
			r.marks = append(r.marks, o.baseMark())
			o.told = true
		}
		if o.received != o.base || o.stored.len() > 0 {
			r.marks = append(r.marks, o.mark())
		}
		o.news = false
		told++
	}
	n := copy(r.news, r.news[told:])
	clear(r.news[n:])
	r.news = r.news[:n]
	if r.digest = r.beat(now); n == 0 {
		r.digest = time.Time{}
	}
	at := len(r.ids)
	for _, p := range r.peers {
		if p.greeted { // the others are told all when they greet
			r.ids = append(r.ids, p.id)
		}
	}
	to, list := r.ids[at:len(r.ids):len(r.ids)], r.marks[start:len(r.marks):len(r.marks)]
	if len(to) > 0 && len(list) > 0 {
		r.out.Digests = append(r.out.Digests, Digest{To: to, Marks: frame.Marks{List: list}})
	}
}

// Greeted takes the greeting of a new neighbour. The answer is how far this node was with all
// origins when that one came into the cluster, and what is new since then. So a newcomer
// begins with each of them where it was accepted, whichever of its neighbours it asks.
func (r *Router) Greeted(from ident.NodeID, g frame.Greet) {
	r.enter()
	at, linked := r.peerAt(from)
	if !linked || r.peers[at].greeted {
		return
	}
	r.peers[at].greeted = true
	then := r.peers[at].up.Add(-g.Age)
	start := len(r.marks)
	for _, o := range r.order {
		if o.counted && o.standing.heard() {
			r.marks = append(r.marks, o.markAt(then))
		}
	}
	news := len(r.marks)
	for _, m := range r.marks[start:news] {
		if o := r.byKey[Member{m.Origin, m.Incarnation}]; o.received != m.Last {
			r.marks = append(r.marks, o.mark())
		}
	}
	r.answer(from, r.marks[start:news], true)
	r.answer(from, r.marks[news:], false)
}

// answer sends marks to one neighbour.
func (r *Router) answer(id ident.NodeID, marks []frame.Mark, greeting bool) {
	at := len(r.ids)
	r.ids = append(r.ids, id)
	for list := range slices.Chunk(marks, frame.MarksMax) {
		r.out.Digests = append(r.out.Digests, Digest{
			To: r.ids[at : at+1 : at+1], Marks: frame.Marks{Greeting: greeting, List: list},
		})
	}
}

// Marked takes the digest of a neighbour. It is a hint: it can make this node ask, and it
// says where a newcomer begins. Neither numbers nor losses follow from it.
func (r *Router) Marked(now time.Time, from ident.NodeID, m frame.Marks) {
	r.enter()
	if _, linked := r.peerAt(from); !linked {
		return
	}
	for i := range m.List {
		r.marked(now, from, &m.List[i], m.Greeting)
	}
}

func (r *Router) marked(now time.Time, from ident.NodeID, m *frame.Mark, greeting bool) {
	if m.Origin == r.cfg.Self {
		return // nobody knows better
	}
	o := r.meet(now, Member{m.Origin, m.Incarnation})
	if o == nil {
		return
	}
	switch {
	case !o.based && (greeting || m.First > m.Last):
		o.begin(now, m.Last, m.Message-1, true)
		r.tell(now, o)
	case !o.based:
		o.begin(now, m.First-1, 0, m.First == 1) // how many messages that are the batch will tell
		r.tell(now, o)
	case o.proven || m.Last >= o.received || now.Sub(o.basedAt) >= greetMax:
	case greeting || m.First > m.Last:
		o.begin(now, m.Last, m.Message-1, true)
	}
	r.follow(now, o)
	if o.repair.claim(claim{peer: from, first: m.First, last: m.Last}, o.received) {
		o.repair.wait = earlier(o.repair.wait, now.Add(Patience))
	}
	r.refused(now, o, from)
	r.settle(now, o)
}
