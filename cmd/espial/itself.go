package main

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// itself returns a command that runs this program with other arguments; the end of ctx kills
// it. What the environment says to the user's own nodes is not meant for this one.
func itself(ctx context.Context, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...) //nolint:gosec // it is this program
	cmd.Env = slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "ESPIAL_") })
	return cmd, nil
}
