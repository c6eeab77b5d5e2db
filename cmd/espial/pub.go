package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/internal/control"
)

// stdinMax bounds what pub reads, in bytes: the largest event that any node takes.
const stdinMax = 64 << 20

// publication is what espial pub publishes, and how.
type publication struct {
	series
	topic   string
	to      string        // as espial.ParseTarget takes it
	acks    int           // members that have to confirm it; 0 for none
	handled bool          // and to handle it, not only to have it
	timeout time.Duration // to wait for them
	wait    time.Duration // to wait for others after joining for the moment
}

// encoded is the codec of bytes that are encoded already.
type encoded struct {
	codec.Bytes
	id codec.ID
}

// ID returns the codec in which they are.
func (e encoded) ID() codec.ID { return e.id }

// flags adds the flags of a publication.
func (p *publication) flags(fs *pflag.FlagSet) {
	fs.BoolVar(&p.array, "args", false, "publish what follows TOPIC as one JSON array of strings")
	fs.StringVar(&p.codec, "codec", "",
		"publish in the codec `NAME`: json, raw, cbor, msgpack or bson\n"+
			"(default json if the data is JSON, else raw)")
	fs.BoolVar(&p.lines, "lines", false, "publish each line of standard input as an event, as it comes")
	fs.IntVar(&p.count, "count", 1, "publish the event `N` times")
	fs.Float64Var(&p.rate, "rate", math.Inf(1), "with --lines or --count: publish at most `N` events\n"+
		"a second, evenly spaced; 0.1 is one in ten seconds")
	fs.Lookup("rate").DefValue = "unlimited"
	fs.StringVar(&p.to, "to", targetAll, "publish to `TARGET`: all, others, leader, a node name or pattern\n"+
		"(db-*), an ID, or KEY=VALUE of the metadata; one:TARGET is one of\nthose in turn")
	fs.IntVar(&p.acks, "wait-acks", 0, "wait until `N` members have the event in the queue of a subscription")
	fs.BoolVar(&p.handled, "handled", false,
		"with --wait-acks: wait until the readers of those members have handled it")
	fs.DurationVar(&p.timeout, "timeout", ackWait, "`TIME` to wait for the members")
	fs.DurationVar(&p.wait, "wait", joinWait, "`TIME` to wait for others after joining for the moment")
}

// targetAll is the default of --to.
const targetAll = "all"

// acksMax is how many members can confirm one event; see [espial.Target.Queued].
const acksMax = 256

// ackWait is how long pub waits for acknowledgements.
const ackWait = 10 * time.Second

// check says what is wrong with the flags.
func (p *publication) check() error {
	switch {
	case p.wait < 0:
		return usagef("--wait: must not be negative")
	case p.acks < 0 || p.acks > acksMax:
		return usagef("--wait-acks: is %d, must be 0 to %d", p.acks, acksMax)
	case p.handled && p.acks == 0:
		return usagef("--handled: needs --wait-acks, the number of members")
	case p.timeout <= 0:
		return usagef("--timeout: must be above zero")
	}
	if _, err := p.target(); err != nil {
		return usagef("--to: %s", strings.TrimPrefix(err.Error(), "espial: "))
	}
	return p.series.check()
}

// target returns the target that the flags mean.
func (p *publication) target() (espial.Target, error) {
	t, err := espial.ParseTarget(p.to)
	switch {
	case p.acks == 0:
		return t, err
	case p.handled:
		return t.Handled().AtLeast(p.acks), err
	default:
		return t.Queued().AtLeast(p.acks), err
	}
}

// newPubCommand returns espial pub.
func newPubCommand() *cobra.Command {
	q := &question{joins: true, anyNode: true}
	p := &publication{}
	cmd := &cobra.Command{
		Use:   "pub TOPIC [DATA]",
		Short: "Publish an event",
		Long: `Publish an event to every member of the cluster, or to those that --to names.
Without DATA, or with -, the data is read from standard input up to its end.
With --lines each line of it is an event, published as it comes; --count
publishes one event several times, and --rate says how often at most.

Data that is JSON is published as JSON, any other data as raw bytes, byte for
byte. --codec says it: json refuses what is none, raw publishes JSON as bytes,
cbor, msgpack and bson encode the JSON that is given, bson an object only.
Readers of a typed topic need not know: every event says how it is encoded.

A running node of this host publishes it. If none runs and --cluster is given,
join the cluster for the moment: wait until the other members are met,
publish, and leave when they have taken the event. Exit code 1 says that
nobody was there, that some may lack it, or that fewer than --wait-acks have
confirmed it. A running node that is alone takes the event for its own
subscribers, with a warning. Of several events the first that fails is the
last, and the error says which it was.`,
		Example: `  espial pub orders.placed '{"ID":"7"}'
  espial pub --codec cbor sensors.kitchen '{"celsius":21.5}'
  espial pub --args jobs.resize photo.jpg 800 600
  espial pub --to role=db --wait-acks 2 --handled backup.now
  tail -f app.log | espial pub --lines --rate 100 logs.app`,
		Args: wants("TOPIC", "DATA…"),
	}
	asJSON := jsonFlag(cmd, "what was published as one JSON object a line")
	p.flags(cmd.Flags())
	q.check = func(args []string) error {
		p.topic, p.data = args[0], args[1:]
		return p.check()
	}
	q.command(cmd, func(cmd *cobra.Command, _ []string, n *control.Node) error {
		p.sent = func(event) error { return nil }
		if *asJSON {
			p.sent = func(e event) error { return p.print(cmd.OutOrStdout(), e) }
		}
		if err := p.open(cmd.Context(), cmd.InOrStdin()); err != nil {
			return err
		}
		if n != nil {
			return q.publishVia(cmd.Context(), n, p)
		}
		return q.publish(cmd.Context(), p)
	})
	return cmd
}

// print prints one event that was published.
func (p *publication) print(w io.Writer, e event) error {
	return printer{w, true}.print(struct {
		Topic string   `json:"topic"`
		Bytes int      `json:"bytes"`
		Codec codec.ID `json:"codec"`
	}{p.topic, len(e.data), e.codec}, "")
}

// publishVia lets a running node publish.
func (q *question) publishVia(ctx context.Context, n *control.Node, p *publication) error {
	err := p.each(ctx, func(e event) error {
		_, err := collect(ctx, n, "pub", map[string]any{
			"topic": p.topic, "data": e.data, "codec": e.codec, "to": p.to,
			"acks": p.acks, "handled": p.handled, "timeout_ms": p.timeout.Milliseconds(),
		})
		if answer, ok := errors.AsType[*control.Error](err); ok && answer.Code == codeTooLarge {
			return usagef("the data has %d bytes: %s", len(e.data), answer.Text)
		} else if ok && answer.Code == codeNoMember {
			return p.nobody()
		}
		return err
	})
	if err != nil || p.to != targetAll {
		return err
	}
	var status struct {
		Members int `json:"members"`
	}
	err = n.Call(ctx, "status", nil, func(b json.RawMessage) error { return json.Unmarshal(b, &status) })
	if err == nil && status.Members == 1 {
		warnf(q.warnings, "nobody else is in cluster %q: delivered to this node only", n.Cluster)
	}
	return nil // the event was taken, whatever became of the node since
}

// publish joins for the moment and publishes.
func (q *question) publish(ctx context.Context, p *publication) error {
	n, err := q.join(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = n.Close() }()
	members, reached, err := meet(ctx, n, p.wait)
	if err != nil {
		return err
	}
	err = p.each(ctx, func(e event) error {
		// Also where nobody is there, since a bad topic is to be reported first.
		err := p.send(ctx, n, e)
		if others(n) == 0 && (err == nil || asFailure(err).code == codeNo) {
			return nof("the event reached nobody: no member of %q answered within %v (--wait)",
				q.cluster, p.wait)
		}
		return err
	})
	if err != nil {
		return err
	}
	leave, cancel := context.WithTimeout(ctx, leaveMax)
	defer cancel()
	if err := n.Leave(leave); err != nil {
		return nof("some members may lack the event: %v", err)
	}
	if reached < members {
		return nof("only %d of %d members could be reached within %v (--wait)", reached, members, p.wait)
	}
	return nil
}

// send publishes by a node for the moment.
func (p *publication) send(ctx context.Context, n *espial.Node, e event) error {
	to, err := p.target()
	if err != nil {
		return err
	}
	if p.acks > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.timeout)
		defer cancel()
	}
	topic := espial.NewTopic[[]byte](p.topic).WithCodec(encoded{id: e.codec})
	err = topic.Publish(ctx, n, e.data, to)
	if _, some := errors.AsType[*espial.UndeliveredError](err); !some && errors.Is(err, espial.ErrNoMember) {
		return p.nobody()
	}
	return err
}

// nobody is the error for a target that means no member. It names the target, because what was
// meant for an ID or for metadata may have been read as a name.
func (p *publication) nobody() error { return nof("--to: no member is meant by %q", p.to) }
