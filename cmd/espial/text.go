package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/espial-go/espial/internal/term"
)

// metaMax bounds the metadata of a member in a line, in characters.
const metaMax = 48

// clock returns the time of day for a line.
func clock(t time.Time) string { return t.Local().Format("15:04:05.000") }

// nameOf returns a name that came from elsewhere.
func nameOf(name string) string {
	if name == "" {
		return "-"
	}
	return term.Text(name)
}

// quoted returns the words of another node in quotes, "" for none.
func quoted(text string) string {
	if text == "" {
		return ""
	}
	return strconv.Quote(text)
}

// short returns the first 16 characters of an ID.
func short(id string) string {
	const characters = 16
	id = term.Text(id)
	return strings.TrimSpace(id[:min(len(id), characters)])
}

// few joins the first few of the words, and says how many more there are.
func few(words []string, separator string) string {
	const shown = 8
	if more := len(words) - shown; more > 0 {
		words = append(words[:shown:shown], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, separator)
}

// addrs returns addresses for a line.
func addrs(as []string) string { return term.Text(strings.Join(as, ", ")) }

// meta returns metadata for a line, in the order of its keys.
func meta(m map[string]string) string {
	var words []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		words = append(words, k+"="+m[k])
	}
	return term.Cut(strings.Join(words, " "), metaMax)
}

// encode returns v as JSON that is safe for a terminal.
func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return term.AppendJSON(nil, b), nil
}

// printArray prints a JSON array, one element a line.
func printArray(w io.Writer, elements []json.RawMessage) error {
	b := []byte{'['}
	for i, e := range elements {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, "\n  "...)
		b = term.AppendJSON(b, e)
	}
	if len(elements) > 0 {
		b = append(b, '\n')
	}
	_, err := w.Write(append(b, "]\n"...))
	return err
}

// printTable prints aligned columns, the head first.
func printTable(w io.Writer, rows [][]string) error {
	var b bytes.Buffer
	const padding = 2
	t := tabwriter.NewWriter(&b, 0, 0, padding, ' ', 0)
	for _, r := range rows {
		_, _ = fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	// Empty cells at the end of a line leave blanks.
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// millis returns a time in milliseconds for a table.
func millis(ms float64) string {
	if ms == 0 {
		return "-"
	}
	return strconv.FormatFloat(ms, 'f', 2, 64) + " ms"
}
