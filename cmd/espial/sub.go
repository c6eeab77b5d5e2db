package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/control"
	"github.com/espial-go/espial/internal/term"
)

// newSubCommand returns espial sub.
func newSubCommand() *cobra.Command {
	q := &question{joins: true, anyNode: true}
	cmd := &cobra.Command{
		Use:   "sub PATTERN",
		Short: "Print events",
		Long: `Print the events whose topics match PATTERN, until an interrupt or --count of
them. In a pattern * stands for one word and > at the end for one or more.

Data is shown as JSON, where it is JSON or is encoded in cbor, msgpack or
bson; codec says which. With --json anything else is data_base64.

A running node of this host collects them. If none runs and --cluster is
given, join the cluster for the moment. A line with the topic "lagged" and a
count stands in the place of events that were lost because this reader is too
slow.`,
		Example: "  espial sub 'orders.>' --count 1 --json\n" +
			"  espial sub '>' --except '*.secret'\n" +
			"  espial sub jobs.resize --queue workers",
		Args: wants("PATTERN"),
	}
	s := &subscriber{}
	asJSON := jsonFlag(cmd, "one JSON object a line")
	cmd.Flags().StringVar(&s.queue, "queue", "",
		"share the events with the other subscriptions of the `GROUP`:\n"+
			"one of them in the cluster gets each, in turn")
	cmd.Flags().StringSliceVar(&s.except, "except", nil,
		"leave out topics that match one of the `PATTERNS`; repeatable, or with commas")
	cmd.Flags().BoolVar(&s.replay, "replay", false, "begin with what the members keep of these topics")
	cmd.Flags().IntVar(&s.count, "count", 0, "end after this many `EVENTS` (default 0, no end)")
	q.check = func([]string) error {
		switch {
		case s.count < 0:
			return usagef("--count: must not be negative")
		case s.queue != "" && s.replay:
			return usagef("--replay: a group has no past")
		}
		return nil
	}
	q.command(cmd, func(cmd *cobra.Command, args []string, n *control.Node) error {
		s.pattern, s.json, s.w = args[0], *asJSON, cmd.OutOrStdout()
		ctx := cmd.Context()
		var err error
		if n != nil {
			err = s.follow(ctx, n)
		} else {
			err = s.join(ctx, q)
		}
		return unlessInterrupted(ctx, err)
	})
	return cmd
}

// unlessInterrupted returns nil if the user ended the command, which is how it is meant to
// end, and else err.
func unlessInterrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// subscriber prints events.
type subscriber struct {
	pattern string
	except  []string
	queue   string // the group, "" for none
	replay  bool
	count   int // events still to come, 0 for no end
	json    bool
	w       io.Writer
}

// follow prints the events that a running node collects.
func (s *subscriber) follow(ctx context.Context, n *control.Node) error {
	args := map[string]any{
		"pattern": s.pattern, "except": s.except, "count": s.count, "group": s.queue, "replay": s.replay,
	}
	return n.Call(ctx, "sub", args, func(b json.RawMessage) error {
		if string(b) == "null" { // the subscription stands
			return nil
		}
		return s.print(b)
	})
}

// errEnough ends a node for the moment that has what it was started for.
var errEnough = errors.New("enough")

// join prints the events that a node for the moment collects.
func (s *subscriber) join(ctx context.Context, q *question) error {
	n, err := q.join(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = n.Close() }()
	g, ctx := errgroup.WithContext(ctx)
	opts := []espial.SubscribeOption{espial.WithPolicy(espial.DropOldest), espial.Except(s.except...)}
	if s.queue != "" {
		opts = append(opts, espial.Group(s.queue))
	}
	if s.replay {
		opts = append(opts, espial.Replay())
	}
	events := n.Subscribe(ctx, s.pattern, opts...)
	g.Go(func() error { return founded(ctx, n) })
	g.Go(func() error {
		for e, err := range events {
			if err := s.take(e, err); err != nil {
				return err
			}
		}
		return espial.ErrClosed
	})
	if err := g.Wait(); !errors.Is(err, errEnough) {
		return err
	}
	return nil
}

// take prints one event or loss of a node for the moment.
func (s *subscriber) take(e espial.Event, err error) error {
	lag, lagged := errors.AsType[*espial.LaggedError](err)
	var v any = e
	switch {
	case lagged:
		v = newLoss(lag)
	case err != nil:
		return err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := s.print(b); err != nil || lagged {
		return err
	}
	if s.count--; s.count == 0 {
		return errEnough
	}
	return nil
}

// loss stands in the place of lost events, as a running node tells them.
type loss struct {
	Time    time.Time     `json:"time"`
	Topic   espial.Kind   `json:"topic"`
	From    espial.Sender `json:"from"`
	Count   uint64        `json:"count"`
	Unknown bool          `json:"unknown,omitempty"`
}

func newLoss(e *espial.LaggedError) loss {
	return loss{time.Now(), espial.Lagged, espial.Sender{ID: e.From}, e.Count, e.Unknown}
}

// print prints one event or loss.
func (s *subscriber) print(b json.RawMessage) error {
	b = readable(b)
	line := term.AppendJSON(nil, b)
	if !s.json {
		text, err := eventLine(b)
		if err != nil {
			return err
		}
		line = []byte(text)
	}
	_, err := s.w.Write(append(line, '\n'))
	return err
}

// eventLine returns an event for people: time, topic, sender, data.
func eventLine(b json.RawMessage) (string, error) {
	var e struct {
		Time  time.Time `json:"time"`
		Topic string    `json:"topic"`
		From  struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"from"`
		Data    json.RawMessage `json:"data"`
		Base64  []byte          `json:"data_base64"`
		Count   uint64          `json:"count"`
		Unknown bool            `json:"unknown"`
	}
	if err := json.Unmarshal(b, &e); err != nil {
		return "", fmt.Errorf("the node answered %q: %w", b, err)
	}
	from := term.Text(e.From.Name)
	if from == "" {
		from = short(e.From.ID)
	}
	data := term.Text(string(e.Base64))
	switch {
	case e.Topic == string(espial.Lagged) && e.Unknown:
		data = "an unknown number of events is missing"
	case e.Topic == string(espial.Lagged):
		data = fmt.Sprintf("%d events are missing", e.Count)
	case len(e.Data) > 0:
		data = string(term.AppendJSON(nil, e.Data))
	}
	return fmt.Sprintf("%s  %-20s  %-12s  %s", clock(e.Time), term.Text(e.Topic), from, data), nil
}
