package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// peersProgram is the program of the module bench, which has the peers of espial in it.
const peersProgram = "espial-bench"

// benchPeers lets the program that has them measure the scenarios A to D. It prints what bench
// does, and more.
func benchPeers(ctx context.Context, o benchOptions, out, errs io.Writer) error {
	path, err := findPeers()
	if err != nil {
		return err
	}
	var scenarios []string
	for _, s := range []string{"A", "B", "C", "D"} {
		if o.wants(s) {
			scenarios = append(scenarios, s)
		}
	}
	receivers := strings.Trim(strings.ReplaceAll(fmt.Sprint(o.nodes), " ", ","), "[]")
	cmd := exec.CommandContext(ctx, path, //nolint:gosec // it is of this name, and asked for
		"-scenario", strings.Join(scenarios, ","), "-sizes", strconv.Itoa(o.size), "-receivers", receivers,
		"-runs", strconv.Itoa(o.runs), "-duration", o.duration.String(),
		fmt.Sprintf("-histogram=%v", o.buckets), fmt.Sprintf("-json=%v", o.json))
	cmd.Stdout, cmd.Stderr = out, errs
	if err := cmd.Run(); err != nil {
		return nof("%s: %v", path, err)
	}
	return nil
}

// findPeers returns where the program is: beside this one or on the path.
func findPeers() (string, error) {
	self, err := os.Executable()
	if err == nil {
		beside, err := exec.LookPath(filepath.Join(filepath.Dir(self), peersProgram))
		if err == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath(peersProgram)
	if errors.Is(err, exec.ErrNotFound) {
		return "", nof("--peers: there is no program %s, neither beside this one nor on the path: nothing "+
			"was measured; in a checkout of espial, make peers builds it", peersProgram)
	}
	return path, err
}
