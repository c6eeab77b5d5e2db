package frame_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/frame"
)

// TestDocument holds the description of the protocol against the code: every type has
// its row, and every vector stands there as it is here.
func TestDocument(t *testing.T) {
	page, err := os.ReadFile("../../docs/wire.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for n := range 256 {
		typ := frame.Type(n)
		row := fmt.Sprintf("| %d | %v |", n, typ)
		if named := !strings.HasPrefix(typ.String(), "type "); named && !strings.Contains(text, row) {
			t.Errorf("docs/wire.md has no row %q", row)
		}
	}
	dense := strings.Join(strings.Fields(text), "")
	for _, v := range vectors {
		name := strings.ReplaceAll(v.name, " ", "")
		if want := name + ":" + hex.EncodeToString(unhex(t, v.wire)); !strings.Contains(dense, want) {
			t.Errorf("docs/wire.md does not hold the vector %s", want)
		}
	}
	key := newKey(t, 1)
	rec := sample(key)
	if err := rec.Sign(key.Sign); err != nil {
		t.Fatal(err)
	}
	records := frame.Records{List: [][]byte{rec.Raw}}.Append(nil)
	if want := hex.EncodeToString(records); !strings.Contains(dense, want) {
		t.Errorf("docs/wire.md does not hold a record as\n%s", want)
	}
	for _, fields := range [][]byte{
		frame.AppendField(nil, 2, []byte{0xee}), frame.AppendReign(nil, "jobs", 7),
	} {
		events := encodeEvents(frame.Events{
			Lane: frame.Direct, First: 258, Message: 256, Codec: frame.CodecCBOR, Topic: []byte("a.b"),
			Fields: fields,
		}, []byte("xy"), nil)
		if want := hex.EncodeToString(events); !strings.Contains(dense, want) {
			t.Errorf("docs/wire.md does not hold EVENTS as\n%s", want)
		}
	}
}
