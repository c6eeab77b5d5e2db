package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/espial-go/espial/internal/control"
)

// stdinMax bounds what pub reads, in bytes: the largest event that any node takes.
const stdinMax = 64 << 20

// newPubCommand returns espial pub.
func newPubCommand() *cobra.Command {
	q := &question{joins: true, anyNode: true}
	cmd := &cobra.Command{
		Use:   "pub TOPIC [DATA]",
		Short: "Publish an event",
		Long: `Publish an event to every member of the cluster. Without DATA, or with -, the
data is read from standard input up to its end, byte for byte.

A running node of this host publishes it. If none runs and --cluster is given,
join the cluster for the moment: wait until the other members are met,
publish, and leave when they have taken the event. Exit code 1 says that
nobody was there or that some may lack it. A running node that is alone takes
the event for its own subscribers, with a warning.`,
		Example: `  espial pub orders.placed '{"ID":"7"}'
  espial pub --args jobs.resize photo.jpg 800 600`,
		Args: wants("TOPIC", "DATA…"),
	}
	asJSON := jsonFlag(cmd, "what was published as one JSON object")
	asArgs := cmd.Flags().Bool("args", false, "publish what follows TOPIC as one JSON array of strings")
	wait := cmd.Flags().Duration("wait", joinWait, "`TIME` to wait for others after joining for the moment")
	q.check = func(args []string) error {
		switch {
		case !*asArgs && len(args) > 2: //nolint:mnd // TOPIC and DATA
			return usagef("pub takes one DATA, not %d; quote it, or publish an array with --args",
				len(args)-1)
		case *wait < 0:
			return usagef("--wait: must not be negative")
		}
		return nil
	}
	q.command(cmd, func(cmd *cobra.Command, args []string, n *control.Node) error {
		data, err := payload(args[1:], *asArgs, cmd.InOrStdin())
		if err != nil {
			return err
		}
		if n != nil {
			err = q.publishVia(cmd.Context(), n, args[0], data)
		} else {
			err = q.publish(cmd.Context(), args[0], data, *wait)
		}
		if err != nil || !*asJSON {
			return err
		}
		return printer{cmd.OutOrStdout(), true}.print(struct {
			Topic string `json:"topic"`
			Bytes int    `json:"bytes"`
		}{args[0], len(data)}, "")
	})
	return cmd
}

// payload returns the data to publish.
func payload(args []string, asArgs bool, in io.Reader) ([]byte, error) {
	switch {
	case asArgs:
		return json.Marshal(append([]string{}, args...))
	case len(args) > 0 && args[0] != "-":
		return []byte(args[0]), nil
	}
	data, err := io.ReadAll(io.LimitReader(in, stdinMax+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > stdinMax:
		return nil, usagef("standard input has more than %d bytes, the most that an event can have", stdinMax)
	}
	return data, nil
}

// publishVia lets a running node publish.
func (q *question) publishVia(ctx context.Context, n *control.Node, topic string, data []byte) error {
	_, err := collect(ctx, n, "pub", map[string]any{"topic": topic, "data": data})
	if e, ok := errors.AsType[*control.Error](err); ok && e.Code == codeTooLarge {
		return usagef("the data has %d bytes: %s", len(data), e.Text)
	}
	if err != nil {
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
func (q *question) publish(ctx context.Context, topic string, data []byte, wait time.Duration) error {
	n, err := q.join(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = n.Close() }()
	members, reached, err := meet(ctx, n, wait)
	if err != nil {
		return err
	}
	// Also where nobody is there, since a bad topic is to be reported first.
	if err := n.Publish(ctx, topic, data); err != nil {
		return err
	}
	if members == 0 {
		return nof("the event reached nobody: no member of %q answered within %v (--wait)", q.cluster, wait)
	}
	leave, cancel := context.WithTimeout(ctx, leaveMax)
	defer cancel()
	if err := n.Leave(leave); err != nil {
		return nof("some members may lack the event: %v", err)
	}
	if reached < members {
		return nof("only %d of %d members could be reached within %v (--wait)", reached, members, wait)
	}
	return nil
}
