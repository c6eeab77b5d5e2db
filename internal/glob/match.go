package glob

import "strings"

// MatchTopic reports whether a pattern matches a topic. Of many patterns an [Index] finds
// those that do. It allocates nothing.
func MatchTopic(pattern, topic string) bool {
	for {
		want, patternTail, morePattern := strings.Cut(pattern, ".")
		word, topicTail, moreTopic := strings.Cut(topic, ".")
		switch {
		case want == rest:
			return true
		case want != one && want != word, morePattern != moreTopic:
			return false
		case !morePattern:
			return true
		}
		pattern, topic = patternTail, topicTail
	}
}
