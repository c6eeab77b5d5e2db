package glob_test

import (
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/glob"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern, topic string
		want           bool
	}{
		{"orders", "orders", true},
		{"orders", "order", false},
		{"orders", "Orders", false},
		{"orders", "orders.placed", false},
		{"orders.placed", "orders", false},
		{"orders.*", "orders.placed", true},
		{"orders.*", "orders", false},
		{"orders.*", "orders.eu.placed", false},
		{"*.placed", "orders.placed", true},
		{"*", "orders", true},
		{"*", "a.b", false},
		{"*.*", "a.b", true},
		{"*.*", "a", false},
		{"orders.>", "orders.placed", true},
		{"orders.>", "orders.eu.placed", true},
		{"orders.>", "orders", false},
		{"orders.>", "invoices.eu", false},
		{">", "a", true},
		{">", "a.b.c.d.e.f.g.h", true},
		{"*.>", "a", false},
		{"*.>", "a.b.c", true},
		{"a.*.c.>", "a.b.c.d.e", true},
		{"a.*.c.>", "a.b.x.d.e", false},
	}
	for _, tt := range tests {
		if got := found(tt.pattern, tt.topic); got != tt.want {
			t.Errorf("an Index with %q finds %q = %v, want %v", tt.pattern, tt.topic, got, tt.want)
		}
		if got := glob.MatchTopic(tt.pattern, tt.topic); got != tt.want {
			t.Errorf("MatchTopic(%q, %q) = %v, want %v", tt.pattern, tt.topic, got, tt.want)
		}
		if got := matches(tt.pattern, tt.topic); got != tt.want {
			t.Errorf("by the definition %q matches %q = %v, want %v", tt.pattern, tt.topic, got, tt.want)
		}
	}
}

// found reports whether an Index of one pattern finds it by a topic.
func found(pattern, topic string) bool {
	var x glob.Index[int]
	x.Add(pattern, 1)
	return len(x.Match(nil, topic)) == 1
}

// matches is the definition of a match, word by word and slow.
func matches(pattern, topic string) bool {
	return wordsMatch(strings.Split(pattern, "."), strings.Split(topic, "."))
}

func wordsMatch(pattern, topic []string) bool {
	switch {
	case len(pattern) == 1 && pattern[0] == ">":
		return len(topic) >= 1
	case len(pattern) == 0 || len(topic) == 0:
		return len(pattern) == len(topic)
	}
	return (pattern[0] == "*" || pattern[0] == topic[0]) && wordsMatch(pattern[1:], topic[1:])
}

// FuzzMatch: MatchTopic and an Index of one pattern agree with the definition.
func FuzzMatch(f *testing.F) {
	f.Add("orders.*", "orders.placed")
	f.Add("a.*.c.>", "a.b.c.d")
	f.Add(">", "a")
	f.Fuzz(func(t *testing.T, pattern, topic string) {
		var x glob.Index[int]
		key := x.Add(pattern, 1)
		got := len(x.Match(nil, topic)) == 1
		if glob.CheckPattern(pattern) != nil || glob.CheckTopic(topic) != nil {
			return // unspecified, but it ends
		}
		if want := matches(pattern, topic); got != want {
			t.Fatalf("Index with %q: Match(%q) = %v, want found %v", pattern, topic, got, want)
		}
		if also := glob.MatchTopic(pattern, topic); also != got {
			t.Fatalf("MatchTopic(%q, %q) = %v, want %v", pattern, topic, also, got)
		}
		if !x.Remove(key) || len(x.Match(nil, topic)) != 0 {
			t.Fatalf("Index with %q: still there after Remove", pattern)
		}
	})
}
