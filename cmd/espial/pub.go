package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
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
	topic   string
	codec   codec.ID
	data    []byte        // encoded
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
	return nil
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

Data that is JSON is published as JSON, any other data as raw bytes, byte for
byte. --codec says it: json refuses what is none, raw publishes JSON as bytes,
cbor, msgpack and bson encode the JSON that is given, bson an object only.
Readers of a typed topic need not know: every event says how it is encoded.

A running node of this host publishes it. If none runs and --cluster is given,
join the cluster for the moment: wait until the other members are met,
publish, and leave when they have taken the event. Exit code 1 says that
nobody was there, that some may lack it, or that fewer than --wait-acks have
confirmed it. A running node that is alone takes the event for its own
subscribers, with a warning.`,
		Example: `  espial pub orders.placed '{"ID":"7"}'
  espial pub --codec cbor sensors.kitchen '{"celsius":21.5}'
  espial pub --args jobs.resize photo.jpg 800 600
  espial pub --to role=db --wait-acks 2 --handled backup.now`,
		Args: wants("TOPIC", "DATA…"),
	}
	asJSON := jsonFlag(cmd, "what was published as one JSON object")
	asArgs := cmd.Flags().Bool("args", false, "publish what follows TOPIC as one JSON array of strings")
	as := cmd.Flags().String("codec", "",
		"publish in the codec `NAME`: json, raw, cbor, msgpack or bson\n"+
			"(default json if the data is JSON, else raw)")
	p.flags(cmd.Flags())
	q.check = func(args []string) error {
		if !*asArgs && len(args) > 2 { //nolint:mnd // TOPIC and DATA
			return usagef("pub takes one DATA, not %d; quote it, or publish an array with --args",
				len(args)-1)
		}
		return p.check()
	}
	q.command(cmd, func(cmd *cobra.Command, args []string, n *control.Node) (err error) {
		p.topic = args[0]
		if p.data, err = payload(cmd.Context(), args[1:], *asArgs, cmd.InOrStdin()); err != nil {
			return err
		}
		if p.codec, p.data, err = encodePayload(*as, p.data); err != nil {
			return err
		}
		if n != nil {
			err = q.publishVia(cmd.Context(), n, p)
		} else {
			err = q.publish(cmd.Context(), p)
		}
		if err != nil || !*asJSON {
			return err
		}
		return printer{cmd.OutOrStdout(), true}.print(struct {
			Topic string   `json:"topic"`
			Bytes int      `json:"bytes"`
			Codec codec.ID `json:"codec"`
		}{p.topic, len(p.data), p.codec}, "")
	})
	return cmd
}

// payload returns the data to publish. While it reads standard input an interrupt ends it.
func payload(ctx context.Context, args []string, asArgs bool, in io.Reader) ([]byte, error) {
	switch {
	case asArgs:
		return json.Marshal(append([]string{}, args...))
	case len(args) > 0 && args[0] != "-":
		return []byte(args[0]), nil
	}
	var data []byte
	err := orEnd(ctx, func() (err error) {
		data, err = io.ReadAll(io.LimitReader(in, stdinMax+1))
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case len(data) > stdinMax:
		return nil, usagef("standard input has more than %d bytes, the most that an event can have", stdinMax)
	}
	return data, nil
}

// publishVia lets a running node publish.
func (q *question) publishVia(ctx context.Context, n *control.Node, p *publication) error {
	_, err := collect(ctx, n, "pub", map[string]any{
		"topic": p.topic, "data": p.data, "codec": p.codec, "to": p.to,
		"acks": p.acks, "handled": p.handled, "timeout_ms": p.timeout.Milliseconds(),
	})
	if e, ok := errors.AsType[*control.Error](err); ok && e.Code == codeTooLarge {
		return usagef("the data has %d bytes: %s", len(p.data), e.Text)
	}
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
	// Also where nobody is there, since a bad topic is to be reported first.
	err = p.send(ctx, n)
	switch {
	case members == 0 && (err == nil || asFailure(err).code == codeNo):
		return nof("the event reached nobody: no member of %q answered within %v (--wait)", q.cluster, p.wait)
	case err != nil:
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
func (p *publication) send(ctx context.Context, n *espial.Node) error {
	to, err := p.target()
	if err != nil {
		return err
	}
	if p.acks > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.timeout)
		defer cancel()
	}
	topic := espial.NewTopic[[]byte](p.topic).WithCodec(encoded{id: p.codec})
	return topic.Publish(ctx, n, p.data, to)
}
