package exchange

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/session"
)

// topicsMax is how many topics the directory remembers with their groups. Beyond it the
// directory forgets all and learns again, at the price of one search for each.
const topicsMax = 1024

// Group is the members that have subscriptions of one group to a topic.
type Group struct {
	name  string
	pairs []*Pair // by ID
	turn  atomic.Uint64
}

// Name returns the name of the group.
func (g *Group) Name() string { return g.name }

// directory is what is known of the groups at all members.
type directory struct {
	used atomic.Bool // there is a group; saves everybody the look-up while there is none

	mu     sync.Mutex // guards what follows; taken before that of the exchange
	seats  map[*Pair]*glob.Index[seat]
	topics map[string][]*Group
	learnt uint64 // how often a topic was; turns begin anywhere
}

// seat is a subscription of a group at a member, under its pattern.
type seat struct {
	group  string
	except []string // patterns of topics that it leaves out
}

// wants reports whether the subscription takes a topic that matches its pattern.
func (s seat) wants(topic string) bool {
	return !slices.ContainsFunc(s.except, func(p string) bool { return glob.MatchTopic(p, topic) })
}

// set replaces what is known of a member; nothing is known of one whose session ended.
func (d *directory) set(p *Pair, list []frame.Interest) {
	seats := seating(list) // not under the lock that publishers wait for
	d.mu.Lock()
	defer d.mu.Unlock()
	if before := d.seats[p]; seats == nil && before == nil {
		return
	}
	if d.seats[p] = seats; seats == nil || p.ended() {
		delete(d.seats, p)
	}
	d.used.Store(len(d.seats) > 0)
	clear(d.topics)
}

// seating returns the subscriptions in a list by their patterns; nil if there are none. Of more
// groups than a node may have it leaves some out.
func seating(list []frame.Interest) *glob.Index[seat] {
	names := map[string]bool{}
	seats := &glob.Index[seat]{}
	for _, i := range list {
		if !names[i.Group] && len(names) == frame.GroupsMax {
			continue
		}
		names[i.Group] = true
		seats.Add(i.Pattern, seat{i.Group, strings.Fields(i.Except)})
	}
	if len(names) == 0 {
		return nil
	}
	return seats
}

// groups returns the groups that want a topic, by name.
func (d *directory) groups(topic string) []*Group {
	if !d.used.Load() {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if groups, ok := d.topics[topic]; ok {
		return groups
	}
	d.learnt++
	byName := map[string]*Group{}
	for p, seats := range d.seats {
		var names []string
		for _, s := range seats.Match(nil, topic) {
			if s.wants(topic) {
				names = append(names, s.group)
			}
		}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if byName[name] == nil {
				byName[name] = &Group{name: name}
				byName[name].turn.Store(d.learnt)
			}
			byName[name].pairs = append(byName[name].pairs, p)
		}
	}
	groups := slices.SortedFunc(maps.Values(byName), func(a, b *Group) int {
		return strings.Compare(a.name, b.name)
	})
	for _, g := range groups {
		slices.SortFunc(g.pairs, func(a, b *Pair) int { return a.id.Compare(b.id) })
	}
	if len(d.topics) >= topicsMax {
		clear(d.topics)
	}
	d.topics[topic] = groups
	return groups
}

// group returns the group of a name as far as it wants a topic.
func (d *directory) group(topic, name string) *Group {
	for _, g := range d.groups(topic) {
		if g.name == name {
			return g
		}
	}
	return &Group{name: name}
}

// Groups returns the groups that want a topic, as far as their members have said so.
func (x *Exchange) Groups(topic string) []*Group { return x.directory.groups(topic) }

// ToGroup publishes m to one member of a group, in turn: to one that has room, and a link if it
// is a neighbour, if there is any, else it waits for ctx as Direct does, for whoever has room
// first. With others it leaves this node out. It returns the member that it chose or waits for,
// and [ErrNoMember] if there is none.
func (x *Exchange) ToGroup(
	ctx context.Context, g *Group, others bool, m session.Message, r *Receipts,
) (ident.NodeID, error) {
	m.Group = g.name
	var full *Pair // whose log may keep room for m
	for {
		pairs := x.candidates(g, others)
		if at := slices.Index(pairs, full); at > 0 {
			pairs[0], pairs[at] = full, pairs[0]
		}
		p, room, err := x.tryEach(pairs, m, r)
		if full != nil && full != p {
			full.forgo()
		}
		switch {
		case p == nil:
			return ident.NodeID{}, ErrNoMember
		case !errors.Is(err, session.ErrFull):
			return p.id, err
		}
		full = p
		if err := x.wait(ctx, room, lookAgain); err != nil {
			p.forgo()
			return p.id, err
		}
		g = x.directory.group(m.Topic, g.name)
	}
}

// tryEach publishes m to the first of pairs that has room, and returns it. If none has it
// returns the first of all and where to wait for room there; nil if there is none.
func (x *Exchange) tryEach(
	pairs []*Pair, m session.Message, r *Receipts,
) (first *Pair, room <-chan struct{}, err error) {
	for i, p := range pairs {
		at, err := x.try(p, m, r)
		switch {
		case !errors.Is(err, session.ErrFull):
			return p, nil, err
		case i == 0:
			first, room = p, at
		default:
			p.forgo()
		}
	}
	return first, room, session.ErrFull
}

// candidates returns those of a group that are members, beginning with whose turn it is: those
// that have a link, or need none before there is something to say, or all if there are none.
func (x *Exchange) candidates(g *Group, others bool) []*Pair {
	pairs, linked := make([]*Pair, 0, len(g.pairs)), 0
	for _, p := range g.pairs {
		if x.Member(p.id) != p || others && p == x.self {
			continue
		}
		if pairs = append(pairs, p); p.link.Load() != nil || x.far(p) {
			pairs[linked], pairs[len(pairs)-1] = p, pairs[linked]
			linked++
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	if linked > 0 {
		pairs = pairs[:linked]
	}
	turn := int(g.turn.Add(1) % uint64(len(pairs)))
	return append(pairs[turn:], pairs[:turn]...)
}

// regrouped tells all members what the groups of this node subscribe to now, and the node
// itself at once.
func (x *Exchange) regrouped() {
	x.regrouping.Lock() // or an older list could replace a newer one
	list := x.box.Interests()
	encoded := encode(list)
	x.interests.Store(&encoded)
	x.directory.set(x.self, list)
	x.regrouping.Unlock()
	for _, p := range x.all() {
		if p == x.self {
			continue
		}
		p.mu.Lock()
		p.announcing = true
		p.mu.Unlock()
		p.reach()
	}
}

// encode returns the message that tells of interests, without those that have no room: of
// two that are added at the same time at the limit, one may be too many.
func encode(list []frame.Interest) (b []byte) {
	for _, i := range list {
		if longer := i.Append(b); len(longer) <= frame.InterestsMax {
			b = longer
		}
	}
	return b
}

// announce tells the peer what the groups of this node subscribe to, if it is to be told and
// there is room. The caller holds mu.
func (p *Pair) announce() {
	list := p.x.interests.Load()
	if !p.announcing || list == nil {
		return
	}
	p.announcing = !p.put(note(frame.TopicInterests, *list))
}

// interested takes what the groups of the peer subscribe to. What is malformed is left out.
func (p *Pair) interested(payload []byte) {
	list, ok := frame.DecodeInterests(payload)
	if !ok {
		p.x.forged.Add(1)
		return
	}
	p.x.directory.set(p, slices.DeleteFunc(list, func(i frame.Interest) bool {
		bad := func(pattern string) bool { return glob.CheckPattern(pattern) != nil }
		return glob.CheckName(i.Group) != nil || bad(i.Pattern) || glob.Reserved(i.Pattern) ||
			slices.ContainsFunc(strings.Fields(i.Except), bad)
	}))
	p.mu.Lock()
	awaited := p.untold
	p.untold = false
	p.mu.Unlock()
	if awaited && p.x.cfg.Opened != nil {
		p.x.cfg.Opened()
	}
}
