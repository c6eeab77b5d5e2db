package multicast

import (
	"bytes"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/packet"
)

func TestFilterPassesWhatIsOfTheCluster(t *testing.T) {
	tag, id := packet.Tag("shop"), ident.NodeID{7}
	beacon := packet.Beacon{Tag: tag, ID: id, Incarnation: 1, Port: 9}.Append(nil)
	changed := func(at int) []byte {
		b := bytes.Clone(beacon)
		b[at] ^= 0x20
		return b
	}
	for _, tc := range []struct {
		name string
		b    []byte
		want bool
	}{
		{"a beacon", beacon, true},
		{"a challenge", packet.Challenge{Tag: tag, ID: id, Port: 9}.Append(nil), true},
		{"an answer", packet.Answer{Tag: tag, ID: id, Incarnation: 1, Port: 9}.Append(nil), true},
		{"a type of later", changed(5), true},
		{"the longest", append(bytes.Clone(beacon), make([]byte, packet.SizeMax-len(beacon))...), true},
		{"nothing", nil, false},
		{"the magic alone", beacon[:4], false},
		{"one byte of the tag short", beacon[:21], false},
		{"another magic", changed(0), false},
		{"another version", changed(4), false},
		{"another cluster", packet.Beacon{Tag: packet.Tag("shed"), ID: id, Incarnation: 1, Port: 9}.Append(nil), false},
		{"another first byte of the tag", changed(6), false},
		{"another last byte of the tag", changed(21), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			raw, err := filter(tag)
			if err != nil {
				t.Fatal(err)
			}
			program, ok := bpf.Disassemble(raw)
			if !ok {
				t.Fatalf("filter has an instruction that is none: %v", raw)
			}
			vm, err := bpf.NewVM(program)
			if err != nil {
				t.Fatal(err)
			}
			n, err := vm.Run(append(make([]byte, udpHeader), tc.b...))
			if err != nil || n != 0 && n < udpHeader+len(tc.b) || (n > 0) != tc.want {
				t.Errorf("%x: %d bytes pass (%v), want all of them: %v", tc.b, n, err, tc.want)
			}
		})
	}
}
