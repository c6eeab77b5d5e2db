package espial

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Sentinel errors. Test for them with [errors.Is]; their text may change.
var (
	// ErrClosed reports an operation on a node that was closed or has left. It
	// satisfies errors.Is(err, net.ErrClosed).
	ErrClosed = fmt.Errorf("espial: node closed: %w", net.ErrClosed)

	// ErrNoMember reports a target that is no member of the cluster (any more).
	ErrNoMember = errors.New("espial: no such member")

	// ErrTooLarge reports an event above [Config.EventMax]; nothing was sent.
	ErrTooLarge = errors.New("espial: event too large")

	// ErrNoSubscriber reports a member where nobody subscribes to what was published, or
	// nobody handled it before the subscription ended.
	ErrNoSubscriber = errors.New("espial: no subscriber")

	// ErrTooManyAcks reports an event that would be confirmed by more than 256 members.
	ErrTooManyAcks = errors.New("espial: too many members to confirm an event")

	// ErrLagged is what every [LaggedError] wraps. In an [UndeliveredError] it says of a member
	// that it fell behind or was away for so long that the event was given up; it may have it
	// all the same.
	ErrLagged = errors.New("espial: lagged")
)

// ConfigError reports a [Config] field that cannot be used. Retrying cannot help.
type ConfigError struct {
	Field  string // the name of the Config field
	Reason string // what is wrong and what the value must be
	Err    error  // the cause, if the system gave one
}

// Error names the field and says what its value must be.
func (e *ConfigError) Error() string { return "espial: config: " + e.Field + ": " + e.Reason }

// Unwrap returns the cause, nil if there is none.
func (e *ConfigError) Unwrap() error { return e.Err }

// TopicError reports a topic or pattern that is malformed or reserved for espial.
type TopicError struct {
	Topic  string // as it was given
	Reason string // what is wrong with it
}

// Error quotes the topic and says what is wrong with it.
func (e *TopicError) Error() string { return fmt.Sprintf("espial: topic %q: %s", e.Topic, e.Reason) }

// TargetError reports a target, or the name of a group, that is malformed.
type TargetError struct {
	Target string // what is wrong, as it was given
	Reason string // what is wrong with it
}

// Error quotes the target and says what is wrong with it.
func (e *TargetError) Error() string { return fmt.Sprintf("espial: target %q %s", e.Target, e.Reason) }

// UndeliveredError reports an event that was published, and not to all for whom it was
// or without all the confirmations that its publisher waited for.
type UndeliveredError struct {
	Delivered int // members that it was sent to, or that confirmed it
	Wanted    int // how many it should be

	// Missing are the members that were meant besides, and why: [ErrNoMember],
	// [ErrNoSubscriber], [ErrLagged], [ErrClosed] or the error of the context.
	Missing map[NodeID]error

	handled bool // what was wanted
}

// Error counts the members and says of each that is missing why, by ID.
func (e *UndeliveredError) Error() string {
	var b strings.Builder
	what := "have the event"
	if e.handled {
		what = "have handled the event"
	}
	fmt.Fprintf(&b, "espial: %d of %d members %s", e.Delivered, e.Wanted, what)
	sep := "; missing:"
	for _, id := range e.missing() {
		fmt.Fprintf(&b, "%s %s (%s)", sep, id.Short(), strings.TrimPrefix(e.Missing[id].Error(), "espial: "))
		sep = ","
	}
	return b.String()
}

// Unwrap returns why members are missing, so that [errors.Is] finds any of the causes.
func (e *UndeliveredError) Unwrap() []error {
	var errs []error
	for _, id := range e.missing() {
		errs = append(errs, e.Missing[id])
	}
	return errs
}

func (e *UndeliveredError) missing() []NodeID {
	return slices.SortedFunc(maps.Keys(e.Missing), func(a, b NodeID) int { return bytes.Compare(a[:], b[:]) })
}

// RejectedError reports that every node that answered refused this one.
type RejectedError struct {
	Refusals []Refusal // one for each node that refused, in order of their IDs; never empty
}

// Refusal is the verdict of one node.
type Refusal struct {
	ID     NodeID // who refused
	Code   string // filter, secret, cluster, cipher, version, full, name or denied
	Reason string // its words; remote text, so quote it where a terminal shows it
}

// Error lists the refusals; the words of others are quoted.
func (e *RejectedError) Error() string {
	var b strings.Builder
	b.WriteString("espial: refused by every node that answered:")
	for i, r := range e.Refusals {
		if i > 0 {
			b.WriteByte(';')
		}
		code := strconv.Quote(r.Code) // the peer's bytes; a word that is known needs no quotes
		fmt.Fprintf(&b, " %s: %s", r.ID.Short(), code[1:len(code)-1])
		if r.Reason != "" {
			fmt.Fprintf(&b, " (%q)", r.Reason)
		}
	}
	return b.String()
}

// LaggedError reports events that were published and never reached this
// subscription. The subscription goes on, unless its queue was full and its policy is
// [Fail].
type LaggedError struct {
	From    NodeID // whose events are missing
	Topic   string // the topic, where it is known
	Count   uint64 // how many are missing; a lower bound where Unknown
	Unknown bool   // the sender did not live to say how many
}

// Error says whose events are missing, and how many.
func (e *LaggedError) Error() string {
	if e.Unknown {
		return fmt.Sprintf("espial: lagged: an unknown number of events of %s is missing", e.From.Short())
	}
	return fmt.Sprintf("espial: lagged: %d events of %s are missing", e.Count, e.From.Short())
}

// Unwrap returns [ErrLagged].
func (e *LaggedError) Unwrap() error { return ErrLagged }
