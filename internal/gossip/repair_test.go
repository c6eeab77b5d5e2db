package gossip_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
)

func TestPull(t *testing.T) {
	begun := func(t *testing.T) *script {
		s := newScript(t, around, "abcd")
		return s.get('a', s.batch('x', 1)).skip()
	}
	t.Run("what a neighbour has more is asked for after 20 ms", func(t *testing.T) {
		begun(t).mark('b', 'x', 1, 5, 6).to(49).want("20 pull b x 2-5")
	})
	t.Run("what comes down the tree meanwhile is not", func(t *testing.T) {
		s := begun(t).mark('b', 'x', 1, 2, 3).to(19)
		s.get('a', s.batch('x', 1)).skip().to(3000).want()
	})
	t.Run("nor is anything while it flows", func(t *testing.T) {
		s := begun(t).mark('b', 'x', 1, 6, 7).silent("hail tell deliver forward")
		for i := range 5 {
			s.to(15*i).get('a', s.batch('x', 1))
		}
		s.to(3000).want()
	})
	t.Run("an answer that does not come is asked for elsewhere after 50 ms", func(t *testing.T) {
		s := begun(t).mark('b', 'x', 1, 5, 6).mark('c', 'x', 2, 4, 5)
		s.to(300).want("20 pull b x 2-5", "70 pull c x 2-4", "120 pull b x 2-5", "220 pull c x 2-4")
		if n := s.r.Stats().Timeouts; n != 3 {
			t.Errorf("%d pulls without an answer, want 3", n)
		}
	})
	t.Run("or after three round trips if that is more", func(t *testing.T) {
		s := begun(t)
		s.r.Measured(name('b'), 40*time.Millisecond)
		s.mark('b', 'x', 1, 5, 6).mark('c', 'x', 2, 4, 5).to(141).want("20 pull b x 2-5", "140 pull c x 2-4")
	})
	t.Run("the next pull follows the answer at once", func(t *testing.T) {
		s := begun(t).silent("hail tell deliver forward").mark('b', 'x', 1, 3, 4).to(20).want("20 pull b x 2-3")
		s.mark('b', 'x', 1, 9, 10).to(25).get('b', s.batches('x', 2)...).want("25 pull b x 4-9")
	})
	t.Run("as soon as the answer is as long as answers are", func(t *testing.T) {
		s := begun(t).silent("hail tell deliver forward").mark('b', 'x', 1, 9, 10).to(20).want("20 pull b x 2-9")
		for range 4 {
			s.get('b', s.of('x').batch(piece{count: 1, size: 65_000}))
		}
		s.want().get('b', s.of('x').batch(piece{count: 1, size: 65_000})).want("20 pull b x 7-9")
	})
	t.Run("each batch of an answer gives the next one time", func(t *testing.T) {
		s := begun(t).silent("hail tell deliver forward").mark('b', 'x', 1, 9, 10).mark('c', 'x', 1, 9, 10).to(20)
		for i := range 5 {
			s.to(60+40*i).get('b', s.batch('x', 1))
		}
		s.to(271).want("20 pull b x 2-9", "270 pull c x 7-9")
	})
	t.Run("who does not have it any more is not asked again", func(t *testing.T) {
		s := begun(t).mark('b', 'x', 1, 5, 6).mark('c', 'x', 1, 5, 6).to(20).want("20 pull b x 2-5")
		s.to(21).mark('b', 'x', 4, 5, 6).want("21 pull c x 2-5")
	})
	t.Run("a link that closes ends the hope for an answer", func(t *testing.T) {
		s := begun(t).mark('b', 'x', 1, 5, 6).mark('c', 'x', 1, 5, 6).to(21).skip()
		s.do(func(r *gossip.Router, now time.Time) { r.LinkDown(now, name('b')) }).want("21 pull c x 2-5")
		s.do(func(r *gossip.Router, now time.Time) { r.LinkDown(now, name('c')) }).to(5000).want()
	})
	t.Run("a gap between batches is asked for at who sent the one behind it", func(t *testing.T) {
		s := begun(t)
		b := s.batches('x', 3)
		s.get('c', b[2]).skip().to(300).want("20 pull c x 2-3")
	})
	t.Run("and elsewhere if that has it neither", func(t *testing.T) {
		s := begun(t).silent("hail tell forward")
		b := s.batches('x', 3)
		s.get('c', b[2]).to(1999).want("20 pull c x 2-3", "520 pull d x 2-3", "1020 pull a x 2-3", "1520 pull b x 2-3")
		s.to(2020).want("2020 deliver x 4-4 lost 2")
	})
	t.Run("a gap is asked for up to what is held behind it", func(t *testing.T) {
		s := begun(t).silent("hail tell forward")
		b := s.batches('x', 5)
		s.get('a', b[3]).mark('b', 'x', 1, 6, 7).to(20).want("20 pull b x 2-4")
		s.get('b', b[0], b[1], b[2]).want("20 deliver x 2-2", "20 deliver x 3-3", "20 deliver x 4-4", "20 deliver x 5-5")
		s.to(40).want("40 pull b x 6-6")
	})
	t.Run("a neighbour that has a batch is not sent it", func(t *testing.T) {
		s := begun(t).mark('c', 'x', 1, 2, 3)
		s.get('a', s.batch('x', 1)).want("0 deliver x 2-2", "0 forward x 2-2 to d")
	})
}

func TestGivingUp(t *testing.T) {
	// behind returns a router that has number 1, and all of the batches to come.
	behind := func(t *testing.T) (*script, []frame.Relay) {
		s := newScript(t, around, "abcd")
		s.get('a', s.batch('x', 1)).skip().silent("hail tell forward")
		return s, s.batches('x', 9) // from number 2 on
	}
	t.Run("what every neighbour gave up is lost at once", func(t *testing.T) {
		s, b := behind(t)
		for _, c := range []byte("abcd") {
			s.mark(c, 'x', 5, 5, 6)
		}
		s.to(20).want("20 pull a x 5-5").get('a', b[3])
		s.want("20 deliver x 5-5 lost 3").to(9000).want()
	})
	t.Run("the lowest that is left is fetched first", func(t *testing.T) {
		s, b := behind(t)
		s.get('d', b[8]).skip()
		s.mark('a', 'x', 9, 10, 11).mark('b', 'x', 6, 10, 11).mark('c', 'x', 8, 10, 11).mark('d', 'x', 9, 10, 11)
		s.to(20).want("20 pull b x 6-9").get('b', b[4], b[5], b[6], b[7])
		s.to(100).want("20 deliver x 6-6 lost 4", "20 deliver x 7-7", "20 deliver x 8-8", "20 deliver x 9-9", "20 deliver x 10-10")
	})
	t.Run("a neighbour that is behind itself may get it yet", func(t *testing.T) {
		s, b := behind(t)
		s.mark('a', 'x', 5, 5, 6).mark('b', 'x', 5, 5, 6).mark('c', 'x', 5, 5, 6)
		s.to(20).get('a', b[3]).silent("hail tell forward pull").skip().to(1900).want()
		s.mark('d', 'x', 1, 4, 5).silent("hail tell forward").to(1920).want("1920 pull d x 2-4")
		s.get('d', b[:3]...).want("1920 deliver x 2-2", "1920 deliver x 3-3", "1920 deliver x 4-4", "1920 deliver x 5-5")
	})
	t.Run("but not for ever", func(t *testing.T) {
		s, b := behind(t)
		s.mark('a', 'x', 5, 5, 6).mark('b', 'x', 5, 5, 6)
		s.to(20).get('a', b[3]).silent("hail tell forward pull").skip().to(2019).want()
		s.to(2020).want("2020 deliver x 5-5 lost 3")
	})
	t.Run("nor is the next gap, before others can tell that they gave up the first one, too", func(t *testing.T) {
		s, b := behind(t)
		s.get('a', b[1], b[4]).silent("hail tell forward pull").skip().to(2100).want("2020 deliver x 3-3 lost 1")
		s.mark('b', 'x', 3, 6, 7).silent("hail tell forward").to(2150).want("2120 pull b x 4-5")
		s.get('b', b[2], b[3]).want("2150 deliver x 4-4", "2150 deliver x 5-5", "2150 deliver x 6-6")
	})
	t.Run("whoever claims to have it and gives nothing has a minute", func(t *testing.T) {
		s, b := behind(t)
		s.get('a', b[3]).mark('b', 'x', 1, 5, 6).silent("hail tell forward pull").skip().to(59_000).want()
		s.to(71_000)
		if len(s.lines) != 1 {
			t.Fatalf("got %q, want one delivery", s.lines)
		}
		if n := s.r.Stats().Pulls; n > 100 {
			t.Errorf("%d pulls in a minute, want one a second at most", n)
		}
	})
	t.Run("what nobody keeps is lost once it is proven", func(t *testing.T) {
		s, b := behind(t)
		for _, c := range []byte("abcd") {
			s.mark(c, 'x', 11, 10, 11)
		}
		s.to(20).want("20 pull a x 2-10").prove(b[8]).want("20 deliver x lost 9")
		s.silent("hail").pull('d', 'x', 3, 5).want("20 tell d, x 11-10 then 11", "20 prove d x 10")
		s.silent("hail tell forward")
		s.get('a', s.batch('x', 2)).want("20 deliver x 11-12").to(9000).want()
	})
	t.Run("marks alone prove nothing", func(t *testing.T) {
		s, _ := behind(t)
		for _, c := range []byte("abcd") {
			s.mark(c, 'x', math.MaxUint64-1, math.MaxUint64-2, 11)
		}
		s.silent("hail tell forward pull").to(200_000).want()
		if n := s.r.Stats().Pulls; n > 500 {
			t.Errorf("%d pulls in 200 s, want 2 a second at most", n)
		}
		s = s.skip()
		back := &writer{self: s.of('x').self, next: 2, message: 2}
		s.get('a', back.batch(piece{count: 1})).want("200000 deliver x 2-2")
	})
	t.Run("a proof in the middle of a message loses all of it", func(t *testing.T) {
		s := newScript(t, around, "abcd").silent("hail tell forward pull")
		o := s.of('x')
		some := piece{count: 1, more: true}
		s.get('a', o.batch(piece{count: 1}, some)).want("0 deliver x 1-2")
		gone := o.batch(some, some)
		for _, c := range []byte("abcd") {
			s.mark(c, 'x', 5, 4, 2)
		}
		s.prove(gone).to(40).want("0 deliver x lost 1")
		s.get('a', o.batch(piece{count: 1}, piece{count: 2})).want("40 deliver x 5-7 skip 1")
	})
	t.Run("a proof of what is there changes nothing", func(t *testing.T) {
		s, b := behind(t)
		s.get('a', b[0], b[1]).skip().prove(b[1]).prove(b[0]).to(9000).want()
	})
}

func TestPulled(t *testing.T) {
	// full returns a router with ten batches of two numbers each.
	full := func(t *testing.T) *script {
		s := newScript(t, around, "abcd")
		for range 10 {
			s.get('a', s.batch('x', 2))
		}
		return s.skip().silent("hail")
	}
	t.Run("an answer begins with the batch that has the first number", func(t *testing.T) {
		full(t).pull('c', 'x', 4, 7).want("0 forward x 3-4 to c", "0 forward x 5-6 to c", "0 forward x 7-8 to c")
	})
	t.Run("and ends with the last that is there", func(t *testing.T) {
		full(t).pull('c', 'x', 17, math.MaxUint64).want("0 forward x 17-18 to c", "0 forward x 19-20 to c")
	})
	t.Run("who has nothing of it says how far it is", func(t *testing.T) {
		full(t).pull('c', 'x', 21, 30).want("0 tell c, x 1-20 then 21")
	})
	t.Run("and proves it if nothing is left", func(t *testing.T) {
		s := full(t).to(61_000).skip()
		s.pull('c', 'x', 4, 7).want("61000 tell c, x 21-20 then 21", "61000 prove c x 20")
	})
	t.Run("what is held is not given away", func(t *testing.T) {
		s := full(t)
		b := s.batches('x', 2)
		s.get('a', b[1]).skip().pull('c', 'x', 22, 22).want("0 tell c, x 1-20 then 21")
	})
	t.Run("an answer has 256 KiB", func(t *testing.T) {
		s := newScript(t, around, "abcd")
		for range 10 {
			s.get('a', s.of('x').batch(piece{count: 1, size: 65_000}))
		}
		s.skip().pull('c', 'x', 1, 10).want("0 forward x 1-1 to c", "0 forward x 2-2 to c", "0 forward x 3-3 to c",
			"0 forward x 4-4 to c", "0 forward x 5-5 to c")
	})
	t.Run("nobody without a link gets anything, and nobody learns of strangers", func(t *testing.T) {
		s := full(t).pull('y', 'x', 1, 5).want()
		s.marks('b', false, frame.Mark{Origin: name('z'), Incarnation: one, First: 1, Last: 5, Message: 6})
		s.pull('c', 'z', 1, 5).pull('c', 'q', 1, 5).want()
	})
}

// A neighbour that asks for everything as often as it can gets 4 MiB at once and 16 MiB in
// a second.
func TestPullsForEverythingAreBounded(t *testing.T) {
	s := newScript(t, around, "abcd")
	for range 40 {
		s.get('a', s.of('x').batch(piece{count: 1, size: 65_000}))
	}
	sent := 0
	ask := func(id byte, times int) {
		for range times {
			s.r.Pulled(clock(s.now), name(id), frame.Pull{Origin: name('x'), Incarnation: one, First: 1, Last: math.MaxUint64})
			for _, f := range s.r.Take().Forwards {
				sent += len(f.Batch.Frames)
			}
		}
	}
	ask('b', 1000)
	if most := 4<<20 + gossip.PullBytes + frame.Max; sent > most {
		t.Errorf("%d bytes for a thousand pulls at once, want %d at most", sent, most)
	}
	sent = 0
	for range 1000 {
		s.now++
		ask('b', 10)
	}
	if most := 16<<20 + gossip.PullBytes + frame.Max; sent > most || sent < 8<<20 {
		t.Errorf("%d bytes for ten thousand pulls in a second, want %d at most", sent, most)
	}
	if n := s.r.Stats().Refused; n < 10_000 {
		t.Errorf("%d of 11,000 pulls were refused", n)
	}
	sent = 0
	if ask('c', 1); sent == 0 {
		t.Error("another neighbour gets nothing")
	}
}

// What is held waits in order, and what has its turn first is worth most.
func TestHeldBatchesAreBounded(t *testing.T) {
	s := newScript(t, around, "abcd").silent("hail tell pull forward")
	s.get('a', s.batch('x', 1)).skip()
	big := func() frame.Relay { return s.of('x').batch(piece{count: 1, size: 65_000}) }
	missing := s.batch('x', 1)
	var all []frame.Relay
	for range 40 { // 2.6 MB, of which 1 MiB fits
		all = append(all, big())
	}
	for i := range all {
		s.get('b', all[len(all)-1-i]) // the last one first
	}
	st := s.r.Stats()
	if st.Held > 1<<20 || st.Held < 1<<20-70_000 {
		t.Errorf("%d bytes are held, want 1 MiB", st.Held)
	}
	s.to(1).get('b', missing)
	want := []string{"1 deliver x 2-2"}
	for i := range st.Held / 65_000 {
		want = append(want, fmt.Sprintf("1 deliver x %d-%d", i+3, i+3))
	}
	s.want(want...)
}

// Several origins share what may be held; none of them stands still for it.
func TestHeldBatchesOfAllOriginsAreBounded(t *testing.T) {
	s := newScript(t, around+" ya za ka la ma", "abcd").silent("hail tell pull forward")
	first := map[byte]frame.Relay{}
	for _, c := range []byte("xyzklm") {
		first[c] = s.batch(c, 1)
		for range 16 {
			s.get('b', s.of(c).batch(piece{count: 1, size: 65_000}))
		}
	}
	if st := s.r.Stats(); st.Held > 4<<20 || st.Held < 3<<20 || st.Bytes != st.Held {
		t.Errorf("%d bytes are held, %d in all; want 4 MiB", st.Held, st.Bytes)
	}
	for _, c := range []byte("xyzklm") {
		s.get('a', first[c])
	}
	for _, c := range []byte("xyzklm") {
		s.get('a', s.of(c).batch(piece{count: 1}))
	}
	s.to(3000)
	if st := s.r.Stats(); st.Held > 0 {
		t.Errorf("%d bytes are held at the end, want 0", st.Held)
	}
}

// The number of the last message is the only thing a member may say of itself that nobody
// can check; a neighbour's word moves nothing.
func TestAbsurdMarksMoveNothing(t *testing.T) {
	s := newScript(t, around, "abcd").silent("hail tell forward pull")
	s.get('a', s.batch('x', 1)).skip()
	for i := range 1000 {
		for _, c := range []byte("abcd") {
			last := ident.Seq(math.MaxUint64 - 2 - uint64(i))
			s.mark(c, 'x', last, last, last)
			s.mark(c, 'x', 1, last, 1)
			s.marks(c, true, frame.Mark{Origin: name('x'), Incarnation: one, First: 1, Last: last, Message: 1})
		}
		s.to(s.now + 10)
	}
	s.want()
	if n := s.r.Stats().Pulls; n > 300 {
		t.Errorf("%d pulls for 12,000 absurd marks in 10 s, want 300 at most", n)
	}
	s.get('a', s.batch('x', 1)).want(fmt.Sprintf("%d deliver x 2-2", s.now))
}
