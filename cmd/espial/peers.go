package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/espial-go/espial/internal/control"
	"github.com/espial-go/espial/internal/term"
)

// newPeersCommand returns espial peers.
func newPeersCommand() *cobra.Command {
	return tableCommand(&cobra.Command{
		Use:     "peers",
		Short:   "List the links of a running node",
		Long:    `List the members to which a running node of this host keeps a link.`,
		Example: "  espial peers --node web-1",
	}, printPeers)
}

// tableCommand makes cmd ask a running node what its name says and print the answers as a
// table.
func tableCommand(cmd *cobra.Command, table func(io.Writer, []json.RawMessage) error) *cobra.Command {
	q := &question{}
	cmd.Args = wants()
	asJSON := jsonFlag(cmd, "a JSON array")
	q.command(cmd, func(cmd *cobra.Command, _ []string, n *control.Node) error {
		rows, err := collect(cmd.Context(), n, cmd.Name(), nil)
		switch {
		case err != nil:
			return err
		case *asJSON:
			return printArray(cmd.OutOrStdout(), rows)
		default:
			return table(cmd.OutOrStdout(), rows)
		}
	})
	return cmd
}

// printPeers prints peers as a table.
func printPeers(w io.Writer, peers []json.RawMessage) error {
	rows := [][]string{{"NAME", "ID", "ADDRESS", "RTT", "CIPHER", "UP", "SENT", "RECEIVED"}}
	for _, b := range peers {
		var p struct {
			ID       string    `json:"id"`
			Name     string    `json:"name"`
			Addr     string    `json:"addr"`
			RTT      float64   `json:"rtt_ms"`
			Cipher   string    `json:"cipher"`
			Since    time.Time `json:"since"`
			Sent     uint64    `json:"sent_bytes"`
			Received uint64    `json:"received_bytes"`
		}
		if err := json.Unmarshal(b, &p); err != nil {
			return fmt.Errorf("the node answered %q: %w", b, err)
		}
		rows = append(rows, []string{
			nameOf(p.Name), short(p.ID), term.Text(p.Addr), millis(p.RTT), term.Text(p.Cipher),
			time.Since(p.Since).Round(time.Second).String(), size(p.Sent), size(p.Received),
		})
	}
	return printTable(w, rows)
}

// size returns a number of bytes for a table, in powers of 1,024.
func size(n uint64) string {
	const step = 1024
	if n < step {
		return strconv.FormatUint(n, 10) + " B"
	}
	f, unit := float64(n)/step, 0
	for f >= step && unit < len("KMGTPE")-1 {
		f, unit = f/step, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTPE"[unit])
}
