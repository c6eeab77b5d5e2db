package espial_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"iter"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/codec/bson"
	"github.com/espial-go/espial/codec/cbor"
	"github.com/espial-go/espial/codec/msgpack"
	"github.com/espial-go/espial/codec/protobuf"
)

// allocsPerEvent returns what one of many events costs in allocations, from its publication
// to the step of the loop that reads it.
func allocsPerEvent[E any](c *cluster, events iter.Seq2[E, error], publish func(message []byte) error) float64 {
	const count = 1000
	message := make([]byte, 128)
	got := make(chan struct{}, 1)
	go func() {
		left := count
		for range events {
			if left--; left == 0 {
				left = count
				got <- struct{}{}
			}
		}
	}()
	turn := func() {
		for range count {
			if err := publish(message); err != nil {
				c.Fatal(err)
			}
		}
		<-got
	}
	turn()
	return testing.AllocsPerRun(20, turn) / count
}

// The way of an event to the node's own loop allocates memory for each run of events, and
// none for each event.
func TestAnEventCostsNoAllocation(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n := c.nodes[0]
		events := n.Subscribe(c.Context(), "orders.*", espial.WithPolicy(espial.Block))
		allocs := allocsPerEvent(c, events, func(message []byte) error {
			return n.Publish(c.Context(), "orders.placed", message)
		})
		if allocs > 0.1 {
			c.Errorf("an event costs %v allocations, want at most 0.1", allocs)
		}
	})
}

// Nor does one to another node, over TLS and a network in memory that copies.
func TestPublishingToOneMemberCostsNoAllocation(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		ctx, cancel := context.WithTimeout(c.Context(), time.Hour)
		defer cancel()
		to := only(b)
		allocs := allocsPerEvent(c, b.Subscribe(c.Context(), "orders.placed"), func(message []byte) error {
			return a.Publish(ctx, "orders.placed", message, to)
		})
		// The network in memory copies what is written to it.
		if allocs > 0.2 {
			c.Errorf("an event costs %v allocations, want at most 0.2", allocs)
		}
	})
}

// count64 is a codec that allocates nothing: what is left is what a typed topic costs.
type count64 struct{}

func (count64) ID() codec.ID { return codec.User }

func (count64) Encode(b *bytes.Buffer, v any) error {
	b.Write(binary.BigEndian.AppendUint64(b.AvailableBuffer(), v.(*counted).N))
	return nil
}

func (count64) Decode(data []byte, v any) error {
	v.(*counted).N = binary.BigEndian.Uint64(data)
	return nil
}

// counted is larger than what Go hands over without an allocation.
type counted struct {
	N    uint64
	Rest [12]uint64
}

// A typed topic adds no allocation to those of its codec, at neither end.
func TestATypedEventCostsNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("with the race detector pools forget on purpose")
	}
	counts := espial.NewTopic[counted]("counts").WithCodec(count64{})
	inCluster(t, 1, func(c *cluster) {
		n := c.nodes[0]
		events := counts.Subscribe(c.Context(), n, espial.WithPolicy(espial.Block))
		allocs := allocsPerEvent(c, events, func(message []byte) error {
			return counts.Publish(c.Context(), n, counted{N: uint64(len(message))})
		})
		if allocs > 0.1 {
			c.Errorf("a typed event costs %v allocations, want at most 0.1", allocs)
		}
	})
}

// Encoding costs what the libraries cost: nothing, one allocation for each struct that
// MessagePack looks up, and one for the copy that BSON hands out.
func TestEncodingCostsWhatItsLibraryDoes(t *testing.T) {
	if raceEnabled {
		t.Skip("with the race detector pools forget on purpose")
	}
	type order struct {
		ID    string
		Count int
		Lines []string
	}
	value := order{"7", 3, []string{"a", "b"}}
	message := structpb.NewStringValue("7")
	tests := []struct {
		codec   codec.Codec
		publish func(context.Context, *espial.Node) error
		max     float64
	}{
		{espial.JSON(), publisher(espial.JSON(), value), 0},
		{codec.Bytes{}, publisher(codec.Bytes{}, []byte("7")), 0},
		{cbor.Codec{}, publisher(cbor.Codec{}, value), 0},
		{msgpack.Codec{}, publisher(msgpack.Codec{}, value), 1},
		{protobuf.Codec{}, publisher(protobuf.Codec{}, message), 0},
		{bson.Codec{}, publisher(bson.Codec{}, value), 1},
	}
	inCluster(t, 1, func(c *cluster) {
		n := c.nodes[0]
		for _, tt := range tests {
			publish := func() {
				if err := tt.publish(c.Context(), n); err != nil {
					c.Fatal(err)
				}
			}
			publish()
			if allocs := testing.AllocsPerRun(1000, publish); allocs > tt.max {
				c.Errorf("publishing as %v costs %v allocations, want at most %v", tt.codec.ID(), allocs, tt.max)
			}
		}
	})
}

// publisher returns a function that publishes one value in a codec.
func publisher[T any](codec codec.Codec, v T) func(context.Context, *espial.Node) error {
	topic := espial.NewTopic[T]("orders.placed").WithCodec(codec)
	return func(ctx context.Context, n *espial.Node) error { return topic.Publish(ctx, n, v) }
}
