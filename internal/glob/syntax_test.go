package glob_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/glob"
)

// long returns a word of n bytes.
func long(n int) string { return strings.Repeat("x", n) }

func TestCheckName(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"one letter", "a", ""},
		{"one digit", "7", ""},
		{"letters, digits and both joiners", "web-1_eu", ""},
		{"the longest", long(63), ""},
		{"nothing", "", `glob: name "": is empty`},
		{"one byte too long", long(64), `glob: name "` + long(64) + `": is 64 bytes long, at most 63`},
		{"an upper-case letter", "webA", `glob: name "webA": byte 4 is "A"; allowed are a-z, 0-9, "-" and "_"`},
		{"a dot", "a.b", `glob: name "a.b": byte 2 is "."; allowed are a-z, 0-9, "-" and "_"`},
		{"a first dash", "-a", `glob: name "-a": begins or ends with "-" or "_"`},
		{"a last underscore", "a_", `glob: name "a_": begins or ends with "-" or "_"`},
		{"a single dash", "-", `glob: name "-": begins or ends with "-" or "_"`},
		{"a letter that is not ASCII", "café", `glob: name "café": byte 4 is "\xc3"; allowed are a-z, 0-9, "-" and "_"`},
		{"a control character", "a\x1b[2J", `glob: name "a\x1b[2J": byte 2 is "\x1b"; allowed are a-z, 0-9, "-" and "_"`},
		{"a text of a megabyte", long(1 << 20), `glob: name "` + long(64) + `"…: is 1048576 bytes long, at most 63`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { check(t, glob.CheckName(tt.in), "name", tt.in, tt.want) })
	}
}

func TestCheckTopic(t *testing.T) {
	const allowed = `allowed are A-Z, a-z, 0-9, "-" and "_"`
	tests := []struct{ name, in, want string }{
		{"one word", "orders", ""},
		{"every kind of character", "Orders_2.eu-WEST.9", ""},
		{"eight words", "a.b.c.d.e.f.g.h", ""},
		{"the longest word", "a." + long(63), ""},
		{"255 bytes", strings.Join([]string{long(63), long(63), long(63), long(63)}, "."), ""},
		{"nothing", "", `glob: topic "": word 1 is empty`},
		{"two dots in a row", "a..b", `glob: topic "a..b": word 2 is empty`},
		{"a first dot", ".a", `glob: topic ".a": word 1 is empty`},
		{"a last dot", "a.", `glob: topic "a.": word 2 is empty`},
		{"nine words", "a.b.c.d.e.f.g.h.i", `glob: topic "a.b.c.d.e.f.g.h.i": has 9 words, at most 8`},
		{"a last word too long", "a." + long(64), `glob: topic "a.` + long(62) + `"…: word 2 is 64 bytes long, at most 63`},
		{"a first word too long", long(64) + ".a", `glob: topic "` + long(64) + `"…: word 1 is 64 bytes long, at most 63`},
		{"256 bytes", long(256), `glob: topic "` + long(64) + `"…: is 256 bytes long, at most 255`},
		{"a space", "a.b c", `glob: topic "a.b c": word 2 contains " "; ` + allowed},
		{"a wildcard", "a.*", `glob: topic "a.*": word 2 contains "*"; ` + allowed},
		{"a wildcard for the rest", ">", `glob: topic ">": word 1 contains ">"; ` + allowed},
		{"a zero byte", "a\x00", `glob: topic "a\x00": word 1 contains "\x00"; ` + allowed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { check(t, glob.CheckTopic(tt.in), "topic", tt.in, tt.want) })
	}
}

func TestCheckPattern(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"a topic", "orders.placed", ""},
		{"one word of any kind", "*", ""},
		{"everything", ">", ""},
		{"wildcards between words", "*.a.*.b.*", ""},
		{"both wildcards", "*.>", ""},
		{"seven words and the rest", "a.b.c.d.e.f.g.>", ""},
		{"nothing", "", `glob: pattern "": word 1 is empty`},
		{"the rest before the end", "a.>.b", `glob: pattern "a.>.b": ">" in word 2 must be the whole last word`},
		{"a part of a word", "web-*", `glob: pattern "web-*": "*" in word 1 must be the whole word`},
		{"a wildcard with a tail", "*a", `glob: pattern "*a": "*" in word 1 must be the whole word`},
		{"two wildcards in a word", "a.**", `glob: pattern "a.**": "*" in word 2 must be the whole word`},
		{"the rest twice", ">>", `glob: pattern ">>": ">" in word 1 must be the whole last word`},
		{"a word after the rest", "a>", `glob: pattern "a>": ">" in word 1 must be the whole last word`},
		{"eight words and the rest", "a.b.c.d.e.f.g.h.>", `glob: pattern "a.b.c.d.e.f.g.h.>": has 9 words, at most 8`},
		{"a question mark", "a?", `glob: pattern "a?": word 1 contains "?"; allowed are A-Z, a-z, 0-9, "-" and "_"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { check(t, glob.CheckPattern(tt.in), "pattern", tt.in, tt.want) })
	}
}

// check compares an error with its text and its facts; want is empty for nil.
func check(t *testing.T, err error, kind, in, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("check of %s %q error = %v, want nil", kind, in, err)
		}
		return
	}
	facts, ok := errors.AsType[*glob.SyntaxError](err)
	if !ok || err.Error() != want || facts.Kind != kind || facts.Text != in {
		t.Errorf("check of %s %.80q error =\n%v, want\n%s", kind, in, err, want)
	}
}

// TestGrammarIsTheDocumentedOne compares the checks with regular expressions, on texts
// that are mostly valid.
func TestGrammarIsTheDocumentedOne(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$`)
	topic := regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63}){0,7}$`)
	pattern := regexp.MustCompile(`^(([A-Za-z0-9_-]{1,63}|\*)(\.([A-Za-z0-9_-]{1,63}|\*)){0,7}` +
		`|(([A-Za-z0-9_-]{1,63}|\*)\.){0,7}>)$`)
	text := rapid.OneOf(
		rapid.StringMatching(`[a-zA-Z0-9_.*>-]{0,10}`),
		rapid.StringMatching(`([a-zA_-]{0,3}[.]){0,8}[*>a-c]{0,2}`),
		rapid.StringMatching(`[a-z_-]{60,66}([.][a-z]{60,64}){0,4}`),
		rapid.String(),
	)
	rapid.Check(t, func(t *rapid.T) {
		s := text.Draw(t, "text")
		for _, c := range []struct {
			kind string
			err  error
			want bool
		}{
			{"name", glob.CheckName(s), name.MatchString(s)},
			{"topic", glob.CheckTopic(s), topic.MatchString(s) && len(s) <= 255},
			{"pattern", glob.CheckPattern(s), pattern.MatchString(s) && len(s) <= 255},
		} {
			if (c.err == nil) != c.want {
				t.Fatalf("check of %s %q error = %v, want valid %v", c.kind, s, c.err, c.want)
			}
		}
	})
}

func TestHostName(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"a plain name", "web1", "web1"},
		{"the first label only", "web1.example.org", "web1"},
		{"upper case becomes lower case", "DESKTOP-4QX", "desktop-4qx"},
		{"invalid characters are dropped", "Anna’s MacBook", "annasmacbook"},
		{"joiners at the ends are dropped", "-_a-b_-", "a-b"},
		{"a joiner that becomes the first is dropped", "é-a", "a"},
		{"a long name is cut", long(62) + "-" + "y", long(62)},
		{"nothing", "", "node"},
		{"nothing valid", "…", "node"},
		{"a leading dot", ".local", "node"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := glob.HostName(tt.in); got != tt.want {
				t.Errorf("HostName(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestReserved(t *testing.T) {
	for s := range strings.FieldsSeq(`listening added_node removed_node updated_node suspected_node node_accepted
		node_rejected peer_added peer_removed connected disconnected split healed new_leader new_master promotion
		demotion lagged espial espial.name_conflict espial.> espial.`) {
		if !glob.Reserved(s) {
			t.Errorf("Reserved(%q) = false, want true", s)
		}
	}
	for _, s := range []string{"", "*", ">", "orders", "espials", "espials.a", "my.espial", "split.brain", "Lagged"} {
		if glob.Reserved(s) {
			t.Errorf("Reserved(%q) = true, want false", s)
		}
	}
}

func TestCheckTopicAllocatesNothing(t *testing.T) {
	topic, pattern := "orders.eu-west.placed", "orders.*.>"
	if n := testing.AllocsPerRun(100, func() {
		if glob.CheckTopic(topic) != nil || glob.CheckPattern(pattern) != nil || glob.CheckName("web-1") != nil ||
			glob.Reserved(topic) {
			t.Fatal("a valid text was refused")
		}
	}); n != 0 {
		t.Errorf("the checks of valid texts made %v allocations, want 0", n)
	}
}

// FuzzCheck: a valid name is a topic, a valid topic is a pattern that matches itself,
// and no error repeats much of a long text or any of its control characters.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{"web-1", "orders.placed", "orders.*", ">", "a..b", "\x1b[2J", long(300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, topic, pattern := glob.CheckName(s), glob.CheckTopic(s), glob.CheckPattern(s)
		if name == nil && topic != nil || topic == nil && pattern != nil {
			t.Fatalf("checks of %q as name, topic, pattern: %v, %v, %v", s, name, topic, pattern)
		}
		if topic == nil && (!found(s, s) || !found(">", s)) {
			t.Fatalf("topic %q does not match itself and >", s)
		}
		for _, err := range []error{name, topic, pattern, glob.CheckName(glob.HostName(s))} {
			if err != nil && (len(err.Error()) > 500 || strings.ContainsFunc(err.Error(), control)) {
				t.Fatalf("check of %q: unsafe error %q", s, err.Error())
			}
		}
		if err := glob.CheckName(glob.HostName(s)); err != nil {
			t.Fatalf("HostName(%q) = %q: %v", s, glob.HostName(s), err)
		}
	})
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

func BenchmarkCheckTopic(b *testing.B) {
	for _, topic := range []string{"orders.placed.europe", "orders", long(63) + "." + long(63) + "." + long(63)} {
		b.Run(fmt.Sprint(len(topic)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if glob.CheckTopic(topic) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}
