//go:build unix

package espial_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestModules checks and tests the modules below this one, which have what espial must not
// depend on: a database in examples/fenced, gRPC in examples/health, a driver in
// examples/postgres, the peers of espial in bench. It downloads nothing.
func TestModules(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"examples/fenced", "examples/health", "examples/postgres", "bench"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(workingDir(t), filepath.FromSlash(folder))
			for _, args := range [][]string{{"list", "-deps", "-test", "."}, {"vet", "."}, {"test", "."}} {
				cmd := goIn(t, dir, args...)
				cmd.Env = append(cmd.Env, "GOFLAGS=-mod=readonly")
				out, err := cmd.CombinedOutput()
				if err != nil && strings.Contains(string(out), "disabled by GOPROXY=off") {
					t.Skipf("modules of %s are not in the module cache; there, go mod download:\n%s", folder, out)
				}
				if err != nil {
					t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
				}
			}
		})
	}
}
