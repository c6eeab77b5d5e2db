package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/internal/control"
	"github.com/espial-go/espial/internal/term"
)

// call is what espial call asks, and of whom.
type call struct {
	method  string
	data    []string // as it was given; none for standard input
	codec   string
	to      string // as espial.ParseTarget takes it
	gather  bool
	timeout time.Duration
	wait    time.Duration // to wait for others after joining for the moment
	json    bool
	w       io.Writer

	answers int // that brought a result
	failed  string
}

// flags adds the flags of a call.
func (c *call) flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.codec, "codec", "",
		"send DATA in the codec `NAME`: json, raw, cbor, msgpack or bson\n"+
			"(default json if the data is JSON, else raw)")
	fs.StringVar(&c.to, "to", targetAll, "call one of `TARGET`: all, others, leader, a node name or\n"+
		"pattern (db-*), an ID, or KEY=VALUE of the metadata")
	fs.BoolVar(&c.gather, "gather", false, "call every member that --to means, and print all answers")
	fs.DurationVar(&c.timeout, "timeout", ackWait, "`TIME` to wait for answers")
	fs.DurationVar(&c.wait, "wait", joinWait, "`TIME` to wait for others after joining for the moment")
}

// parse takes a URI in the place of the method: it names the cluster and the members as well.
func (c *call) parse(q *question) error {
	if !strings.Contains(c.method, "://") {
		return nil
	}
	u, err := espial.ParseURI(c.method)
	switch {
	case err != nil:
		return err
	case c.to != targetAll:
		return usagef("--to: the URI names the members already")
	case q.cluster != "" && q.cluster != u.Cluster:
		return usagef("--cluster: is %q, and the URI is of %q", q.cluster, u.Cluster)
	case slices.Contains([]string{targetAll, "others", "leader"}, u.Peer):
		return usagef("%v: %q is no name here but a word for members; take the ID of the node", u, u.Peer)
	}
	q.cluster, c.to, c.method = u.Cluster, u.Peer, u.Method
	return nil
}

// check says what is wrong with the flags.
func (c *call) check() error {
	switch {
	case c.wait < 0:
		return usagef("--wait: must not be negative")
	case c.timeout <= 0:
		return usagef("--timeout: must be above zero")
	case len(c.data) > 1:
		return usagef("DATA is one argument; put it in quotes")
	}
	if _, err := espial.ParseTarget(c.to); err != nil {
		return usagef("--to: %s", strings.TrimPrefix(err.Error(), "espial: "))
	}
	return nil
}

// newCallCommand returns espial call.
func newCallCommand() *cobra.Command {
	q := &question{joins: true, anyNode: true}
	c := &call{}
	cmd := &cobra.Command{
		Use:   "call METHOD|URI [DATA]",
		Short: "Call a method of a member",
		Long: `Call a method of one of the members that serve it, or with --gather of all, and
print the result. Without DATA, or with -, the data is read from standard
input up to its end. Data that is JSON is sent as JSON, any other data as raw
bytes; --codec says it. A URI, espial://CLUSTER/PEER/METHOD, says which
members as well: a node name, a pattern or an ID.

A result is printed as it came, byte for byte, and with a newline if it is
JSON; with --gather there is a line for each member. A result that is a flow
is printed value by value as they come, for --timeout in all; with --gather
one member after the other. --json prints one object
a line, {"from","codec","value"} or {"from","error"}; a value that is no JSON
and cannot be shown as such is value_base64.

A running node of this host calls. If none runs and --cluster is given, join
the cluster for the moment. Exit code 1 says that there is no result; the
error says whether the method may have been executed.`,
		Example: `  espial call greet '"Ann"'
  espial call --to db-1 --timeout 1m backup.run </dev/null
  espial call espial://shop/db-1/backup.run null
  espial call --gather --json disk.free null`,
		Args: wants("METHOD", "DATA…"),
	}
	asJSON := jsonFlag(cmd, "one JSON object a line")
	c.flags(cmd.Flags())
	q.check = func(args []string) error {
		c.method, c.data = args[0], args[1:]
		if err := c.parse(q); err != nil {
			return err
		}
		return c.check()
	}
	q.command(cmd, func(cmd *cobra.Command, _ []string, n *control.Node) error {
		c.json, c.w = *asJSON, cmd.OutOrStdout()
		data, err := argument(c.data, cmd.InOrStdin())
		if err != nil {
			return err
		}
		id, data, err := encodePayload(c.codec, data)
		if err != nil {
			return err
		}
		if n != nil {
			err = c.via(cmd.Context(), n, id, data)
		} else {
			err = c.join(cmd.Context(), q, id, data)
		}
		switch {
		case err != nil:
			return err
		case c.failed != "" && (c.answers == 0 || !c.gather):
			return nof("%s", c.failed)
		}
		return nil
	})
	return cmd
}

// argument returns the data of a call.
func argument(words []string, in io.Reader) ([]byte, error) {
	if len(words) == 1 && words[0] != "-" {
		return []byte(words[0]), nil
	}
	data, err := io.ReadAll(io.LimitReader(in, stdinMax+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("standard input: %w", err)
	case len(data) > stdinMax:
		return nil, usagef("standard input has more than %d bytes", stdinMax)
	}
	return data, nil
}

// via lets a running node call.
func (c *call) via(ctx context.Context, n *control.Node, id codec.ID, data []byte) error {
	return n.Call(ctx, "call", map[string]any{
		"method": c.method, "data": data, "codec": id, "to": c.to, "gather": c.gather,
		"timeout_ms": c.timeout.Milliseconds(),
	}, c.print)
}

// join calls by a node for the moment.
func (c *call) join(ctx context.Context, q *question, id codec.ID, data []byte) error {
	config, err := q.moment()
	if err != nil {
		return err
	}
	for known := codec.JSON; known <= codec.Protobuf; known++ {
		config.Codecs = append(config.Codecs, encoded{id: known}) // results come as they are
	}
	n, err := espial.Start(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = n.Close() }()
	if _, _, err := meet(ctx, n, c.wait); err != nil {
		return err
	}
	to, err := espial.ParseTarget(c.to)
	if err != nil {
		return err
	}
	if !c.gather {
		to = to.One()
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if !isFlow(n, c.method) {
		m := espial.NewMethod[[]byte, []byte](c.method).WithCodec(encoded{id: id})
		for a := range m.Gather(ctx, n, to, data) {
			if err := c.show(a); err != nil {
				return err
			}
		}
		return nil
	}
	m := espial.NewMethod[[]byte, espial.Flow[[]byte]](c.method).WithCodec(encoded{id: id})
	for a := range m.Gather(ctx, n, to, data) {
		if a.Err != nil {
			if err := c.show(espial.Answer[[]byte]{From: a.From, Err: a.Err}); err != nil {
				return err
			}
		}
		for v, err := range a.Value.All() {
			piece := espial.Answer[[]byte]{From: a.From, Value: v, Err: err, Codec: a.Codec}
			if err := c.show(piece); err != nil {
				return err
			}
		}
	}
	return nil
}

// isFlow reports whether members say that the results of a method are flows.
func isFlow(n *espial.Node, method string) bool {
	for m := range n.Methods() {
		if m.Method == method && strings.HasPrefix(m.Result, "espial.Flow[") {
			return true
		}
	}
	return false
}

// show prints an answer that did not come by a running node, and returns the error of one that
// nobody gave.
func (c *call) show(a espial.Answer[[]byte]) error {
	if a.Err != nil && a.From == (espial.Sender{}) {
		return a.Err
	}
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return c.print(b)
}

// print prints one answer.
func (c *call) print(b json.RawMessage) error {
	var a struct {
		From   espial.Sender   `json:"from"`
		Codec  codec.ID        `json:"codec"`
		Value  json.RawMessage `json:"value"`
		Base64 []byte          `json:"value_base64"`
		Error  string          `json:"error"`
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return fmt.Errorf("the node answered %q: %w", b, err)
	}
	if binaryCodec(a.Codec) != nil {
		if value, err := toJSON(a.Codec, a.Base64); err == nil {
			a.Value, b = value, withJSON(b, "value", value)
		}
	}
	if c.answers++; a.Error != "" {
		c.answers--
		c.failed = strings.TrimPrefix(a.Error, "espial: ")
	}
	text := term.AppendJSON(nil, a.Value)
	switch {
	case c.json:
		text = term.AppendJSON(nil, b)
	case a.Error != "" && !c.gather:
		return nil // it is the error of the command
	case a.Error != "":
		text = []byte("error: " + term.Text(c.failed))
	case a.Value == nil && !c.gather:
		_, err := c.w.Write(a.Base64) // byte for byte
		return err
	case a.Value == nil:
		text = []byte(term.Text(string(a.Base64)))
	}
	if c.gather && !c.json {
		text = fmt.Appendf(nil, "%-12s  %s", nameOf(a.From.Name), text)
	}
	_, err := c.w.Write(append(text, '\n'))
	return err
}
