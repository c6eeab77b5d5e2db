package espial

import (
	"context"
	"slices"

	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/mailbox"
)

// reader is the loop of one subscription.
type reader struct {
	queue  *mailbox.Queue
	reuse  bool // give the memory of each run back
	replay bool // put the past in front of the news

	past mailbox.CatchUp
	due  []mailbox.Entry // scratch of arrange
}

// run yields what the queue brings until it, ctx, or the loop ends.
func (r *reader) run(ctx context.Context, yield func(Event, error) bool) {
	var left []mailbox.Entry
	defer func() { r.abandon(left) }() // also where the loop panics
	for {
		batch, err := r.queue.Next(ctx)
		for left = r.arrange(batch); len(left) > 0; left = left[1:] {
			if !yieldEntry(&left[0], yield) {
				return
			}
			left[0].Handled()
			if r.reuse {
				r.queue.Reuse(left[0].Data)
			}
		}
		clear(r.due) // which would keep their data alive until more comes
		if err != nil {
			return // with the policy Fail the last entry told what is missing
		}
	}
}

// arrange puts what members replay in front of what they publish since.
func (r *reader) arrange(batch []mailbox.Entry) []mailbox.Entry {
	if !r.replay {
		return batch
	}
	r.due = r.due[:0]
	for i := range batch {
		r.due = r.past.Take(r.due, batch[i])
		batch[i].Slip = nil // has gone with the copy
	}
	return r.due
}

// abandon ends the loop before what is left of a batch.
func (r *reader) abandon(left []mailbox.Entry) {
	for i := range left {
		left[i].Abandoned()
	}
	r.past.Abandon()
}

// yieldEntry yields one run, or one loss.
func yieldEntry(e *mailbox.Entry, yield func(Event, error) bool) bool {
	if e.Count == 0 {
		return yield(Event{}, &LaggedError{
			From: NodeID(e.Lost.From), Topic: e.Lost.Topic, Count: e.Lost.Count, Unknown: e.Lost.Unknown,
		})
	}
	out := Event{
		Topic: e.Topic, From: Sender{ID: NodeID(e.From), Name: e.Name}, Seq: uint64(e.First),
		Direct: e.Lane == frame.Direct && !e.Past, Replayed: e.Past,
		At: e.At, Term: uint64(e.Term), Codec: codec.ID(e.Codec),
	}
	for run := e.Data; len(run) > 0; out.Seq++ {
		var payload []byte
		payload, run = frame.NextPayload(run)
		out.Data = slices.Clip(payload)
		if !yield(out, nil) {
			return false
		}
	}
	return true
}
