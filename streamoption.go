package espial

// DialOption says how a stream is opened.
type DialOption func(*dialing)

// dialing is what the options of one stream come to.
type dialing struct {
	persist bool
	bulk    bool
}

// Bulk gives the stream a connection of its own, for as long as it lives: for a transfer that
// takes all that the network has, beside which other streams to the member should not wait. It
// costs a handshake, a few round trips more than [Node.Dial] otherwise, and a socket at both
// ends. At most 16 streams to a member have one; more share the connection of the others, as
// does one for which none can be made. [StreamInfo] says which it is.
func Bulk() DialOption { return func(d *dialing) { d.bulk = true } }

// newDialing returns what opts come to.
func newDialing(opts []DialOption) (d dialing) {
	for _, opt := range opts {
		opt(&d)
	}
	return d
}

// Persist makes [Node.Streams] go on until its context or the node ends: it yields a stream to
// every member that its target comes to mean and that listens on the service, as soon as it does.
// A member has one such stream at a time, and gets another one when it comes back or listens
// anew, and a second later if their connection broke. One that is closed, or reset alone, is not
// opened again before. What fails is yielded as a [StreamError] and tried again after a second,
// then after 2, 4 and so on up to 30. Members that do not listen are waited for without a word.
//
// With [Target.One] there is one stream at a time, and to another member when it is over; with
// [Target.For] it is to the member to which the key belongs of those that listen. When the node
// ends the loop does, with [ErrClosed]. Persist has no meaning for [Node.Dial].
func Persist() DialOption { return func(d *dialing) { d.persist = true } }
