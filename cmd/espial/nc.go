package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/espial-go/espial/internal/control"
	"github.com/espial-go/espial/internal/tunnel"
)

// netcat is one stream at the standard input and output.
type netcat struct {
	addr    string // SERVICE.PEER, or SERVICE
	listens bool
	wait    time.Duration
	json    bool
}

// newNcCommand returns espial nc.
func newNcCommand() *cobra.Command {
	q := &question{joins: true}
	c := &netcat{}
	cmd := &cobra.Command{
		Use:   "nc SERVICE.PEER",
		Short: "Open one stream to a service of a member",
		Long: `Send standard input to a service of a member, and print what it sends. PEER is a
node name, a pattern (db-*), an ID, leader, or KEY=VALUE of the metadata. With -l
listen on SERVICE, and do the same with the first stream that a member opens.

The end of standard input is the end of what is sent; the command ends when the
other side has ended as well. A stream that breaks off before is exit code 1: what
came is not all. With --json a line on standard error says who it was.

A running node of this host is used. If none runs and --cluster is given, join
the cluster for the moment.`,
		Example: `  espial nc -l backup >db.dump
  pg_dump shop | espial nc backup.nas`,
		Args: wants("SERVICE.PEER"),
	}
	asJSON := jsonFlag(cmd, "on standard error, at the end, who it was and how many bytes")
	cmd.Flags().BoolVarP(&c.listens, "accept", "l", false, "listen on SERVICE, and take one stream")
	cmd.Flags().DurationVar(&c.wait, "wait", joinWait, "`TIME` to wait for the service")
	q.check = func(args []string) error {
		c.addr = args[0]
		switch {
		case c.wait <= 0:
			return usagef("--wait: must be above zero")
		case c.listens:
			return checkService(c.addr)
		default:
			return checkPeer(c.addr)
		}
	}
	q.command(cmd, func(cmd *cobra.Command, _ []string, n *control.Node) error {
		c.json = *asJSON
		g, err := newGate(cmd.Context(), q, n)
		if err != nil {
			return err
		}
		defer g.close()
		err = c.run(cmd, g)
		if cmd.Context().Err() != nil {
			return nof("interrupted")
		}
		return err
	})
	return cmd
}

// run carries the stream.
func (c *netcat) run(cmd *cobra.Command, g *gate) error {
	f, err := c.open(cmd.Context(), g)
	if err != nil {
		return err
	}
	began := time.Now()
	local := newConsole(cmd.InOrStdin(), cmd.OutOrStdout())
	sent, received, err := tunnel.Join(cmd.Context(), local, f.ReadWriteCloser)
	if c.json {
		line := tunnelLine{
			Time: time.Now(), Change: "closed", Service: c.addr, Member: &f.member,
			Sent: sent, Received: received, Took: float64(time.Since(began).Milliseconds()),
		}
		if err != nil {
			line.Reason = words(err)
		}
		return errors.Join(err, printer{cmd.ErrOrStderr(), true}.print(line, ""))
	}
	return err
}

// open opens the stream, or takes the first one.
func (c *netcat) open(ctx context.Context, g *gate) (f *far, err error) {
	if g.own != nil {
		if _, _, err := meet(ctx, g.own, c.wait); err != nil {
			return nil, err
		}
	}
	if !c.listens {
		err := patiently(ctx, c.wait, func(ctx context.Context) (err error) {
			f, err = g.dial(ctx, c.addr)
			return err
		}, func(error) {})
		if no := asFailure(cmp.Or(err, errLate)); err != nil && no.code == codeNo {
			err = nof("%s: %s", c.addr, no.text)
		}
		return f, err
	}
	ready := func() error { return nil }
	err = g.listen(ctx, c.addr, doorman{max: 1, ready: ready, each: func(take taker) error {
		if f, err = take(ctx); err != nil {
			return err
		}
		return errEnough
	}})
	if f == nil {
		return nil, err
	}
	return f, nil
}

// console is the standard input and output as one end of a tunnel.
type console struct {
	io.Reader // of what in brings
	io.Writer
	in       *io.PipeWriter
	terminal bool
}

// newConsole begins to read. What is read nobody can end but the end of the process, which therefore
// does not wait for it.
func newConsole(in io.Reader, out io.Writer) *console {
	r, w := io.Pipe()
	c := &console{Reader: r, Writer: out, in: w}
	if file, ok := in.(*os.File); ok {
		info, err := file.Stat()
		c.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	new(sync.WaitGroup).Go(func() {
		_, err := io.Copy(w, in)
		_ = w.CloseWithError(err) // never fails; nil is the end
	})
	return c
}

// CloseWrite hears that the other side has ended. Who sits at a terminal would not know that there
// is anything left to end.
func (c *console) CloseWrite() error {
	if c.terminal {
		return c.in.Close()
	}
	return nil
}

// Close ends Read.
func (c *console) Close() error { return c.in.CloseWithError(io.ErrClosedPipe) }
