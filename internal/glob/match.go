package glob

import "strings"

// The wildcards.
const (
	one  = "*" // exactly one word
	rest = ">" // one or more words, at the end
)

// Match reports whether pattern matches topic. Both are taken to be valid: see
// [CheckPattern] and [CheckTopic]. It costs one pass and no allocation.
func Match(pattern, topic string) bool {
	for {
		p, pmore, pok := strings.Cut(pattern, ".")
		if p == rest {
			return true
		}
		t, tmore, tok := strings.Cut(topic, ".")
		if p != one && p != t || pok != tok {
			return false
		}
		if !pok {
			return true
		}
		pattern, topic = pmore, tmore
	}
}

// literal reports whether pattern has no wildcard, and so matches itself only.
func literal(pattern string) bool { return !strings.ContainsAny(pattern, one+rest) }
