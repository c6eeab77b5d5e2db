package lease

import "time"

const (
	// rankDelay is how much longer each node waits than the one before it by age: enough
	// for the polls and claims of that one on a local network.
	rankDelay = 30 * time.Millisecond

	// turn is how long others keep back for one that is about to stand: a successor that
	// was named, or one that polls.
	turn = 100 * time.Millisecond

	// againMin bounds how often a voter can make a node poll again.
	againMin = 10 * time.Millisecond
)

// pace is the durations that follow from the lease.
type pace struct {
	lease    time.Duration
	promise  time.Duration // how long a voter is bound: (1 + ρ) / (1 − ρ) leases and a little
	guard    time.Duration // before the first vote: longer than any promise, on any clock
	renew    time.Duration // between two rounds of a leader
	patience time.Duration // with a round of an attempt: the longest round trip that works
}

func paceOf(lease time.Duration) pace {
	return pace{
		lease:    lease,
		promise:  lease + lease/40,
		guard:    lease + lease/10,
		renew:    lease / 3,
		patience: lease / 2,
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
