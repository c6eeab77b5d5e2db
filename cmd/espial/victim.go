package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// victim is a node in a process of its own, which the demo kills.
type victim struct {
	name string
	addr string

	cmd   *exec.Cmd
	stdin io.Closer      // its end is the child's end
	drain sync.WaitGroup // reads what the child prints, so that it never waits for that
}

// startVictim starts a node as a child process and returns when it takes links. The child
// ends with this process, whatever ends this process.
func startVictim(o demoOptions, name string) (*victim, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	v := &victim{name: name}
	//nolint:gosec,noctx // it is this program; end and kill end it
	v.cmd = exec.Command(self, "up", "--until-eof", "--json", "--cluster", o.cluster, "--name", name,
		"--listen", "127.0.0.1:0", "--multicast-group", o.group, "--multicast-interface", o.iface)
	// What is meant for the user's own nodes is not meant for this one.
	v.cmd.Env = slices.DeleteFunc(os.Environ(), func(s string) bool {
		return strings.HasPrefix(s, "ESPIAL_")
	})
	ownGroup(v.cmd) // an interrupt at the terminal is for the demo, which ends its child itself
	var errs bytes.Buffer
	v.cmd.Stderr = &errs
	stdin, err := v.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	v.stdin = stdin
	stdout, err := v.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := v.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s up: %w", self, err)
	}
	out := bufio.NewReader(stdout)
	var listening struct {
		Addrs []string `json:"addrs"`
	}
	line, err := out.ReadBytes('\n') // the child listens or fails at once, so this ends
	if err == nil {
		err = json.Unmarshal(line, &listening)
	}
	if err != nil {
		v.kill()
		return nil, nof("%s did not start: %s", name, strings.TrimSpace(errs.String()))
	}
	v.addr = addrs(listening.Addrs)
	v.drain.Go(func() { _, _ = io.Copy(io.Discard, out) })
	return v, nil
}

// kill ends the child without a goodbye.
func (v *victim) kill() {
	_ = v.cmd.Process.Kill()
	v.wait()
}

// end lets the child say goodbye, and kills it if that takes too long.
func (v *victim) end() {
	_ = v.stdin.Close()
	late := time.AfterFunc(leaveMax+time.Second, func() { _ = v.cmd.Process.Kill() })
	defer late.Stop()
	v.wait()
}

// wait waits for the end of the child. Reading ends first: Wait closes the pipe.
func (v *victim) wait() {
	v.drain.Wait()
	_ = v.cmd.Wait() // how it ended is what kill and end wanted
}
