package fault_test

import (
	"testing"
	"time"

	"github.com/espial-go/espial/internal/fault"
	"github.com/espial-go/espial/internal/ident"
)

// watch says whom the node of a script watches.
func watch(who string) func(*fault.Detector, time.Time) {
	return func(d *fault.Detector, now time.Time) {
		ids := []ident.NodeID{}
		for _, p := range []byte(who) {
			ids = append(ids, name(p))
		}
		d.Watch(now, ids)
	}
}

// newFar returns a script whose node has links with all near ones and watches those, and
// knows the far ones.
func newFar(t *testing.T, near, far string) *script {
	s := newScript(t, near).do(watch(near))
	for _, p := range []byte(far) {
		s.d.Add(s.start, name(p), incOf(name(p)))
	}
	return s
}

func refuted(who byte) func(*fault.Detector, time.Time) {
	return func(d *fault.Detector, now time.Time) { d.Refuted(now, name(who)) }
}

func up(who byte) func(*fault.Detector, time.Time) {
	return func(d *fault.Detector, now time.Time) { d.LinkUp(now, name(who)) }
}

func down(who byte) func(*fault.Detector, time.Time) {
	return func(d *fault.Detector, now time.Time) { d.LinkDown(now, name(who), false) }
}

func TestFar(t *testing.T) {
	t.Run("who is not watched may be silent for ever", func(t *testing.T) {
		newFar(t, "ab", "cd").to(60_000, "ab").want("probe")
	})
	t.Run("one suspicion that is not refuted is enough", func(t *testing.T) {
		newFar(t, "ab", "cd").to(100, "ab").do(told('a', 'c', false)).to(5000, "ab").want("probe",
			"150 suspect c", "1900 dead c silent")
	})
	t.Run("of many suspicions the first counts", func(t *testing.T) {
		s := newFar(t, "ab", "cd").to(100, "ab").do(told('a', 'c', false)).to(1500, "ab").do(told('b', 'c', false))
		s.to(5000, "ab").want("probe", "150 suspect c", "1900 dead c silent")
	})
	t.Run("one that is refuted at once is not mentioned", func(t *testing.T) {
		newFar(t, "ab", "c").to(100, "ab").do(told('a', 'c', true)).to(120, "ab").do(refuted('c')).
			to(5000, "ab").want("probe")
	})
	t.Run("a refutation in the same instant counts", func(t *testing.T) {
		s := newFar(t, "ab", "c").to(100, "ab").do(told('a', 'c', false)).to(200, "ab")
		s.do(func(d *fault.Detector, now time.Time) { d.Heard(now, name('c'), now) }).do(refuted('c'))
		s.to(5000, "ab").want("probe", "150 suspect c", "200 alive c")
	})
	t.Run("one that is refuted late is over", func(t *testing.T) {
		newFar(t, "ab", "c").to(100, "ab").do(told('a', 'c', false)).to(1800, "ab").do(refuted('c')).
			to(9000, "ab").want("probe", "150 suspect c", "1800 alive c")
	})
	t.Run("two who found it refusing decide at once", func(t *testing.T) {
		newFar(t, "ab", "cd").to(100, "ab").do(told('a', 'c', true)).to(110, "ab").do(told('d', 'c', true)).
			want("probe", "110 suspect c", "110 dead c")
	})
	t.Run("one who says it twice is one", func(t *testing.T) {
		newFar(t, "ab", "cd").to(100, "ab").do(told('a', 'c', true)).to(110, "ab").do(told('a', 'c', true)).
			do(told('b', 'c', false)).to(2500, "ab").want("probe", "150 suspect c", "1900 dead c")
	})
	t.Run("what was refuted in between does not count any more", func(t *testing.T) {
		newFar(t, "ab", "c").to(100, "ab").do(told('a', 'c', true)).do(refuted('c')).do(told('b', 'c', true)).
			do(refuted('c')).to(3000, "ab").want("probe")
	})
	t.Run("this node's own finding is one of the two, and is not told", func(t *testing.T) {
		s := newFar(t, "ab", "c").to(100, "ab").do(up('c')).do(refused('c')).to(110, "ab").want("probe")
		s.do(told('a', 'c', true)).want("probe", "110 suspect c", "110 dead c")
	})
	t.Run("another incarnation, a stranger's word and a self-accusation count nothing", func(t *testing.T) {
		s := newFar(t, "ab", "c").to(100, "ab").do(told('x', 'c', true)).do(told('c', 'c', true))
		s.do(func(d *fault.Detector, now time.Time) { d.Suspected(now, name('a'), name('c'), 1, true) })
		s.to(5000, "ab").want("probe")
	})
	t.Run("frames on a link that is no watcher's are no refutation", func(t *testing.T) {
		newFar(t, "ab", "c").to(50, "ab").do(up('c')).to(100, "ab").do(told('a', 'c', false)).
			to(5000, "abc").want("probe", "150 suspect c", "1900 dead c silent")
	})
	t.Run("this node was paused meanwhile: the wait begins again", func(t *testing.T) {
		s := newFar(t, "ab", "c").to(100, "ab").do(told('a', 'c', false)).to(150, "ab")
		s.now = 5150
		s.tick().to(9000, "ab").want("probe request", "150 suspect c", "8750 dead c silent")
	})
	t.Run("neither probes nor requests go to who is not watched", func(t *testing.T) {
		s := newFar(t, "ab", "c").do(up('c')).want("", "0 probe c")
		s.to(4000, "ab").do(told('a', 'c', false)).to(4040, "ab").want("")
		s.do(asked('a', 'c', 7)).want("", "4040 probe c")
		s.do(func(d *fault.Detector, now time.Time) { d.Heard(now, name('c'), now) }).want("", "4040 answer a #7 alive")
	})
}

func TestWatch(t *testing.T) {
	t.Run("silence begins with watching, when there was time for a link", func(t *testing.T) {
		newFar(t, "ab", "c").to(9000, "ab").do(watch("abc")).to(15_000, "ab").want("probe request",
			"10800 suspect c", "10800 tell c", "12600 dead c silent")
	})
	t.Run("it begins at once where there is one, or was", func(t *testing.T) {
		newFar(t, "ab", "c").do(up('c')).to(9000, "ab").do(watch("abc")).to(12_000, "ab").want("probe request",
			"9900 suspect c", "9900 tell c", "11700 dead c silent")
		newFar(t, "ab", "c").to(9000, "ab").do(watch("abc")).do(up('c')).do(down('c')).to(12_000, "ab").want(
			"probe request", "9900 suspect c", "9900 tell c", "11700 dead c silent")
	})
	t.Run("watching again changes nothing", func(t *testing.T) {
		newScript(t, "abc").do(watch("abc")).to(600, "ab").do(watch("abc")).to(3000, "ab").want("probe request",
			"900 suspect c", "900 tell c", "2700 dead c silent")
	})
	t.Run("who is not watched any more is not judged", func(t *testing.T) {
		newScript(t, "abc").do(watch("abc")).to(800, "ab").do(watch("ab")).to(9000, "ab").want("probe request")
	})
	t.Run("who was suspected before has to answer", func(t *testing.T) {
		s := newScript(t, "abc").do(watch("abc")).to(1000, "ab").do(watch("ab")).to(5000, "ab")
		s.want("probe request", "900 suspect c", "900 tell c", "2800 dead c silent")
	})
	t.Run("a suspicion of others goes on", func(t *testing.T) {
		s := newFar(t, "ab", "c").to(100, "ab").do(told('a', 'c', false)).to(1000, "ab").do(watch("abc"))
		s.to(5000, "ab").want("probe request", "150 suspect c", "1900 dead c silent")
	})
	t.Run("watching everybody again", func(t *testing.T) {
		s := newFar(t, "ab", "c").to(5000, "ab").do(func(d *fault.Detector, now time.Time) { d.Watch(now, nil) })
		s.to(9000, "ab").want("probe request", "5900 suspect c", "5900 tell c", "7700 dead c silent")
	})
	t.Run("who comes later is watched or not as was said", func(t *testing.T) {
		s := newFar(t, "ab", "").do(watch("abc")).to(5000, "ab")
		for _, p := range []byte("cd") {
			s.do(func(d *fault.Detector, now time.Time) { d.Add(now, name(p), incOf(name(p))) })
		}
		s.to(11_000, "ab").want("probe request", "6800 suspect c", "6800 tell c", "8600 dead c silent")
	})
	t.Run("a link with a suspect tells it, because only it can refute", func(t *testing.T) {
		newScript(t, "abc").do(watch("abc")).do(down('c')).to(1000, "ab").do(up('c')).want("probe request",
			"900 suspect c", "900 tell c", "1000 tell c", "1000 alive c")
	})
	t.Run("a suspicion right after a refutation is refuted half a SuspectAfter later", func(t *testing.T) {
		s := newFar(t, "ab", "").to(10, "ab").do(told('a', 's', false)).to(200, "ab").do(told('b', 's', false))
		s.to(5000, "ab").want("probe", "10 refute", "510 refute")
	})
	t.Run("nobody but strangers: nothing is due", func(t *testing.T) {
		s := newFar(t, "", "c").do(func(d *fault.Detector, _ time.Time) { d.Remove(name('c')) })
		if at, ok := s.d.Next(); ok {
			t.Errorf("Next = %v, want none", at)
		}
	})
}

func TestRest(t *testing.T) {
	// begin returns a script in which c is watched and has no link any more.
	begin := func(t *testing.T) *script { return newScript(t, "abc").do(watch("abc")).do(down('c')) }
	t.Run("each refuted suspicion doubles the time until the next one, up to a minute", func(t *testing.T) {
		s := begin(t)
		for _, at := range []int{900, 2700, 6300, 13_500, 27_900, 56_700, 114_300, 174_300} {
			s.to(at, "ab").do(refuted('c'))
		}
		s.want("probe request suspect alive", "900 tell c", "2700 tell c", "6300 tell c", "13500 tell c",
			"27900 tell c", "56700 tell c", "114300 tell c", "174300 tell c")
	})
	t.Run("a refusal in between is not told", func(t *testing.T) {
		s := begin(t).to(900, "ab").do(refuted('c')).to(1500, "ab").do(refused('c')).to(2600, "ab")
		s.want("probe request", "900 suspect c", "900 tell c", "900 alive c")
		s.to(2699, "ab").do(refused('c')).want("probe request")
		s.to(2700, "ab").do(refused('c')).want("probe request", "2700 suspect c", "2700 tell c", "2700 tell c refused")
	})
	t.Run("it is dead as long after the suspicion as ever", func(t *testing.T) {
		begin(t).to(900, "ab").do(refuted('c')).to(6000, "ab").want("probe request",
			"900 suspect c", "900 tell c", "900 alive c", "2700 suspect c", "2700 tell c", "4500 dead c silent")
	})
	t.Run("meanwhile the others decide", func(t *testing.T) {
		s := begin(t).to(900, "ab").do(refuted('c')).to(950, "ab").do(told('a', 'c', false)).to(6000, "ab")
		s.want("probe request", "900 suspect c", "900 tell c", "900 alive c", "1000 suspect c", "2750 dead c silent")
		s = begin(t).to(900, "ab").do(refuted('c')).to(950, "ab").do(told('a', 'c', true)).do(told('b', 'c', true))
		s.want("probe request redial", "900 suspect c", "900 tell c", "900 alive c", "950 suspect c", "950 dead c")
	})
	t.Run("a link ends the rest", func(t *testing.T) {
		s := begin(t).to(900, "ab").do(refuted('c')).to(1000, "ab").do(up('c')).do(down('c')).to(2000, "ab")
		s.want("probe request", "900 suspect c", "900 tell c", "900 alive c", "1900 suspect c", "1900 tell c")
	})
	t.Run("where everybody is watched there is none", func(t *testing.T) {
		s := newScript(t, "abc").do(down('c')).to(900, "ab").do(refuted('c')).to(1800, "ab").do(refuted('c'))
		s.to(2700, "ab").want("probe request suspect alive", "900 tell c", "1800 tell c", "2700 tell c")
	})
}

func TestDespair(t *testing.T) {
	t.Run("who hears nobody gives up all", func(t *testing.T) {
		newFar(t, "ab", "cd").to(1000, "ab").to(5000, "").want("probe request",
			"1850 suspect a", "1850 tell a", "1850 suspect b", "1850 tell b", "1850 suspect c", "1850 suspect d",
			"3650 dead a silent", "3650 dead b silent", "3650 dead c silent", "3650 dead d silent")
	})
	t.Run("who hears anybody trusts all again, but those of whom others warn", func(t *testing.T) {
		s := newFar(t, "ab", "cde").to(1000, "ab").to(1700, "").do(told('a', 'd', false)).to(2700, "").to(2800, "a")
		s.want("probe request", "1750 suspect d", "1850 suspect a", "1850 tell a", "1850 suspect b", "1850 tell b",
			"2600 suspect c", "2600 suspect e", "2700 alive c", "2700 alive e", "2700 alive a")
	})
	t.Run("a pause is not silence", func(t *testing.T) {
		s := newFar(t, "ab", "cd").to(1000, "ab")
		s.now = 6000
		s.tick().to(6800, "").want("probe request")
	})
	t.Run("who watches everybody judges each one", func(t *testing.T) {
		s := newFar(t, "abcd", "").to(1000, "ab").to(2000, "")
		s.do(func(d *fault.Detector, now time.Time) { d.Watch(now, nil) }).want("probe request",
			"900 suspect c", "900 tell c", "900 suspect d", "900 tell d",
			"1850 suspect a", "1850 tell a", "1850 suspect b", "1850 tell b")
	})
}
