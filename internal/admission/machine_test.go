package admission_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/espial-go/espial/internal/admission"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Two nodes; the first is the arbiter of the pair.
var (
	low  = ident.NodeID{0: 1}
	high = ident.NodeID{0: 2}
)

// role is one of the four parts that an end can play.
type role struct {
	name    string
	dialed  bool
	arbiter bool
}

var roles = []role{
	{"dialer and arbiter", true, true},
	{"dialer", true, false},
	{"acceptor and arbiter", false, true},
	{"acceptor", false, false},
}

func hello(name string) frame.Hello {
	return frame.Hello{
		Proto: frame.Proto, Cluster: [16]byte{1}, Incarnation: 5, Name: name, Host: "h.lan",
		Port: 27272, Meta: map[string]string{"role": "db"},
	}
}

// config returns the config of a node that admits everybody called a word.
func config(r role) admission.Config {
	c := admission.Config{Self: high, Hello: hello("self"), CheckName: func(name string) error {
		if name == "" || strings.ContainsAny(name, "*./\x1b\n") {
			return errors.New("not a name")
		}
		return nil
	}}
	if r.arbiter {
		c.Self = low
	}
	return c
}

func facts(r role) admission.Facts {
	f := admission.Facts{
		Verified: admission.Verified{
			ID: low, Remote: netip.MustParseAddrPort("192.0.2.7:40000"), Cipher: "TLS_AES_128_GCM_SHA256",
		},
		Dialed: r.dialed, AES: true,
	}
	if r.arbiter {
		f.ID = high
	}
	return f
}

// step is an input and the actions that must follow it.
type step struct {
	give any // nil (Start), frame.Frame, error (Undecodable), Verdict or Ruling
	want []admission.Action
}

// play feeds m the script.
func play(t *testing.T, m *admission.Machine, script []step) {
	t.Helper()
	for i, s := range script {
		var got []admission.Action
		switch give := s.give.(type) {
		case nil:
			got = m.Start()
		case frame.Frame:
			got = m.Receive(give)
		case error:
			got = m.Undecodable(give)
		case admission.Verdict:
			got = m.Judged(give)
		case admission.Ruling:
			got = m.Arbitrated(give)
		}
		if diff := cmp.Diff(s.want, got, cmpopts.EquateErrors(), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
			t.Fatalf("step %d: %T %+v (-want +got):\n%s", i, s.give, s.give, diff)
		}
	}
}

func ask(r role) admission.Action {
	return admission.Ask{
		Verified: facts(r).Verified,
		Claimed:  admission.Claimed{Name: "peer", Host: "h.lan", Meta: map[string]string{"role": "db"}},
	}
}

func acts(a ...admission.Action) []admission.Action { return a }

var (
	sendHello  = admission.Send{Frame: hello("self")}
	peerHello  = hello("peer")
	breach     = admission.Breach{Err: admission.ErrBreach}
	admit      = admission.Verdict{Admit: true, Join: 7}
	sendAccept = admission.Send{Frame: frame.Accept{Join: 7}} // of the end that does not rule
	yes        = admission.Ruling{OK: true, Serial: 3, Join: 9}
	sendRuled  = admission.Send{Frame: frame.Accept{Serial: 3, Join: 9}} // of the arbiter
	peerAccept = frame.Accept{Join: 4}                                   // to the arbiter
	peerRuled  = frame.Accept{Serial: 6, Join: 4}                        // from the arbiter
)

// refuse is how this end refuses.
func refuse(code frame.Code, reason string) []admission.Action {
	return acts(
		admission.Send{Frame: frame.Reject{Code: code, Reason: reason}},
		admission.Refuse{By: admission.Self, Code: code, Reason: reason},
	)
}

func TestGoodSequences(t *testing.T) {
	up := admission.Up{Hello: peerHello, Serial: 6, Join: 4}
	ruled := admission.Up{Hello: peerHello, Serial: 3, Join: 4}
	scripts := map[string][]step{
		"dialer and arbiter": {
			{nil, acts(sendHello)},
			{peerHello, acts(ask(roles[0]))},
			{admit, nil},
			{peerAccept, acts(admission.Arbitrate{Hello: peerHello})},
			{yes, acts(sendRuled, ruled)},
		},
		"dialer and arbiter, ACCEPT before the verdict": {
			{nil, acts(sendHello)},
			{peerHello, acts(ask(roles[0]))},
			{peerAccept, nil},
			{admit, acts(admission.Arbitrate{Hello: peerHello})},
			{yes, acts(sendRuled, ruled)},
		},
		"dialer": {
			{nil, acts(sendHello)},
			{peerHello, acts(ask(roles[1]))},
			{admit, acts(sendAccept)},
			{peerRuled, acts(up)},
		},
		"acceptor and arbiter": {
			{nil, nil},
			{peerHello, acts(ask(roles[2]))},
			{admit, acts(sendHello)},
			{peerAccept, acts(admission.Arbitrate{Hello: peerHello})},
			{yes, acts(sendRuled, ruled)},
		},
		"acceptor": {
			{nil, nil},
			{peerHello, acts(ask(roles[3]))},
			{admit, acts(sendHello, sendAccept)},
			{peerRuled, acts(up)},
		},
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			part, _, _ := strings.Cut(name, ",")
			for _, r := range roles {
				if r.name == part {
					play(t, admission.New(config(r), facts(r)), script)
				}
			}
		})
	}
}

// The policy in its order: each case leaves everything behind its own test wrong too.
func TestPolicy(t *testing.T) {
	type setup struct {
		config admission.Config
		facts  admission.Facts
		hello  frame.Hello
	}
	noAES := func(s *setup) { s.config.RequireAES, s.facts.AES = true, false }
	name := func(s *setup) { noAES(s); s.hello.Name = "\x1b[2J" }
	version := func(s *setup) { name(s); s.hello.Proto = 2 }
	cluster := func(s *setup) { version(s); s.hello.Cluster = [16]byte{2} }
	denied := func(s *setup) { cluster(s); s.config.Denied = func(id ident.NodeID) bool { return id == s.facts.ID } }
	tests := []struct {
		name string
		edit func(s *setup)
		want []admission.Action
	}{
		{"denied", denied, refuse(frame.CodeDenied, "denied list")},
		{"another cluster", cluster, refuse(frame.CodeCluster, "it belongs to another cluster")},
		{"another version", version, refuse(frame.CodeVersion, "protocol version 1 here, 2 there")},
		{"a name outside the grammar", name, refuse(frame.CodeName, "not a node name")},
		{
			"a cipher without AES", noAES,
			refuse(frame.CodeCipher, "RequireAES is set and the cipher is not AES-GCM"),
		},
		{"a denied list without the peer", func(s *setup) {
			s.config.Denied = func(ident.NodeID) bool { return false }
		}, acts(ask(roles[3]))},
		{"AES required and present", func(s *setup) { s.config.RequireAES = true }, acts(ask(roles[3]))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := setup{config(roles[3]), facts(roles[3]), hello("peer")}
			tt.edit(&s)
			play(t, admission.New(s.config, s.facts), []step{{nil, nil}, {s.hello, tt.want}})
		})
	}
}

func TestDialerDoesNotIntroduceItselfToADeniedNode(t *testing.T) {
	c := config(roles[0])
	c.Denied = func(ident.NodeID) bool { return true }
	play(t, admission.New(c, facts(roles[0])), []step{
		{nil, refuse(frame.CodeDenied, "denied list")},
		{peerHello, nil},
	})
}

func TestNodeThatReachedItselfSaysNothing(t *testing.T) {
	for _, r := range roles {
		f := facts(r)
		f.ID = config(r).Self
		m := admission.New(config(r), f)
		play(t, m, []step{
			{nil, acts(admission.Refuse{By: admission.Self, Code: frame.CodeSelf, Reason: "this node reached itself"})},
			{hello("self"), nil},
		})
	}
}

func TestRejectAtEveryStep(t *testing.T) {
	give := frame.Reject{Code: "what\x1b", Reason: "ever"}
	want := acts(admission.Refuse{By: admission.Peer, Code: "what\x1b", Reason: "ever"})
	for _, r := range roles {
		answer := frame.Frame(peerRuled)
		if r.arbiter {
			answer = peerAccept
		}
		inputs := []func(m *admission.Machine){
			func(m *admission.Machine) { m.Start() },
			func(m *admission.Machine) { m.Receive(peerHello) },
			func(m *admission.Machine) { m.Judged(admit) },
			func(m *admission.Machine) { m.Receive(answer) },
		}
		if !r.arbiter {
			inputs = inputs[:3] // the fourth is the end
		}
		for n := range inputs {
			m := admission.New(config(r), facts(r))
			for _, input := range inputs[:n+1] {
				input(m)
			}
			if diff := cmp.Diff(want, m.Receive(give)); diff != "" {
				t.Errorf("%s, REJECT after %d steps (-want +got):\n%s", r.name, n+1, diff)
			}
			for _, late := range [][]admission.Action{m.Judged(admit), m.Arbitrated(yes), m.Receive(peerHello)} {
				if late != nil {
					t.Errorf("%s: %+v after the end", r.name, late)
				}
			}
		}
	}
}

func TestVerdictsThatRefuse(t *testing.T) {
	long := strings.Repeat("r", 1000)
	tests := []struct {
		name string
		give admission.Verdict
		want []admission.Action
	}{
		{"the filter", admission.Verdict{Reason: "not today"}, refuse(frame.CodeFilter, "not today")},
		{"the filter without a reason", admission.Verdict{}, refuse(frame.CodeFilter, "")},
		{"another code", admission.Verdict{Code: frame.CodeFull, Reason: "1,024 links"}, refuse(frame.CodeFull, "1,024 links")},
		{"a long reason", admission.Verdict{Reason: long}, refuse(frame.CodeFilter, long[:frame.ReasonMax])},
	}
	for _, tt := range tests {
		for _, r := range roles {
			t.Run(tt.name+", "+r.name, func(t *testing.T) {
				m := admission.New(config(r), facts(r))
				m.Start()
				play(t, m, []step{{peerHello, acts(ask(r))}, {tt.give, tt.want}, {peerRuled, nil}})
			})
		}
	}
}

func TestRulingThatRefuses(t *testing.T) {
	m := admission.New(config(roles[2]), facts(roles[2]))
	play(t, m, []step{
		{nil, nil},
		{peerHello, acts(ask(roles[2]))},
		{admit, acts(sendHello)},
		{peerAccept, acts(admission.Arbitrate{Hello: peerHello})},
		{admission.Ruling{}, refuse(frame.CodeDuplicate, "the pair has another link")},
	})
}

func TestUndecodable(t *testing.T) {
	critical := frame.ErrCritical
	want := acts(
		admission.Send{Frame: frame.Reject{Code: frame.CodeVersion, Reason: "protocol version 1 knows less"}},
		admission.Refuse{By: admission.Self, Code: frame.CodeVersion, Reason: "protocol version 1 knows less"},
	)
	for _, r := range roles {
		m := admission.New(config(r), facts(r))
		m.Start()
		play(t, m, []step{{critical, want}, {critical, nil}})
		m = admission.New(config(r), facts(r))
		m.Start()
		play(t, m, []step{{frame.ErrMalformed, acts(breach)}, {frame.ErrMalformed, nil}})
	}
}

func TestOwnerWhoAnswersWithoutAQuestionPanics(t *testing.T) {
	tests := map[string]func(m *admission.Machine){
		"a verdict before HELLO": func(m *admission.Machine) { m.Judged(admit) },
		"a second verdict":       func(m *admission.Machine) { m.Receive(peerHello); m.Judged(admit); m.Judged(admit) },
		"a ruling before ACCEPT": func(m *admission.Machine) { m.Receive(peerHello); m.Judged(admit); m.Arbitrated(yes) },
		"a ruling without a serial": func(m *admission.Machine) {
			m.Receive(peerHello)
			m.Judged(admit)
			m.Receive(peerAccept)
			m.Arbitrated(admission.Ruling{OK: true})
		},
	}
	for name, call := range tests {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			m := admission.New(config(roles[0]), facts(roles[0]))
			m.Start()
			call(m)
		}()
	}
}

func TestSides(t *testing.T) {
	if admission.Self.String() != "self" || admission.Peer.String() != "peer" {
		t.Errorf("sides are %v and %v, want self and peer", admission.Self, admission.Peer)
	}
}
