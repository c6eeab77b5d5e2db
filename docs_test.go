package espial_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// walk calls f with every file of the repository whose name ends with suffix.
func walk(t *testing.T, suffix string, f func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "." {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, suffix) {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f(path, string(b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDocsNameTestsThatExist keeps a renamed test from leaving a promise without one.
func TestDocsNameTestsThatExist(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	tests := map[string]map[string]bool{} // names by folder
	walk(t, "_test.go", func(path, text string) {
		dir := filepath.ToSlash(filepath.Dir(path))
		if tests[dir] == nil {
			tests[dir] = map[string]bool{}
		}
		for _, m := range declared.FindAllStringSubmatch(text, -1) {
			tests[dir][m[1]] = true
		}
	})
	// A folder in backquotes holds for the names up to the next semicolon or row of a table.
	word := regexp.MustCompile("`(internal/\\w+|test/\\w+|transport/\\w+|(?:Test|Fuzz)\\w+)`|;|\\|\n|\n\n")
	named := 0
	walk(t, ".md", func(path, text string) {
		dir := "."
		for _, m := range word.FindAllStringSubmatch(text, -1) {
			switch {
			case m[1] == "":
				dir = "."
			case strings.Contains(m[1], "/"):
				dir = m[1]
			default:
				named++
				if !tests[dir][m[1]] {
					t.Errorf("%s names %s in %s, which has no such test", path, m[1], dir)
				}
			}
		}
	})
	if named == 0 {
		t.Error("no document names a test; did the form of the names change?")
	}
}

// TestDocsLinkToFilesThatExist checks every relative link, and that a link to a heading of
// the same page finds it.
func TestDocsLinkToFilesThatExist(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code := regexp.MustCompile("(?ms)^```.*?^```$|`[^`\n]+`")
	heading := regexp.MustCompile(`(?m)^#+ (.+)$`)
	walk(t, ".md", func(path, text string) {
		anchors := map[string]bool{}
		for _, m := range heading.FindAllStringSubmatch(text, -1) {
			anchors[anchor(m[1])] = true
		}
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			switch {
			case strings.Contains(target, "://"):
			case target == "" && !anchors[fragment]:
				t.Errorf("%s links to #%s, and has no such heading", path, fragment)
			case target != "":
				if _, err := os.Stat(filepath.Join(filepath.Dir(path), filepath.FromSlash(target))); err != nil {
					t.Errorf("%s links to %s: %v", path, target, err)
				}
			}
		}
	})
}

// anchor returns the fragment under which a heading is found.
func anchor(heading string) string {
	keep := func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
			return r
		}
		return -1
	}
	return strings.Map(keep, strings.ToLower(heading))
}
