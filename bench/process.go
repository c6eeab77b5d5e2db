package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"

	"github.com/espial-go/espial/internal/gauge"
)

// What a child is, besides a seat.
const (
	roleHub      = "hub"
	roleReceiver = "receiver" // of messages
	roleSender   = "sender"
	roleCallee   = "callee"
	roleCaller   = "caller"
	roleDrain    = "drain" // of streams
	roleSource   = "source"
)

// What a child is told to do, besides a seat.
const (
	doBegin  = "begin"  // a run, which report tells of
	doSend   = "send"   // messages
	doCall   = "call"   // one call after the other
	doFlow   = "flow"   // bytes over streams
	doOpen   = "open"   // streams, and close them
	doKeep   = "keep"   // a stream running
	doStop   = "stop"   // that one
	doCount  = "count"  // what came so far
	doReport = "report" // and what it cost, with how long each took
)

// order is what a child is to do.
type order struct {
	Do      string `json:"do"`
	Streams int    `json:"streams,omitempty"` // at once
	gauge.Load
}

// spawn starts a child in the role, for the contender, with what else it has to know. The
// child is ready when it has given its first answer. The end of ctx kills it.
func spawn(ctx context.Context, role, contender string, with any) (*gauge.Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	spec, err := json.Marshal(with)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, role, contender, string(spec)) //nolint:gosec // runs itself
	return gauge.Start(role+" of "+contender, cmd)
}
