package packet_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/packet"
)

// fill returns the node ID of 32 bytes b.
func fill(b byte) (id ident.NodeID) {
	copy(id[:], bytes.Repeat([]byte{b}, len(id)))
	return id
}

var (
	beacon = packet.Beacon{
		Tag: packet.Tag("lab"), ID: fill(0xaa), Incarnation: 0x0102030405060708, Port: 27272,
	}
	challenge = packet.Challenge{
		Tag: packet.Tag("lab"), Nonce: packet.Nonce{1, 2, 3, 15: 16}, ID: fill(0xbb), Port: 27273,
	}
	answer = packet.Answer{
		Tag: packet.Tag("lab"), Nonce: packet.Nonce{1, 2, 3, 15: 16},
		ID: fill(0xaa), Incarnation: 0x0102030405060708, Port: 27272,
	}
)

// TestTag pins the tag to a value from coreutils: printf 'espial cluster\0lab' | sha256sum.
func TestTag(t *testing.T) {
	if got, want := hex.EncodeToString(beacon.Tag[:]), "3a983673836bcd17771aae29610a3c31"; got != want {
		t.Errorf("Tag(lab) = %s, want %s", got, want)
	}
	if packet.Tag("lab") == packet.Tag("lab2") || packet.Tag("") == (packet.ClusterTag{}) {
		t.Error("two names share a tag")
	}
}

// TestWireFormat spells out every byte of the three datagrams.
func TestWireFormat(t *testing.T) {
	const (
		tag   = "3a983673836bcd17771aae29610a3c31"
		nonce = "01020300000000000000000000000010"
	)
	aa, bb := strings.Repeat("aa", 32), strings.Repeat("bb", 32)
	tests := []struct {
		name string
		p    packet.Packet
		want string
	}{
		{"beacon", beacon, "4553504c" + "01" + "01" + tag + aa + "0102030405060708" + "6a88"},
		{"challenge", challenge, "4553504c" + "01" + "02" + tag + nonce + bb + "6a89"},
		{"answer", answer, "4553504c" + "01" + "03" + tag + nonce + aa + "0102030405060708" + "6a88"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want + strings.Repeat("00", packet.SizeMin-len(tt.want)/2)
			if got := hex.EncodeToString(tt.p.Append(nil)); got != want {
				t.Errorf("Append of %+v =\n%s, want\n%s", tt.p, got, want)
			}
			if got := tt.p.Append([]byte("before")); !bytes.Equal(got[6:], tt.p.Append(nil)) || string(got[:6]) != "before" {
				t.Errorf("Append of %+v to \"before\" = %x", tt.p, got)
			}
			if got, err := packet.Decode(tt.p.Append(nil)); err != nil || got != tt.p || got.Type() != tt.p.Type() {
				t.Errorf("Decode of %+v = %+v, %v", tt.p, got, err)
			}
		})
	}
}

// TestNoReplyIsLongerThanItsCause is case D23 of the fault catalogue: the shortest
// beacon that is accepted is no shorter than a challenge, nor that than an answer.
func TestNoReplyIsLongerThanItsCause(t *testing.T) {
	for cause, reply := range map[packet.Packet]packet.Packet{beacon: challenge, challenge: answer} {
		b := cause.Append(nil)
		for len(b) > 0 {
			if _, err := packet.Decode(b[:len(b)-1]); err != nil {
				break
			}
			b = b[:len(b)-1]
		}
		if got := len(reply.Append(nil)); got > len(b) {
			t.Errorf("a reply %T of %d bytes follows a %T of %d", reply, got, cause, len(b))
		}
	}
}

// with returns the datagram of beacon with byte i replaced.
func with(i int, c byte) []byte {
	b := beacon.Append(nil)
	b[i] = c
	return b
}

// cut returns the datagram of p with its body from byte i to byte j zeroed.
func cut(p packet.Packet, i, j int) []byte {
	b := p.Append(nil)
	clear(b[i:j])
	return b
}

// fields returns the datagram of beacon with fields instead of padding, and size bytes
// in all.
func fields(size int, field ...byte) []byte {
	b := append(beacon.Append(nil)[:64], field...)
	return append(b, make([]byte, max(0, size-len(b)))...)
}

func TestDecode(t *testing.T) {
	value := slices.Repeat([]byte{7}, 62)
	tests := []struct {
		name string
		in   []byte
		err  error
	}{
		{name: "padding up to the longest", in: fields(1200)},
		{name: "an optional field and padding", in: fields(128, 2, 3, 7, 7, 7)},
		{name: "two optional fields", in: fields(128, 2, 0, 0x80, 0x01, 1, 7)},
		{name: "an optional field that fills the datagram", in: fields(128, append([]byte{2, 62}, value...)...)},
		{name: "nothing", err: packet.ErrSize},
		{name: "one byte too few", in: beacon.Append(nil)[:127], err: packet.ErrSize},
		{name: "one byte too many", in: fields(1201), err: packet.ErrSize},
		{name: "another magic", in: with(3, 'l'), err: packet.ErrForeign},
		{name: "version 0", in: with(4, 0), err: packet.ErrVersion},
		{name: "version 2", in: with(4, 2), err: packet.ErrVersion},
		{name: "type 0", in: with(5, 0), err: packet.ErrType},
		{name: "type 4", in: with(5, 4), err: packet.ErrType},
		{name: "a type reserved for sealed multicast", in: with(5, 16), err: packet.ErrType},
		{name: "a beacon without an ID", in: cut(beacon, 22, 54), err: packet.ErrValue},
		{name: "a beacon without an incarnation", in: cut(beacon, 54, 62), err: packet.ErrValue},
		{name: "a beacon without a port", in: cut(beacon, 62, 64), err: packet.ErrValue},
		{name: "a challenge without an ID", in: cut(challenge, 38, 70), err: packet.ErrValue},
		{name: "a challenge without a port", in: cut(challenge, 70, 72), err: packet.ErrValue},
		{name: "an answer without an ID", in: cut(answer, 38, 70), err: packet.ErrValue},
		{name: "an answer without an incarnation", in: cut(answer, 70, 78), err: packet.ErrValue},
		{name: "an answer without a port", in: cut(answer, 78, 80), err: packet.ErrValue},
		{name: "a critical field", in: fields(128, 3, 1, 7), err: packet.ErrCritical},
		{name: "a critical field behind an optional one", in: fields(128, 2, 1, 7, 5, 0), err: packet.ErrCritical},
		{name: "a value behind the end of the fields", in: fields(128, 0, 0, 2), err: packet.ErrField},
		{name: "a field longer than the datagram", in: fields(128, 2, 63), err: packet.ErrField},
		{name: "a critical field longer than the datagram", in: fields(128, 3, 63), err: packet.ErrField},
		{name: "a field without a length", in: fields(128, append([]byte{2, 61}, value...)...), err: packet.ErrField},
		{name: "a length of 2^63", in: fields(128, 2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1), err: packet.ErrField},
		{name: "a length of 2^64 - 1", in: fields(128, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), err: packet.ErrField},
		{name: "a tag above 64 bits", in: fields(128, bytes.Repeat([]byte{0xff}, 20)...), err: packet.ErrField},
		{name: "a tag in a longer form than it needs", in: fields(128, 0x82, 0, 0), err: packet.ErrField},
		{name: "an end in a longer form than it needs", in: fields(128, 0x80, 0), err: packet.ErrField},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := packet.Decode(tt.in)
			if !errors.Is(err, tt.err) || (got == nil) != (tt.err != nil) {
				t.Fatalf("Decode(%x) = %+v, %v; want error %v", tt.in, got, err, tt.err)
			}
			if tt.err == nil && got != packet.Packet(beacon) {
				t.Errorf("Decode(%x) = %+v, want %+v", tt.in, got, beacon)
			}
		})
	}
}

func TestRoundTrip(t *testing.T) {
	bytesOf := func(n int) *rapid.Generator[[]byte] { return rapid.SliceOfN(rapid.Byte(), n, n) }
	rapid.Check(t, func(t *rapid.T) {
		tag := packet.ClusterTag(bytesOf(16).Draw(t, "tag"))
		nonce := packet.Nonce(bytesOf(16).Draw(t, "nonce"))
		id := ident.NodeID(bytesOf(32).Draw(t, "id"))
		id[0] |= 1
		inc := ident.Incarnation(rapid.Uint64Min(1).Draw(t, "incarnation"))
		port := rapid.Uint16Min(1).Draw(t, "port")
		for _, want := range []packet.Packet{
			packet.Beacon{Tag: tag, ID: id, Incarnation: inc, Port: port},
			packet.Challenge{Tag: tag, Nonce: nonce, ID: id, Port: port},
			packet.Answer{Tag: tag, Nonce: nonce, ID: id, Incarnation: inc, Port: port},
		} {
			got, err := packet.Decode(want.Append(nil))
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Fatalf("round trip error = %v (-want +got):\n%s", err, diff)
			}
		}
	})
}

// FuzzDecode feeds arbitrary bytes, as anybody on the network may. Whatever Decode
// accepts survives a round trip, and its fixed part is encoded byte for byte as it came.
func FuzzDecode(f *testing.F) {
	for _, p := range []packet.Packet{beacon, challenge, answer} {
		f.Add(p.Append(nil))
	}
	f.Add(fields(128, 2, 3, 7, 7, 7))
	f.Add(fields(1200, 3, 1, 7))
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		p, err := packet.Decode(in)
		if !bytes.Equal(in, before) {
			t.Fatalf("Decode wrote to its input %x", before)
		}
		if err != nil {
			return
		}
		body := map[packet.Type]int{packet.TypeBeacon: 64, packet.TypeChallenge: 72, packet.TypeAnswer: 80}[p.Type()]
		out := p.Append(nil)
		if len(in) < len(out) || body == 0 || !bytes.Equal(in[:body], out[:body]) {
			t.Fatalf("Decode(%x) = %+v, which encodes as %x", in, p, out)
		}
		if again, err := packet.Decode(out); err != nil || again != p {
			t.Fatalf("round trip of %+v gave %+v, %v", p, again, err)
		}
	})
}

func TestAllocations(t *testing.T) {
	dst, in := make([]byte, 0, packet.SizeMin), answer.Append(nil)
	if n := testing.AllocsPerRun(100, func() { dst = answer.Append(dst[:0]) }); n != 0 {
		t.Errorf("Append with room in dst made %v allocations, want 0", n)
	}
	// The one is the value in the interface, shorter than the datagram.
	if n := testing.AllocsPerRun(100, func() { _, _ = packet.Decode(in) }); n > 1 {
		t.Errorf("Decode made %v allocations, want at most 1", n)
	}
	foreign := make([]byte, packet.SizeMax)
	if n := testing.AllocsPerRun(100, func() { _, _ = packet.Decode(foreign) }); n != 0 {
		t.Errorf("Decode of a foreign datagram made %v allocations, want 0", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	in := answer.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := packet.Decode(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	dst := make([]byte, 0, packet.SizeMin)
	b.ReportAllocs()
	for b.Loop() {
		dst = answer.Append(dst[:0])
	}
}
