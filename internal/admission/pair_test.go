package admission_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/admission"
	"github.com/espial-go/espial/internal/frame"
)

// end is one end of an honest pair: a machine, what is on its way to it, and what its
// owner has to answer.
type end struct {
	m         *admission.Machine
	inbox     []frame.Frame
	ask       bool
	arbitrate bool
	last      admission.Action // the final one
}

// carry carries actions out; frames go to peer.
func (e *end) carry(peer *end, acts []admission.Action) {
	for _, a := range acts {
		switch a := a.(type) {
		case admission.Send:
			peer.inbox = append(peer.inbox, a.Frame)
		case admission.Ask:
			e.ask = true
		case admission.Arbitrate:
			e.arbitrate = true
		default:
			e.last = a
		}
	}
}

// Two honest ends, whatever their policies and however their inputs interleave, both
// end; either both have the same link or both know why they have none.
func TestHonestPairsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dialer := rapid.SampledFrom(roles[:2]).Draw(t, "dialer")
		acceptor := role{"acceptor", false, !dialer.arbiter}
		ends := [2]*end{}
		admits, rules := [2]bool{}, rapid.Bool().Draw(t, "rules")
		for i, r := range []role{dialer, acceptor} {
			c := config(r)
			if rapid.IntRange(0, 9).Draw(t, "other cluster") == 0 {
				c.Hello.Cluster[0]++
			}
			ends[i] = &end{m: admission.New(c, facts(r))}
			admits[i] = rapid.IntRange(0, 4).Draw(t, "admits") > 0
		}
		for i, e := range ends {
			e.carry(ends[1-i], e.m.Start())
		}
		for {
			var moves []func()
			for i, e := range ends {
				peer := ends[1-i]
				if len(e.inbox) > 0 {
					moves = append(moves, func() {
						f := e.inbox[0]
						e.inbox = e.inbox[1:]
						e.carry(peer, e.m.Receive(f))
					})
				}
				if e.ask {
					moves = append(moves, func() {
						e.ask = false
						e.carry(peer, e.m.Judged(admission.Verdict{Admit: admits[i], Join: 1}))
					})
				}
				if e.arbitrate {
					moves = append(moves, func() {
						e.arbitrate = false
						e.carry(peer, e.m.Arbitrated(admission.Ruling{OK: rules, Serial: 8, Join: 2}))
					})
				}
			}
			if len(moves) == 0 {
				break
			}
			moves[rapid.IntRange(0, len(moves)-1).Draw(t, "move")]()
		}
		checkPair(t, ends)
	})
}

// checkPair compares how the two ends of an honest pair ended.
func checkPair(t *rapid.T, ends [2]*end) {
	a, b := ends[0].last, ends[1].last
	upA, okA := a.(admission.Up)
	upB, okB := b.(admission.Up)
	noA, refusedA := a.(admission.Refuse)
	noB, refusedB := b.(admission.Refuse)
	switch {
	case okA && okB:
		if upA.Serial != upB.Serial || upA.Join+upB.Join != 3 {
			t.Fatalf("two links: %+v and %+v", upA, upB)
		}
	case refusedA && refusedB:
		bySelf := noA.By == admission.Self || noB.By == admission.Self
		if !bySelf {
			t.Fatalf("nobody refused: %+v and %+v", noA, noB)
		}
		if noA.By != noB.By && noA.Code != noB.Code {
			t.Fatalf("two reasons for one refusal: %+v and %+v", noA, noB)
		}
	default:
		t.Fatalf("ended with %T %+v and %T %+v", a, a, b, b)
	}
}

// FuzzSequence plays any messages of the peer, and answers when there is a question:
// nothing panics, nothing follows the end, and no link comes up without the peer's HELLO
// and ACCEPT.
func FuzzSequence(f *testing.F) {
	f.Add(uint8(0), []byte("HyaY"))
	f.Add(uint8(1), []byte("HyA"))
	f.Add(uint8(2), []byte("HyaN"))
	f.Add(uint8(3), []byte("RH"))
	f.Fuzz(func(t *testing.T, which uint8, seq []byte) {
		r := roles[which%4]
		m := admission.New(config(r), facts(r))
		var s trace
		s.note(m.Start())
		heard, accepted := false, false
		for i, c := range seq {
			input, known := remote[c]
			if !known {
				input, known = more[c]
			}
			switch {
			case (c == 'y' || c == 'n') && s.ask:
				s.ask = false
				s.note(m.Judged(admission.Verdict{Admit: c == 'y'}))
			case (c == 'Y' || c == 'N') && s.arbitrate:
				s.arbitrate = false
				s.note(m.Arbitrated(admission.Ruling{OK: c == 'Y', Serial: 1}))
			case known:
				if err, ok := input.(error); ok {
					s.note(m.Undecodable(err))
					break
				}
				fr, _ := input.(frame.Frame)
				heard, accepted = heard || c == 'H', accepted || c == 'A' || c == 'a'
				s.note(m.Receive(fr))
			}
			if s.after {
				t.Fatalf("%s, %q: an action after the end", r.name, seq[:i+1])
			}
			if s.end == "up" && (!heard || !accepted) {
				t.Fatalf("%s, %q: a link out of nothing", r.name, seq[:i+1])
			}
		}
	})
}
