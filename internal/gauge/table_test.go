package gauge_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/espial-go/espial/internal/gauge"
)

func TestPrint(t *testing.T) {
	type row struct {
		Name string  `json:"name"`
		Took float64 `json:"took"`
	}
	cells := func(r row) []gauge.Cell {
		return []gauge.Cell{{"name", r.Name}, {"took ms", fmt.Sprintf("%.1f", r.Took)}}
	}
	rows := []row{{"bare", 1}, {"espial", 12.25}}
	for name, tt := range map[string]struct {
		rows   []row
		asJSON bool
		want   string
	}{
		"for people, aligned":   {rows, false, "    name  took ms\n    bare      1.0\n  espial     12.2\n"},
		"an object a line":      {rows, true, `{"name":"bare","took":1}` + "\n" + `{"name":"espial","took":12.25}` + "\n"},
		"no rows are no table":  {nil, false, ""},
		"and no lines, as JSON": {nil, true, ""},
	} {
		var out bytes.Buffer
		if err := gauge.Print(&out, tt.rows, tt.asJSON, cells); err != nil || out.String() != tt.want {
			t.Errorf("%s: Print(%v) = %v, printed:\n%swant:\n%s", name, tt.rows, err, out.String(), tt.want)
		}
	}
}

func TestPrintHistogram(t *testing.T) {
	var out bytes.Buffer
	buckets := []gauge.Bucket{{UpTo: 8, Count: 1}, {UpTo: 16}, {UpTo: 32, Count: 200}}
	const want = "        8 µs        1  #\n       16 µs        0  \n" +
		"       32 µs      200  ##################################################\n"
	if err := gauge.PrintHistogram(&out, buckets); err != nil || out.String() != want {
		t.Errorf("PrintHistogram(%v) = %v, printed:\n%swant:\n%s", buckets, err, out.String(), want)
	}
}
