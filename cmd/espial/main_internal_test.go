package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"
)

// commands returns the commands that users see.
func commands() []*cobra.Command {
	var all []*cobra.Command
	for _, c := range newRoot().Commands() {
		if !c.Hidden {
			all = append(all, c)
		}
	}
	return all
}

// What README.md says of every command holds for those that are added, too.
func TestEveryCommandHasAnExampleAndJSON(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands() {
		if !strings.HasPrefix(c.Example, "  espial "+c.Name()) {
			t.Errorf("the example of espial %s is %q", c.Name(), c.Example)
		}
		if c.Short == "" || c.Long == "" || c.Flags().Lookup("json") == nil {
			t.Errorf("espial %s lacks a text or --json", c.Name())
		}
		if !strings.Contains(string(readme), "espial "+c.Name()) {
			t.Errorf("README.md does not mention espial %s", c.Name())
		}
	}
}

// full is a disk without room.
type full struct{}

var errNoRoom = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errNoRoom }

// What could not be written is no success, whoever was to write it.
func TestAFullDiskIsNoSuccess(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"--version"}, {"members", "--help"}} {
		var errs bytes.Buffer
		if code := run(args, nil, full{}, &errs); code != codeNo || !strings.Contains(errs.String(), errNoRoom.Error()) {
			t.Errorf("espial %q ends with exit code %d and %q, want %d and %q", args, code, &errs, codeNo, errNoRoom)
		}
	}
}

// TestAnInterruptedCommandEnds: also one whose output nobody reads, so that it waits for ever.
func TestAnInterruptedCommandEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan struct{})
		defer close(read)
		stuck := func() error { <-read; return nil }
		ctx, interrupt := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, interrupt)
		began := time.Now()
		err := unlessStuck(ctx, stuck)
		if took := time.Since(began) - time.Hour; took < leaveMax || took > leaveMax+2*time.Second {
			t.Errorf("it ends %v after the interrupt, want soon after the %v that a goodbye may take", took, leaveMax)
		}
		if err == nil || asFailure(err).code != codeNo {
			t.Errorf("it returns %v, want a failure with exit code %d", err, codeNo)
		}
		if err := unlessStuck(ctx, func() error { return errNoRoom }); !errors.Is(err, errNoRoom) {
			t.Errorf("a command that ends returns %v, want %v", err, errNoRoom)
		}
	})
}
