package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/control"
	"github.com/espial-go/espial/internal/term"
)

// commandsMax is how many commands of one espial serve run at a time unless --max says otherwise.
const commandsMax = 4

// server serves a method with a command.
type server struct {
	method  string
	command []string
	to      string // as espial.ParseTarget takes it
	max     int
	about   string
	json    bool
	w       io.Writer
	node    *control.Node

	mu      sync.Mutex // guards what follows, and the lines of w
	running map[uint64]context.CancelFunc
}

// flags adds the flags of a server.
func (s *server) flags(fs *pflag.FlagSet) {
	fs.StringVar(&s.to, "to", targetAll, "serve `TARGET` only: all, others, leader, a node name or pattern\n"+
		"(db-*), an ID, or KEY=VALUE of the metadata; for others the method\ndoes not exist")
	fs.IntVar(&s.max, "max", commandsMax,
		"run `N` commands at a time; who calls one more hears that it is busy")
	fs.StringVar(&s.about, "describe", "", "say in the list of methods what it does: `TEXT`")
}

// check says what is wrong with the flags.
func (s *server) check() error {
	if s.max < 1 {
		return usagef("--max: is %d, must be above 0", s.max)
	}
	if _, err := espial.ParseTarget(s.to); err != nil {
		return usagef("--to: %s", strings.TrimPrefix(err.Error(), "espial: "))
	}
	if _, err := exec.LookPath(s.command[0]); err != nil {
		return usagef("%v", err)
	}
	return nil
}

// newServeCommand returns espial serve.
func newServeCommand() *cobra.Command {
	q := &question{}
	s := &server{running: map[uint64]context.CancelFunc{}}
	cmd := &cobra.Command{
		Use:   "serve METHOD -- COMMAND [ARGUMENT…]",
		Short: "Serve a method with a command",
		Long: `Serve a method of a running node of this host with a command, until an
interrupt. For each call the command is started: it reads the argument from
its standard input, and what it prints is the result, without the last
newline. If it fails, the caller gets the last line that it wrote to standard
error. It is killed, with all that it started, when the caller gives up.

The command finds the caller's name and ID in ESPIAL_CALLER and
ESPIAL_CALLER_ID. What a caller sends is in the caller's hands: do not let a
shell expand it. A line is printed for each call.`,
		Example: `  espial serve disk.free -- df -h --output=avail /
  espial serve resize --max 2 --to role=web -- convert - -resize 50% png:-`,
		Args: wants("METHOD", "COMMAND", "ARGUMENT…"),
	}
	asJSON := jsonFlag(cmd, "one JSON object a line")
	s.flags(cmd.Flags())
	q.check = func(args []string) error {
		s.method, s.command = args[0], args[1:]
		return s.check()
	}
	q.command(cmd, func(cmd *cobra.Command, _ []string, n *control.Node) error {
		s.json, s.w, s.node = *asJSON, cmd.OutOrStdout(), n
		return unlessInterrupted(cmd.Context(), s.serve(cmd.Context()))
	})
	return cmd
}

// incoming is what the node tells of a call.
type incoming struct {
	Call uint64        `json:"call"`
	Stop bool          `json:"stop"`
	From espial.Sender `json:"from"`
	Data []byte        `json:"data"`
}

// serve serves until ctx ends or the node is gone.
func (s *server) serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return s.node.Call(ctx, "serve", map[string]any{
			"method": s.method, "to": s.to, "max": s.max, "about": s.about,
		}, func(b json.RawMessage) error {
			if string(b) == "null" { // the method is served
				return s.print(served{Serving: true}, fmt.Sprintf("served at %s", term.Text(s.node.Name)))
			}
			var c incoming
			if err := json.Unmarshal(b, &c); err != nil {
				return fmt.Errorf("the node sent %q: %w", b, err)
			}
			if c.Stop {
				s.stop(c.Call)
				return nil
			}
			call, stop := context.WithCancel(ctx)
			s.mu.Lock()
			s.running[c.Call] = stop
			s.mu.Unlock()
			g.Go(func() error {
				defer s.stop(c.Call)
				return s.answer(ctx, call, c)
			})
			return nil
		})
	})
	return g.Wait()
}

// stop ends the command of a call, if it runs.
func (s *server) stop(call uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stop := s.running[call]; stop != nil {
		stop()
		delete(s.running, call)
	}
}

// answer runs the command for a call, which is over when its context ends, and gives the node what
// it printed.
func (s *server) answer(ctx, call context.Context, c incoming) error {
	began := time.Now()
	out, err := s.run(call, c)
	failed := ""
	if err != nil {
		out, failed = nil, err.Error()
	}
	sent := s.node.Call(ctx, "answer", map[string]any{"call": c.Call, "data": out, "error": failed}, nil)
	if late, ok := errors.AsType[*control.Error](sent); ok {
		sent, failed = nil, late.Text // the caller waits no more
	}
	took := time.Since(began).Round(time.Millisecond)
	text := fmt.Sprintf("%-12s  %d bytes in %v", nameOf(c.From.Name), len(out), took)
	if failed != "" {
		text = fmt.Sprintf("%-12s  failed: %s", nameOf(c.From.Name), term.Text(failed))
	}
	line := served{From: &c.From, Bytes: len(out), Took: float64(took.Milliseconds()), Error: failed}
	return errors.Join(sent, s.print(line, text))
}

// errKilled is what a caller hears whose command was killed.
var errKilled = errors.New("the command was killed: nobody waits for it")

// run runs the command and returns what it printed, without the last newline.
func (s *server) run(ctx context.Context, c incoming) ([]byte, error) {
	var out bytes.Buffer
	complaint := &tail{max: outputMax}
	cmd := exec.CommandContext(ctx, s.command[0], s.command[1:]...) //nolint:gosec // the user's own command
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(c.Data), &limited{&out, stdinMax}, complaint
	cmd.Env = append(os.Environ(), "ESPIAL_CALLER="+c.From.Name, "ESPIAL_CALLER_ID="+c.From.ID.String())
	err := runCommand(cmd)
	switch {
	case ctx.Err() != nil:
		return nil, errKilled
	case err == nil:
		return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
	case complaint.lastLine() != "":
		return nil, errors.New(complaint.lastLine())
	default:
		return nil, fmt.Errorf("the command failed: %w", err)
	}
}

// served is one line of espial serve --json.
type served struct {
	Time    time.Time      `json:"time"`
	Method  string         `json:"method"`
	Serving bool           `json:"serving,omitempty"` // the first line
	From    *espial.Sender `json:"from,omitempty"`
	Bytes   int            `json:"bytes,omitempty"`   // of the result
	Took    float64        `json:"took_ms,omitempty"` // milliseconds
	Error   string         `json:"error,omitempty"`
}

// print prints a line.
func (s *server) print(line served, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	line.Time, line.Method = time.Now(), s.method
	text = fmt.Sprintf("%s  %-20s  %s", clock(line.Time), term.Text(s.method), text)
	return printer{s.w, s.json}.print(line, text)
}
