package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/control"
)

// question is what commands that need a node have in common: which running node to ask, and
// for some of them how to join for the moment if there is none.
type question struct {
	nodeFlags
	node     string
	joins    bool                      // may join for the moment
	anyNode  bool                      // every node of a cluster gives the same answer
	check    func(args []string) error // of what can be said before a node is looked for; may be nil
	warnings io.Writer
}

// flags adds the flags of the question.
func (q *question) flags(fs *pflag.FlagSet) {
	fs.StringVar(&q.node, "node", "", "ask the running node of this `NAME` or ID, or beginning of an ID")
	if !q.joins {
		fs.StringVar(&q.cluster, "cluster", "", "ask a running node of the cluster `NAME`")
		return
	}
	fs.StringVar(&q.cluster, "cluster", "",
		"use a running node of the cluster `NAME`; if there is none, join for the moment")
	q.network(fs)
	fs.Lookup("listen").Usage = "take links at `ADDR` while joined for the moment\n(default a free port)"
}

// answer is what a command does with the node that was found, or with nil if it should join
// for the moment.
type answer func(cmd *cobra.Command, args []string, n *control.Node) error

// command makes cmd find the node and run run.
func (q *question) command(cmd *cobra.Command, run answer) {
	q.flags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		outliveReader()
		q.warnings = cmd.ErrOrStderr()
		if q.check != nil {
			if err := q.check(args); err != nil {
				return err
			}
		}
		n, err := q.find(cmd.Context())
		if err != nil {
			return err
		}
		return run(cmd, args, n)
	}
}

// find returns the running node that the flags mean. It returns nil and no error if there
// is none and the command should join for the moment.
func (q *question) find(ctx context.Context) (*control.Node, error) {
	nodes, err := control.Nodes(ctx)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	match := q.meant(nodes)
	switch {
	case len(match) == 1:
		return &match[0], nil
	case len(match) > 1:
		return q.choose(match)
	case q.joins && q.cluster != "" && q.node == "":
		return nil, nil //nolint:nilnil // documented: join for the moment
	}
	return nil, &failure{codeNoNode, q.nobody(nodes, err)}
}

// choose returns the one of several nodes that is to be asked.
func (q *question) choose(match []control.Node) (*control.Node, error) {
	oneCluster := !slices.ContainsFunc(match, func(n control.Node) bool {
		return n.Cluster != match[0].Cluster
	})
	switch {
	case q.node != "":
		return nil, usagef("--node %s means %d nodes; say more of the ID: %s",
			q.node, len(match), list(match))
	case !oneCluster && q.anyNode:
		return nil, usagef("nodes of several clusters run here; choose one with --cluster: %s", list(match))
	case !q.anyNode:
		return nil, usagef("%d nodes run here; choose one with --node: %s", len(match), list(match))
	}
	first := slices.MinFunc(match, func(a, b control.Node) int { return strings.Compare(a.ID, b.ID) })
	return &first, nil
}

// meant returns those of the nodes that the flags mean: those of that name, or else those
// whose ID begins so.
func (q *question) meant(nodes []control.Node) (match []control.Node) {
	for _, named := range []bool{true, false} {
		for _, n := range nodes {
			means := q.node == "" || named && n.Name == q.node || !named && strings.HasPrefix(n.ID, q.node)
			if means && (q.cluster == "" || n.Cluster == q.cluster) {
				match = append(match, n)
			}
		}
		if len(match) > 0 {
			break
		}
	}
	return match
}

// nobody says that no running node fits, and what to do.
func (q *question) nobody(nodes []control.Node, err error) string {
	what := "no node of yours runs here"
	switch {
	case q.node != "" && q.cluster != "":
		what = fmt.Sprintf("no node %q in cluster %q runs here", q.node, q.cluster)
	case q.node != "":
		what = fmt.Sprintf("no node %q runs here", q.node)
	case q.cluster != "":
		what = fmt.Sprintf("no node of yours in cluster %q runs here", q.cluster)
	}
	if len(nodes) > 0 {
		what += ", but " + list(nodes)
	}
	if silent, ok := errors.AsType[*control.SilentError](err); ok {
		what = strings.Replace(what, " runs here", " answers here", 1)
		return fmt.Sprintf("%s; node %s does not: is its process stopped? (%s)",
			what, silent.Name, silent.Path)
	}
	what += "; start one with: espial up"
	switch {
	case q.cluster != "":
		what += " --cluster " + q.cluster
	case q.node == "" && q.joins:
		what += ", or give --cluster to join for the moment"
	}
	if err != nil {
		what += " (" + err.Error() + ")"
	}
	return what
}

// list names nodes, the first few of them.
func list(nodes []control.Node) string {
	var words []string
	for _, n := range nodes {
		words = append(words, fmt.Sprintf("%s (%s) in %s", n.Name, short(n.ID), n.Cluster))
	}
	return few(words, ", ")
}

// show asks for one thing and prints it: as it came with --json, and else by print.
func show(verb string, asJSON *bool, print func(io.Writer, json.RawMessage) error) answer {
	return func(cmd *cobra.Command, _ []string, n *control.Node) error {
		w := cmd.OutOrStdout()
		return n.Call(cmd.Context(), verb, nil, func(b json.RawMessage) error {
			if *asJSON {
				return printer{w, true}.print(b, "")
			}
			return print(w, b)
		})
	}
}

// collect asks n and returns the pieces of its answer.
func collect(ctx context.Context, n *control.Node, verb string, args any) ([]json.RawMessage, error) {
	var pieces []json.RawMessage
	err := n.Call(ctx, verb, args, func(b json.RawMessage) error {
		pieces = append(pieces, b)
		return nil
	})
	return pieces, err
}

// join starts a node for the moment.
func (q *question) join(ctx context.Context) (*espial.Node, error) {
	c, err := q.moment()
	if err != nil {
		return nil, err
	}
	return espial.Start(ctx, c)
}

// moment returns the settings of a node for the moment.
func (q *question) moment() (espial.Config, error) {
	c, err := q.config(q.warnings)
	c.Ineligible = true
	if c.Listen == "" {
		c.Listen = "0.0.0.0:0" // the well-known port is for nodes that stay
	}
	return c, err
}

// quiet is how long no member may have come before a node for the moment takes its list
// of members for complete.
const quiet = 200 * time.Millisecond

// meet waits up to the given time until n has met the members of its cluster, and returns
// how many there are and to how many of them n has a path, n itself not counted. It returns
// an [espial.RejectedError] if all that answered refused n.
func meet(ctx context.Context, n *espial.Node, wait time.Duration) (members, reached int, err error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := accepted(ctx, n); err != nil {
		_, refused := errors.AsType[*espial.RejectedError](err)
		if !refused && errors.Is(err, context.DeadlineExceeded) {
			err = nil
		}
		return others(n), 0, err
	}
	calm := time.NewTimer(quiet)
	defer calm.Stop()
	for {
		members = others(n)
		err := n.WaitFor(ctx, members+1)
		select {
		case <-calm.C:
			if err == nil && others(n) == members {
				return members, members, nil
			}
		case <-ctx.Done():
			return others(n), reachedBy(n), nil
		}
		calm.Reset(quiet)
	}
}

// others returns how many other members n knows.
func others(n *espial.Node) int {
	count := -1
	for range n.Members() {
		count++
	}
	return count
}

// reachedBy returns how many members n has a link to.
func reachedBy(n *espial.Node) int {
	count := 0
	for range n.Peers() {
		count++
	}
	return count
}
