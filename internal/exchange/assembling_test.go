package exchange_test

import (
	"testing"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

// awake is a link that nobody reads.
type awake struct{}

func (awake) Wake() {}

func (awake) Send([]byte) error { return nil }

// Large messages that several members have in progress together stay within one budget:
// the one that exceeds it is lost and told, the others arrive.
func TestMessagesInProgressStayWithinABudget(t *testing.T) {
	const pieces, size = 1000, 32 << 10 // 31 MiB each
	n := newNode(t, 1, 40<<20)
	q, err := n.Subscribe(">", mailbox.Options{BytesMax: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	send := func(p *exchange.Pair, f []byte) {
		raw, _, err := frame.Next(f)
		if err == nil {
			err = p.Receive(raw)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	payload := make([]byte, size)
	piece := func(i int) []byte {
		f := frame.BeginEvents(nil, frame.Events{
			Lane: frame.Broadcast, More: i < pieces, First: ident.Seq(i), Message: 1, Topic: []byte("big"),
		})
		f = frame.AppendPayload(f, payload)
		frame.Seal(f)
		return f
	}
	var pairs []*exchange.Pair
	for i := range byte(3) {
		p := n.Pair(ident.NodeID{10 + i}, 1, "member")
		p.Attach(awake{})
		var open frame.Open
		for lane := range open.Lanes {
			open.Lanes[lane] = frame.OpenLane{First: 1, Message: 1, Window: 4 << 20}
		}
		pairs = append(pairs, p)
		n.SetMembers(pairs)
		p.Fill(nil, 1<<10) // our own OPEN
		send(p, open.Append(nil))
	}
	for i := 1; i <= pieces; i++ {
		for _, p := range pairs {
			send(p, piece(i))
		}
	}
	whole, lost := 0, uint64(0)
	for whole+int(lost) < len(pairs) {
		batch, err := q.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range batch {
			whole += e.Count
			lost += e.Lost.Count
		}
	}
	if whole != 2 || lost != 1 {
		t.Errorf("%d messages arrived and %d were lost, want two and one", whole, lost)
	}
}
