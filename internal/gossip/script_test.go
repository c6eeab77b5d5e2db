package gossip_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
)

// script drives one router, s, and writes down what it does, line by line. Nodes are
// letters, and time is in milliseconds.
type script struct {
	t       *testing.T
	r       *gossip.Router
	now     int
	writers map[byte]*writer
	mute    string // kinds of lines that are left out
	lines   []string
}

func name(c byte) ident.NodeID { return ident.NodeID{c} }

func letter(id ident.NodeID) string { return string(id[0]) }

// one is the incarnation of every node that does not start again.
const one ident.Incarnation = 1

// clock returns the moment that is so many milliseconds after the start.
func clock(ms int) time.Time {
	return time.Unix(1_000_000, 0).Add(time.Duration(ms) * time.Millisecond)
}

// edges returns the graph of the links that are given as pairs of letters. A letter alone
// is a member without a link; one in upper case is in its second incarnation.
func edges(pairs string) *gossip.Graph {
	g := &gossip.Graph{}
	at := func(c byte) int {
		m := gossip.Member{ID: name(c | 0x20), Incarnation: one}
		if c < 'a' {
			m.Incarnation = 2
		}
		i, found := slices.BinarySearchFunc(g.Members, m, byID)
		if !found {
			g.Members = slices.Insert(g.Members, i, m)
		}
		return i
	}
	for pair := range strings.FieldsSeq(pairs) {
		for i := range pair {
			at(pair[i])
		}
	}
	g.Links = make([][]uint32, len(g.Members))
	for pair := range strings.FieldsSeq(pairs) {
		if len(pair) == 2 {
			a, b := at(pair[0]), at(pair[1])
			g.Links[a], g.Links[b] = append(g.Links[a], uint32(b)), append(g.Links[b], uint32(a))
		}
	}
	for i := range g.Links {
		slices.Sort(g.Links[i])
	}
	return g
}

// around is the graph of most scripts. The tree of x leads over a to s, and from there to c
// and d; b has its copy of x itself.
const around = "xa xb as bs sc sd ab"

// newScript returns a router at time 0 with links to some of its neighbours, which have
// greeted it, and which have told nothing.
func newScript(t *testing.T, pairs, linked string) *script {
	t.Helper()
	return newScriptOf(t, gossip.Config{}, pairs, linked)
}

func newScriptOf(t *testing.T, c gossip.Config, pairs, linked string) *script {
	t.Helper()
	c.Self, c.Incarnation = name('s'), one
	s := &script{
		t: t, r: gossip.New(clock(0), c), mute: "hail tell", writers: map[byte]*writer{},
	}
	s.r.View(clock(0), edges(pairs))
	for i := range linked {
		s.link(linked[i])
	}
	s.note()
	return s
}

// link brings a link up, and lets the neighbour greet.
func (s *script) link(c byte) *script {
	s.r.LinkUp(clock(s.now), name(c))
	s.note()
	s.r.Greeted(name(c), frame.Greet{})
	return s.note()
}

// of returns the writer of an origin. The one of an upper-case letter is in its second
// incarnation.
func (s *script) of(c byte) *writer {
	if s.writers[c] == nil {
		m := gossip.Member{ID: name(c | 0x20), Incarnation: one}
		if c < 'a' {
			m.Incarnation = 2
		}
		s.writers[c] = &writer{self: m, next: 1, message: 1}
	}
	return s.writers[c]
}

// batch returns the next batch of an origin, of so many messages.
func (s *script) batch(c byte, messages int) frame.Relay {
	return s.of(c).batch(piece{count: messages})
}

// batches returns the next ones, of a message each.
func (s *script) batches(c byte, count int) (all []frame.Relay) {
	for range count {
		all = append(all, s.batch(c, 1))
	}
	return all
}

// get gives the router a batch that came from a neighbour.
func (s *script) get(from byte, all ...frame.Relay) *script {
	for _, b := range all {
		if s.r.Wants(clock(s.now), name(from), &b) {
			s.note()
			s.r.Receive(clock(s.now), name(from), b)
		}
		s.note()
	}
	return s
}

// mark gives the router the mark of a neighbour about an origin.
func (s *script) mark(from, origin byte, first, last, message ident.Seq) *script {
	return s.marks(from, false, frame.Mark{
		Origin: name(origin), Incarnation: one, First: first, Last: last, Message: message,
	})
}

func (s *script) marks(from byte, greeting bool, list ...frame.Mark) *script {
	s.r.Marked(clock(s.now), name(from), frame.Marks{Greeting: greeting, List: list})
	return s.note()
}

// pull gives the router the request of a neighbour.
func (s *script) pull(from, origin byte, first, last ident.Seq) *script {
	s.r.Pulled(clock(s.now), name(from), frame.Pull{Origin: name(origin), Incarnation: one, First: first, Last: last})
	return s.note()
}

// prove gives the router what is left of a batch.
func (s *script) prove(b frame.Relay) *script {
	if p := b.Proof(); s.r.WantsProof(&p) {
		s.r.Proved(clock(s.now), p)
	}
	return s.note()
}

// do gives the router anything else.
func (s *script) do(f func(r *gossip.Router, now time.Time)) *script {
	f(s.r, clock(s.now))
	return s.note()
}

// to lets time pass up to a moment.
func (s *script) to(ms int) *script {
	for range 1_000_000 {
		at, ok := s.r.Next()
		if !ok || at.After(clock(ms)) {
			s.now = ms
			return s
		}
		s.now = max(s.now, int((at.Sub(clock(0))+time.Millisecond-1)/time.Millisecond))
		s.r.Tick(clock(s.now))
		s.note()
	}
	s.t.Fatalf("ticks without end at %d ms", s.now)
	return s
}

// note writes down what the router does.
func (s *script) note() *script {
	acts := s.r.Take()
	for _, d := range acts.Deliveries {
		line := "deliver " + letter(d.Origin)
		if d.Batch.Frames != nil {
			line += fmt.Sprintf(" %d-%d", d.Batch.First, d.Batch.Last)
		}
		if d.Skip > 0 {
			line += fmt.Sprintf(" skip %d", d.Skip)
		}
		if d.Lost > 0 {
			line += fmt.Sprintf(" lost %d", d.Lost)
		}
		if d.Unknown {
			line += " unknown"
		}
		s.line("%s", line)
	}
	for _, f := range acts.Forwards {
		s.line("forward %s %d-%d to %s", letter(f.Batch.Origin), f.Batch.First, f.Batch.Last, letters(f.To))
	}
	for _, p := range acts.Pulls {
		s.line("pull %s %s %d-%d", letter(p.To), letter(p.Pull.Origin), p.Pull.First, p.Pull.Last)
	}
	for _, d := range acts.Digests {
		line := "tell " + letters(d.To)
		if d.Marks.Greeting {
			line += " as of then"
		}
		for _, m := range d.Marks.List {
			line += fmt.Sprintf(", %s %d-%d then %d", letter(m.Origin), m.First, m.Last, m.Message)
		}
		s.line("%s", line)
	}
	for _, g := range acts.Greets {
		s.line("hail %s %v", letter(g.To), g.Greet.Age)
	}
	for _, p := range acts.Proofs {
		s.line("prove %s %s %d", letter(p.To), letter(p.Proof.Origin), p.Proof.Last)
	}
	return s
}

func letters(ids []ident.NodeID) (all string) {
	for _, id := range ids {
		all += letter(id)
	}
	return all
}

func (s *script) line(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if kind, _, _ := strings.Cut(line, " "); !slices.Contains(strings.Fields(s.mute), kind) {
		s.lines = append(s.lines, fmt.Sprint(s.now, " ", line))
	}
}

// want compares what the router did since the last want.
func (s *script) want(lines ...string) *script {
	s.t.Helper()
	if !slices.Equal(s.lines, lines) {
		s.t.Fatalf("at %d ms\n got %s\nwant %s", s.now, strings.Join(s.lines, "\n     "), strings.Join(lines, "\n     "))
	}
	s.lines = nil
	return s
}

// skip forgets what the router did so far.
func (s *script) skip() *script {
	s.lines = nil
	return s
}

// silent leaves kinds of lines out from now on.
func (s *script) silent(kinds string) *script {
	s.mute = kinds
	return s
}
