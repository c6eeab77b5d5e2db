package gossip

import "time"

// long returns for how long a member must have been in the graph without a word of it, so
// that it begins with number 1: whatever is on its way comes earlier. Default 10 s.
func (c *Config) long() time.Duration { return c.AgeMax / 6 }

// tenure tells who has been in the graph for long. It keeps two former graphs in place of
// a time for each member.
type tenure struct {
	settled, aging    *Graph    // whoever is in settled was a member for long when the present graph came
	since, agingSince time.Time // of the present graph, and of aging
}

// turn takes a new graph in the place of a former one. Long is how long is long enough.
func (t *tenure) turn(now time.Time, long time.Duration, former, present *Graph) {
	switch {
	case now.Sub(t.since) >= long:
		t.settled, t.aging, t.agingSince = former, present, now
	case now.Sub(t.agingSince) >= long:
		t.settled, t.aging, t.agingSince = t.aging, present, now
	}
	t.since = now
}

// long reports whether a member of the present graph has been one for long.
func (t *tenure) long(now time.Time, long time.Duration, present *Graph, m Member) bool {
	return t.settled.lists(m) ||
		now.Sub(t.agingSince) >= long && t.aging.lists(m) ||
		now.Sub(t.since) >= long && present.lists(m)
}
