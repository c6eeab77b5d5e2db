package frame_test

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

func TestDecodeRefuses(t *testing.T) {
	const zeros = "0000000000000000"
	const lane = "0000000000000001" + "0000000000000001" + zeros + "00000000"
	const lanes = lane + lane
	const target = "0100000000000000000000000000000000000000000000000000000000000002"
	const other = "0200000000000000000000000000000000000000000000000000000000000003"
	const nobody = zeros + zeros + zeros + zeros
	const inc = "0000000000000001"
	hello := func(inc, rest string) string { return "0001" + zeros + zeros + inc + zeros + rest }
	refuses(t, []refusal{
		{"a type of 0", 0, "", frame.ErrUnknown},
		{"an unknown critical type", 7, "", frame.ErrUnknown},
		{"a type set aside", 40, "", frame.ErrUnknown},
		{"EVENTS, which have a decoder of their own", frame.TypeEvents, "", frame.ErrUnknown},
		{"incarnation 0", frame.TypeHello, hello(zeros, "00 00 0000 00"), frame.ErrMalformed},
		{"the highest incarnation", frame.TypeHello, hello("ffffffffffffffff", "00 00 0000 00"), frame.ErrMalformed},
		{
			"a name of 64 bytes", frame.TypeHello,
			hello("0000000000000001", "40"+strings.Repeat("61", 64)+"00 0000 00"), frame.ErrTooLarge,
		},
		{
			"a host of 256 bytes", frame.TypeHello,
			hello("0000000000000001", "00 8002"+strings.Repeat("61", 256)+"0000 00"), frame.ErrTooLarge,
		},
		{
			"on demand twice", frame.TypeHello,
			hello("0000000000000001", "00 00 0000 00 0800 0800"), frame.ErrMalformed,
		},
		{
			"on demand with a value", frame.TypeHello,
			hello("0000000000000001", "00 00 0000 00 0801 01"), frame.ErrMalformed,
		},
		{"a length that is not in its shortest form", frame.TypeReject, "8000 00", frame.ErrMalformed},
		{"a length of eleven bytes", frame.TypeReject, strings.Repeat("ff", 11), frame.ErrMalformed},
		{"a length of 2^64-1", frame.TypeReject, "ffffffffffffffffff01", frame.ErrTooLarge},
		{"a code of 17 bytes", frame.TypeReject, "11" + strings.Repeat("61", 17) + "00", frame.ErrTooLarge},
		{"a reason of 257 bytes", frame.TypeReject, "00 8102" + strings.Repeat("61", 257), frame.ErrTooLarge},
		{"the critical field 1", frame.TypeReject, "00 00 01 00", frame.ErrCritical},
		{"a critical field behind an optional one", frame.TypeAccept, zeros + zeros + "02 01 ff 03 00", frame.ErrCritical},
		{"a field that ends early", frame.TypeAccept, zeros + zeros + "02 02 ff", frame.ErrMalformed},
		{"a flag of 2", frame.TypeProbeResult, zeros + "02", frame.ErrMalformed},
		{"a target of zeros", frame.TypeProbeRequest, strings.Repeat(zeros, 5) + "0000000000000001", frame.ErrMalformed},
		{"a suspicion of oneself", frame.TypeSuspicion, target + inc + inc + "00" + target + "00", frame.ErrMalformed},
		{"a suspicion by nobody", frame.TypeSuspicion, target + inc + inc + "00" + nobody + "00", frame.ErrMalformed},
		{"a suspicion of incarnation 0", frame.TypeSuspicion, target + zeros + inc + "00" + other + "00", frame.ErrMalformed},
		{
			"a suspicion of a version without a next one", frame.TypeSuspicion,
			target + inc + "ffffffffffffffff" + "00" + other + "00", frame.ErrMalformed,
		},
		{"a suspicion with a flag of 2", frame.TypeSuspicion, target + inc + inc + "02" + other + "00", frame.ErrMalformed},
		{
			"a suspicion with a signature of 129 bytes", frame.TypeSuspicion,
			target + inc + inc + "00" + other + "8101", frame.ErrTooLarge,
		},
		{
			"a suspicion with a critical field", frame.TypeSuspicion,
			target + inc + inc + "00" + other + "00" + "01 00", frame.ErrCritical,
		},
		{"a suspect of incarnation 0", frame.TypeSuspect, target + zeros + "00", frame.ErrMalformed},
		{"a suspect of the highest incarnation", frame.TypeSuspect, target + "ffffffffffffffff" + "00", frame.ErrMalformed},
		{"no record", frame.TypeRecords, "", frame.ErrMalformed},
		{"a record of 0 bytes", frame.TypeRecords, "01 aa 00", frame.ErrMalformed},
		{"a record above 20 KiB", frame.TypeRecords, "81a001", frame.ErrTooLarge},
		{"513 records", frame.TypeRecords, strings.Repeat("01aa", 513), frame.ErrTooLarge},
		{
			"a lane that begins at 0", frame.TypeOpen,
			"0000000000000001" + zeros + "00000000" + zeros + zeros + "00000000", frame.ErrMalformed,
		},
		{
			"a lane of calls that begins at 0", frame.TypeOpen,
			lanes + "04 1c" + strings.Repeat(zeros, 3) + "00000000", frame.ErrMalformed,
		},
		{"a lane of calls that is cut", frame.TypeOpen, lanes + "04 01 00", frame.ErrMalformed},
		{
			"more than a lane of calls", frame.TypeOpen,
			lanes + "04 1d" + lane + "00", frame.ErrMalformed,
		},
		{"lane 3", frame.TypeAcked, "03" + zeros, frame.ErrMalformed},
	})
}

func TestDecodeIgnoresWhatIsOptional(t *testing.T) {
	got, err := frame.Decode(frame.Raw{Type: 200, Payload: []byte("anything")})
	if got != nil || err != nil {
		t.Errorf("Decode of type 200 = %v, %v; want nothing", got, err)
	}

	reject := frame.Reject{Code: "full"}.Append(nil)[frame.HeaderSize:]
	reject = frame.AppendField(reject, 2, []byte("proof"))
	reject = frame.AppendField(reject, 4, nil)
	got, err = frame.Decode(frame.Raw{Type: frame.TypeReject, Payload: reject})
	if diff := cmp.Diff(frame.Frame(frame.Reject{Code: "full"}), got); diff != "" || err != nil {
		t.Errorf("Decode of a REJECT with optional fields: %v (-want +got):\n%s", err, diff)
	}
}

func TestHelloAboveItsLimitIsRefused(t *testing.T) {
	hello := frame.Hello{Proto: 1, Incarnation: 1}.Append(nil)[frame.HeaderSize:]
	for _, tt := range []struct {
		size int
		err  error
	}{{20 << 10, nil}, {20<<10 + 1, frame.ErrTooLarge}} {
		const tagAndLength = 4 // a length of 16,384 to 2,097,151 takes 3 bytes
		in := frame.AppendField(bytes.Clone(hello), 2, make([]byte, tt.size-len(hello)-tagAndLength))
		if len(in) != tt.size {
			t.Fatalf("bad test: %d bytes, want %d", len(in), tt.size)
		}
		if _, err := frame.Decode(frame.Raw{Type: frame.TypeHello, Payload: in}); !errors.Is(err, tt.err) {
			t.Errorf("HELLO of %d bytes: %v, want %v", tt.size, err, tt.err)
		}
	}
}

func TestLongReasonsAreCut(t *testing.T) {
	long := strings.Repeat("r", 1000)
	want := long[:frame.ReasonMax]
	for _, f := range []frame.Frame{frame.Reject{Reason: long}, frame.Bye{Reason: long}} {
		raw, _, err := frame.Next(f.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		got, err := frame.Decode(raw)
		if err != nil {
			t.Fatalf("Decode(%v) error = %v", f.Type(), err)
		}
		switch got := got.(type) {
		case frame.Reject:
			if got.Reason != want {
				t.Errorf("REJECT with a reason of %d bytes, want %d", len(got.Reason), len(want))
			}
		case frame.Bye:
			if got.Reason != want {
				t.Errorf("BYE with a reason of %d bytes, want %d", len(got.Reason), len(want))
			}
		}
	}
}

// Whatever a node may say arrives as it was said.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roundTrip(t, drawFrame(t))
	})
}

// drawFrame draws a frame within the limits.
func drawFrame(t *rapid.T) frame.Frame {
	u64 := rapid.Uint64()
	str := func(limit int, label string) string {
		return string(rapid.SliceOfN(rapid.Byte(), 0, limit).Draw(t, label))
	}
	id := ident.IDOf(rapid.SliceOf(rapid.Byte()).Draw(t, "key"))
	inc := ident.Incarnation(rapid.Uint64Range(1, math.MaxUint64-1).Draw(t, "incarnation"))
	number := u64.Draw(t, "number")
	flag := rapid.Bool().Draw(t, "flag")
	switch i := rapid.IntRange(0, 11).Draw(t, "kind"); i {
	case 0:
		h := frame.Hello{
			Proto: rapid.Uint16().Draw(t, "proto"), Incarnation: inc, Name: str(frame.NameMax, "name"),
			Host: str(frame.HostMax, "host"), Port: rapid.Uint16().Draw(t, "port"), Meta: drawMeta(t),
		}
		copy(h.Cluster[:], str(16, "cluster"))
		copy(h.Holds[:], str(8, "holds"))
		return h
	case 1:
		return frame.Accept{Serial: number, Join: u64.Draw(t, "join")}
	case 2:
		return frame.Reject{Code: frame.Code(str(frame.CodeMax, "code")), Reason: str(frame.ReasonMax, "reason")}
	case 3:
		return frame.Bye{Code: frame.Code(str(frame.CodeMax, "code")), Reason: str(frame.ReasonMax, "reason")}
	case 4:
		return frame.ProbeRequest{Number: number, Target: id, Incarnation: inc}
	case 5:
		return frame.Suspect{Target: id, Incarnation: inc, Refused: flag}
	case 6:
		return frame.Records{List: rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, 300), 1, 20).Draw(t, "records")}
	case 7:
		var o frame.Open
		for i := range o.Lanes {
			first := rapid.Uint64Min(1).Draw(t, "first")
			o.Lanes[i] = frame.OpenLane{
				First: ident.Seq(first), Message: ident.Seq(rapid.Uint64Range(1, first).Draw(t, "message")),
				Received: ident.Seq(u64.Draw(t, "received")), Window: rapid.Uint32().Draw(t, "window"),
			}
		}
		return o
	case 8:
		first := rapid.Uint64Range(1, math.MaxUint64-1).Draw(t, "first")
		last := rapid.Uint64Range(first, math.MaxUint64).Draw(t, "last")
		return frame.Pull{Origin: id, Incarnation: inc, First: ident.Seq(first), Last: ident.Seq(last)}
	case 9:
		m := frame.Marks{Greeting: flag}
		for range rapid.IntRange(1, 10).Draw(t, "marks") {
			last := rapid.Uint64Max(math.MaxUint64-1).Draw(t, "last")
			m.List = append(m.List, frame.Mark{
				Origin: id, Incarnation: inc, Last: ident.Seq(last),
				First:   ident.Seq(rapid.Uint64Range(1, last+1).Draw(t, "first")),
				Message: ident.Seq(rapid.Uint64Range(1, last+1).Draw(t, "message")),
			})
		}
		return m
	case 11:
		return frame.Suspicion{
			Target: id, Incarnation: inc, Version: number >> 1, Refused: flag,
			By: ident.NodeID{0: ^id[0], 1: 1}, Signature: []byte(str(frame.SignatureMax, "signature")),
		}
	default:
		return frame.Acked{Lane: frame.Lane(rapid.IntRange(0, 2).Draw(t, "lane")), Number: ident.Seq(number)}
	}
}

func drawMeta(t *rapid.T) map[string]string {
	meta := rapid.MapOfN(rapid.StringN(0, 20, 40), rapid.StringN(0, 20, 100), 0, 20).Draw(t, "meta")
	if len(meta) == 0 {
		return nil
	}
	return meta
}

func TestMetaLimits(t *testing.T) {
	pairs := func(n int) map[string]string {
		meta := map[string]string{}
		for i := range n {
			meta[string([]byte{byte('a' + i/26), byte('a' + i%26)})] = ""
		}
		return meta
	}
	// Beside the value: the count, the length of the key, the key, the length of the value.
	sized := func(n int) map[string]string { return map[string]string{"k": strings.Repeat("v", n-1-1-1-2)} }
	tests := []struct {
		name string
		meta map[string]string
		err  error
	}{
		{"none", nil, nil},
		{"256 pairs", pairs(256), nil},
		{"257 pairs", pairs(257), frame.ErrTooLarge},
		{"16 KiB", sized(frame.MetaMax), nil},
		{"16 KiB and a byte", sized(frame.MetaMax + 1), frame.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			size, much := frame.MetaSize(tt.meta), len(tt.meta) > frame.MetaPairsMax
			if (size > frame.MetaMax || much) != (tt.err != nil) {
				t.Errorf("%d pairs have MetaSize %d of %d, want the verdict %v", len(tt.meta), size, frame.MetaMax, tt.err)
			}
			raw, _, err := frame.Next(frame.Hello{Incarnation: 1, Meta: tt.meta}.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			got, err := frame.Decode(raw)
			if !errors.Is(err, tt.err) {
				t.Fatalf("Decode = %v, want %v", err, tt.err)
			}
			if hello, ok := got.(frame.Hello); ok && !maps.Equal(hello.Meta, tt.meta) {
				t.Errorf("decoded %d pairs, want %d", len(hello.Meta), len(tt.meta))
			}
		})
	}
}

func TestMetaKeysMustAscend(t *testing.T) {
	const claim = "0001 0000000000000000 0000000000000000 0000000000000001 0000000000000000 00 00 0000"
	for name, meta := range map[string]string{
		"a key twice":             "02 01 61 00 01 61 00",
		"keys that descend":       "02 01 62 00 01 61 00",
		"the empty key as second": "02 01 61 00 00 00",
	} {
		_, err := frame.Decode(frame.Raw{Type: frame.TypeHello, Payload: unhex(t, claim+meta)})
		if !errors.Is(err, frame.ErrMalformed) {
			t.Errorf("%s: %v, want %v", name, err, frame.ErrMalformed)
		}
	}
}

// A count is a claim; memory follows the bytes behind it.
func TestDecodeMemoryFollowsBytes(t *testing.T) {
	const claim = "0001 0000000000000000 0000000000000000 0000000000000001 0000000000000000 00 00 0000"
	for _, in := range []frame.Raw{
		{Type: frame.TypeHello, Payload: unhex(t, claim+"8002")}, // 256 pairs, none sent
		{Type: frame.TypeMarks, Payload: unhex(t, "00 e807")},    // 1,000 marks, none sent
	} {
		got := allocated(func() {
			if _, err := frame.Decode(in); err == nil {
				t.Error("accepted")
			}
		})
		if got > 2048 {
			t.Errorf("a %v of %d bytes that announces more costs %d bytes", in.Type, len(in.Payload), got)
		}
	}
}

// allocated returns how many bytes a call of f allocates on average.
func allocated(f func()) uint64 {
	const runs = 64
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / runs
}

func TestPackRecords(t *testing.T) {
	tests := []struct {
		name  string
		sizes []int
		want  []int // records per frame
	}{
		{"none", nil, nil},
		{"one", []int{200}, []int{1}},
		{"512 in a frame", slices.Repeat([]int{10}, 512), []int{512}},
		{"the 513th begins a frame", slices.Repeat([]int{10}, 513), []int{512, 1}},
		{"three of the longest in a frame", slices.Repeat([]int{frame.RecordMax}, 7), []int{3, 3, 1}},
		{"a frame filled to the last byte", []int{20477, 20477, 20477, 4094, 1}, []int{4, 1}},
		{"a record one byte too long for the rest", []int{20477, 20477, 20477, 4095, 1}, []int{3, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var raws [][]byte
			for i, n := range tt.sizes {
				raws = append(raws, bytes.Repeat([]byte{byte(i)}, n))
			}
			var got []int
			var back [][]byte
			for _, f := range frame.PackRecords(raws) {
				raw, _, err := frame.Next(f.Append(nil))
				if err != nil {
					t.Fatal(err)
				}
				decoded, err := frame.Decode(raw)
				if err != nil {
					t.Fatalf("a peer refuses %d records: %v", len(f.List), err)
				}
				records, _ := decoded.(frame.Records)
				got = append(got, len(records.List))
				back = append(back, records.List...)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("records per frame %v, want %v", got, tt.want)
			}
			if !slices.EqualFunc(back, raws, bytes.Equal) {
				t.Errorf("%d records came back changed or out of order", len(back))
			}
		})
	}
}
