package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// process is a child: this program once more, in a role. It reads an order a line and answers
// each with a line, both JSON. It ends with its input, so it does not outlive us.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// order is what a child is to do.
type order struct {
	Do    string        `json:"do"`
	Size  int           `json:"size,omitempty"` // of one message, in bytes
	For   time.Duration `json:"for,omitempty"`
	Every time.Duration `json:"every,omitempty"` // between two messages; 0: as soon as there is room
}

// spawn starts a child in the role, for the contender, with what else it has to know. The
// child is ready when it has given its first answer. The end of ctx kills it.
func spawn(ctx context.Context, role, contender string, with any) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	spec, err := json.Marshal(with)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, role, contender, string(spec)) //nolint:gosec // runs itself
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &process{cmd: cmd, in: in, out: bufio.NewReader(out)}, cmd.Start()
}

// hear reads the next answer.
func (p *process) hear(answer any) error {
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%v ended: %w", p.cmd.Args[1:3], err)
	}
	return json.Unmarshal(line, answer)
}

// ask gives an order and reads its answer.
func (p *process) ask(o order, answer any) error {
	if err := json.NewEncoder(p.in).Encode(o); err != nil {
		return fmt.Errorf("%v: %w", p.cmd.Args[1:3], err)
	}
	return p.hear(answer)
}

// end lets the child end.
func (p *process) end() error { return errors.Join(p.in.Close(), p.cmd.Wait()) }

// kill ends the child as a crash would.
func (p *process) kill() error {
	_ = p.cmd.Process.Kill() // it may have ended, which Wait tells
	err := p.cmd.Wait()
	if _, killed := errors.AsType[*exec.ExitError](err); killed {
		return nil
	}
	return err
}

// obey is the child's side: it says that it is ready, and carries out what it is told until
// the orders end.
func obey(ready any, do func(order) (any, error)) error {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	answer := ready
	for {
		if err := out.Encode(answer); err != nil {
			return err
		}
		var o order
		err := in.Decode(&o)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			answer, err = do(o)
		}
		if err != nil {
			return err
		}
	}
}
