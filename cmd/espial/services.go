package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/term"
)

// newServicesCommand returns espial services.
func newServicesCommand() *cobra.Command {
	return tableCommand(&cobra.Command{
		Use:   "services",
		Short: "List the services on which members listen for streams",
		Long: `List the services on which the members listen, as they say it to a running node
of this host: what can be dialled as SERVICE.PEER.`,
		Example: "  espial services --json",
	}, printServices)
}

// printServices prints services as a table.
func printServices(w io.Writer, services []json.RawMessage) error {
	rows := [][]string{{"SERVICE", "MEMBER", "ID"}}
	for _, b := range services {
		var s espial.ServiceInfo
		if err := json.Unmarshal(b, &s); err != nil {
			return fmt.Errorf("the node answered %q: %w", b, err)
		}
		rows = append(rows, []string{term.Text(s.Service), nameOf(s.Member.Name), s.Member.ID.Short()})
	}
	return printTable(w, rows)
}
