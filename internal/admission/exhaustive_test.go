package admission_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/admission"
	"github.com/espial-go/espial/internal/frame"
)

// A sequence is a word: capital letters are what the peer sends, small letters what the
// owner answers.
//
//	H HELLO · A ACCEPT from an arbiter · a ACCEPT to an arbiter · R REJECT
//	y, n the verdict · Y, N the ruling
//
// and everything else is illegal at any time.
var remote = map[byte]any{
	'H': hello("peer"),
	'A': frame.Accept{Serial: 6, Join: 4},
	'a': frame.Accept{Join: 4},
	'R': frame.Reject{Code: frame.CodeFilter},
	'B': frame.Bye{Code: frame.CodeLeave},
	'P': frame.Probe{Number: 1},
	'E': undecodable(frame.TypeEvents), // EVENTS
	'M': undecodable(56),               // a multicast key of a later protocol
}

// more is tried at every point of every legal sequence, but not in all permutations.
var more = map[byte]any{
	'0': nil, // an optional frame
	'1': frame.Ack{}, '2': frame.ProbeRequest{}, '3': frame.ProbeResult{}, '4': frame.Suspect{},
	'5': frame.Records{List: [][]byte{{1}}}, '6': frame.Digest{}, '7': frame.Open{}, '8': frame.Acked{},
	'9': frame.ErrMalformed,
}

// legal holds the sequences that end with a link.
var legal = map[string][]string{
	"dialer and arbiter":   {"HyaY", "HayY"},
	"dialer":               {"HyA"},
	"acceptor and arbiter": {"HyaY"},
	"acceptor":             {"HyA"},
}

func undecodable(t frame.Type) error {
	_, err := frame.Decode(frame.Raw{Type: t})
	return err
}

// oracle says how a sequence ends: "up", "refused by self", "refused by peer",
// "breach", or "" while it has not ended. It knows nothing but the words above.
func oracle(words []string, seq string) string {
	begins := func(prefix string) bool {
		for _, w := range words {
			if strings.HasPrefix(w, prefix) {
				return true
			}
		}
		return false
	}
	for i := range len(seq) {
		before, c := seq[:i], seq[i]
		switch {
		case slices.Contains(words, before):
			return "up"
		case c == 'R':
			return "refused by peer"
		case c == 'n' && begins(before+"y"), c == 'N' && begins(before+"Y"):
			return "refused by self"
		case !begins(before + string(c)):
			return "breach"
		}
	}
	if slices.Contains(words, seq) {
		return "up"
	}
	return ""
}

// explorer walks all sequences of one role.
type explorer struct {
	t       *testing.T
	role    role
	symbols map[byte]any
	checked int
}

// try gives m one more symbol, compares its state with the oracle's, and goes on.
// depth counts what the peer may still send.
func (e *explorer) try(m admission.Machine, seq string, state trace, depth int) {
	if want := oracle(legal[e.role.name], seq); state.end != want {
		e.t.Fatalf("%s, sequence %s: ended %q, want %q", e.role.name, seq, state.end, want)
	}
	if state.after {
		e.t.Fatalf("%s, sequence %s: an action after the end", e.role.name, seq)
	}
	e.checked++
	for _, yes := range []bool{true, false} {
		if state.ask && state.end == "" {
			next, m := state, m
			next.ask = false
			next.note(m.Judged(admission.Verdict{Admit: yes}))
			e.try(m, seq+letter("n", "y", yes), next, depth)
		}
		if state.arbitrate && state.end == "" {
			next, m := state, m
			next.arbitrate = false
			next.note(m.Arbitrated(admission.Ruling{OK: yes, Serial: 1}))
			e.try(m, seq+letter("N", "Y", yes), next, depth)
		}
	}
	if depth == 0 {
		return
	}
	for c, input := range e.symbols {
		next, m := state, m
		if err, ok := input.(error); ok {
			next.note(m.Undecodable(err))
		} else {
			f, _ := input.(frame.Frame)
			next.note(m.Receive(f))
		}
		e.try(m, seq+string(c), next, depth-1)
	}
}

func letter(no, yes string, v bool) string {
	if v {
		return yes
	}
	return no
}

// trace is what the actions so far amount to.
type trace struct {
	ask, arbitrate bool // a question is open
	end            string
	after          bool // there was an action after the end
	sent           string
}

// note adds actions.
func (s *trace) note(acts []admission.Action) {
	s.after = s.after || (s.end != "" && len(acts) > 0)
	for _, a := range acts {
		switch a := a.(type) {
		case admission.Send:
			s.sent += a.Frame.Type().String() + " "
		case admission.Ask:
			s.ask = true
		case admission.Arbitrate:
			s.arbitrate = true
		case admission.Up:
			s.end = "up"
		case admission.Refuse:
			s.end = "refused by " + a.By.String()
		case admission.Breach:
			s.end = "breach"
			if !errors.Is(a.Err, admission.ErrBreach) {
				s.end = fmt.Sprintf("breach that does not wrap ErrBreach: %v", a.Err)
			}
		}
	}
}

// TestEverySequence holds all permutations and repeats of up to six messages of the
// peer, with every verdict and ruling at every moment, against the oracle, in all four
// roles.
func TestEverySequence(t *testing.T) {
	for _, r := range roles {
		t.Run(r.name, func(t *testing.T) {
			e := explorer{t: t, role: r, symbols: remote}
			m := admission.New(config(r), facts(r))
			var start trace
			start.note(m.Start())
			e.try(*m, "", start, 6)
			if e.checked < 8*8*8*8*8*8 {
				t.Errorf("%d sequences, want at least 8^6", e.checked)
			}
			e.symbols = more
			for _, word := range legal[r.name] {
				for n := range word {
					e.resume(word[:n])
				}
			}
		})
	}
}

// resume plays a legal prefix and tries every symbol behind it.
func (e *explorer) resume(prefix string) {
	m := admission.New(config(e.role), facts(e.role))
	var state trace
	state.note(m.Start())
	for i := range len(prefix) {
		switch c := prefix[i]; c {
		case 'y':
			state.note(m.Judged(admission.Verdict{Admit: true}))
		case 'Y':
			state.note(m.Arbitrated(admission.Ruling{OK: true, Serial: 1}))
		default:
			f, _ := remote[c].(frame.Frame)
			state.note(m.Receive(f))
		}
	}
	state.ask, state.arbitrate = false, false // the tree has tried the answers
	e.try(*m, prefix, state, 1)
}

// What a stranger learns before it is admitted: nothing from an acceptor but a
// refusal, and the introduction, never more, from a dialer.
func TestNothingIsSaidEarly(t *testing.T) {
	for _, r := range roles {
		m := admission.New(config(r), facts(r))
		var s trace
		s.note(m.Start())
		s.note(m.Receive(hello("peer")))
		want := ""
		if r.dialed {
			want = "HELLO "
		}
		if s.sent != want {
			t.Errorf("%s said %q before its verdict, want %q", r.name, s.sent, want)
		}
		s.note(m.Judged(admission.Verdict{}))
		if want += "REJECT "; s.sent != want {
			t.Errorf("%s said %q when it refused, want %q", r.name, s.sent, want)
		}
	}
}
