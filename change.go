package espial

import (
	"encoding/json"
	"time"
)

// Kind says what a [Change] reports. Its text is stable.
type Kind string

// The kinds of changes. Their names, and every name that begins with "espial.",
// are no topics: publishing or subscribing under them is an error.
const (
	Listening     Kind = "listening"       // the node takes links; Addrs says where
	AddedNode     Kind = "added_node"      // a member came
	RemovedNode   Kind = "removed_node"    // a member is gone; Cause says why
	UpdatedNode   Kind = "updated_node"    // a member changed its metadata, name or addresses
	SuspectedNode Kind = "suspected_node"  // a member is silent and may be removed
	NodeAccepted  Kind = "node_accepted"   // admission let a node in
	NodeRejected  Kind = "node_rejected"   // admission refused a node, here or there: By
	PeerAdded     Kind = "peer_added"      // a link to a member came up
	PeerRemoved   Kind = "peer_removed"    // the link to a member is gone
	Connected     Kind = "connected"       // the first peer came
	Disconnected  Kind = "disconnected"    // the last peer is gone
	Split         Kind = "split"           // members fell silent together: a judgement, see Missing
	Healed        Kind = "healed"          // one of the missing came back
	Lagged        Kind = "lagged"          // Count changes or events were lost on the way to a reader
	InDoubt       Kind = "espial.in_doubt" // a session ended; Count messages to Member may not have arrived

	NewLeader  Kind = "new_leader"         // Member leads in Term; nobody does if it is zero
	Promotion  Kind = "promotion"          // this node leads from now on
	Demotion   Kind = "demotion"           // this node leads no more; Cause says why
	QuorumLost Kind = "espial.quorum_lost" // less than a majority of a [Quorum] is there

	MethodAdded   Kind = "espial.method_added"   // Member serves Method to this node; see [Node.Methods]
	MethodRemoved Kind = "espial.method_removed" // it does no more; not said of one that is gone

	ServiceAdded   Kind = "espial.service_added"   // Member listens on Service; see [Node.Services]
	ServiceRemoved Kind = "espial.service_removed" // it does no more; not said of one that is gone

	// With [Config.StreamChanges]. Member is the other end, and By says who opened the stream.
	StreamOpened  Kind = "espial.stream_opened"  // it is on its way to a listener of Service, here or there
	StreamClosed  Kind = "espial.stream_closed"  // it is over; Reason says why if that was before its time
	StreamTimeout Kind = "espial.stream_timeout" // Dial had no answer for 10 s, or Close for 30 s

	DiskDown Kind = "espial.disk_down" // [Config.StateDir] cannot be written; Reason says why
	DiskUp   Kind = "espial.disk_up"   // it can again

	// ElectorateConflict: Surplus says which members do not fit a [Quorum]; none when
	// the conflict is over.
	ElectorateConflict Kind = "espial.electorate_conflict"
)

// Causes of a [RemovedNode].
const (
	CauseLeft     = "left"     // it said goodbye
	CauseFailed   = "failed"   // it did not
	CauseExpelled = "expelled" // the cluster put it out
)

// Change is one step in what this node knows of the cluster. Fields that do not
// apply to its Kind are zero.
type Change struct {
	Kind    Kind      // what happened
	At      time.Time // when this node saw it
	Member  Member    // whom it is about; with NodeRejected what little is known
	Cause   string    // RemovedNode: left, failed or expelled; Demotion, NewLeader: why
	Source  string    // AddedNode: the first source that named the member here
	By      string    // NodeRejected: self or peer; streams: who opened it, likewise
	Code    string    // NodeRejected: filter, cluster, version, cipher, name …
	Reason  string    // NodeRejected: its words, remote text to be quoted; DiskDown, streams: why
	Addrs   []string  // Listening: where the node takes links
	Control string    // Listening: the path of the control socket, if there is one
	Present []NodeID  // Split: who still answers, this node included
	Missing []NodeID  // Split: who does not; Healed: who is back
	Count   uint64    // Lagged, InDoubt: how many
	Method  string    // MethodAdded, MethodRemoved: its name
	Service string    // services and streams: its name
	Unknown bool      // Lagged: more than Count, and nobody can say how many

	Election string   // elections: its name, empty for the default one
	Term     uint64   // NewLeader, Promotion, Demotion: the reign
	Token    uint64   // Promotion: see Term.Token
	Surplus  []NodeID // ElectorateConflict: who does not fit
}

// MarshalJSON returns the stable shape that the command espial up --json prints.
func (c Change) MarshalJSON() ([]byte, error) {
	type member struct {
		ID          NodeID            `json:"id"`
		Name        string            `json:"name,omitempty"`
		Incarnation string            `json:"incarnation,omitempty"`
		Addrs       []string          `json:"addrs,omitempty"`
		Meta        map[string]string `json:"meta,omitempty"`
	}
	shape := struct {
		Time    string   `json:"time"`
		Change  Kind     `json:"change"`
		Member  *member  `json:"member,omitempty"`
		Cause   string   `json:"cause,omitempty"`
		Source  string   `json:"source,omitempty"`
		By      string   `json:"by,omitempty"`
		Code    string   `json:"code,omitempty"`
		Reason  string   `json:"reason,omitempty"`
		Addrs   []string `json:"addrs,omitempty"`
		Control string   `json:"control,omitempty"`
		Present []NodeID `json:"present,omitempty"`
		Missing []NodeID `json:"missing,omitempty"`
		Method  string   `json:"method,omitempty"`
		Service string   `json:"service,omitempty"`
		Count   uint64   `json:"count,omitempty"`
		Unknown bool     `json:"unknown,omitempty"`
		Leader  *Sender  `json:"leader,omitempty"`
		Term    uint64   `json:"term,omitempty"`
		Token   uint64   `json:"token,omitempty"`
		Surplus []NodeID `json:"surplus,omitempty"`
		Name    *string  `json:"election,omitempty"`
	}{
		Time: c.At.Format(time.RFC3339Nano), Change: c.Kind, Cause: c.Cause, Source: c.Source,
		By: c.By, Code: c.Code, Reason: c.Reason, Addrs: c.Addrs, Control: c.Control,
		Present: c.Present, Missing: c.Missing, Method: c.Method, Service: c.Service,
		Count: c.Count, Unknown: c.Unknown,
	}
	switch c.Kind {
	case NewLeader, Promotion, Demotion, QuorumLost, ElectorateConflict:
		shape.Term, shape.Token, shape.Surplus, shape.Name = c.Term, c.Token, c.Surplus, &c.Election
		if c.Kind == NewLeader && c.Member.ID != (NodeID{}) {
			shape.Leader = &Sender{ID: c.Member.ID, Name: c.Member.Name}
		}
		return json.Marshal(shape)
	default:
	}
	if c.Member.ID != (NodeID{}) {
		shape.Member = &member{
			ID: c.Member.ID, Name: c.Member.Name, Addrs: c.Member.Addrs, Meta: c.Member.Metadata,
		}
		if c.Member.Incarnation != 0 {
			shape.Member.Incarnation = incarnationText(c.Member.Incarnation)
		}
	}
	return json.Marshal(shape)
}
