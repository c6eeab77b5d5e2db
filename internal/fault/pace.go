package fault

import "time"

// measureEvery is the longest time between two probes of a busy link. Its frames are
// evidence enough, but only a probe measures the round trip.
const measureEvery = 5 * time.Second

// pace holds the durations that follow from [Config].
type pace struct {
	suspect time.Duration // silence of a suspect, before the score
	remove  time.Duration // silence of the dead, before the score
	probe   time.Duration // longest silence without a probe, and between two rounds
	ask     time.Duration // silence until helpers are asked
	fresh   time.Duration // a helper is tried first if it was heard within
	reply   time.Duration // a target that was not heard for so long is reported silent
	answer  time.Duration // a round without any answer after it was missed
	late    time.Duration // a Tick later than this means that this node did not run
	prompt  time.Duration // least time between two reactions to what others say
	gap     time.Duration // least time between two probes of one member
	grace   time.Duration // for a refutation, until who is not watched is suspect
}

func paceOf(suspectAfter, removeAfter time.Duration) pace {
	return pace{
		suspect: suspectAfter * 9 / 10, // a tenth early, so that "within" holds
		remove:  removeAfter * 9 / 10,
		probe:   suspectAfter / 2,
		ask:     suspectAfter * 6 / 10,
		fresh:   suspectAfter * 6 / 10,
		reply:   suspectAfter * 4 / 10, // before the next round (Lifeguard: 80 %)
		answer:  suspectAfter,
		late:    suspectAfter / 4,
		prompt:  suspectAfter / 10,
		gap:     suspectAfter / 100,
		grace:   suspectAfter / 20, // half of what is kept back
	}
}

// earlier returns the first of two moments.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// sooner returns the first of two moments, of which a may be zero for none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() {
		return b
	}
	return earlier(a, b)
}

// later returns the last of two moments.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
