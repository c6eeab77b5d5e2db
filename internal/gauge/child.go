package gauge

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// Child is a process that obeys (see [Obey]): it reads an order a line and answers each with a
// line, both JSON. It ends with its input, so it does not outlive us.
type Child struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

// Start starts cmd as a child; errors call it by the name, and what it says on standard error
// is seen on ours. It is ready when it has given its first answer.
func Start(name string, cmd *exec.Cmd) (*Child, error) {
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &Child{name: name, cmd: cmd, in: in, out: bufio.NewReader(out)}, cmd.Start()
}

// Hear reads the next answer.
func (c *Child) Hear(answer any) error {
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s ended: %w", c.name, err)
	}
	return json.Unmarshal(line, answer)
}

// Ask gives an order and reads its answer.
func (c *Child) Ask(order, answer any) error {
	if err := json.NewEncoder(c.in).Encode(order); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return c.Hear(answer)
}

// End lets the child end.
func (c *Child) End() error { return errors.Join(c.in.Close(), c.cmd.Wait()) }

// Kill ends the child as a crash would.
func (c *Child) Kill() error { return Kill(c.cmd) }

// Kill ends what cmd started, as a crash would.
func Kill(cmd *exec.Cmd) error {
	_ = cmd.Process.Kill() // it may have ended, which Wait tells
	err := cmd.Wait()
	if _, killed := errors.AsType[*exec.ExitError](err); killed {
		return nil
	}
	return err
}

// Obey is the child's side: it says that it is ready, and carries out what it is told until
// the orders end. The first error of do ends it, too.
func Obey[O any](in io.Reader, out io.Writer, ready any, do func(O) (any, error)) error {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	answer := ready
	for {
		if err := answers.Encode(answer); err != nil {
			return err
		}
		var o O
		err := orders.Decode(&o)
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
