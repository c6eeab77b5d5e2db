package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial/internal/council"
	"github.com/espial-go/espial/internal/disk"
)

// some are marks of all kinds, and text is their file.
var some = map[string]council.Mark{
	"":        {Term: 42, Leader: 0x5f2c9a0b1c2d3e4f},
	"billing": {Term: 1795180914000},
}

const text = `espial terms 1
cluster "shop"
election "" term 42 leader 5f2c9a0b1c2d3e4f
election "billing" term 1795180914000
`

// sealed adds the checksum.
func sealed(text string) []byte {
	sum := crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli))
	return fmt.Appendf(nil, "%scheck %08x\n", text, sum)
}

func TestTheFileIsText(t *testing.T) {
	b := disk.Encode("shop", some)
	if diff := cmp.Diff(string(sealed(text)), string(b)); diff != "" {
		t.Errorf("Encode (-want +got)\n%s", diff)
	}
	cluster, marks, err := disk.Decode(b)
	if diff := cmp.Diff(some, marks); diff != "" || cluster != "shop" || err != nil {
		t.Errorf("Decode of it: %q, %v (-want +got)\n%s", cluster, err, diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		file []byte
		want error
	}{
		{"nothing", nil, disk.ErrDamaged},
		{"another file", []byte("PK\x03\x04"), disk.ErrDamaged},
		{"no checksum", []byte(text), disk.ErrDamaged},
		{"two checksums", sealed(string(sealed(text))), disk.ErrDamaged},
		{"something behind it", append(sealed(text), '\n'), disk.ErrDamaged},
		{"a later version", sealed(strings.Replace(text, "1", "2", 1)), disk.ErrVersion},
		{"a version that is no number", sealed(strings.Replace(text, "1", "one", 1)), disk.ErrVersion},
		{"no version", sealed(strings.TrimPrefix(text, "espial terms 1\n")), disk.ErrDamaged},
		{"no cluster", sealed(strings.Replace(text, "cluster \"shop\"\n", "", 1)), disk.ErrDamaged},
		{"an unknown line", sealed(text + "colour blue\n"), disk.ErrDamaged},
		{"an election twice", sealed(text + "election \"billing\" term 7\n"), disk.ErrDamaged},
		{"elections in another order", sealed(text + "election \"a\" term 7\n"), disk.ErrDamaged},
		{"a name that is not quoted", sealed(text + "election x term 7\n"), disk.ErrDamaged},
		{"a name that does not end", sealed(text + "election \"x term 7\n"), disk.ErrDamaged},
		{"no term", sealed(text + "election \"x\"\n"), disk.ErrDamaged},
		{"a term that is no number", sealed(text + "election \"x\" term y\n"), disk.ErrDamaged},
		{"a term with a sign", sealed(text + "election \"x\" term +7\n"), disk.ErrDamaged},
		{"a leader that is none", sealed(text + "election \"x\" term 7 leader y\n"), disk.ErrDamaged},
		{"a leader without a word", sealed(text + "election \"x\" term 7 5f2c9a0b1c2d3e4f\n"), disk.ErrDamaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if cluster, marks, err := disk.Decode(tt.file); !errors.Is(err, tt.want) || marks != nil {
				t.Errorf("Decode(%q) = %q, %v, %v; want %v", tt.file, cluster, marks, err, tt.want)
			}
		})
	}
}

// B27: no bit can fall over, and no byte be missing, without being noticed.
func TestEveryDamageIsNoticed(t *testing.T) {
	whole := sealed(text)
	for i := range whole {
		if _, _, err := disk.Decode(whole[:i]); !errors.Is(err, disk.ErrDamaged) {
			t.Errorf("Decode of the first %d bytes: %v, want %v", i, err, disk.ErrDamaged)
		}
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			if _, _, err := disk.Decode(b); !errors.Is(err, disk.ErrDamaged) {
				t.Errorf("Decode with bit %d of byte %d turned round, %q: %v, want %v", bit, i, b, err, disk.ErrDamaged)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(sealed(text))
	f.Add(disk.Encode("x", nil))
	f.Add(disk.Encode("", map[string]council.Mark{"\xff\n": {Term: 1<<64 - 1, Leader: 1<<64 - 1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, sealed(string(b))} { // a sum is hard to guess
			cluster, marks, err := disk.Decode(b)
			if err != nil {
				continue
			}
			if again := disk.Encode(cluster, marks); !bytes.Equal(again, b) {
				t.Errorf("%q became %q", b, again)
			}
		}
	})
}
