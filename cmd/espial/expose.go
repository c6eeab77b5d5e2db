package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/espial-go/espial/internal/control"
	"github.com/espial-go/espial/internal/tunnel"
)

// newExposeCommand returns espial expose.
func newExposeCommand() *cobra.Command {
	q := &question{joins: true}
	p := &porter{}
	cmd := &cobra.Command{
		Use:   "expose SERVICE HOST:PORT",
		Short: "Let members reach a local program as a service",
		Long: `Listen on a service of a running node of this host, and carry each stream that a
member opens to the program at HOST:PORT, or unix:/PATH, until an interrupt.

Every member may connect, and the program sees connections from this host: what
it grants to local users it grants to the cluster.

It stays up when the program, or the node that is used, goes and comes back.
Streams that were open then are reset; one for which the program cannot be
reached within --wait is reset, too. A line is printed for each stream.

If no node runs and --cluster is given, join the cluster for the moment.`,
		Example: `  espial expose postgres 127.0.0.1:5432
  espial expose docker unix:/var/run/docker.sock --node db-1`,
		Args: wants("SERVICE", "HOST:PORT"),
	}
	asJSON := jsonFlag(cmd, "one JSON object a line")
	p.flags(cmd.Flags(), programWait, "the program")
	var network string
	q.check = func(args []string) error {
		p.service = args[0]
		if err := checkService(p.service); err != nil {
			return err
		}
		var err error
		if network, p.place, err = programAddr(args[1]); err != nil {
			return err
		}
		return p.check()
	}
	q.command(cmd, func(cmd *cobra.Command, _ []string, n *control.Node) error {
		p.json, p.w = *asJSON, cmd.OutOrStdout()
		return p.run(cmd.Context(), q, n, func(ctx context.Context) error { return p.expose(ctx, network) })
	})
	return cmd
}

// programAddr returns where a program is reached.
func programAddr(text string) (network, addr string, err error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok && path != "" {
		return "unix", path, nil
	}
	if host, port, err := net.SplitHostPort(text); err != nil || host == "" || port == "" {
		return "", "", usagef("%q is no HOST:PORT or unix:/PATH", text)
	}
	return "tcp", text, nil
}

// expose listens until ctx ends, also when the node goes and comes back.
func (p *porter) expose(ctx context.Context, network string) error {
	var stood, waits bool
	pause := pauseMin
	d := doorman{max: p.max, ready: func() error {
		stood, waits, pause = true, false, pauseMin
		p.print(tunnelLine{Change: "listening", Addrs: []string{p.place}},
			fmt.Sprintf("%s as %s, by %s", p.place, p.service, p.gate.name()))
		return nil
	}, each: func(take taker) error {
		number := p.next()
		p.busy.Go(func() error {
			p.exposeOne(ctx, number, network, take)
			return nil
		})
		return nil
	}}
	for ctx.Err() == nil {
		err := p.gate.listen(ctx, p.service, d)
		if !stood || p.gate.own != nil || hopeless(err) {
			return err
		}
		if !waits && ctx.Err() == nil {
			waits = true
			p.print(tunnelLine{Change: "waiting", Reason: words(err)}, "for a node: "+words(err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			pause = min(2*pause, pauseMax)
		}
	}
	return nil
}

// exposeOne carries one stream.
func (p *porter) exposeOne(ctx context.Context, number int, network string, take taker) {
	f, err := take(ctx)
	if err != nil {
		if ctx.Err() == nil {
			p.print(tunnelLine{Change: "failed", Stream: number, Reason: words(err)}, words(err))
		}
		return
	}
	var local net.Conn
	err = p.patiently(ctx, tunnelLine{Stream: number, Member: &f.member}, nameOf(f.member.Name),
		func(ctx context.Context) (err error) {
			local, err = (&net.Dialer{}).DialContext(ctx, network, p.place)
			return err
		})
	if err != nil {
		tunnel.Break(f.ReadWriteCloser, err)
		return
	}
	p.carry(ctx, number, local, f, "")
}
