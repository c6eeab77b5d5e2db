package frame_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// keyOneID is the ID of the key that newKey makes of 1, batchSignature and
// suspicionSignature what it signs the batch and the suspicion of the vectors with.
const (
	keyOneID       = "fd110d301d2f077de1414b8f99f441b1403fab207b2052fbd2c065e4ee8e7dc2"
	batchSignature = "939681bf44e4dacccb303b1f4dfc7dc12cd40932028858df5096388ca538712e" +
		"f9e151fbbc93b481732f3a8344995fb1e936782c735d3ccd197f632261c06e05"
	suspicionSignature = "a098d24c7ddc1f4b727aebd2aeb54a196ce66cfc4055140e230c58922c8b5364" +
		"c5ab7da5bbca3c666815b246d5c613411f6a70c8a75f7e1806db945558facf00"
	batchHash = "12124c771154e0c04ab4de0b29b8bf1139908eb6a701a0d3ab3f22b6cf1b7765"
)

// fromHex reads hexadecimal digits of this file.
func fromHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// vectors fixes the encoding of every frame but EVENTS. Other implementations may use
// them; a change here is a change of the protocol.
var vectors = []struct {
	name  string
	frame frame.Frame
	wire  string
}{
	{
		name: "HELLO",
		frame: frame.Hello{
			Proto: frame.Proto, Cluster: [16]byte{0: 0xc1, 15: 0xcf}, Incarnation: 0x0102030405060708,
			Holds: [8]byte{0: 0xa1, 7: 0xa8}, Name: "node-a", Host: "a.lan", Port: 27272,
			Meta: map[string]string{"zone": "b", "role": "db"},
		},
		wire: `01 000041 0001 c10000000000000000000000000000cf 0102030405060708 a1000000000000a8
			06 6e6f64652d61 05 612e6c616e 6a88
			02 04 726f6c65 02 6462 04 7a6f6e65 01 62`,
	},
	{
		name:  "HELLO without a name, a link or metadata",
		frame: frame.Hello{Proto: 7, Incarnation: 1},
		wire:  "01 000027 0007 00000000000000000000000000000000 0000000000000001 0000000000000000 00 00 0000 00",
	},
	{
		name:  "HELLO for a link on demand",
		frame: frame.Hello{Proto: 1, Incarnation: 1, OnDemand: true},
		wire:  "01 000029 0001 00000000000000000000000000000000 0000000000000001 0000000000000000 00 00 0000 00 08 00",
	},
	{name: "ACCEPT", frame: frame.Accept{Serial: 3, Join: 4}, wire: "02 000010 0000000000000003 0000000000000004"},
	{
		name: "REJECT", frame: frame.Reject{Code: frame.CodeFilter, Reason: "no"},
		wire: "03 00000a 06 66696c746572 02 6e6f",
	},
	{name: "REJECT without a reason", frame: frame.Reject{}, wire: "03 000002 00 00"},
	{name: "BYE", frame: frame.Bye{Code: frame.CodeLeave, Reason: "x"}, wire: "04 000008 05 6c65617665 01 78"},
	{name: "STREAMS", frame: frame.Streams{From: 9, To: 8}, wire: "05 000010 0000000000000009 0000000000000008"},
	{
		name: "STREAMS for bulk", frame: frame.Streams{From: 9, To: 8, Bulk: true},
		wire: "05 000012 0000000000000009 0000000000000008 02 00",
	},
	{name: "SERVICE", frame: frame.Service{Name: "api"}, wire: "06 000004 03 617069"},
	{name: "PROBE", frame: frame.Probe{Number: 1 << 40}, wire: "08 000008 0000010000000000"},
	{name: "ACK", frame: frame.Ack{Number: math.MaxUint64}, wire: "09 000008 ffffffffffffffff"},
	{
		name:  "PROBE-REQUEST",
		frame: frame.ProbeRequest{Number: 5, Target: ident.NodeID{0: 1, 31: 2}, Incarnation: 9},
		wire: `0a 000030 0000000000000005
			0100000000000000000000000000000000000000000000000000000000000002 0000000000000009`,
	},
	{name: "PROBE-RESULT alive", frame: frame.ProbeResult{Number: 5, Alive: true}, wire: "0b 000009 0000000000000005 01"},
	{name: "PROBE-RESULT silent", frame: frame.ProbeResult{Number: 5}, wire: "0b 000009 0000000000000005 00"},
	{
		name:  "SUSPECT",
		frame: frame.Suspect{Target: ident.NodeID{0: 1, 31: 2}, Incarnation: 9, Refused: true},
		wire: `0c 000029 0100000000000000000000000000000000000000000000000000000000000002
			0000000000000009 01`,
	},
	{
		name: "SUSPICION",
		frame: frame.Suspicion{
			Target: ident.NodeID{0: 1, 31: 2}, Incarnation: 9, Version: 5, Refused: true,
			By: ident.NodeID(fromHex(keyOneID)), Signature: fromHex(suspicionSignature),
		},
		wire: `0d 000092 0100000000000000000000000000000000000000000000000000000000000002 0000000000000009
			0000000000000005 01 ` + keyOneID + ` 40 ` + suspicionSignature,
	},
	{
		name:  "RECORDS",
		frame: frame.Records{List: [][]byte{{0xaa}, {0xbb, 0xcc}}},
		wire:  "10 000005 01 aa 02 bbcc",
	},
	{name: "DIGEST", frame: frame.Digest{Hash: 0xfeed}, wire: "11 000008 000000000000feed"},
	{
		name: "OPEN",
		frame: frame.Open{Lanes: [frame.Lanes]frame.OpenLane{
			frame.Broadcast: {First: 1, Message: 1, Received: 0, Window: 4 << 20},
			frame.Direct:    {First: 12, Message: 9, Received: 11, Window: 1},
		}},
		wire: `18 000038 0000000000000001 0000000000000001 0000000000000000 00400000
			000000000000000c 0000000000000009 000000000000000b 00000001`,
	},
	{
		name: "OPEN of a node with groups",
		frame: frame.Open{
			Lanes: [frame.Lanes]frame.OpenLane{{First: 1, Message: 1, Window: 1}, {First: 1, Message: 1, Window: 1}}, Groups: true,
		},
		wire: `18 00003a 0000000000000001 0000000000000001 0000000000000000 00000001
			0000000000000001 0000000000000001 0000000000000000 00000001 02 00`,
	},
	{
		name: "OPEN of a node that serves methods",
		frame: frame.Open{
			Lanes: [frame.Lanes]frame.OpenLane{{First: 1, Message: 1, Window: 1}, {First: 1, Message: 1, Window: 1}},
			Calls: frame.OpenLane{First: 3, Message: 2, Received: 5, Window: 4 << 20}, Methods: true,
		},
		wire: `18 000058 0000000000000001 0000000000000001 0000000000000000 00000001
			0000000000000001 0000000000000001 0000000000000000 00000001
			04 1c 0000000000000003 0000000000000002 0000000000000005 00400000 06 00`,
	},
	{
		name: "OPEN of a node that listens on services",
		frame: frame.Open{
			Lanes:    [frame.Lanes]frame.OpenLane{{First: 1, Message: 1, Window: 1}, {First: 1, Message: 1, Window: 1}},
			Services: true,
		},
		wire: `18 00003a 0000000000000001 0000000000000001 0000000000000000 00000001
			0000000000000001 0000000000000001 0000000000000000 00000001 08 00`,
	},
	{name: "ACKED", frame: frame.Acked{Lane: frame.Direct, Number: 6}, wire: "19 000009 01 0000000000000006"},
	{
		name: "RELAY",
		frame: frame.Relay{
			Origin: ident.NodeID(fromHex(keyOneID)), Incarnation: 9, First: 7, Last: 10, Message: 5, Continues: true,
			Signature: fromHex(batchSignature), Fields: []byte{},
			Frames: fromHex("1a00001b" + "0000" + "0000000000000007" + "0000000000000005" + "000003612e6200" + "0178" +
				"1a00001c" + "0000" + "0000000000000008" + "0000000000000006" + "000003612e6200" + "017900" +
				"1a00001b" + "0001" + "000000000000000a" + "0000000000000008" + "000003612e6200" + "017a"),
			Whole: 7, Head: 1, More: true,
		},
		wire: `20 0000e1 ` + keyOneID + ` 0000000000000009
			0000000000000007 000000000000000a 0000000000000005 01 40 ` + batchSignature + ` 00
			1a 00001b 00 00 0000000000000007 0000000000000005 00 00 03 612e62 00 01 78
			1a 00001c 00 00 0000000000000008 0000000000000006 00 00 03 612e62 00 01 79 00
			1a 00001b 00 01 000000000000000a 0000000000000008 00 00 03 612e62 00 01 7a`,
	},
	{
		name: "REPEAT",
		frame: frame.Repeat{Relay: frame.Relay{
			Origin: ident.NodeID(fromHex(keyOneID)), Incarnation: 9, First: 7, Last: 10, Message: 5, Continues: true,
			Signature: fromHex(batchSignature), Fields: []byte{},
			Frames: fromHex("1a00001b" + "0000" + "0000000000000007" + "0000000000000005" + "000003612e6200" + "0178" +
				"1a00001c" + "0000" + "0000000000000008" + "0000000000000006" + "000003612e6200" + "017900" +
				"1a00001b" + "0001" + "000000000000000a" + "0000000000000008" + "000003612e6200" + "017a"),
			Whole: 7, Head: 1, More: true,
		}},
		wire: `25 0000e1 ` + keyOneID + ` 0000000000000009
			0000000000000007 000000000000000a 0000000000000005 01 40 ` + batchSignature + ` 00
			1a 00001b 00 00 0000000000000007 0000000000000005 00 00 03 612e62 00 01 78
			1a 00001c 00 00 0000000000000008 0000000000000006 00 00 03 612e62 00 01 79 00
			1a 00001b 00 01 000000000000000a 0000000000000008 00 00 03 612e62 00 01 7a`,
	},
	{
		name: "MARKS",
		frame: frame.Marks{List: []frame.Mark{
			{Origin: ident.NodeID{0: 1, 31: 2}, Incarnation: 9, First: 4, Last: 7, Message: 6},
			{Origin: ident.NodeID{0: 4, 31: 5}, Incarnation: 8, First: 1, Last: 0, Message: 1},
		}},
		wire: `21 000082 00 02
			0100000000000000000000000000000000000000000000000000000000000002 0000000000000009
			0000000000000004 0000000000000007 0000000000000006
			0400000000000000000000000000000000000000000000000000000000000005 0000000000000008
			0000000000000001 0000000000000000 0000000000000001`,
	},
	{
		name: "MARKS as a greeting",
		frame: frame.Marks{Greeting: true, List: []frame.Mark{
			{Origin: ident.NodeID{0: 1, 31: 2}, Incarnation: 9, First: 8, Last: 7, Message: 6},
		}},
		wire: `21 000042 01 01
			0100000000000000000000000000000000000000000000000000000000000002 0000000000000009
			0000000000000008 0000000000000007 0000000000000006`,
	},
	{
		name:  "PULL",
		frame: frame.Pull{Origin: ident.NodeID{0: 1, 31: 2}, Incarnation: 9, First: 4, Last: 7},
		wire: `22 000038 0100000000000000000000000000000000000000000000000000000000000002 0000000000000009
			0000000000000004 0000000000000007`,
	},
	{
		name: "PROOF",
		frame: frame.Proof{
			Origin: ident.NodeID(fromHex(keyOneID)), Incarnation: 9, First: 7, Last: 10, Message: 5, Whole: 7,
			Continues: true, More: true, Hash: [32]byte(fromHex(batchHash)), Signature: fromHex(batchSignature),
		},
		wire: `24 0000aa ` + keyOneID + ` 0000000000000009 0000000000000007 000000000000000a
			0000000000000005 0000000000000007 03 ` + batchHash + ` 40 ` + batchSignature,
	},
	{name: "GREET", frame: frame.Greet{Age: 258 * time.Microsecond}, wire: "23 000004 00000102"},
	{
		name: "LEAD",
		frame: frame.Lead{
			Election: "jobs", Leader: ident.NodeID{0: 1, 31: 2}, Incarnation: 9, Join: 3, Seat: ident.NodeID{0: 4, 31: 5},
			Term: 7, Last: 8, Waiting: true, Resigned: true,
		},
		wire: `30 000066 04 6a6f6273 0b 0000000000000008
			0100000000000000000000000000000000000000000000000000000000000002 0000000000000009
			0000000000000007 0000000000000003 0400000000000000000000000000000000000000000000000000000000000005`,
	},
	{
		name: "LEAD of a reign that is over",
		frame: frame.Lead{
			Leader: ident.NodeID{0: 1, 31: 2}, Incarnation: 9, Seat: ident.NodeID{0: 1, 31: 2}, Term: 7, Last: 7, Over: true,
		},
		wire: `30 000062 00 41 0000000000000007
			0100000000000000000000000000000000000000000000000000000000000002 0000000000000009
			0000000000000007 0000000000000000 0100000000000000000000000000000000000000000000000000000000000002`,
	},
	{
		name: "LEAD without a leader", frame: frame.Lead{Last: 7, Unfit: true, Calling: true, Again: true},
		wire: "30 00000a 00 34 0000000000000007",
	},
	{
		name: "PROMOTE", frame: frame.Promote{Target: ident.NodeID{0: 1, 31: 2}, Incarnation: 9},
		wire: "31 000029 00 0100000000000000000000000000000000000000000000000000000000000002 0000000000000009",
	},
	{
		name: "LEASE-RULE", frame: frame.LeaseRule{Election: "jobs", Electorate: 5, Seen: 8, Leads: 7},
		wire: "33 00001d 04 6a6f6273 0000000000000005 0000000000000008 0000000000000007",
	},
	{
		name: "LEASE-ASK",
		frame: frame.LeaseAsk{
			Election: "jobs", Kind: frame.LeaseClaim, Electorate: 5, Incarnation: 9, Number: 3, Term: 8, After: 7,
		},
		wire: `34 00002e 04 6a6f6273 01 0000000000000005 0000000000000009 0000000000000003
			0000000000000008 0000000000000007`,
	},
	{
		name: "LEASE-ANSWER",
		frame: frame.LeaseAnswer{
			Granted: true, Electorate: 5, Incarnation: 9, Number: 3, Seen: 8, Clock: 1 << 40,
			Wait: 258 * time.Microsecond,
		},
		wire: `35 00002e 00 01 0000000000000005 0000000000000009 0000000000000003
			0000000000000008 0000010000000000 00000102`,
	},
	{
		name: "LEASE-RELEASE", frame: frame.LeaseRelease{Term: 8, Successor: ident.NodeID{0: 1, 31: 2}},
		wire: "36 000029 00 0000000000000008 0100000000000000000000000000000000000000000000000000000000000002",
	},
	{
		name:  "LEASE-REIGN",
		frame: frame.LeaseReign{Election: "jobs", Over: true, Electorate: 5, Leader: ident.NodeID{0: 1, 31: 2}, Term: 7},
		wire: `32 000036 04 6a6f6273 01 0000000000000005
			0100000000000000000000000000000000000000000000000000000000000002 0000000000000007`,
	},
	{
		name: "LEASE-PROMOTE in a term", frame: frame.LeasePromote{Target: ident.NodeID{0: 1, 31: 2}, Term: 8},
		wire: `37 00002b 00 0100000000000000000000000000000000000000000000000000000000000002
			02 08 0000000000000008`,
	},
	{
		name: "LEASE-PROMOTE", frame: frame.LeasePromote{Target: ident.NodeID{0: 1, 31: 2}},
		wire: "37 000021 00 0100000000000000000000000000000000000000000000000000000000000002",
	},
}

func TestVectors(t *testing.T) {
	for _, tt := range vectors {
		t.Run(tt.name, func(t *testing.T) {
			wire := unhex(t, tt.wire)
			before := []byte("before")
			if got := tt.frame.Append(before); !bytes.Equal(got, append(before, wire...)) {
				t.Errorf("Append(%+v)\n got %x\nwant %x", tt.frame, got[len(before):], wire)
			}
			raw, n, err := frame.Next(wire)
			if err != nil || n != len(wire) || raw.Type != tt.frame.Type() {
				t.Fatalf("Next(%x) = %v, %d, %v; want %v, %d", wire, raw.Type, n, err, tt.frame.Type(), len(wire))
			}
			got, err := frame.Decode(raw)
			if err != nil {
				t.Fatalf("Decode(%x) error = %v", wire, err)
			}
			if diff := cmp.Diff(tt.frame, got); diff != "" {
				t.Errorf("Decode(%x) (-want +got):\n%s", wire, diff)
			}
		})
	}
}

// openFixed is the size of the payload of OPEN without fields.
const openFixed = frame.Lanes * (3*8 + 4)

// Every frame that is cut anywhere, or has a byte too many, is refused.
func TestDecodeRefusesEveryCutAndEveryTail(t *testing.T) {
	for _, tt := range vectors {
		t.Run(tt.name, func(t *testing.T) {
			payload := unhex(t, tt.wire)[frame.HeaderSize:]
			for n := range payload {
				if tt.frame.Type() == frame.TypeRecords && n == 2 {
					continue // here the cut is between two records
				}
				if o, ok := tt.frame.(frame.Open); ok && (n == openFixed || o.Methods && n == len(payload)-2) {
					continue // here it is before the fields, or between two
				}
				if h, ok := tt.frame.(frame.Hello); ok && h.OnDemand && n == len(payload)-2 {
					continue // likewise
				}
				if s, ok := tt.frame.(frame.Streams); ok && s.Bulk && n == len(payload)-2 {
					continue // likewise
				}
				if p, ok := tt.frame.(frame.LeasePromote); ok && p.Term != 0 && n == len(payload)-10 {
					continue // likewise
				}
				got, err := frame.Decode(frame.Raw{Type: tt.frame.Type(), Payload: payload[:n]})
				if !errors.Is(err, frame.ErrMalformed) {
					t.Errorf("Decode(%x) = %+v, %v; want %v", payload[:n], got, err, frame.ErrMalformed)
				}
			}
			got, err := frame.Decode(frame.Raw{Type: tt.frame.Type(), Payload: append(payload, 0x80)})
			if !errors.Is(err, frame.ErrMalformed) {
				t.Errorf("Decode with a byte too many = %+v, %v; want %v", got, err, frame.ErrMalformed)
			}
		})
	}
}
