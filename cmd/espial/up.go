package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/term"
)

const (
	leaveMax = 5 * time.Second // for others to take what is still queued

	// foundingWindow is how long a new node waits for somebody to accept it before it
	// believes those who refused it. Later refusals end nothing: a stranger could send them.
	foundingWindow = 3 * time.Second
)

// newUpCommand returns espial up.
func newUpCommand() *cobra.Command {
	var f nodeFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a node and print what happens in its cluster",
		Long: `Run a node in the foreground and print each change in its cluster as a line.
The first line is "listening". An interrupt (Ctrl-C, SIGTERM) sends what is
still queued and says goodbye, within 5 s; a second one ends the node at once.

With --admit a command decides who may join. It reads one line of JSON:
{"verified":{"id","addr","names"},"claimed":{"name","host","meta"}}; exit code
0 admits, and the last line of its output is the reason that the other side is
told. At most 4 run at once, for 2 s each.

A node that is refused by every node that answers in its first 3 s ends with
exit code 4.`,
		Example: "  espial up --cluster shop --name web-1 --meta role=web",
		Args:    wants(),
	}
	asJSON := jsonFlag(cmd, "one JSON object a line")
	fs := cmd.Flags()
	fs.StringVar(&f.cluster, "cluster", "default", "`NAME` of the cluster to join")
	f.identity(fs)
	f.network(fs)
	untilEOF := fs.Bool("until-eof", false, "")
	_ = fs.MarkHidden("until-eof") // for espial demo, whose child must not outlive it
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		outliveReader()
		if !fs.Changed("cluster") {
			warnf(cmd.ErrOrStderr(), `no --cluster given: this node joins "default", `+
				"as any default node on this network may")
		}
		ctx, cancel := context.WithCancel(cmd.Context())
		defer cancel()
		if *untilEOF {
			var parent sync.WaitGroup
			defer parent.Wait() // the parent closes the pipe, or dies and so closes it
			parent.Go(func() {
				defer cancel()
				_, _ = io.Copy(io.Discard, cmd.InOrStdin())
			})
		}
		c, err := f.config(cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		c.Control = !*untilEOF // in a demo another node has the socket
		return up(ctx, c, printer{cmd.OutOrStdout(), *asJSON})
	}
	return cmd
}

// up runs a node until ctx ends.
func up(ctx context.Context, c espial.Config, p printer) error {
	// The end of ctx is a goodbye that waits, which Start's own context does not give.
	n, err := espial.Start(context.WithoutCancel(ctx), c)
	if err != nil {
		return err
	}
	changes := n.Changes(context.WithoutCancel(ctx)) // until the node ends
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for c := range changes {
			if err := p.print(c, changeLine(c)); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error { return founded(gctx, n) })
	g.Go(func() error {
		select {
		case <-n.Done():
			return n.Close() // what ended it
		case <-gctx.Done():
		}
		leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveMax)
		defer cancel()
		_ = n.Leave(leave) // some did not take everything; a goodbye on demand is no failure
		return nil
	})
	return g.Wait()
}

// founded returns an error if everybody who answered a new node refused it.
func founded(ctx context.Context, n *espial.Node) error {
	window, cancel := context.WithTimeout(ctx, foundingWindow)
	defer cancel()
	err := accepted(window, n)
	if _, refused := errors.AsType[*espial.RejectedError](err); refused && ctx.Err() == nil {
		return err
	}
	return nil
}

// accepted waits until somebody accepts n. It returns an [espial.RejectedError] only when ctx
// ends and all who answered refused n, since another one may still accept it.
func accepted(ctx context.Context, n *espial.Node) error {
	const pause = 50 * time.Millisecond
	for {
		err := n.WaitFor(ctx, 2)
		if _, refused := errors.AsType[*espial.RejectedError](err); !refused {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// printer prints one value a line.
type printer struct {
	w    io.Writer
	json bool
}

// print prints v as JSON, or text.
func (p printer) print(v any, text string) error {
	line := []byte(text)
	if p.json {
		b, err := encode(v)
		if err != nil {
			return err
		}
		line = b
	}
	_, err := p.w.Write(append(line, '\n'))
	return err
}

// changeLine returns a change for people: time, kind, name, ID, and what is particular.
func changeLine(c espial.Change) string {
	name, id := "", ""
	if c.Member.ID != (espial.NodeID{}) {
		name, id = nameOf(c.Member.Name), c.Member.ID.Short()
	}
	line := fmt.Sprintf("%s  %-15s  %-12s  %-16s  %s", clock(c.At), c.Kind, name, id, changeDetail(c))
	if name == "" {
		line = fmt.Sprintf("%s  %-15s  %s", clock(c.At), c.Kind, changeDetail(c))
	}
	return strings.TrimRight(line, " ")
}

// electionDetail says what happened in an election.
func electionDetail(c espial.Change) string {
	words := []string{}
	if c.Election != "" {
		words = append(words, "election "+c.Election)
	}
	if c.Kind == espial.NewLeader && c.Member.ID == (espial.NodeID{}) {
		words = append(words, "nobody leads")
	}
	if c.Term != 0 {
		words = append(words, fmt.Sprintf("term %d", c.Term))
	}
	if c.Cause != "" {
		words = append(words, c.Cause)
	}
	if len(c.Surplus) > 0 {
		words = append(words, fmt.Sprintf("%d members do not fit", len(c.Surplus)))
	}
	return strings.Join(words, ", ")
}

// changeDetail returns what is particular to the kind of a change.
func changeDetail(c espial.Change) string {
	switch c.Kind {
	case espial.Listening:
		if c.Control == "" {
			return "on " + addrs(c.Addrs) + ", no control socket"
		}
		return "on " + addrs(c.Addrs) + ", control socket " + term.Text(c.Control)
	case espial.AddedNode:
		return strings.TrimSpace(addrs(c.Member.Addrs) + "  " + found(c.Source))
	case espial.UpdatedNode:
		return strings.TrimSpace(addrs(c.Member.Addrs) + "  " + meta(c.Member.Metadata))
	case espial.RemovedNode:
		return c.Cause
	case espial.NodeRejected:
		return strings.TrimRight(fmt.Sprintf("by %s: %s %s", c.By, term.Text(c.Code), quoted(c.Reason)), " ")
	case espial.Split:
		return fmt.Sprintf("%d answer, %d do not: %s", len(c.Present), len(c.Missing), shortIDs(c.Missing))
	case espial.NewLeader, espial.Promotion, espial.Demotion, espial.QuorumLost, espial.ElectorateConflict:
		return electionDetail(c)
	case espial.Healed:
		return "back: " + shortIDs(c.Missing)
	case espial.Lagged:
		return lagDetail(c)
	case espial.DiskDown:
		return quoted(c.Reason)
	case espial.InDoubt:
		return fmt.Sprintf("%d events may not have arrived", c.Count)
	default:
		return offerDetail(c)
	}
}

// offerDetail returns what is particular to a change in what a member has for others.
func offerDetail(c espial.Change) string {
	switch c.Kind {
	case espial.MethodAdded, espial.MethodRemoved:
		return term.Text(c.Method)
	case espial.ServiceAdded, espial.ServiceRemoved:
		return term.Text(c.Service)
	case espial.StreamOpened, espial.StreamClosed, espial.StreamTimeout:
		return streamDetail(c)
	default:
		return ""
	}
}

// streamDetail returns what is particular to a stream.
func streamDetail(c espial.Change) string {
	words := term.Text(c.Service) + ", opened by " + c.By
	if c.Reason != "" {
		words += ": " + c.Reason
	}
	return words
}

// lagDetail returns how many changes were lost.
func lagDetail(c espial.Change) string {
	if c.Unknown {
		return "an unknown number of changes is missing"
	}
	return fmt.Sprintf("%d changes are missing", c.Count)
}

// found returns how a member was found.
func found(source string) string {
	if source == "" {
		return ""
	}
	return "found by " + term.Text(source)
}

// shortIDs returns the short forms of the first few IDs.
func shortIDs(ids []espial.NodeID) string {
	var words []string
	for _, id := range ids {
		words = append(words, id.Short())
	}
	return few(words, " ")
}
