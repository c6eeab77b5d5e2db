package sim

import (
	"encoding/json"
	"hash/fnv"
	"io"
	"time"
)

// Event says what an [Entry] records.
type Event string

// What happens to the world.
const (
	EventStart  Event = "start"  // Node runs on Host
	EventKill   Event = "kill"   // Node ends without a word
	EventExit   Event = "exit"   // Node ends after it said goodbye
	EventPause  Event = "pause"  // Node is frozen
	EventResume Event = "resume" // Node runs on
	EventCut    Event = "cut"    // nothing passes from Host to To
	EventHeal   Event = "heal"   // packets pass from Host to To again
	EventLoss   Event = "loss"   // of 1,000 segments Count are lost from here on
	EventCalm   Event = "calm"   // from here on nothing goes wrong
)

// What a node sees. The changes of package core are recorded under their own names.
const (
	EventAccept  Event = "accept"  // admission with Peer ended well
	EventRefuse  Event = "refuse"  // Node refused Peer
	EventView    Event = "view"    // the members are Peers, their records hash to Count, links are with Links
	EventPublish Event = "publish" // Message took the numbers First to Last of Lane, for Peer if direct
	EventOpen    Event = "open"    // the session with Peer begins: Lane starts at First
	EventDeliver Event = "deliver" // Message of Peer, numbers First to Last of Lane
	EventLost    Event = "lost"    // Count messages of Peer will not come
	EventEnd     Event = "end"     // the session with Peer is over at this node
	EventMemory  Event = "memory"  // the fullest send log of the run held Count bytes
)

// Entry is one line of a history.
type Entry struct {
	At      time.Duration `json:"t"`              // since the start, in nanoseconds
	Event   Event         `json:"event"`          // what happened
	Node    int           `json:"node,omitempty"` // number of the process that saw it
	Peer    int           `json:"peer,omitempty"` // number of the process that it is about
	Peers   []int         `json:"peers,omitempty"`
	Links   []int         `json:"links,omitempty"`
	Host    int           `json:"host,omitempty"`
	To      int           `json:"to,omitempty"`
	Lane    uint8         `json:"lane,omitempty"`
	First   uint64        `json:"first,omitempty"`
	Last    uint64        `json:"last,omitempty"`
	Count   uint64        `json:"count,omitempty"`
	Message uint64        `json:"message,omitempty"` // number of the message, 1 and up over all nodes
	Text    string        `json:"text,omitempty"`
}

// History is what happened in a run, in order.
type History []Entry

// WriteTo writes the history as JSON lines.
func (h History) WriteTo(w io.Writer) (n int64, err error) {
	for _, e := range h {
		line, err := json.Marshal(e)
		if err != nil {
			return n, err
		}
		m, err := w.Write(append(line, '\n'))
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Hash returns a number that two histories share if and, but for chance, only if they
// are equal.
func (h History) Hash() uint64 {
	sum := fnv.New64a()
	_, _ = h.WriteTo(sum) // a hash takes every byte
	return sum.Sum64()
}
