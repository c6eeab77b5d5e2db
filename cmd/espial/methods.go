package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/term"
)

// newMethodsCommand returns espial methods.
func newMethodsCommand() *cobra.Command {
	return tableCommand(&cobra.Command{
		Use:   "methods",
		Short: "List the methods that members serve",
		Long: `List the methods that the members serve to a running node of this host, as they
say it: who serves what, the types of argument and result as that program
names them, and what it is for. A method that is not for this node is not
here.`,
		Example: "  espial methods --json",
	}, printMethods)
}

// printMethods prints methods as a table.
func printMethods(w io.Writer, methods []json.RawMessage) error {
	rows := [][]string{{"METHOD", "MEMBER", "ARGUMENT", "RESULT", "DESCRIPTION"}}
	for _, b := range methods {
		var m espial.MethodInfo
		if err := json.Unmarshal(b, &m); err != nil {
			return fmt.Errorf("the node answered %q: %w", b, err)
		}
		rows = append(rows, []string{
			term.Text(m.Method), nameOf(m.Member.Name), typeOf(m.Argument), typeOf(m.Result),
			term.Text(m.Description),
		})
	}
	return printTable(w, rows)
}

// typeOf returns the name of a type that came from elsewhere.
func typeOf(name string) string {
	if name == "" {
		return "bytes"
	}
	return term.Text(name)
}
