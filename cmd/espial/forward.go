package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/espial-go/espial/internal/control"
	"github.com/espial-go/espial/internal/tunnel"
)

// newForwardCommand returns espial forward.
func newForwardCommand() *cobra.Command {
	q := &question{joins: true, anyNode: true}
	p := &porter{}
	cmd := &cobra.Command{
		Use:   "forward LOCAL SERVICE.PEER",
		Short: "Reach a service of a member at a local address",
		Long: `Take connections at LOCAL and carry each one to a service of a member, until an
interrupt. LOCAL is a port of 127.0.0.1 (0 for a free one), HOST:PORT, or
unix:/PATH. PEER is a node name, a pattern (db-*), an ID, leader, or KEY=VALUE of
the metadata; where it means several members they are tried in turn.

Whoever can connect to LOCAL reaches the service, as this node: 127.0.0.1 is
open to every user of this host, a Unix socket as its folder and your umask say.

It stays up when the member, or the node that is used, goes and comes back.
Connections that were open then are reset; one that cannot be made now waits for
up to --wait, and is then reset. A line is printed for each connection.

A running node of this host is used. If none runs and --cluster is given, join
the cluster for the moment.`,
		Example: `  espial forward 5432 postgres.db-1
  espial forward unix:/run/shop/api.sock 'api.web-*'
  espial forward --cluster shop 0.0.0.0:8080 api.role=web`,
		Args: wants("LOCAL", "SERVICE.PEER"),
	}
	asJSON := jsonFlag(cmd, "one JSON object a line")
	p.flags(cmd.Flags(), serviceWait, "the service")
	var network string
	q.check = func(args []string) error {
		var err error
		if network, p.place, err = localAddr(args[0]); err != nil {
			return err
		}
		p.service = args[1]
		if err := checkPeer(p.service); err != nil {
			return err
		}
		return p.check()
	}
	q.command(cmd, func(cmd *cobra.Command, _ []string, n *control.Node) error {
		p.json, p.w = *asJSON, cmd.OutOrStdout()
		ln, err := listenLocal(cmd.Context(), network, p.place)
		if err != nil {
			return nof("%v", err)
		}
		return p.run(cmd.Context(), q, n, func(ctx context.Context) error { return p.forward(ctx, ln) })
	})
	return cmd
}

// localAddr returns what to listen on.
func localAddr(local string) (network, addr string, err error) {
	if path, ok := strings.CutPrefix(local, "unix:"); ok {
		if path == "" {
			return "", "", usagef("%q is no unix:/PATH", local)
		}
		return "unix", path, nil
	}
	if _, err := strconv.ParseUint(local, 10, 16); err == nil {
		local = net.JoinHostPort("127.0.0.1", local)
	}
	if _, port, err := net.SplitHostPort(local); err != nil || port == "" {
		return "", "", usagef("%q is no port, HOST:PORT or unix:/PATH", local)
	}
	return "tcp", local, nil
}

// listenLocal listens. It replaces a Unix socket that a killed process left behind.
func listenLocal(ctx context.Context, network, addr string) (net.Listener, error) {
	if info, err := os.Lstat(addr); network == "unix" && err == nil && info.Mode()&fs.ModeSocket != 0 {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil {
			return nil, errors.Join(fmt.Errorf("a program listens on %s already", addr), nc.Close())
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			_ = os.Remove(addr) // if it cannot be, the next error says so
		}
	}
	return (&net.ListenConfig{}).Listen(ctx, network, addr)
}

// forward takes connections until ctx ends.
func (p *porter) forward(ctx context.Context, ln net.Listener) error {
	defer func() { _ = ln.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	p.place = ln.Addr().String()
	p.print(tunnelLine{Change: "listening", Addrs: []string{p.place}},
		fmt.Sprintf("%s for %s, by %s", p.place, p.service, p.gate.name()))
	for {
		local, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = local.Close()
			}
			return nil
		case err != nil: // for want of descriptors, say
			p.print(tunnelLine{Change: "waiting", Reason: words(err)}, words(err))
			select {
			case <-ctx.Done():
			case <-time.After(pauseMax):
			}
			continue
		}
		number := p.next()
		p.busy.Go(func() error {
			p.forwardOne(ctx, number, local)
			return nil
		})
	}
}

// forwardOne carries one connection.
func (p *porter) forwardOne(ctx context.Context, number int, local net.Conn) {
	client := local.RemoteAddr().String()
	if local.RemoteAddr().Network() == "unix" {
		client = "a program" // a client's socket has no name
	}
	var f *far
	err := p.patiently(ctx, tunnelLine{Stream: number, Client: client}, client,
		func(ctx context.Context) (err error) {
			f, err = p.gate.dial(ctx, p.service)
			return err
		})
	if err != nil {
		tunnel.Break(local, err)
		return
	}
	p.carry(ctx, number, local, f, client)
}
