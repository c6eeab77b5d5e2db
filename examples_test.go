//go:build unix

package espial_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestFencedExample runs the tests of examples/fenced, a module of its own whose database
// this module does not know. It downloads nothing.
func TestFencedExample(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(workingDir(t), "examples", "fenced")
	for _, args := range [][]string{{"list", "-deps", "-test", "."}, {"test", "."}} {
		cmd := goIn(t, dir, args...)
		cmd.Env = append(cmd.Env, "GOFLAGS=-mod=readonly")
		out, err := cmd.CombinedOutput()
		if err != nil && strings.Contains(string(out), "disabled by GOPROXY=off") {
			t.Skipf("modules of examples/fenced are not in the module cache; there, go mod download:\n%s", out)
		}
		if err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
}
