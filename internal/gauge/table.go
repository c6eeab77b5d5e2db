package gauge

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Cell is what stands above a column of a table, and what stands in one row of it.
type Cell [2]string

// Print prints rows of one kind: as JSON lines, or for people as a table of their cells, of
// which every row has the same ones.
func Print[R any](out io.Writer, rows []R, asJSON bool, cells func(R) []Cell) error {
	if asJSON {
		for _, r := range rows {
			if err := json.NewEncoder(out).Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for i, r := range rows {
		all := cells(r)
		if i == 0 {
			printCells(w, all, 0)
		}
		printCells(w, all, 1)
	}
	return w.Flush()
}

// printCells prints one line of a table: the heads, 0, or the texts, 1.
func printCells(w io.Writer, all []Cell, which int) {
	for _, c := range all {
		_, _ = fmt.Fprint(w, c[which], "\t") // Flush tells what goes wrong
	}
	_, _ = fmt.Fprintln(w)
}

// barMax is the length of the longest bar of a histogram, in characters.
const barMax = 50

// PrintHistogram prints how latencies are spread, a bar for each bucket.
func PrintHistogram(out io.Writer, buckets []Bucket) error {
	most := 1
	for _, b := range buckets {
		most = max(most, b.Count)
	}
	for _, b := range buckets {
		bar := strings.Repeat("#", (b.Count*barMax+most-1)/most)
		if _, err := fmt.Fprintf(out, "%9d µs  %7d  %s\n", b.UpTo, b.Count, bar); err != nil {
			return err
		}
	}
	return nil
}
