package espial

// DialOption says how a stream is opened.
type DialOption func(*dialing)

// dialing is what the options of one Dial come to.
type dialing struct{}

// newDialing returns what opts come to.
func newDialing(opts []DialOption) (d dialing) {
	for _, opt := range opts {
		opt(&d)
	}
	return d
}
