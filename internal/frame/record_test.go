package frame_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// newKey returns the key that 32 bytes of value n make.
func newKey(t testing.TB, n byte) *ident.Key {
	t.Helper()
	key, err := ident.NewKey(bytes.NewReader(bytes.Repeat([]byte{n}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sample returns a record with every field set, not signed.
func sample(key *ident.Key) frame.Record {
	return frame.Record{
		Public: key.Public(), Incarnation: 0x0102030405060708, Version: 9, State: frame.Left,
		Name: "node-a", Host: "a.lan",
		Addrs: []frame.Addr{{Scheme: "tcp", Addr: "192.0.2.7:27272"}, {Scheme: "tcp", Addr: "[2001:db8::7]:27272"}},
		Join:  3, Rings: 4, Ineligible: true, Meta: map[string]string{"zone": "b", "role": "db"},
	}
}

func TestRecordVector(t *testing.T) {
	key := newKey(t, 1)
	want := sample(key)
	if err := want.Sign(key.Sign); err != nil {
		t.Fatal(err)
	}
	wire := unhex(t, `01
		2c 302a300506032b65700321008a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c
		0102030405060708 0000000000000009 01 06 6e6f64652d61 05 612e6c616e
		02 03 746370 0f 3139322e302e322e373a3237323732
		03 746370 13 5b323030313a6462383a3a375d3a3237323732
		0000000000000003 04 01
		02 04 726f6c65 02 6462 04 7a6f6e65 01 62
		00
		40 5de69822d5bbfd70f9af20009345b984275896fe15682971d5ce2c5e68f9ba2e
		d89b6c1e600f963346cc7d9fdf9e6a192a33d2c863813f8583e2aa386842da0d`)
	if !bytes.Equal(want.Raw, wire) {
		t.Errorf("signed\n got %x\nwant %x", want.Raw, wire)
	}
	if want.ID != key.ID() {
		t.Errorf("ID %v, want %v", want.ID, key.ID())
	}
	got, err := frame.DecodeRecord(wire)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Verify(); err != nil {
		t.Errorf("Verify = %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}

func TestRecordKeepsNothingOfItsInput(t *testing.T) {
	key := newKey(t, 1)
	want := sample(key)
	if err := want.Sign(key.Sign); err != nil {
		t.Fatal(err)
	}
	in := bytes.Clone(want.Raw)
	got, err := frame.DecodeRecord(in)
	if err != nil {
		t.Fatal(err)
	}
	clear(in)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after the input was overwritten (-want +got):\n%s", diff)
	}
}

// No bit of a record can change without the signature telling.
func TestVerifyRefusesEveryChangedBit(t *testing.T) {
	key := newKey(t, 1)
	rec := sample(key)
	if err := rec.Sign(key.Sign); err != nil {
		t.Fatal(err)
	}
	for i := range rec.Raw {
		raw := bytes.Clone(rec.Raw)
		raw[i] ^= 1 << (i % 8)
		changed, err := frame.DecodeRecord(raw)
		if err == nil {
			err = changed.Verify()
		}
		if err == nil {
			t.Errorf("byte %d changed from %02x to %02x: accepted", i, rec.Raw[i], raw[i])
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	key, other := newKey(t, 1), newKey(t, 2)
	foreign := sample(key)
	if err := foreign.Sign(other.Sign); err != nil {
		t.Fatal(err)
	}
	bare := sample(key) // its signature lacks the label
	if err := bare.Sign(func(msg []byte) ([]byte, error) {
		_, body, _ := bytes.Cut(msg, []byte{0})
		return key.Sign(body)
	}); err != nil {
		t.Fatal(err)
	}
	strange := sample(key)
	strange.Public = []byte("no key")
	if err := strange.Sign(key.Sign); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		rec  frame.Record
		err  error
	}{
		{"a record that was never signed", sample(key), frame.ErrUnsigned},
		{"a signature of another key", foreign, ident.ErrSignature},
		{"a signature of the bare body", bare, ident.ErrSignature},
		{"bytes that are no key", strange, ident.ErrKeyType},
	} {
		if err := tt.rec.Verify(); !errors.Is(err, tt.err) {
			t.Errorf("%s: Verify = %v, want %v", tt.name, err, tt.err)
		}
	}
}

func TestRecordLimits(t *testing.T) {
	key := newKey(t, 1)
	addr := func(n, scheme, addr int) (addrs []frame.Addr) {
		for range n {
			addrs = append(addrs, frame.Addr{Scheme: strings.Repeat("s", scheme), Addr: strings.Repeat("a", addr)})
		}
		return addrs
	}
	tests := []struct {
		name string
		edit func(r *frame.Record)
		err  error
	}{
		{"nothing set but the key", func(r *frame.Record) { *r = frame.Record{Public: r.Public, Incarnation: 1} }, nil},
		{"a name of 63 bytes", func(r *frame.Record) { r.Name = strings.Repeat("n", 63) }, nil},
		{"a name of 64 bytes", func(r *frame.Record) { r.Name = strings.Repeat("n", 64) }, frame.ErrTooLarge},
		{"a host of 255 bytes", func(r *frame.Record) { r.Host = strings.Repeat("h", 255) }, nil},
		{"a host of 256 bytes", func(r *frame.Record) { r.Host = strings.Repeat("h", 256) }, frame.ErrTooLarge},
		{"16 of the longest addresses", func(r *frame.Record) { r.Addrs = addr(16, 16, 128) }, nil},
		{"17 addresses", func(r *frame.Record) { r.Addrs = addr(17, 1, 1) }, frame.ErrTooLarge},
		{"an address of 129 bytes", func(r *frame.Record) { r.Addrs = addr(1, 3, 129) }, frame.ErrTooLarge},
		{"a scheme of 17 bytes", func(r *frame.Record) { r.Addrs = addr(1, 17, 1) }, frame.ErrTooLarge},
		{"a public key of 92 bytes", func(r *frame.Record) { r.Public = make([]byte, 92) }, frame.ErrTooLarge},
		{"incarnation 0", func(r *frame.Record) { r.Incarnation = 0 }, frame.ErrMalformed},
		{"the highest incarnation", func(r *frame.Record) { r.Incarnation = math.MaxUint64 }, frame.ErrMalformed},
		{"the highest version", func(r *frame.Record) { r.Version = math.MaxUint64 }, frame.ErrMalformed},
		{"the version below it", func(r *frame.Record) { r.Version = math.MaxUint64 - 1 }, nil},
		{"state 2", func(r *frame.Record) { r.State = 2 }, frame.ErrMalformed},
		{"one link at most", func(r *frame.Record) { r.Links = 1 }, nil},
		{"the highest limit of links", func(r *frame.Record) { r.Links = math.MaxUint16 }, nil},
		{
			"everything at its limit", func(r *frame.Record) {
				r.Name, r.Host = strings.Repeat("n", 63), strings.Repeat("h", 255)
				r.Addrs = addr(16, 16, 128)
				r.Meta = map[string]string{"k": strings.Repeat("v", frame.MetaMax-5)}
			}, nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := sample(key)
			tt.edit(&want)
			if err := want.Sign(key.Sign); !errors.Is(err, tt.err) {
				t.Fatalf("Sign = %v, want %v", err, tt.err)
			}
			if tt.err != nil {
				if want.Raw != nil {
					t.Errorf("Sign failed and set Raw to %x…", head(want.Raw))
				}
				return
			}
			got, err := frame.DecodeRecord(want.Raw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSignReportsTheSigner(t *testing.T) {
	broken := errors.New("no key today")
	rec := sample(newKey(t, 1))
	err := rec.Sign(func([]byte) ([]byte, error) { return nil, broken })
	if !errors.Is(err, broken) {
		t.Errorf("Sign = %v, want %v", err, broken)
	}
	err = rec.Sign(func([]byte) ([]byte, error) { return make([]byte, frame.SignatureMax+1), nil })
	if !errors.Is(err, frame.ErrTooLarge) {
		t.Errorf("Sign with a signature of 129 bytes = %v, want %v", err, frame.ErrTooLarge)
	}
}

func TestDecodeRecordRefuses(t *testing.T) {
	const key = "00" // an empty public key is a matter of Verify
	const rest = "0000000000000001 0000000000000000 00 00 00 00 0000000000000000 00 00 00"
	tests := []struct {
		name, raw string
		err       error
	}{
		{"nothing", "", frame.ErrMalformed},
		{"version 2", "02" + key + rest + "00 00", frame.ErrUnknown},
		{"no signature", "01" + key + rest + "00", frame.ErrMalformed},
		{"a byte behind the signature", "01" + key + rest + "00 00 00", frame.ErrMalformed},
		{"a critical field", "01" + key + rest + "02 0100 00", frame.ErrCritical},
		{"a field that leaves its section", "01" + key + rest + "02 0201 00", frame.ErrMalformed},
		{"a limit of no links", "01" + key + rest + "04 0202 0000 00", frame.ErrMalformed},
		{"a limit of links of one byte", "01" + key + rest + "03 0201 05 00", frame.ErrMalformed},
		{"2^64-1 addresses", "01" + key + "0000000000000001 0000000000000000 00 00 00 ffffffffffffffffff01", frame.ErrTooLarge},
		{"20 KiB and a byte", strings.Repeat("01", frame.RecordMax+1), frame.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := frame.DecodeRecord(unhex(t, tt.raw)); !errors.Is(err, tt.err) {
				t.Errorf("DecodeRecord = %+v, %v; want %v", got, err, tt.err)
			}
		})
	}
}

// A record of a later protocol, with optional fields and flags, is understood as far
// as it goes and forwarded whole.
func TestRecordOfALaterProtocol(t *testing.T) {
	raw := unhex(t, `01 00 0000000000000001 0000000000000005 00 01 61 00 00 0000000000000002 00
		81 00 04 04 02 abcd 00`)
	got, err := frame.DecodeRecord(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "a" || got.Version != 5 || got.Join != 2 || !got.Ineligible || !bytes.Equal(got.Raw, raw) {
		t.Errorf("DecodeRecord(%x) = %+v", raw, got)
	}
}

func TestRecordRoundTrip(t *testing.T) {
	key := newKey(t, 7)
	rapid.Check(t, func(t *rapid.T) {
		want := frame.Record{
			Public:      key.Public(),
			Incarnation: ident.Incarnation(rapid.Uint64Range(1, math.MaxUint64-1).Draw(t, "incarnation")),
			Version:     rapid.Uint64Max(math.MaxUint64-1).Draw(t, "version"),
			State:       frame.State(rapid.IntRange(0, 1).Draw(t, "state")),
			Name:        rapid.StringN(0, -1, frame.NameMax).Draw(t, "name"),
			Host:        rapid.StringN(0, -1, frame.HostMax).Draw(t, "host"),
			Join:        rapid.Uint64().Draw(t, "join"), Rings: rapid.Uint8().Draw(t, "rings"),
			Links: rapid.Uint16().Draw(t, "links"), Ineligible: rapid.Bool().Draw(t, "ineligible"), Meta: drawMeta(t),
		}
		for range rapid.IntRange(0, frame.AddrsMax).Draw(t, "addresses") {
			want.Addrs = append(want.Addrs, frame.Addr{
				Scheme: rapid.StringN(0, -1, frame.SchemeMax).Draw(t, "scheme"),
				Addr:   rapid.StringN(0, -1, frame.AddrMax).Draw(t, "address"),
			})
		}
		if err := want.Sign(key.Sign); err != nil {
			t.Fatal(err)
		}
		got, err := frame.DecodeRecord(want.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("round trip (-want +got):\n%s", diff)
		}
	})
}
