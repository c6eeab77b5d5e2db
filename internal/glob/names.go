package glob

import "strings"

// CheckNames reports whether s is a pattern of names: a name in which "*" stands for any
// number of characters and "?" for one. The error is a [*SyntaxError].
func CheckNames(s string) error {
	plain := strings.NewReplacer("*", "a", "?", "a").Replace(s)
	if reason := nameReason(plain); reason != "" {
		return &SyntaxError{Kind: "name pattern", Text: s, Reason: reason}
	}
	return nil
}

// MatchName reports whether a pattern of names matches a name. It goes back to the last
// "*" only, so that it costs at most the product of both lengths.
func MatchName(pattern, name string) bool {
	star, from := -1, 0 // the last "*", and where in name it was tried last
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
