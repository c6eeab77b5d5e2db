package admission

import (
	"errors"
	"fmt"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// ErrBreach reports a peer that sent what the protocol does not allow at that point.
var ErrBreach = errors.New("admission: breach of the protocol")

// Config is this node's side: the same for all its connections but for Hello.Holds.
type Config struct {
	// Self is this node's ID.
	Self ident.NodeID

	// Hello is what this node says about itself. A peer must be of the same cluster
	// and protocol version.
	Hello frame.Hello

	// RequireAES refuses a connection whose cipher is not AES-GCM.
	RequireAES bool

	// Denied reports whether a node is on the denied list; nil denies nobody.
	Denied func(ident.NodeID) bool

	// CheckName returns an error for a name outside the grammar of node names. It must
	// not be nil.
	CheckName func(string) error
}

// Facts is what is known about a connection when TLS is done.
type Facts struct {
	Verified

	// Dialed reports that this end dialed.
	Dialed bool

	// AES reports that the cipher is AES-GCM.
	AES bool
}

// Machine is one end of one connection during admission. Create it with [New], call
// [Machine.Start] first, and feed it until an action is final.
type Machine struct {
	config  Config
	facts   Facts
	arbiter bool // this end rules

	greeted  bool         // our HELLO is sent
	heard    bool         // the peer's HELLO arrived
	hello    frame.Hello  // and this is it
	judged   bool         // our policy admits the peer
	accepted bool         // the peer's ACCEPT arrived
	accept   frame.Accept // and this is it
	ruling   bool         // Arbitrate waits for its answer
	ended    bool         // a final action was returned
}

// New returns a Machine for a connection with the facts given.
func New(config Config, facts Facts) *Machine {
	return &Machine{config: config, facts: facts, arbiter: config.Self.Compare(facts.ID) < 0}
}

// Start begins admission. A node that reached itself ends it here, with
// [frame.CodeSelf] and without a word on the wire; a dialer that denies the peer does
// not introduce itself.
func (m *Machine) Start() []Action {
	switch {
	case m.facts.ID == m.config.Self:
		return m.end(Refuse{By: Self, Code: frame.CodeSelf, Reason: "this node reached itself"})
	case !m.facts.Dialed:
		return nil
	case m.denied():
		return m.reject(frame.CodeDenied, "denied list")
	}
	return []Action{m.greet()}
}

// Receive takes the next frame from the peer; nil stands for an optional frame that
// this node does not know.
func (m *Machine) Receive(f frame.Frame) []Action {
	if m.ended {
		return nil
	}
	switch f := f.(type) {
	case frame.Hello:
		if !m.heard {
			return m.meet(f)
		}
	case frame.Accept:
		if m.mayAccept() {
			return m.take(f)
		}
	case frame.Reject:
		return m.end(Refuse{By: Peer, Code: f.Code, Reason: f.Reason})
	case nil:
		return m.breach("an optional frame %s", m.point())
	}
	return m.breach("%v %s", f.Type(), m.point())
}

// Undecodable takes the place of [Machine.Receive] for a frame that [frame.Decode]
// refuses with err. A peer that insists on a field of a later protocol is told so.
func (m *Machine) Undecodable(err error) []Action {
	switch {
	case m.ended:
		return nil
	case errors.Is(err, frame.ErrCritical):
		return m.reject(frame.CodeVersion, fmt.Sprintf("protocol version %d knows less", frame.Proto))
	}
	return m.end(Breach{Err: fmt.Errorf("%w: %w", ErrBreach, err)})
}

// Judged answers [Ask]. It panics if there is no question, and it returns nothing if
// admission ended meanwhile.
func (m *Machine) Judged(v Verdict) []Action {
	switch {
	case m.ended:
		return nil
	case !m.heard || m.judged:
		m.panic("verdict without a question")
	case !v.Admit && v.Code == "":
		return m.reject(frame.CodeFilter, v.Reason)
	case !v.Admit:
		return m.reject(v.Code, v.Reason)
	}
	m.judged = true
	var acts []Action
	if !m.facts.Dialed {
		acts = append(acts, m.greet())
	}
	if !m.arbiter {
		return append(acts, Send{frame.Accept{Join: v.Join}})
	}
	return append(acts, m.arbitrate()...)
}

// Arbitrated answers [Arbitrate]. It panics if there is no question, or for a link
// without a serial, and it returns nothing if admission ended meanwhile.
func (m *Machine) Arbitrated(r Ruling) []Action {
	switch {
	case m.ended:
		return nil
	case !m.ruling || (r.OK && r.Serial == 0):
		m.panic(fmt.Sprintf("ruling %+v without a question or a serial", r))
	case !r.OK && r.Full:
		return m.reject(frame.CodeFull, "no room for another link")
	case !r.OK:
		return m.reject(frame.CodeDuplicate, "the pair has another link")
	}
	up := m.end(Up{Hello: m.hello, Serial: r.Serial, Join: m.accept.Join})
	return append([]Action{Send{frame.Accept{Serial: r.Serial, Join: r.Join}}}, up...)
}

// meet judges the peer's HELLO as far as the machine can and asks for the rest.
func (m *Machine) meet(h frame.Hello) []Action {
	m.heard, m.hello = true, h
	switch {
	case m.denied():
		return m.reject(frame.CodeDenied, "denied list")
	case h.Cluster != m.config.Hello.Cluster:
		return m.reject(frame.CodeCluster, "it belongs to another cluster")
	case h.Proto != m.config.Hello.Proto:
		return m.reject(frame.CodeVersion,
			fmt.Sprintf("protocol version %d here, %d there", m.config.Hello.Proto, h.Proto))
	case m.config.CheckName(h.Name) != nil:
		return m.reject(frame.CodeName, "not a node name")
	case m.config.RequireAES && !m.facts.AES:
		return m.reject(frame.CodeCipher, "RequireAES is set and the cipher is not AES-GCM")
	}
	return []Action{Ask{
		Verified: m.facts.Verified,
		Claimed:  Claimed{Name: h.Name, Host: h.Host, Meta: h.Meta, OnDemand: h.OnDemand},
	}}
}

// mayAccept reports whether the peer may say ACCEPT now: once, after both HELLOs, and
// the arbiter only after the other end.
func (m *Machine) mayAccept() bool {
	return m.heard && m.greeted && !m.accepted && (m.arbiter || m.judged)
}

// take takes the peer's ACCEPT.
func (m *Machine) take(a frame.Accept) []Action {
	if (a.Serial == 0) != m.arbiter {
		return m.breach("ACCEPT with serial %d", a.Serial)
	}
	m.accepted, m.accept = true, a
	if !m.arbiter {
		return m.end(Up{Hello: m.hello, Serial: a.Serial, Join: a.Join})
	}
	return m.arbitrate()
}

// arbitrate asks for a ruling as soon as both policies admitted.
func (m *Machine) arbitrate() []Action {
	if !m.judged || !m.accepted {
		return nil
	}
	m.ruling = true
	return []Action{Arbitrate{Hello: m.hello}}
}

// greet says HELLO.
func (m *Machine) greet() Action {
	m.greeted = true
	return Send{m.config.Hello}
}

// denied reports whether the peer is on the denied list.
func (m *Machine) denied() bool { return m.config.Denied != nil && m.config.Denied(m.facts.ID) }

// reject tells the peer that this node does not admit it.
func (m *Machine) reject(code frame.Code, reason string) []Action {
	reason = reason[:min(len(reason), frame.ReasonMax)] // the same text at both ends
	no := m.end(Refuse{By: Self, Code: code, Reason: reason})
	return append([]Action{Send{frame.Reject{Code: code, Reason: reason}}}, no...)
}

// breach ends admission because of what the peer sent.
func (m *Machine) breach(format string, args ...any) []Action {
	return m.end(Breach{Err: fmt.Errorf("%w: %s", ErrBreach, fmt.Sprintf(format, args...))})
}

// end returns a final action.
func (m *Machine) end(a Action) []Action {
	m.ended = true
	return []Action{a}
}

// point says how far admission came.
func (m *Machine) point() string {
	switch {
	case !m.heard:
		return "before HELLO"
	case !m.judged:
		return "before the verdict"
	case m.accepted:
		return "before the ruling"
	}
	return "before ACCEPT"
}

// panic reports a call that the owner must not make.
func (m *Machine) panic(what string) {
	//nolint:forbidigo // broken invariant: the owner answers what it was not asked
	panic(fmt.Sprintf("admission: %s %s; ended %t, arbiter %t", what, m.point(), m.ended, m.arbiter))
}
