package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Limits of the user's own commands, which --admit and espial serve run.
const (
	outputMax = 4 << 10 // bytes of output kept, the last ones
	reasonMax = 256     // bytes of the reason that others are told
	pipeWait  = 100 * time.Millisecond
)

// runCommand runs a command of the user's. The end of its context kills it and all that it
// started; a child that outlives the command and holds its output does not hold us. It returns
// an [exec.ExitError] if the command says that it failed, and another error if it did not run or
// printed too much (see [limited]).
func runCommand(cmd *exec.Cmd) error {
	cmd.WaitDelay = pipeWait
	ownGroup(cmd)
	cmd.Cancel = func() error { return killGroup(cmd) }
	err := cmd.Run()
	if cmd.ProcessState != nil && cmd.ProcessState.Success() && !errors.Is(err, errLong) {
		return nil // a command that does not read its input fails the copying of it
	}
	return err
}

// tail keeps the last bytes that were written to it.
type tail struct {
	max int
	b   []byte
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	p = p[max(0, n-t.max):]
	t.b = append(t.b[max(0, len(t.b)+len(p)-t.max):], p...)
	return n, nil
}

// lastLine returns the last line with something on it, at most reasonMax bytes of it.
func (t *tail) lastLine() string {
	text := strings.TrimSpace(string(t.b))
	text = strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
	return strings.ToValidUTF8(text[:min(len(text), reasonMax)], "")
}

// errLong is why what a command printed is not taken.
var errLong = fmt.Errorf("it printed more than %d bytes", stdinMax)

// limited refuses more than so many bytes.
type limited struct {
	b   *bytes.Buffer
	max int
}

// Write returns errLong for what is too much.
func (l *limited) Write(p []byte) (int, error) {
	if l.b.Len()+len(p) > l.max {
		return 0, errLong
	}
	return l.b.Write(p)
}
