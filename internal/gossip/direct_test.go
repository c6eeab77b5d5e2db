package gossip_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
)

// begin tells the router how far it came with an origin over their link.
func (s *script) begin(c byte, at gossip.Place) *script {
	return s.do(func(r *gossip.Router, now time.Time) {
		r.Begin(now, gossip.Member{ID: name(c), Incarnation: one}, at)
	})
}

// direct gives the router batches without signatures that came from their origin.
func (s *script) direct(all ...frame.Relay) *script {
	for _, b := range all {
		s.do(func(r *gossip.Router, now time.Time) {
			b.Frames, b.Raw, b.Continues, b.Head = nil, nil, false, 0
			r.Direct(now, b)
		})
	}
	return s
}

// A node has a link with x and one with a, which passes on what x signed.
func TestALinkWithTheOrigin(t *testing.T) {
	begun := func(t *testing.T, at gossip.Place) *script {
		return newScript(t, around+" sx", "abcdx").silent("hail tell forward").begin('x', at)
	}
	t.Run("what others pass on begins where the link is", func(t *testing.T) {
		s := begun(t, gossip.Place{Received: 20, Whole: 20})
		s.get('a', s2(t, 'x', 19), s2(t, 'x', 21)).to(5000).want("0 deliver x 21-22")
	})
	t.Run("and nobody moves it", func(t *testing.T) {
		s := begun(t, gossip.Place{Received: 20, Whole: 20}).mark('a', 'x', 31, 30, 31).begin('x', gossip.Place{Received: 40})
		s.get('a', s2(t, 'x', 21)).want("0 deliver x 21-22")
	})
	t.Run("in the middle of a message, too", func(t *testing.T) {
		s := begun(t, gossip.Place{Received: 8, Whole: 5, Part: true})
		o := &writer{self: gossip.Member{ID: name('x'), Incarnation: one}, next: 9, message: 6, open: true}
		s.get('a', o.batch(piece{count: 1}, piece{count: 2})).want("0 deliver x 9-11")
	})
	t.Run("where a neighbour said it began counts no more", func(t *testing.T) {
		s := newScript(t, around, "abcdx").silent("hail tell forward").mark('a', 'x', 31, 30, 31)
		s.begin('x', gossip.Place{Received: 20, Whole: 20}).get('a', s2(t, 'x', 21)).want("0 deliver x 21-22")
	})
	t.Run("what comes without a signature is delivered in its turn, and not passed on", func(t *testing.T) {
		s := begun(t, gossip.Place{}).silent("hail")
		b := s.batches('x', 3)
		s.get('a', b[0]).skip().direct(b[1], b[2], b[2]).want("0 deliver x", "0 deliver x")
		s.pull('a', 'x', 1, 3).want("0 tell a, x 4-3 then 4", "0 prove a x 1")
	})
	t.Run("it ends all hope for what is missing", func(t *testing.T) {
		s := begun(t, gossip.Place{})
		b := s.batches('x', 9)
		s.get('a', b[2], b[5], b[8]).to(10).direct(b[6])
		s.want("10 deliver x 3-3 lost 2", "10 deliver x 6-6 lost 2", "10 deliver x")
		s.to(5000).want("30 pull a x 8-8", "530 pull b x 8-8", "1030 pull c x 8-8", "1530 pull d x 8-8", "2030 deliver x 9-9 lost 1")
	})
	t.Run("and counts the loss behind the last that came", func(t *testing.T) {
		s := begun(t, gossip.Place{})
		b := s.batches('x', 9)
		s.get('a', b[0]).direct(b[8]).want("0 deliver x 1-1", "0 deliver x lost 7")
	})
	t.Run("what is held and comes without a signature, too, is delivered once", func(t *testing.T) {
		s := begun(t, gossip.Place{})
		b := s.batches('x', 4)
		s.get('a', b[2], b[3]).direct(b[3]).want("0 deliver x 3-3 lost 2", "0 deliver x 4-4")
	})
	t.Run("of a message in pieces the rest is skipped if its beginning is missing", func(t *testing.T) {
		s := begun(t, gossip.Place{})
		o := s.of('x')
		some := piece{count: 1, more: true}
		b := []frame.Relay{o.batch(some), o.batch(some), o.batch(piece{count: 1}), o.batch(piece{count: 2})}
		s.get('a', b[1]).to(3000).skip().direct(b[2], b[3]).want("3000 deliver x skip 1", "3000 deliver x")
	})
	t.Run("where nothing is known of the origin the caller is told", func(t *testing.T) {
		s := newScript(t, around, "abcd")
		if b := s.batch('x', 1); s.r.Direct(clock(0), b) {
			t.Error("Direct = true for an origin of which nobody spoke")
		}
	})
}

// A link with the origin that is new says where it begins.
func TestOpened(t *testing.T) {
	opened := func(s *script, first ident.Seq) *script {
		return s.do(func(r *gossip.Router, now time.Time) {
			r.Opened(now, gossip.Member{ID: name('x'), Incarnation: one}, gossip.Place{Received: first - 1, Whole: first - 1})
		})
	}
	fresh := func(t *testing.T) *script {
		return newScript(t, around, "abcd").silent("hail tell forward")
	}
	t.Run("that counts where neighbours have nothing from before", func(t *testing.T) {
		s := fresh(t).marks('a', true, frame.Mark{Origin: name('x'), Incarnation: one, First: 21, Last: 20, Message: 21})
		opened(s.mark('a', 'x', 31, 30, 31), 31).get('a', s2(t, 'x', 31)).to(5000).want("0 deliver x 31-32")
	})
	t.Run("but not where they have", func(t *testing.T) {
		s := fresh(t).marks('a', true, frame.Mark{Origin: name('x'), Incarnation: one, First: 21, Last: 20, Message: 21})
		opened(s.mark('a', 'x', 21, 30, 31), 31).to(100).want("20 pull a x 21-30", "70 pull a x 21-30")
	})
	t.Run("nor where nobody has said more yet", func(t *testing.T) {
		s := fresh(t).marks('a', true, frame.Mark{Origin: name('x'), Incarnation: one, First: 21, Last: 20, Message: 21})
		opened(s, 22).get('a', s2(t, 'x', 21)).want("0 deliver x 21-22")
	})
	t.Run("and where nobody has said anything by the time that one could have", func(t *testing.T) {
		opened(fresh(t), 31).get('a', s2(t, 'x', 31)).to(1000).want("250 deliver x 31-32")
	})
	t.Run("at once where the origin signed nothing before", func(t *testing.T) {
		b := s2(t, 'x', 31)
		b.Fields = frame.AppendSince(nil, 31, 31)
		opened(fresh(t), 31).get('a', b).want("0 deliver x 31-32")
	})
	t.Run("but not where the origin answers that this node begins earlier", func(t *testing.T) {
		s := newScript(t, around+" sx", "abcdx").silent("hail tell forward pull")
		opened(s, 31).get('x', s2(t, 'x', 31))
		s.marks('x', true, frame.Mark{Origin: name('x'), Incarnation: one, First: 1, Last: 0, Message: 1})
		s.to(5000).want("2250 deliver x 31-32 lost 30")
	})
	t.Run("nor once something came", func(t *testing.T) {
		s := fresh(t).get('a', s2(t, 'x', 1)).skip()
		opened(s, 31).get('a', s2(t, 'x', 3)).want("0 deliver x 3-4")
	})
}

// What was signed after it had gone to all who had a link is kept and passed on to those who
// had none.
func TestWhatIsSignedLate(t *testing.T) {
	late := func(t *testing.T) (*script, []frame.Relay) {
		s := newScript(t, "xs sc sd xb", "cdx").silent("hail").begin('x', gossip.Place{})
		b := s.batches('x', 6)
		s.direct(b[:4]...).skip()
		return s, b
	}
	t.Run("goes on, and can be had when all of it is there", func(t *testing.T) {
		s, b := late(t)
		s.get('x', b[1]).want("0 forward x 2-2 to cd").pull('c', 'x', 3, 4).want("0 tell c, x 5-4 then 5")
		s.get('x', b[2:4]...).want("0 forward x 3-3 to cd", "0 forward x 4-4 to cd")
		s.pull('c', 'x', 3, 4).want("0 forward x 3-3 to c", "0 forward x 4-4 to c")
		s.to(100).want("30 tell cdx, x 5-4 then 5, x 2-4 then 5")
	})
	t.Run("once, whoever sends it", func(t *testing.T) {
		s, b := late(t)
		s.get('x', b[1]).skip().get('c', b[1]).get('x', b[0], b[1]).want()
	})
	t.Run("with what follows it", func(t *testing.T) {
		s, b := late(t)
		s.get('x', b[2:5]...).skip().pull('c', 'x', 1, 9).want("0 tell c, x 3-5 then 6").pull('c', 'x', 3, 9)
		s.want("0 forward x 3-3 to c", "0 forward x 4-4 to c", "0 forward x 5-5 to c")
	})
	t.Run("or without, if what follows comes too early", func(t *testing.T) {
		s, b := late(t)
		s.get('x', b[2], b[4], b[3]).skip().pull('c', 'x', 4, 9).want("0 tell c, x 5-5 then 6")
	})
}

// The first batch of an origin that was silent for long need not have number 1: what it
// published before went to who had a link, and was not signed.
func TestTheFirstBatchSaysThatItIsTheFirst(t *testing.T) {
	since := func(b frame.Relay, first, message ident.Seq) frame.Relay {
		b.Fields = frame.AppendSince(nil, first, message)
		return b
	}
	s := newScript(t, around, "abcd").silent("hail tell forward pull").to(10_000)
	s.get('a', since(s2(t, 'x', 1003), 1001, 1001)).to(13_000).want("12020 deliver x 1003-1004 lost 2")
	s = newScript(t, around, "abcd").silent("hail tell forward pull").to(10_000).mark('a', 'x', 1003, 1002, 1003)
	s.get('a', since(s2(t, 'x', 1003), 1001, 1001)).to(13_000).want("12020 deliver x 1003-1004 lost 2")
	s = newScript(t, around, "abcd").silent("hail tell forward pull").to(10_000)
	s.get('a', since(s2(t, 'x', 1001), 1001, 1001)).to(13_000).want("10000 deliver x 1001-1002")
}

// Whatever an origin signs, sends over its own link and says of it, in whatever order and by
// whatever way: what is delivered only ever goes on.
func TestNothingIsDeliveredTwiceWhateverTheWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := gossip.New(clock(0), gossip.Config{Self: name('s'), Incarnation: one, StoreMax: gossip.StoreMaxMin})
		x := gossip.Member{ID: name('x'), Incarnation: one}
		now, last := 0, ident.Seq(0)
		check := func() {
			for _, d := range r.Take().Deliveries {
				if b := d.Batch; d.Origin == x.ID && b.Last != 0 {
					if b.First <= last || b.Last < b.First {
						t.Fatalf("batch %d to %d is delivered after number %d", b.First, b.Last, last)
					}
					last = b.Last
				}
			}
		}
		for _, c := range "ax" {
			r.LinkUp(clock(now), name(byte(c)))
		}
		r.View(clock(now), edges(around+" sx"))
		number := rapid.Uint64Range(1, 30)
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { check() },
			"time": func(t *rapid.T) {
				now += rapid.IntRange(1, 3000).Draw(t, "ms")
				r.Tick(clock(now))
			},
			"batch": func(t *rapid.T) {
				o := &writer{self: x, next: ident.Seq(number.Draw(t, "first"))}
				o.message = ident.Seq(rapid.Uint64Range(1, uint64(o.next)).Draw(t, "message"))
				o.open = o.message < o.next && rapid.Bool().Draw(t, "continues")
				b := o.batch(piece{count: 1, more: rapid.Bool().Draw(t, "more")})
				b.Fields = frame.AppendSince(nil, ident.Seq(number.Draw(t, "since")), 1)
				way := rapid.SampledFrom([]byte("ax")).Draw(t, "way")
				if rapid.Bool().Draw(t, "unsigned") {
					b.Frames, b.Raw, b.Continues, b.Head = nil, nil, false, 0
					r.Direct(clock(now), b)
				} else if r.Wants(clock(now), name(way), &b) {
					check()
					r.Receive(clock(now), name(way), b)
				}
			},
			"mark": func(t *rapid.T) {
				m := frame.Mark{Origin: x.ID, Incarnation: one, Last: ident.Seq(number.Draw(t, "last"))}
				m.First = ident.Seq(rapid.Uint64Range(1, uint64(m.Last)+1).Draw(t, "first"))
				m.Message = ident.Seq(rapid.Uint64Range(1, uint64(m.Last)+1).Draw(t, "message"))
				r.Marked(clock(now), name('a'), frame.Marks{Greeting: rapid.Bool().Draw(t, "greeting"), List: []frame.Mark{m}})
			},
			"link": func(t *rapid.T) {
				at := gossip.Place{Received: ident.Seq(number.Draw(t, "received"))}
				at.Whole = ident.Seq(rapid.Uint64Range(0, uint64(at.Received)).Draw(t, "whole"))
				if rapid.Bool().Draw(t, "came") && last == 0 {
					r.Begin(clock(now), x, at)
				} else {
					r.Opened(clock(now), x, at)
				}
			},
		})
	})
}
