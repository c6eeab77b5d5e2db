package espial

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/council"
	"github.com/espial-go/espial/internal/engine"
	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
	"github.com/espial-go/espial/internal/session"
)

// This file is the border: what is inside has types of its own, and users see none of
// them.

const reservedReason = "the name is reserved for espial"

var (
	errGroups  = errors.New("espial: more than 64 groups at this node, or 16 KiB of their names and patterns")
	errPeers   = errors.New("espial: AddPeer has 256 addresses and takes no more")
	errTargets = errors.New("espial: Publish takes one target at most")
	errCodec   = errors.New("this node does not know the codec; Config.Codecs has those that it should")
)

// checkTopic returns a [TopicError] for a topic that nobody may publish under.
func checkTopic(topic string) error {
	if err := glob.CheckTopic(topic); err != nil {
		return topicError(topic, err)
	}
	if glob.Reserved(topic) {
		return &TopicError{Topic: topic, Reason: reservedReason}
	}
	return nil
}

func topicError(topic string, err error) error {
	reason := err.Error()
	if se, ok := errors.AsType[*glob.SyntaxError](err); ok {
		reason = se.Reason
	}
	return &TopicError{Topic: topic, Reason: reason}
}

func tooLarge(size, limit int) error {
	return fmt.Errorf("%w: %d bytes, limit %d (Config.EventMax)", ErrTooLarge, size, limit)
}

// words returns what an error from inside says, without the names of our packages, which
// are not the reader's.
func words(err error) string {
	return strings.NewReplacer("council: ", "", "disk: ", "", "engine: ", "", "frame: ", "", "glob: ", "",
		"ident: ", "", "lease: ", "", "link: ", "", "multicast: ", "", "mux: ", "").Replace(err.Error())
}

// told returns an error from inside as one of this package, nil for nil.
func told(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("espial: %s", words(err))
}

// public returns the public error for one from inside.
func (n *Node) public(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exchange.ErrNoMember):
		return ErrNoMember
	case errors.Is(err, exchange.ErrTooManyGroups):
		return errGroups
	case errors.Is(err, engine.ErrPins):
		return errPeers
	case errors.Is(err, exchange.ErrClosed), errors.Is(err, engine.ErrClosed),
		errors.Is(err, mailbox.ErrClosed):
		return ErrClosed
	case errors.Is(err, council.ErrNotMember):
		return ErrNoMember
	case errors.Is(err, council.ErrNotEligible), errors.Is(err, council.ErrNoSuccessor):
		return ErrNotEligible
	case errors.Is(err, council.ErrNoQuorum):
		return ErrNoQuorum
	case errors.Is(err, council.ErrNoLeader):
		return ErrNoLeader
	case errors.Is(err, council.ErrNotLeader):
		return ErrNotLeader
	case errors.Is(err, session.ErrTooLarge):
		return tooLarge(n.cfg.EventMax+1, n.cfg.EventMax)
	case errors.Is(err, council.ErrElectorate), errors.Is(err, council.ErrMode),
		errors.Is(err, council.ErrElections), errors.Is(err, council.ErrConflict):
		return told(err)
	}
	return err
}

// member converts a member at the border.
func member(m core.Member) Member {
	out := Member{
		ID: NodeID(m.Record.ID), Name: m.Record.Name, Incarnation: uint64(m.Record.Incarnation),
		Addrs: addrTexts(m.Record.Addrs), Metadata: m.Record.Meta, Ineligible: m.Record.Ineligible,
		Self: m.Self, FoundBy: m.Source,
	}
	if m.Suspect {
		out.State = Suspect
	}
	return out
}

// addrTexts returns the addresses as users write them: those of the default scheme
// without it.
func addrTexts(as []frame.Addr) []string {
	var out []string
	for _, a := range as {
		out = append(out, a.String())
	}
	return out
}

func incarnationText(inc uint64) string { return ident.Incarnation(inc).String() }

func (n *Node) peer(p engine.Peer) Peer {
	return Peer{
		node: n,
		ID:   NodeID(p.Member.Record.ID), Name: p.Member.Record.Name, Addr: p.Remote, Endpoint: p.Endpoint,
		RTT: p.RTT, Cipher: p.Cipher, Since: p.Since, SentBytes: p.Sent, ReceivedBytes: p.Received,
	}
}

// change converts a change at the border.
func (n *Node) change(c engine.Change) Change {
	switch c.Note {
	case engine.NoteListening:
		return Change{Kind: Listening, At: c.At, Addrs: n.Addrs(), Control: n.control}
	case engine.NoteInDoubt:
		return Change{Kind: InDoubt, At: c.At, Member: member(c.Member), Count: c.Count}
	case engine.NoteElection:
		return electionChange(c)
	case engine.NoteDiskDown:
		return Change{Kind: DiskDown, At: c.At, Reason: c.Reason}
	case engine.NoteDiskUp:
		return Change{Kind: DiskUp, At: c.At}
	case engine.NoteMethodAdded, engine.NoteMethodRemoved, engine.NoteServiceAdded, engine.NoteServiceRemoved:
		return offerChange(c)
	case engine.NoteStreamOpened, engine.NoteStreamClosed, engine.NoteStreamTimeout:
		return streamChange(c)
	case engine.NoteNone:
	}
	out := Change{
		Kind: Kind(c.Kind.String()), At: c.At, Member: member(c.Member), Cause: c.Cause.String(),
		By: c.By.String(), Code: string(c.Code), Reason: c.Reason,
		Present: memberIDs(c.Present), Missing: memberIDs(c.Missing),
	}
	switch c.Kind {
	case core.AddedNode:
		out.Source = c.Member.Source
	case core.SuspectedNode:
		out.Member.State = Suspect
	case core.RemovedNode:
		out.Member.State = Failed
		if c.Cause == core.CauseLeft {
			out.Member.State = Left
		}
	case core.Healed:
		out.Missing = []NodeID{NodeID(c.Member.Record.ID)}
	default:
	}
	return out
}

// offerChange converts a change in what a member has for others at the border.
func offerChange(c engine.Change) Change {
	out := Change{At: c.At, Member: member(c.Member), Method: c.Method, Service: c.Service}
	switch c.Note {
	case engine.NoteMethodAdded:
		out.Kind = MethodAdded
	case engine.NoteMethodRemoved:
		out.Kind = MethodRemoved
	case engine.NoteServiceAdded:
		out.Kind = ServiceAdded
	default:
		out.Kind = ServiceRemoved
	}
	return out
}

// streamChange converts what became of a stream at the border.
func streamChange(c engine.Change) Change {
	out := Change{
		Kind: StreamOpened, At: c.At, Member: member(c.Member), Service: c.Service, By: c.By.String(),
		Reason: c.Reason,
	}
	switch c.Note {
	case engine.NoteStreamClosed:
		out.Kind = StreamClosed
	case engine.NoteStreamTimeout:
		out.Kind = StreamTimeout
	default:
	}
	return out
}

// electionChange converts the report of an election at the border.
func electionChange(c engine.Change) Change {
	r := c.Report
	out := Change{
		At: c.At, Member: member(c.Member), Cause: r.Cause, Election: r.Election,
		Term: uint64(r.Term), Token: uint64(r.Token),
	}
	switch r.Kind {
	case council.NewLeader:
		out.Kind = NewLeader
	case council.Promotion:
		out.Kind = Promotion
	case council.Demotion:
		out.Kind = Demotion
	case council.QuorumLost:
		out.Kind = QuorumLost
	case council.ElectorateConflict:
		out.Kind = ElectorateConflict
		for _, id := range r.Surplus {
			out.Surplus = append(out.Surplus, NodeID(id))
		}
	}
	return out
}

func memberIDs(ms []core.Member) []NodeID {
	var out []NodeID
	for _, m := range ms {
		out = append(out, NodeID(m.Record.ID))
	}
	return out
}

// rejected converts refusals to the error of WaitFor.
func rejected(rs []core.Rejection) error {
	e := &RejectedError{}
	for _, r := range rs {
		e.Refusals = append(e.Refusals, Refusal{ID: NodeID(r.Peer), Code: string(r.Code), Reason: r.Reason})
	}
	return e
}

// policy converts a policy at the border.
func policy(p Policy) mailbox.Policy {
	switch p {
	case Block:
		return mailbox.Block
	case DropOldest:
		return mailbox.DropOldest
	case Fail:
		return mailbox.Fail
	default:
		return mailbox.Auto
	}
}

// listening is the first change of a node.
func listening() engine.Change {
	return engine.Change{Note: engine.NoteListening, Change: core.Change{At: time.Now()}}
}
