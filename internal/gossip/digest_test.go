package gossip_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
)

func TestDigest(t *testing.T) {
	t.Run("news is told every 100 ms at most, to all neighbours", func(t *testing.T) {
		s := newScript(t, around, "abcd").silent("deliver forward")
		s.get('a', s.batch('x', 2)).to(20).get('a', s.batch('x', 1)).to(1000)
		s.want("30 tell abcd, x 1-0 then 1, x 1-3 then 4")
		s.get('a', s.batch('x', 1)).to(5000).want("1030 tell abcd, x 1-4 then 5")
		if at, ok := s.r.Next(); ok && at.Before(clock(59_000)) {
			t.Errorf("Next = %v after an hour of silence, want nothing before batches are too old", at.Sub(clock(0)))
		}
	})
	t.Run("what is held is no news", func(t *testing.T) {
		s := newScript(t, around, "abcd").silent("deliver forward pull")
		b := s.batches('x', 3)
		s.get('a', b[0]).to(100).skip().get('a', b[2]).to(1000).want()
	})
	t.Run("what was dropped is not offered", func(t *testing.T) {
		s := newScript(t, around, "abcd").silent("deliver forward pull")
		s.get('a', s.batch('x', 2)).to(70_000).skip().get('a', s.batch('x', 1)).to(71_000)
		s.want("70030 tell abcd, x 3-3 then 4")
	})
	t.Run("a message that goes on is told as such", func(t *testing.T) {
		s := newScript(t, around, "abcd").silent("deliver forward pull")
		some := piece{count: 1, more: true}
		s.get('a', s.of('x').batch(piece{count: 1}, some, some)).to(100)
		s.want("30 tell abcd, x 1-0 then 1, x 1-3 then 2")
	})
	t.Run("a neighbour that did not greet is told nothing", func(t *testing.T) {
		s := newScript(t, around, "abc").silent("deliver forward")
		s.do(func(r *gossip.Router, now time.Time) { r.LinkUp(now, name('d')) }).skip()
		s.get('a', s.batch('x', 2)).to(100).want("30 tell abc, x 1-0 then 1, x 1-2 then 3")
	})
	t.Run("alone nobody is told anything", func(t *testing.T) {
		s := newScript(t, around, "").silent("")
		b := s.batch('s', 1)
		s.do(func(r *gossip.Router, now time.Time) { r.Publish(now, b) }).to(1000).want()
	})
}

// A digest has a thousand marks at most; the rest waits for the next one.
func TestALongDigestIsSpread(t *testing.T) {
	s := newStage(t, 3000)
	s.prepare(1200, 1200, 10)
	for i := range s.batches {
		s.r.Receive(s.now, s.peers[0], s.batches[i])
	}
	s.r.Take()
	var lengths []int
	for range 5 {
		at, ok := s.r.Next()
		if !ok {
			break
		}
		s.r.Tick(at)
		for _, d := range s.r.Take().Digests {
			lengths = append(lengths, len(d.Marks.List))
			if raw := d.Marks.Append(nil); len(raw) > frame.Max {
				t.Errorf("a digest of %d bytes", len(raw))
			}
		}
	}
	// A base and a mark for each origin.
	if got, want := fmt.Sprint(lengths), "[1000 1000 400]"; got != want {
		t.Errorf("digests of %s marks, want %s", got, want)
	}
}

func TestGreeting(t *testing.T) {
	greet := func(c byte, age time.Duration) func(*gossip.Router, time.Time) {
		return func(r *gossip.Router, _ time.Time) { r.Greeted(name(c), frame.Greet{Age: age}) }
	}
	up := func(c byte) func(*gossip.Router, time.Time) {
		return func(r *gossip.Router, now time.Time) { r.LinkUp(now, name(c)) }
	}
	// busy returns a router that got a batch of x every 100 ms, from 0 on, and links d at 1 s.
	busy := func(t *testing.T) *script {
		s := newScript(t, around, "abc")
		for i := range 10 {
			s.to(100*i).get('a', s.batch('x', 2))
		}
		return s.to(1000).silent("").skip().do(up('d')).want("1000 hail d 1s")
	}
	t.Run("a newcomer is told how far this node was when it came, and what is new since", func(t *testing.T) {
		s := busy(t).to(1010).silent("deliver forward").get('a', s2(t, 'x', 21)).skip()
		s.do(greet('d', 0)).want("1010 tell d as of then, x 1-20 then 21", "1010 tell d, x 1-22 then 23")
	})
	t.Run("it may have come before this link", func(t *testing.T) {
		busy(t).do(greet('d', 350*time.Millisecond)).
			want("1000 tell d as of then, x 1-14 then 15", "1000 tell d, x 1-20 then 21")
	})
	t.Run("or before all that is known", func(t *testing.T) {
		busy(t).do(greet('d', time.Hour)).want("1000 tell d as of then, x 1-0 then 1", "1000 tell d, x 1-20 then 21")
	})
	t.Run("nothing is new if nothing came", func(t *testing.T) {
		busy(t).do(greet('d', 0)).want("1000 tell d as of then, x 1-20 then 21")
	})
	t.Run("one greeting of a link is answered", func(t *testing.T) {
		busy(t).do(greet('d', 0)).skip().do(greet('d', time.Hour)).want()
	})
	t.Run("nobody without a link is", func(t *testing.T) { busy(t).do(greet('y', time.Hour)).want() })
}

// s2 returns the batch of an origin that has two messages from a number on.
func s2(t *testing.T, c byte, first ident.Seq) frame.Relay {
	t.Helper()
	o := &writer{self: gossip.Member{ID: name(c), Incarnation: one}, next: first, message: first}
	return o.batch(piece{count: 2})
}

func TestBeginning(t *testing.T) {
	as := func(first, last, message ident.Seq) frame.Mark {
		return frame.Mark{Origin: name('x'), Incarnation: one, First: first, Last: last, Message: message}
	}
	fresh := func(t *testing.T) *script {
		return newScript(t, around, "abcd").silent("hail tell forward pull")
	}
	t.Run("with the number after a greeting's last", func(t *testing.T) {
		s := fresh(t).marks('a', true, as(5, 20, 21)).get('a', s2(t, 'x', 19)).to(1000).want()
		s.get('a', s2(t, 'x', 21)).want("1000 deliver x 21-22")
	})
	t.Run("what is missed from there on is counted", func(t *testing.T) {
		s := fresh(t).marks('a', true, as(5, 20, 21)).get('a', s2(t, 'x', 25))
		s.to(3000).want("2020 deliver x 25-26 lost 4")
	})
	t.Run("with the lowest number that a neighbour has who tells of it later", func(t *testing.T) {
		s := fresh(t).marks('a', false, as(5, 20, 21)).get('a', s2(t, 'x', 3)).want()
		s.get('a', s2(t, 'x', 5)).want("0 deliver x 5-6")
	})
	t.Run("where a neighbour began, if it says so", func(t *testing.T) {
		s := fresh(t).marks('a', false, as(3, 2, 3), as(5, 20, 21)).get('a', s2(t, 'x', 5))
		s.to(3000).want("2020 deliver x 5-6 lost 2")
	})
	t.Run("with number 1 if that is what comes", func(t *testing.T) {
		fresh(t).get('a', s2(t, 'x', 1)).want("0 deliver x 1-2")
	})
	t.Run("with the first batch if no neighbour says more for 250 ms", func(t *testing.T) {
		s := fresh(t).get('a', s2(t, 'x', 9), s2(t, 'x', 7)).to(249).want()
		s.to(250).want("250 deliver x 7-8", "250 deliver x 9-10")
	})
	t.Run("and with what a neighbour says if it does", func(t *testing.T) {
		s := fresh(t).get('a', s2(t, 'x', 9), s2(t, 'x', 7)).to(100).marks('b', true, as(1, 8, 9))
		s.want("100 deliver x 9-10").to(3000).want()
	})
	t.Run("with number 1 of a member that was silent for 10 s", func(t *testing.T) {
		fresh(t).to(10_000).get('a', s2(t, 'x', 3)).to(13_000).want("12020 deliver x 3-4 lost 2")
	})
	t.Run("even if others come just then", func(t *testing.T) {
		s := fresh(t).to(10_000).sees(around + " ea").to(11_000).sees(around + " ea fa")
		s.get('a', s2(t, 'x', 3)).to(14_000).want("13020 deliver x 3-4 lost 2")
	})
	t.Run("or all the time", func(t *testing.T) {
		s := fresh(t)
		for at := 4000; at < 21_500; at += 4000 {
			s.to(at).sees(fmt.Sprintf("%s %ca", around, 'e'+at/4000))
		}
		s.to(22_500).get('a', s2(t, 'x', 3)).to(25_000).want("24520 deliver x 3-4 lost 2")
	})
	t.Run("but not of one that came with them", func(t *testing.T) {
		s := fresh(t).to(10_000).sees(around + " ya").to(11_000)
		s.get('a', s2(t, 'y', 3)).to(14_000).want("11250 deliver y 3-4")
	})
	t.Run("even if it went and came back meanwhile", func(t *testing.T) {
		s := fresh(t).to(20_000)
		s.do(func(r *gossip.Router, now time.Time) { r.View(now, edges("ab as bs sc sd")) }).to(25_000)
		s.do(func(r *gossip.Router, now time.Time) { r.View(now, edges(around)) })
		s.marks('a', true, as(5, 20, 21)).get('a', s2(t, 'x', 5)).to(30_000).want("27020 deliver x 5-6 lost 4")
	})
	t.Run("in the middle of a message with the next one", func(t *testing.T) {
		s := fresh(t).marks('a', true, as(1, 8, 6)) // message 6 goes on
		o := &writer{self: gossip.Member{ID: name('x'), Incarnation: one}, next: 9, message: 6, open: true}
		some := piece{count: 1, more: true}
		s.get('a', o.batch(some), o.batch(some, piece{count: 1}, piece{count: 2}))
		s.want("0 deliver x 9-9 skip 1", "0 deliver x 10-13 skip 2")
	})
	t.Run("a first neighbour that lies is corrected by the next", func(t *testing.T) {
		s := fresh(t).marks('a', true, as(1<<40, 1<<40, 1<<40)).get('b', s2(t, 'x', 21)).want()
		s.to(1000).marks('b', true, as(5, 20, 21)).get('b', s2(t, 'x', 21)).want("1000 deliver x 21-22")
	})
	t.Run("but once something was delivered nobody moves it", func(t *testing.T) {
		s := fresh(t).marks('a', true, as(5, 20, 21)).get('a', s2(t, 'x', 21)).skip()
		s.marks('b', true, as(5, 10, 11)).get('b', s2(t, 'x', 11)).to(5000).want()
	})
	t.Run("what neighbours said before the member is listed counts", func(t *testing.T) {
		s := newScript(t, "as bs sc sd", "abcd").silent("hail tell forward pull")
		s.marks('a', true, as(5, 20, 21)).get('a', s2(t, 'x', 21)).to(1000).want()
		s.do(func(r *gossip.Router, now time.Time) { r.View(now, edges(around)) })
		s.get('a', s2(t, 'x', 23)).to(4000).want("3020 deliver x 23-24 lost 2")
	})
}

// Marks of origins that nobody knows fill a table of bounded size, for a minute.
func TestStrangersAreBounded(t *testing.T) {
	s := newScript(t, around, "abcd")
	s.get('a', s.batch('x', 1))
	for i := range 30 {
		var m frame.Marks
		for k := range frame.MarksMax {
			id := ident.NodeID{0: 0xff, 1: byte(i)}
			binary.BigEndian.PutUint32(id[4:], uint32(k))
			m.List = append(m.List, frame.Mark{Origin: id, Incarnation: 7, First: 1, Last: 9, Message: 10})
		}
		s.r.Marked(clock(s.now), name('b'), m)
	}
	st := s.r.Stats()
	if want := gossip.StrangersMax + 1; st.Origins != want {
		t.Errorf("%d origins after 30,000 marks of strangers, want %d", st.Origins, want)
	}
	if want := uint64(30_000 - gossip.StrangersMax); st.Strange != want || st.Pulls != 0 {
		t.Errorf("%d marks refused, %d pulls; want %d, 0", st.Strange, st.Pulls, want)
	}
	s.mark('b', 'x', 1, 2, 3).to(21).skip()
	if n := s.r.Stats().Pulls; n != 1 {
		t.Errorf("%d pulls of a member, want 1", n)
	}
	s.to(80_000)
	if n := s.r.Stats().Origins; n != 1 {
		t.Errorf("%d origins after a minute, want 1", n)
	}
}
