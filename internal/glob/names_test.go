package glob_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/glob"
)

func TestMatchName(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"db-1", "db-1", true},
		{"db-1", "db-10", false},
		{"db-1", "db", false},
		{"db-?", "db-1", true},
		{"db-?", "db-", false},
		{"db-?", "db-12", false},
		{"*", "a", true},
		{"db-*", "db-", true},
		{"db-*", "db-eu-1", true},
		{"*-1", "db-eu-1", true},
		{"*-1", "db-1-2", false},
		{"db-*-1", "db-eu-1-1", true},
		{"*a*b*", "xxaxxbxx", true},
		{"*a*b*", "xxbxxaxx", false},
	} {
		if got := glob.MatchName(tt.pattern, tt.name); got != tt.want {
			t.Errorf("MatchName(%q, %q) = %v, want %v", tt.pattern, tt.name, got, tt.want)
		}
	}
}

// TestMatchNameIsTheRegularExpression: "*" is ".*" and "?" is ".".
func TestMatchNameIsTheRegularExpression(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.RuneFrom([]rune("ab*?")), 1, 8, -1).Draw(t, "pattern")
		name := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 1, 12, -1).Draw(t, "name")
		re := regexp.MustCompile("^" + strings.NewReplacer("*", ".*", "?", ".").Replace(pattern) + "$")
		if got, want := glob.MatchName(pattern, name), re.MatchString(name); got != want {
			t.Fatalf("MatchName(%q, %q) = %v, want %v", pattern, name, got, want)
		}
	})
}

func TestCheckNames(t *testing.T) {
	for _, s := range []string{"db-1", "*", "?", "db-*", "*-1", "d?-*"} {
		if err := glob.CheckNames(s); err != nil {
			t.Errorf("CheckNames(%q) = %v", s, err)
		}
	}
	for _, s := range []string{"", "-*", "DB", "a.b", "a b", ">", strings.Repeat("*", 64)} {
		if err := glob.CheckNames(s); err == nil {
			t.Errorf("CheckNames(%q) takes it", s)
		}
	}
}
