package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/espial-go/espial/internal/control"
	"github.com/espial-go/espial/internal/term"
)

// newLeaderCommand returns espial leader.
func newLeaderCommand() *cobra.Command {
	q := &question{anyNode: true}
	cmd := &cobra.Command{
		Use:   "leader",
		Short: "Show who leads the cluster",
		Long: `Show who leads the cluster, as a running node of this host knows it. The token
is the number of the reign, for fencing. No leader is exit code 1.`,
		Example: "  espial leader --cluster shop",
		Args:    wants(),
	}
	asJSON := jsonFlag(cmd, "one JSON object")
	q.command(cmd, show("leader", asJSON, printLeader))
	return cmd
}

// printLeader prints who leads, as a table of one row.
func printLeader(w io.Writer, b json.RawMessage) error {
	var l leaderLine
	if err := json.Unmarshal(b, &l); err != nil {
		return fmt.Errorf("the node answered %q: %w", b, err)
	}
	return printTable(w, [][]string{
		{"NAME", "ID", "TERM", "MODE"},
		{nameOf(l.Leader.Name), short(l.Leader.ID), strconv.FormatUint(l.Term, 10), term.Text(l.Mode)},
	})
}

// leaderLine is who leads, as a node tells it.
type leaderLine struct {
	Leader struct{ ID, Name string } `json:"leader"`
	Term   uint64                    `json:"term"`
	Mode   string                    `json:"mode"`
}

// String returns it for a line; nil means that nobody leads.
func (l *leaderLine) String() string {
	if l == nil {
		return "-"
	}
	return fmt.Sprintf("%s, term %d, mode %s", nameOf(l.Leader.Name), l.Term, term.Text(l.Mode))
}

// newPromoteCommand returns espial promote.
func newPromoteCommand() *cobra.Command {
	q := &question{anyNode: true}
	cmd := &cobra.Command{
		Use:   "promote NAME",
		Short: "Make a member lead the cluster",
		Long: `Make a member lead the cluster: the present leader hands over. The member is
given by its name, its ID, or the beginning of its ID. It is under way when
the command ends; espial leader tells when it is done.`,
		Example: "  espial promote web-2 --cluster shop",
		Args:    wants("NAME"),
	}
	jsonFlag(cmd, "nothing else: there is no output")
	q.command(cmd, func(cmd *cobra.Command, args []string, n *control.Node) error {
		return n.Call(cmd.Context(), "promote", map[string]string{"member": args[0]}, ignore)
	})
	return cmd
}

// newResignCommand returns espial resign.
func newResignCommand() *cobra.Command {
	q := &question{}
	cmd := &cobra.Command{
		Use:   "resign",
		Short: "Make a running node give up leading",
		Long: `Make a running node of this host give up leading: the next in rank takes over.
A node that does not lead is exit code 1.`,
		Example: "  espial resign --node web-1",
		Args:    wants(),
	}
	jsonFlag(cmd, "nothing else: there is no output")
	q.command(cmd, func(cmd *cobra.Command, _ []string, n *control.Node) error {
		return n.Call(cmd.Context(), "resign", nil, ignore)
	})
	return cmd
}

func ignore(json.RawMessage) error { return nil }
