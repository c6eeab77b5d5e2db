package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/espial-go/espial/internal/control"
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
	q.command(cmd, func(cmd *cobra.Command, _ []string, n *control.Node) error {
		pieces, err := collect(cmd.Context(), n, "status", nil)
		if err != nil {
			return err
		}
		for _, b := range pieces {
			if *asJSON {
				err = printer{cmd.OutOrStdout(), true}.print(b, "")
			} else {
				err = printStatus(cmd.OutOrStdout(), b)
			}
		}
		return err
	})
	return cmd
}

// printStatus prints the status of a node, a line for each figure.
func printStatus(w io.Writer, b json.RawMessage) error {
	var s struct {
		ID        string            `json:"id"`
		Name      string            `json:"name"`
		Cluster   string            `json:"cluster"`
		Version   string            `json:"version"`
		Addrs     []string          `json:"addrs"`
		Members   int               `json:"members"`
		Peers     int               `json:"peers"`
		Leader    *leaderLine       `json:"leader"`
		Uptime    float64           `json:"uptime_s"`
		Control   string            `json:"control"`
		Multicast map[string]uint64 `json:"multicast"`
		Queues    map[string]uint64 `json:"queues"`
		Dropped   map[string]uint64 `json:"dropped"`
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("the node answered %q: %w", b, err)
	}
	uptime := time.Duration(s.Uptime * float64(time.Second)).Round(time.Second)
	return printTable(w, [][]string{
		{"node", nameOf(s.Name)},
		{"id", term.Text(s.ID)},
		{"cluster", term.Text(s.Cluster)},
		{"version", term.Text(s.Version)},
		{"uptime", uptime.String()},
		{"addresses", addrs(s.Addrs)},
		{"members", strconv.Itoa(s.Members)},
		{"peers", strconv.Itoa(s.Peers)},
		{"leader", s.Leader.String()},
		{"control", term.Text(s.Control)},
		{"multicast", figures(s.Multicast)},
		{"queues", figures(s.Queues)},
		{"dropped", figures(s.Dropped)},
	})
}

// figures returns the named numbers that are not 0 for a line, in the order of their names.
func figures(m map[string]uint64) string {
	var words []string
	for _, k := range sortedKeys(m) {
		if m[k] > 0 {
			words = append(words, fmt.Sprintf("%s %d", k, m[k]))
		}
	}
	if len(words) == 0 {
		return "-"
	}
	return term.Text(strings.Join(words, ", "))
}
