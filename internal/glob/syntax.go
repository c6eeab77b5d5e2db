package glob

import (
	"fmt"
	"strings"
)

// Limits of names, topics and patterns. They are part of the protocol: a node does
// not accept from others what it would refuse from its own program.
const (
	NameMax  = 63  // bytes of a name: a DNS label (RFC 1035, section 2.3.4)
	WordMax  = 63  // bytes of one word of a topic
	WordsMax = 8   // words of a topic; it bounds what a wildcard match can cost
	TopicMax = 255 // bytes of a topic, so that its length fits in one
)

// excerptMax bounds how much of a refused text an error repeats, in bytes: the text
// may come from the network and be as long as a frame.
const excerptMax = 64

// SyntaxError reports a text that breaks the grammar. Retrying cannot help.
type SyntaxError struct {
	Kind   string // what the text was to be: "name", "topic" or "pattern"
	Text   string // the text, whole, and as hostile as its author
	Reason string // what is wrong: "word 2 is empty"
}

// Error quotes the first 64 bytes of the text, so that it is safe to print.
func (e *SyntaxError) Error() string {
	text, more := e.Text, ""
	if len(text) > excerptMax {
		text, more = text[:excerptMax], "…"
	}
	return fmt.Sprintf("glob: %s %q%s: %s", e.Kind, text, more, e.Reason)
}

// CheckName reports whether s is a name: 1 to [NameMax] of the characters a–z, 0–9,
// "-" and "_", the first and the last a letter or a digit. The error is a
// [*SyntaxError].
func CheckName(s string) error {
	if reason := nameReason(s); reason != "" {
		return &SyntaxError{Kind: "name", Text: s, Reason: reason}
	}
	return nil
}

func nameReason(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > NameMax:
		return fmt.Sprintf("is %d bytes long, at most %d", len(s), NameMax)
	}
	for i := range len(s) {
		if !nameByte(s[i]) {
			return fmt.Sprintf("byte %d is %q; allowed are a-z, 0-9, \"-\" and \"_\"", i+1, s[i:i+1])
		}
	}
	if joiner(s[0]) || joiner(s[len(s)-1]) {
		return "begins or ends with \"-\" or \"_\""
	}
	return ""
}

// CheckTopic reports whether s is a topic or a method: 1 to [WordsMax] words joined
// by dots, at most [TopicMax] bytes, each word 1 to [WordMax] of the characters A–Z,
// a–z, 0–9, "-" and "_". The error is a [*SyntaxError]. A topic may still be
// [Reserved]. A valid topic costs no allocation.
func CheckTopic(s string) error { return checkWords("topic", s, false) }

// CheckPattern reports whether s is a pattern: a topic in which a word may be "*" and
// the last may be ">". The error is a [*SyntaxError].
func CheckPattern(s string) error { return checkWords("pattern", s, true) }

// checkWords walks over s once; every publish and every received event pays for it.
func checkWords(kind, s string, wild bool) error {
	if len(s) > TopicMax {
		return &SyntaxError{kind, s, fmt.Sprintf("is %d bytes long, at most %d", len(s), TopicMax)}
	}
	word, start := 1, 0
	for i := range len(s) {
		c := s[i]
		if wordByte(c) {
			continue
		}
		if c == '.' {
			if n := i - start; n == 0 || n > WordMax {
				return &SyntaxError{kind, s, lengthReason(word, n)}
			}
			word, start = word+1, i+1
			continue
		}
		if !wild || !wildcardAt(s, i) {
			return &SyntaxError{kind, s, byteReason(word, s[i:i+1], wild)}
		}
	}
	if n := len(s) - start; n == 0 || n > WordMax {
		return &SyntaxError{kind, s, lengthReason(word, n)}
	}
	if word > WordsMax {
		return &SyntaxError{kind, s, fmt.Sprintf("has %d words, at most %d", word, WordsMax)}
	}
	return nil
}

// wildcardAt reports whether the byte at i is a whole word that is a wildcard.
func wildcardAt(s string, i int) bool {
	if i > 0 && s[i-1] != '.' {
		return false
	}
	last := i+1 == len(s)
	return s[i] == '>' && last || s[i] == '*' && (last || s[i+1] == '.')
}

func lengthReason(word, n int) string {
	if n == 0 {
		return fmt.Sprintf("word %d is empty", word)
	}
	return fmt.Sprintf("word %d is %d bytes long, at most %d", word, n, WordMax)
}

func byteReason(word int, c string, wild bool) string {
	switch {
	case wild && c == "*":
		return fmt.Sprintf("\"*\" in word %d must be the whole word", word)
	case wild && c == ">":
		return fmt.Sprintf("\">\" in word %d must be the whole last word", word)
	}
	return fmt.Sprintf("word %d contains %q; allowed are A-Z, a-z, 0-9, \"-\" and \"_\"", word, c)
}

// HostName makes the default name of a node from the name of its host: the first
// label in lower case, without the characters that a name cannot have, cut to
// [NameMax]; "node" if nothing is left. The result always passes [CheckName].
func HostName(h string) string {
	label, _, _ := strings.Cut(h, ".")
	name := make([]byte, 0, NameMax)
	for i := range len(label) {
		c := label[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		// A name cannot begin with a joiner.
		if nameByte(c) && len(name) < NameMax && (len(name) > 0 || !joiner(c)) {
			name = append(name, c)
		}
	}
	if s := strings.TrimRight(string(name), "-_"); s != "" {
		return s
	}
	return "node"
}

func joiner(c byte) bool { return c == '-' || c == '_' }

func nameByte(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || joiner(c) }

func wordByte(c byte) bool { return nameByte(c) || 'A' <= c && c <= 'Z' }
