package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/espial-go/espial"
)

// victim is a node in a process of its own, which the demo kills and freezes.
type victim struct {
	name string
	addr string

	cmd       *exec.Cmd
	stdin     io.Closer       // its end is the child's end
	reader    sync.WaitGroup  // reads what the child prints, so that it never waits for that
	demotions chan victimLine // the last one that nobody asked for yet
}

// victimLine is what matters of a line that the child prints.
type victimLine struct {
	Time   time.Time   `json:"time"`
	Change espial.Kind `json:"change"`
	Addrs  []string    `json:"addrs"`
	Cause  string      `json:"cause"`
}

// startVictim starts a node as a child process and returns when it takes links. The child
// ends with this process, whatever ends this process.
func startVictim(ctx context.Context, o demoOptions, name string) (*victim, error) {
	args := []string{
		"up", "--until-eof", "--json", "--cluster", o.cluster, "--name", name,
		"--listen", "127.0.0.1:0", "--multicast-interface", o.iface, "--quorum", strconv.Itoa(o.quorum()),
	}
	if o.group != "" {
		args = append(args, "--multicast-group", o.group)
	}
	cmd, err := itself(context.WithoutCancel(ctx), args...) // end and kill end it
	if err != nil {
		return nil, err
	}
	v := &victim{name: name, cmd: cmd, demotions: make(chan victimLine, 1)}
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
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	out := bufio.NewReader(stdout)
	var listening victimLine
	line, err := out.ReadBytes('\n') // the child listens or fails at once, so this ends
	if err == nil {
		err = json.Unmarshal(line, &listening)
	}
	if err != nil {
		v.kill()
		return nil, nof("%s did not start: %s", name, strings.TrimSpace(errs.String()))
	}
	v.addr = addrs(listening.Addrs)
	v.reader.Go(func() { v.read(out) })
	return v, nil
}

// read takes what the child prints, until it ends.
func (v *victim) read(out *bufio.Reader) {
	for {
		line, err := out.ReadBytes('\n')
		if err != nil {
			return
		}
		var l victimLine
		if json.Unmarshal(line, &l) != nil || l.Change != espial.Demotion {
			continue
		}
		v.forget()
		v.demotions <- l // there is room, and nobody else sends
	}
}

// forget drops a demotion that nobody asked for.
func (v *victim) forget() {
	select {
	case <-v.demotions:
	default:
	}
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
	v.reader.Wait()
	_ = v.cmd.Wait() // how it ended is what kill and end wanted
}
