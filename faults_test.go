package espial_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Each case of docs/faults.md stands there once and in order, says where it runs, and
// names a test or says why there is none. That the tests exist is for
// TestDocsNameTestsThatExist.
func TestFaultCasesHaveATestOrAReason(t *testing.T) {
	text, err := os.ReadFile("docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`^\| ([A-H][0-9]{2}) \| (.+?) \| (–|[USNR]( [USNR])*) \| (.+) \|$`)
	test := regexp.MustCompile("`(Test|Fuzz)[A-Za-z0-9]+`")
	folders := map[string]string{"internal/": "US", "test/ns": "N"}
	last := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if !regexp.MustCompile(`^\| [A-H][0-9]`).MatchString(line) {
			continue
		}
		m := row.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("no row of the table: %s", line)
			continue
		}
		id, where, held := m[1], m[3], m[5]
		if id <= last {
			t.Errorf("%s stands behind %s", id, last)
		}
		last = id
		if (where == "–") == test.MatchString(held) {
			t.Errorf("%s runs in %q and is held by %s", id, where, held)
		}
		for folder, tiers := range folders {
			if strings.Contains(held, folder) && !strings.ContainsAny(where, tiers) {
				t.Errorf("%s has a test in %s and says that it runs in %q", id, folder, where)
			}
		}
	}
	if last == "" {
		t.Error("the page has no cases; did the form of the rows change?")
	}
}
