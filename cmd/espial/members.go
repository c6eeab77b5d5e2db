package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/espial-go/espial/internal/control"
	"github.com/espial-go/espial/internal/term"
)

// joinWait is how long a node for the moment looks for others.
const joinWait = time.Second

// newMembersCommand returns espial members.
func newMembersCommand() *cobra.Command {
	q := &question{joins: true, anyNode: true}
	cmd := &cobra.Command{
		Use:   "members",
		Short: "List the members of the cluster",
		Long: `List the members of the cluster as a running node of this host sees them; *
marks that node. If none runs and --cluster is given, join the cluster for the
moment, wait up to 1 s for others, and list those; nobody there is exit code
1.`,
		Example: "  espial members --cluster shop",
		Args:    wants(),
	}
	asJSON := jsonFlag(cmd, "a JSON array")
	q.command(cmd, func(cmd *cobra.Command, _ []string, n *control.Node) error {
		var members []json.RawMessage
		var err error
		if n != nil {
			members, err = collect(cmd.Context(), n, "members", nil)
		} else {
			members, err = q.look(cmd)
		}
		if err != nil {
			return err
		}
		if *asJSON {
			err = printArray(cmd.OutOrStdout(), members)
		} else if len(members) > 0 {
			err = printMembers(cmd.OutOrStdout(), members)
		}
		if err == nil && len(members) == 0 {
			return nof("no member of cluster %q answered within %v", q.cluster, joinWait)
		}
		return err
	})
	return cmd
}

// look joins for the moment and returns the other members.
func (q *question) look(cmd *cobra.Command) ([]json.RawMessage, error) {
	n, err := q.join(cmd.Context())
	if err != nil {
		return nil, err
	}
	defer func() { _ = n.Close() }()
	if _, _, err := meet(cmd.Context(), n, joinWait); err != nil {
		return nil, err
	}
	var members []json.RawMessage
	for m := range n.Members() {
		if m.Self {
			continue
		}
		b, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		members = append(members, b)
	}
	return members, nil
}

// printMembers prints members as a table.
func printMembers(w io.Writer, members []json.RawMessage) error {
	rows := [][]string{{"  NAME", "ID", "STATE", "RTT", "FOUND BY", "ADDRESSES", "METADATA"}}
	for _, b := range members {
		var m struct {
			ID      string            `json:"id"`
			Name    string            `json:"name"`
			State   string            `json:"state"`
			Addrs   []string          `json:"addrs"`
			Meta    map[string]string `json:"meta"`
			Self    bool              `json:"self"`
			RTT     float64           `json:"rtt_ms"`
			FoundBy string            `json:"found_by"`
		}
		if err := json.Unmarshal(b, &m); err != nil {
			return fmt.Errorf("the node answered %q: %w", b, err)
		}
		mark := "  "
		if m.Self {
			mark = "* "
		}
		rows = append(rows, []string{
			mark + nameOf(m.Name), short(m.ID), term.Text(m.State), millis(m.RTT),
			cmp.Or(term.Text(m.FoundBy), "-"), addrs(m.Addrs), meta(m.Meta),
		})
	}
	return printTable(w, rows)
}
