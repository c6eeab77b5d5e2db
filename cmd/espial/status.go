package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/term"
)

// newStatusCommand returns espial status.
func newStatusCommand() *cobra.Command {
	q := &question{}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the figures of a running node",
		Long: `Show the figures of a running node of this host: what it is, what waits now
("queues"), what was dropped since its start. Figures that are 0 are left out,
except with --json; docs/operations.md says what each means.`,
		Example: "  espial status --node web-1",
		Args:    wants(),
	}
	asJSON := jsonFlag(cmd, "one JSON object")
	q.command(cmd, show("status", asJSON, printStatus))
	return cmd
}

// printStatus prints the status of a node, a line for each figure.
func printStatus(w io.Writer, b json.RawMessage) error {
	var s espial.Status
	var leader *leaderLine
	err := json.Unmarshal(b, &s)
	if err == nil && s.Leader != nil {
		err = json.Unmarshal(s.Leader, &leader)
	}
	if err != nil {
		return fmt.Errorf("the node answered %q: %w", b, err)
	}
	uptime := time.Duration(s.Uptime * float64(time.Second)).Round(time.Second)
	lines := [][]string{
		{"node", nameOf(s.Name)},
		{"id", s.ID.String()},
		{"cluster", term.Text(s.Cluster)},
		{"version", term.Text(s.Version)},
		{"uptime", uptime.String()},
		{"addresses", addrs(s.Addrs)},
		{"members", strconv.Itoa(s.Members)},
		{"peers", strconv.Itoa(s.Peers)},
		{"leader", leader.String()},
		{"control", term.Text(s.Control)},
		{"multicast", figures(s.Multicast)},
		{"queues", figures(s.Queues)},
		{"dropped", figures(s.Dropped)},
	}
	if s.DiskError != "" {
		lines = append(lines, []string{"disk", term.Text(s.DiskError)})
	}
	return printTable(w, lines)
}

// figures returns the named numbers that are not 0 for a line, in the order of their names.
func figures(m map[string]uint64) string {
	var words []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if m[k] > 0 {
			words = append(words, fmt.Sprintf("%s %d", k, m[k]))
		}
	}
	if len(words) == 0 {
		return "-"
	}
	return term.Text(strings.Join(words, ", "))
}
