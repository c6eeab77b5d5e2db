package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/term"
)

// newTopicsCommand returns espial topics.
func newTopicsCommand() *cobra.Command {
	return tableCommand(&cobra.Command{
		Use:   "topics",
		Short: "List the topics that a running node knows",
		Long: `List the topics on which events came to a running node of this host since it
started, its own included, and the patterns that its programs subscribe to.`,
		Example: "  espial topics --json",
	}, printTopics)
}

// printTopics prints topics as a table.
func printTopics(w io.Writer, topics []json.RawMessage) error {
	rows := [][]string{{"TOPIC", "EVENTS", "SUBSCRIPTIONS"}}
	for _, b := range topics {
		var t espial.TopicStats
		if err := json.Unmarshal(b, &t); err != nil {
			return fmt.Errorf("the node answered %q: %w", b, err)
		}
		rows = append(rows, []string{
			term.Text(t.Topic), strconv.FormatUint(t.Events, 10), strconv.Itoa(t.Subscriptions),
		})
	}
	return printTable(w, rows)
}
