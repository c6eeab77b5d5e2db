package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/control"
)

// TestManyConnectionsAtOnce: more than a node answers requests at a time, and all through one node.
func TestManyConnectionsAtOnce(t *testing.T) {
	dir, err := os.MkdirTemp("", "tun") //nolint:usetesting // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("TMPDIR", dir)
	node, err := espial.Start(t.Context(), espial.Config{
		Cluster: "tunnels", Name: "ann", Listen: "127.0.0.1:0", Control: true, Multicast: espial.Multicast{Off: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Close() })
	running, err := control.Nodes(t.Context())
	if err != nil || len(running) != 1 {
		t.Fatalf("Nodes = %v, %v; want the one node", running, err)
	}
	program := startEcho(t)

	ctx, cancel := context.WithCancel(t.Context())
	var commands sync.WaitGroup
	var printed bytes.Buffer // of both, which print under a lock each
	var mu sync.Mutex
	run := func(service string, command func(*porter, context.Context) error) {
		p := &porter{service: service, place: program, max: tunnelsMax, wait: time.Minute, w: locked{&mu, &printed}}
		commands.Go(func() {
			err := p.run(ctx, &question{}, &running[0], func(ctx context.Context) error { return command(p, ctx) })
			if err != nil {
				t.Errorf("%s: %v", service, err)
			}
		})
	}
	run("echo", func(p *porter, ctx context.Context) error { return p.expose(ctx, "tcp") })
	ln, err := listenLocal(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	run("echo.ann", func(p *porter, ctx context.Context) error { return p.forward(ctx, ln) })

	var clients sync.WaitGroup
	for i := range 200 {
		clients.Go(func() {
			if err := shout(t.Context(), ln.Addr().String(), fmt.Sprint("client ", i)); err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
	cancel()
	commands.Wait()
	if lines := printed.String(); strings.Contains(lines, "failed") {
		t.Errorf("connections failed:\n%.2000s", lines)
	}
}

// locked is a writer of two commands.
type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// startEcho runs a server that sends back what it is sent, and returns its address.
func startEcho(t *testing.T) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(nc, nc)
				_ = nc.Close()
			}()
		}
	}()
	return ln.Addr().String()
}

// shout sends a server some text, and its end, and returns an error unless all of it comes back.
func shout(ctx context.Context, addr, text string) error {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(nc, text); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	_ = nc.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(nc); err != nil || string(got) != text {
		return fmt.Errorf("%s hears %q, %w", text, got, err)
	}
	return nil
}
