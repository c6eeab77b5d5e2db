package gossip_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
)

// model checks what must hold of the actions of any router, whatever it is told: what it
// delivers is what the reader of a subscription may get, and everything else goes to
// neighbours only.
type model struct {
	t       *rapid.T
	w       *network
	p       *proc
	members []gossip.Member // all but the router's own
	listed  []bool
	writers []*writer
	sent    []frame.Relay
	linked  map[ident.NodeID]bool
	over    map[gossip.Member]bool // starts that another one has followed
}

func newModel(t *rapid.T) *model {
	m := &model{t: t, w: newNetwork(1, 8), linked: map[ident.NodeID]bool{}, over: map[gossip.Member]bool{}}
	m.w.config.StoreMax = gossip.StoreMaxMin
	m.p = m.w.boot(0)
	for slot := range 7 {
		m.members = append(m.members, gossip.Member{ID: idOf(slot + 1), Incarnation: 1})
		m.listed = append(m.listed, true)
		m.writers = append(m.writers, nil)
		m.start(slot)
	}
	m.view()
	return m
}

// start begins an incarnation of a member.
func (m *model) start(i int) {
	m.writers[i] = &writer{self: m.members[i], next: 1, message: 1}
	m.w.books[m.members[i]] = &book{}
}

// view gives the router those that are listed.
func (m *model) view() {
	all := []gossip.Member{m.p.self}
	for i, member := range m.members {
		if m.listed[i] {
			all = append(all, member)
		}
	}
	slices.SortFunc(all, byID)
	m.p.r.View(m.w.now, rings(all))
	m.check(ident.NodeID{})
}

// check takes the actions of one call that followed from something of a neighbour.
func (m *model) check(from ident.NodeID) {
	acts := m.p.r.Take()
	for _, d := range acts.Deliveries {
		if m.over[gossip.Member{ID: d.Origin, Incarnation: d.Incarnation}] {
			m.t.Fatalf("%+v comes after the end of that start", d)
		}
		m.p.read(d)
	}
	for _, f := range acts.Forwards {
		for _, to := range f.To {
			answer := from.IsZero() // to a pull; it may go to anybody who asked
			if !m.linked[to] || !answer && (to == from || to == f.Batch.Origin) {
				m.t.Fatalf("batch %d goes to %s, which has a link: %t; it came from %s",
					f.Batch.First, to.Short(), m.linked[to], from.Short())
			}
		}
	}
	for _, d := range acts.Digests {
		for _, to := range d.To {
			m.must(m.linked[to], "a digest")
		}
		m.must(len(d.Marks.List) > 0 && len(d.Marks.List) <= frame.MarksMax, "the length of a digest")
		for _, k := range d.Marks.List {
			m.must(k.First > 0 && k.First <= k.Last+1 && k.Message > 0 && k.Message <= k.Last+1, "a mark")
		}
	}
	for _, q := range acts.Pulls {
		m.must(m.linked[q.To] && q.Pull.First > 0 && q.Pull.First <= q.Pull.Last, "a pull")
	}
	for _, f := range acts.Proofs {
		m.must(m.linked[f.To], "a proof")
	}
	if v := m.w.violations; len(v) > 0 {
		m.t.Fatalf("%q", v)
	}
	if s := m.p.r.Stats(); s.Bytes > gossip.StoreMaxMin || s.Held > s.Bytes || s.Origins > 200 {
		m.t.Fatalf("too much is kept: %+v", s)
	}
}

func (m *model) must(ok bool, what string) {
	m.t.Helper()
	if !ok {
		m.t.Fatalf("%s must not be", what)
	}
}

// pass lets time pass, and holds that ticks come to an end.
func (m *model) pass(d time.Duration) {
	end := m.w.now.Add(d)
	for range 100_000 {
		at, ok := m.p.r.Next()
		if !ok || at.After(end) {
			m.w.now = end
			return
		}
		if at.After(m.w.now) {
			m.w.now = at
		}
		m.p.r.Tick(m.w.now)
		m.check(ident.NodeID{})
	}
	m.t.Fatalf("ticks without end at %v", m.w.now.Sub(m.w.start))
}

// TestAnyOrder tells a router anything in any order: batches of its members in any order
// and from anybody, and marks, pulls, greetings and proofs that nobody would send.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		seq := rapid.OneOf(rapid.Uint64Range(0, 40), rapid.Uint64Range(0, math.MaxUint64-1))
		one := func() int { return rapid.IntRange(0, len(m.members)-1).Draw(t, "member") }
		step := func(f func(from ident.NodeID)) func(*rapid.T) {
			return func(*rapid.T) {
				from := m.members[one()].ID
				f(from)
				m.check(from)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				w := m.writers[one()]
				for range rapid.SampledFrom([]int{1, 1, 5}).Draw(t, "times") {
					k := piece{count: rapid.IntRange(1, 3).Draw(t, "count"), size: rapid.SampledFrom([]int{1, 100, 15_000}).Draw(t, "size")}
					if k.more = rapid.Bool().Draw(t, "more"); k.more || w.open {
						k.count = 1
					}
					b := w.batch(k)
					m.w.books[w.self].add(m.w.now, b)
					m.sent = append(m.sent, b)
				}
			},
			"receive": step(func(from ident.NodeID) {
				if len(m.sent) == 0 {
					t.Skip("nothing was published")
				}
				b := m.sent[rapid.IntRange(max(0, len(m.sent)-30), len(m.sent)-1).Draw(t, "batch")]
				if m.p.r.Wants(m.w.now, from, &b) {
					m.p.r.Receive(m.w.now, from, b)
				}
			}),
			"mark": step(func(from ident.NodeID) {
				k := frame.Mark{Origin: m.members[one()].ID, Incarnation: 1, Last: ident.Seq(seq.Draw(t, "last"))}
				k.First = ident.Seq(rapid.Uint64Range(1, uint64(k.Last)+1).Draw(t, "first"))
				k.Message = ident.Seq(rapid.Uint64Range(1, uint64(k.Last)+1).Draw(t, "message"))
				// A greeting that lies may hide from a newcomer where an origin is, which is
				// no matter of this test.
				m.p.r.Marked(m.w.now, from, frame.Marks{List: []frame.Mark{k}})
			}),
			"pull": step(func(from ident.NodeID) {
				q := frame.Pull{Origin: m.members[one()].ID, Incarnation: 1, First: ident.Seq(seq.Draw(t, "first")) + 1}
				q.Last = q.First + ident.Seq(rapid.Uint64Range(0, 30).Draw(t, "count"))
				m.p.r.Pulled(m.w.now, from, q)
				m.check(ident.NodeID{}) // an answer goes to where the pull came from
			}),
			"greet": step(func(from ident.NodeID) {
				m.p.r.Greeted(from, frame.Greet{Age: time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "age"))})
			}),
			"prove": step(func(ident.NodeID) {
				if len(m.sent) == 0 {
					t.Skip("nothing was published")
				}
				p := m.sent[rapid.IntRange(0, len(m.sent)-1).Draw(t, "batch")].Proof()
				if m.p.r.WantsProof(&p) {
					m.p.r.Proved(m.w.now, p)
				}
			}),
			"link up":   step(func(from ident.NodeID) { m.linked[from] = true; m.p.r.LinkUp(m.w.now, from) }),
			"link down": step(func(from ident.NodeID) { delete(m.linked, from); m.p.r.LinkDown(m.w.now, from) }),
			"measured": step(func(from ident.NodeID) {
				m.p.r.Measured(from, time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "rtt")))
			}),
			"list": func(*rapid.T) {
				i := one()
				m.listed[i] = !m.listed[i]
				m.view()
			},
			"restart": func(*rapid.T) {
				i := one()
				was := m.members[i]
				m.listed[i] = true
				m.members[i].Incarnation++
				m.start(i)
				m.view()
				m.over[was] = true
			},
			"time passes": func(t *rapid.T) {
				m.pass(time.Duration(rapid.SampledFrom([]int{1, 20, 120, 3000, 30_000}).Draw(t, "ms")) * time.Millisecond)
			},
		})
		m.pass(5 * time.Minute)
		if s := m.p.r.Stats(); s.Bytes > 0 {
			t.Fatalf("%d bytes are kept when all is over", s.Bytes)
		}
	})
}
