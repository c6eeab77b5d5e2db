package gauge_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/gauge"
)

// TestMain lets the test binary be its own child.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "double" {
		if gauge.Obey(os.Stdin, os.Stdout, "ready", double) != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// double is what the child of the tests does.
func double(n int) (any, error) {
	if n == 0 {
		return nil, errors.New("nothing to double")
	}
	return 2 * n, nil
}

func TestChild(t *testing.T) {
	for name, tt := range map[string]struct {
		order int
		want  string // part of the error, empty for none
		end   func(*gauge.Child) error
	}{
		"one that is asked answers, and ends with its input": {21, "", (*gauge.Child).End},
		"one may be killed":       {21, "", (*gauge.Child).Kill},
		"one that fails is named": {0, "the doubler ended", (*gauge.Child).Kill},
	} {
		c, err := gauge.Start("the doubler", exec.CommandContext(t.Context(), os.Args[0], "double"))
		if err != nil {
			t.Fatal(err)
		}
		var ready string
		if err := c.Hear(&ready); err != nil || ready != "ready" {
			t.Errorf("%s: it began with %q, %v, want ready", name, ready, err)
		}
		var got int
		err = c.Ask(tt.order, &got)
		switch {
		case tt.want == "" && (err != nil || got != 2*tt.order):
			t.Errorf("%s: Ask(%d) = %d, %v, want %d", name, tt.order, got, err, 2*tt.order)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: Ask(%d) = %v, want an error with %q", name, tt.order, err, tt.want)
		}
		if err := tt.end(c); err != nil {
			t.Errorf("%s: its end: %v", name, err)
		}
	}
}

func TestObey(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want string // what it answers, and its error
	}{
		"nothing is the end":         {"", "\"ready\"\n<nil>"},
		"an answer a line":           {"1\n2\n", "\"ready\"\n2\n4\n<nil>"},
		"an error ends it":           {"1\n0\n2\n", "\"ready\"\n2\nnothing to double"},
		"half an order is a failure": {"[", "\"ready\"\nunexpected EOF"},
	} {
		var out bytes.Buffer
		err := gauge.Obey(strings.NewReader(tt.in), &out, "ready", double)
		if got := out.String() + fmt.Sprint(err); got != tt.want {
			t.Errorf("%s: %q gave %q, want %q", name, tt.in, got, tt.want)
		}
	}
}
