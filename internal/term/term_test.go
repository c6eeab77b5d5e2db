package term_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/espial-go/espial/internal/term"
)

func TestText(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain words pass", "web-1 (eu)", "web-1 (eu)"},
		{"letters of any script pass", "größe 大きさ", "größe 大きさ"},
		{"a backslash passes", `C:\new`, `C:\new`},
		{"a colour is shown, not set", "\x1b[31mred", `\x1b[31mred`},
		{"a title is shown, not set", "a\x1b]0;b\x07", `a\x1b]0;b\a`},
		{"a line stays one line", "a\r\nb\tc", `a\r\nb\tc`},
		{"DEL and NUL", "\x7f\x00", `\x7f\x00`},
		{"the 8-bit control sequence introducer", "\u009b31m", `\u009b31m`},
		{"text turned around", "abc\u202efdp.exe", `abc\u202efdp.exe`},
		{"isolates and marks", "\u2066\u2069\u200e\u061c", `\u2066\u2069\u200e\u061c`},
		{"what nobody sees", "a\u200bb\ufeff", `a\u200bb\ufeff`},
		{"other spaces and line separators", "\u00a0\u2028\u0085", `\u00a0\u2028\u0085`},
		{"bytes that are not UTF-8", "a\xff\xc3(", `a\xff\xc3(`},
		{"the replacement character itself", "\ufffd", "\ufffd"},
		{"a tag beyond the first plane", "\U000e0041", `\U000e0041`},
		{"nothing", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := term.Text(c.in); got != c.want {
				t.Errorf("Text(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		name, in string
		max      int
		want     string
	}{
		{"what fits stays", "web-1", 5, "web-1"},
		{"what does not is shortened", "web-10", 5, "web-…"},
		{"characters count, not bytes", "größer", 6, "größer"},
		{"an escape counts as it is written", "a\x1b", 4, `a\x…`},
		{"a long text costs no more", strings.Repeat("y", 1<<20), 3, "yy…"},
		{"a character that is cut in two", strings.Repeat("大", 9), 4, "大大大…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := term.Cut(c.in, c.max); got != c.want {
				t.Errorf("Cut(%.20q, %d) = %q, want %q", c.in, c.max, got, c.want)
			}
		})
	}
}

func TestAppendJSON(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain JSON passes", `{"a":[1,true,"ü"]}`, `{"a":[1,true,"ü"]}`},
		{"escapes for browsers are undone", `"\u003cb\u003e \u0026 \\u003c"`, `"<b> & \\u003c"`},
		{"other escapes stay", `"\u001b\n\"\\"`, `"\u001b\n\"\\"`},
		{"8-bit controls and DEL", "\"\u009b\x7f\"", `"\u009b\u007f"`},
		{"text turned around", "\"\u202e\"", `"\u202e"`},
		{"beyond the first plane", "\"\U000e0041\"", `"\udb40\udc41"`},
		{"bytes that are not UTF-8", "\"\xff\"", `"\ufffd"`},
		{"lines become one", "{\n\t\"a\": 1\r\n}", `{  "a": 1  }`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(term.AppendJSON(nil, []byte(c.in))); got != c.want {
				t.Errorf("AppendJSON(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

// tame reports the first character of b that a terminal could act on.
func tame(b []byte) (bad rune, ok bool) {
	for _, r := range string(b) {
		if !strconv.IsPrint(r) {
			return r, false
		}
	}
	return 0, utf8.Valid(b)
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"web-1", "\x1b[2J", "a\u202eb", "\xff\xfe", "\U000e0041…"} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, s string, n int) {
		got := term.Text(s)
		if bad, ok := tame([]byte(got)); !ok {
			t.Fatalf("Text(%q) = %q lets %U through", s, got, bad)
		}
		if again := term.Text(got); again != got {
			t.Fatalf("Text(%q) = %q, and again %q", s, got, again)
		}
		n = n&0xff + 1
		if cut := term.Cut(s, n); utf8.RuneCountInString(cut) > n {
			t.Fatalf("Cut(%q, %d) = %q, longer than allowed", s, n, cut)
		} else if bad, ok := tame([]byte(cut)); !ok {
			t.Fatalf("Cut(%q, %d) = %q lets %U through", s, n, cut, bad)
		}
	})
}

func FuzzAppendJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":"\u003c"}`, "\"\x7f\u009b\"", "[1,\n2]", `"\\"`, `"\ud800"`, "\"\xff\"", `"\`, `\u00`, "0\\\x8b", "\U000e0041",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		got := term.AppendJSON(nil, src)
		if bad, ok := tame(got); !ok {
			t.Fatalf("AppendJSON(%q) = %q lets %U through", src, got, bad)
		}
		if want, ok := parse(src); ok {
			if have, ok := parse(got); !ok || !reflect.DeepEqual(have, want) {
				t.Fatalf("AppendJSON(%q) = %q, which means %v, want %v", src, got, have, want)
			}
		}
	})
}

func parse(b []byte) (v any, ok bool) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return v, json.Valid(b) && d.Decode(&v) == nil
}
