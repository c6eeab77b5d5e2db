// Package flow carries flows: values, one after the other, that are the argument or the result
// of a call. The call carries a [Ticket] in place of the value. Whoever is to read the flow opens
// a stream to the member that has it, shows the number of the ticket, and gets the values until
// an item says that they end, or how.
//
// A [Desk] keeps what was offered and not taken yet. A [Writer] and a [Reader] are the two ends
// of the stream. What a value is, and how it becomes bytes, is not known here.
package flow

import "time"

// Service names the streams of flows. It has a dot, so that no user can listen on it or dial it.
const Service = "espial.flow"

// Limits of a desk.
const (
	// TakeWithin is how long a flow waits for its reader.
	TakeWithin = 30 * time.Second

	// PeerMax and DeskMax bound the flows that wait for one member, and for all.
	PeerMax = 256
	DeskMax = 4096

	// showWithin is how long the reader of a flow may take to show its ticket.
	showWithin = 5 * time.Second
)
