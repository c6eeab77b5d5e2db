package engine_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/admission"
	"github.com/espial-go/espial/internal/engine"
	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/link"
	"github.com/espial-go/espial/internal/mux"
)

// inMesh runs f in virtual time with nodes that are linked with each other.
func inMesh(t *testing.T, nodes int, edit func(*engine.Config), f func(t *testing.T, c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		for range nodes {
			if edit == nil {
				c.start()
			} else {
				c.start(edit)
			}
		}
		c.waitFor(nodes - 1)
		f(t, c)
	})
}

// serve answers on a service of n with what it is sent, until the node ends.
func (n *node) serve(t *testing.T, service string) {
	t.Helper()
	ln, err := n.Listen(service)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(nc, nc)
				nc.Close()
			}()
		}
	}()
}

// open opens a stream to a service that n serves.
func (c *cluster) open(from *node, to ident.NodeID, service string) *mux.Stream {
	c.t.Helper()
	st, err := from.OpenStream(c.t.Context(), to, service)
	if err != nil {
		c.t.Fatalf("OpenStream = %v", err)
	}
	return st
}

// echo sends a word over a stream and fails the test unless it comes back.
func (c *cluster) echo(st *mux.Stream) {
	c.t.Helper()
	if _, err := st.Write([]byte("word")); err != nil {
		c.t.Fatal(err)
	}
	if got := make([]byte, 4); readFull(st, got) != nil || string(got) != "word" {
		c.t.Fatalf("read %q, want the word", got)
	}
}

func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	return err
}

// connections returns how many connections for streams a node has.
func (n *node) connections() uint64 { return n.Status().Queues["stream_connections"] }

// codeOf returns the code of the reset that err reports.
func codeOf(err error) mux.Code {
	if e, ok := errors.AsType[*mux.ResetError](err); ok {
		return e.Code
	}
	return mux.CodeNone
}

// Every node opens streams to every node, itself included, and a pair needs one connection,
// whoever dialled it.
func TestStreamsBetweenAll(t *testing.T) {
	inMesh(t, 3, nil, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes {
			n.serve(t, "echo")
		}
		for _, from := range c.nodes {
			for _, to := range c.nodes {
				st := c.open(from, to.id, "echo")
				c.echo(st)
				if st.RemoteAddr().String() != "echo."+to.id.String() || st.LocalAddr().String() != from.id.String() {
					t.Errorf("the stream is from %v to %v", st.LocalAddr(), st.RemoteAddr())
				}
				st.Close()
			}
		}
		for i, n := range c.nodes {
			if got := n.connections(); got != 3 {
				t.Errorf("node %d has %d connections, want one with each node", i, got)
			}
		}
	})
}

// Who is asked for many streams at once dials once; two nodes that dial each other in the
// same moment both get theirs.
func TestStreamsShareADial(t *testing.T) {
	inMesh(t, 2, nil, func(t *testing.T, c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		a.serve(t, "echo")
		b.serve(t, "echo")
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { c.echo(c.open(a, b.id, "echo")) })
			wg.Go(func() { c.echo(c.open(b, a.id, "echo")) })
		}
		wg.Wait()
		if got := a.connections(); got > 2 {
			t.Errorf("%d connections, want one that each end dialled at most", got)
		}
		if got := a.Status().Queues["streams"]; got != 100 {
			t.Errorf("%d streams are open, want 100", got)
		}
	})
}

func TestWhatOpensNoStream(t *testing.T) {
	inMesh(t, 2, nil, func(t *testing.T, c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		if _, err := a.OpenStream(t.Context(), b.id, "nothing"); codeOf(err) != mux.CodeNoService {
			t.Errorf("an unknown service: %v, want a reset with %v", err, mux.CodeNoService)
		}
		if _, err := a.OpenStream(t.Context(), ident.NodeID{1}, "echo"); !errors.Is(err, exchange.ErrNoMember) {
			t.Errorf("an unknown node: %v, want %v", err, exchange.ErrNoMember)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		cancel(enough)
		if _, err := a.OpenStream(ctx, b.id, "echo"); !errors.Is(err, enough) {
			t.Errorf("a context that ended: %v, want %v", err, enough)
		}
		c.net.Reset(a.ip, b.ip) // the link, and the connection
		if _, err := a.OpenStream(t.Context(), b.id, "nothing"); err == nil {
			t.Error("a stream was opened without a link")
		}
		b.stop()
		time.Sleep(time.Second)
		if _, err := a.OpenStream(t.Context(), b.id, "echo"); !errors.Is(err, exchange.ErrNoMember) {
			t.Errorf("a node that left: %v, want %v", err, exchange.ErrNoMember)
		}
		a.stop()
		time.Sleep(time.Second)
		if _, err := a.OpenStream(t.Context(), a.id, "echo"); err == nil {
			t.Error("a stream was opened at a node that ended")
		}
		if _, err := a.Listen("echo"); err == nil {
			t.Error("a node that ended listens")
		}
	})
}

// A connection without a stream ends after 30 s, and the next stream gets a new one.
func TestIdleConnectionsEnd(t *testing.T) {
	inMesh(t, 2, nil, func(t *testing.T, c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		b.serve(t, "echo")
		st := c.open(a, b.id, "echo")
		c.echo(st)
		time.Sleep(time.Minute) // it has a stream
		c.echo(st)
		st.Close()
		time.Sleep(29 * time.Second)
		if a.connections() != 1 || b.connections() != 1 {
			t.Error("the connection ended early")
		}
		time.Sleep(2 * time.Second)
		if a.connections()+b.connections() != 0 {
			t.Error("the connection is still there after 31 s")
		}
		c.echo(c.open(a, b.id, "echo"))
	})
}

// A connection that carried many records takes no new streams, and carries on those that
// it has.
func TestUsedUpConnectionsTakeNoNewStreams(t *testing.T) {
	few := func(cfg *engine.Config) { cfg.RotateRecords = 1000 }
	inMesh(t, 2, few, func(t *testing.T, c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		b.serve(t, "echo")
		old := c.open(a, b.id, "echo")
		for range 600 {
			c.echo(old)
		}
		c.echo(c.open(a, b.id, "echo"))
		if got := a.connections(); got != 2 {
			t.Errorf("%d connections, want the old and a new one", got)
		}
		c.echo(old)
		old.Close()
		time.Sleep(time.Second)
		if got := a.connections(); got != 1 {
			t.Errorf("%d connections after the last stream of the old one, want 1", got)
		}
	})
}

// What happens to a stream when its other end goes.
func TestStreamsEndWithTheirPeer(t *testing.T) {
	tests := []struct {
		name string
		end  func(c *cluster, b *node)
		code mux.Code
		took time.Duration
	}{
		{"it leaves", func(_ *cluster, b *node) { b.stop() }, mux.CodeLeave, 200 * time.Millisecond},
		{"its process is killed", func(c *cluster, b *node) { c.kill(b) }, mux.CodeLost, 200 * time.Millisecond},
		{
			"it is cut off", func(c *cluster, b *node) { c.net.Partition([]netip.Addr{b.ip}) },
			mux.CodeLost, 30 * time.Second,
		},
		{
			"it is paused, and removed", func(c *cluster, b *node) { b.dead = true; c.net.Pause(b.ip) },
			mux.CodeLost, 30 * time.Second,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inMesh(t, 3, nil, func(t *testing.T, c *cluster) {
				a, b := c.nodes[0], c.nodes[1]
				b.serve(t, "echo")
				st := c.open(a, b.id, "echo")
				c.echo(st)
				began := time.Now()
				tt.end(c, b)
				_, err := st.Read(make([]byte, 1))
				took := time.Since(began)
				if !errors.Is(err, syscall.ECONNRESET) || took > tt.took {
					t.Errorf("Read = %v after %v, want a reset (%v) within %v", err, took, tt.code, tt.took)
				}
				t.Logf("%v after %v", err, took)
				c.net.Heal()
				c.net.Resume(b.ip)
			})
		})
	}
}

// A node that starts again under its key is another one for streams.
func TestStreamsEndWithTheIncarnation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		key, err := ident.NewKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		same := func(cfg *engine.Config) { cfg.Key = key }
		a, b := c.start(), c.start(same)
		c.waitFor(1)
		b.serve(t, "echo")
		st := c.open(a, key.ID(), "echo")
		c.net.Pause(b.ip) // so that nothing but the next start ends the stream
		b.dead = true
		began := time.Now()
		next := c.start(same)
		next.serve(t, "echo")
		_, err = st.Read(make([]byte, 1))
		if took := time.Since(began); err == nil || took > 10*time.Second {
			t.Errorf("Read = %v after %v, want an error as soon as the next start is a member", err, took)
		}
		for len(a.View().Members) != 2 || a.Paths().Count != 1 {
			time.Sleep(10 * time.Millisecond)
		}
		c.echo(c.open(a, key.ID(), "echo"))
		c.net.Resume(b.ip)
	})
}

// A link that breaks and comes back leaves streams alone: they have a connection of their
// own.
func TestStreamsOutliveALink(t *testing.T) {
	inMesh(t, 2, nil, func(t *testing.T, c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		b.serve(t, "echo")
		st := c.open(a, b.id, "echo")
		c.net.Partition([]netip.Addr{b.ip})
		time.Sleep(4 * time.Second) // removed, and the links with it
		if len(a.View().Members) != 1 {
			t.Error("the other node is still listed")
		}
		c.net.Heal()
		c.waitFor(1)
		c.echo(st)
		time.Sleep(time.Minute) // the time without a link does not add up
		c.echo(st)
	})
}

// With who is no member they end after 30 s, however alive their connection is: the link is
// what was admitted.
func TestStreamsEndWithMembership(t *testing.T) {
	var closed atomic.Bool
	judge := func(cfg *engine.Config) {
		cfg.Judge = func(context.Context, admission.Verified, admission.Claimed) error {
			if closed.Load() {
				return errors.New("not any more")
			}
			return nil
		}
	}
	inMesh(t, 2, judge, func(t *testing.T, c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		b.serve(t, "echo")
		st := c.open(a, b.id, "echo")
		for _, refuse := range []bool{false, true} { // the first cut does not count for the second
			c.net.Partition([]netip.Addr{b.ip})
			closed.Store(refuse)
			time.Sleep(4 * time.Second) // removed, and the links with it
			c.net.Heal()
			time.Sleep(5 * time.Second)
			c.echo(st)
		}
		began := time.Now()
		_, err := st.Read(make([]byte, 1))
		took := time.Since(began)
		if codeOf(err) != mux.CodeLeave || took < 15*time.Second || took > 25*time.Second {
			t.Errorf("Read = %v after %v, want a reset because the session ended after 30 s", err, took)
		}
		if _, err := a.OpenStream(t.Context(), b.id, "echo"); err == nil {
			t.Error("a stream was opened without a link")
		}
	})
}

// In a partial mesh a stream to a member without a link brings one on demand, and goes on when
// that is idle and gone.
func TestStreamsBetweenMembersWithoutALink(t *testing.T) {
	sparse(t, 12, 4, func(t *testing.T, c *cluster) {
		a, b := c.strangers()
		b.serve(t, "echo")
		began := time.Now()
		st := c.open(a, b.id, "echo")
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the stream was opened after %v, want 2 s", took)
		}
		for range 4 {
			c.echo(st)
			time.Sleep(time.Minute)
		}
		if got := a.onDemand(); got != 0 || a.peer(b) {
			t.Errorf("%d links on demand, peer %t; want none: the stream has its own", got, a.peer(b))
		}
		c.echo(c.open(a, b.id, "echo")) // needs no link while there is a connection
		c.kill(b)
		if _, err := st.Read(make([]byte, 1)); codeOf(err) != mux.CodeLost {
			t.Errorf("Read = %v, want a reset with %v", err, mux.CodeLost)
		}
	})
}

// Who opens a stream in the moment in which the other end gives the idle connection up gets
// another one.
func TestStreamsMeetTheEndOfAnIdleConnection(t *testing.T) {
	for _, before := range []int{0, 100, 200, 300, 400, 500, 700, 1000} {
		inMesh(t, 2, nil, func(t *testing.T, c *cluster) {
			a, b := c.nodes[0], c.nodes[1]
			a.serve(t, "echo")
			b.serve(t, "echo")
			st := c.open(a, b.id, "echo")
			c.echo(st)
			st.CloseWrite()
			io.Copy(io.Discard, st)
			st.Close()
			time.Sleep(30*time.Second - time.Duration(before)*time.Microsecond)
			c.echo(c.open(b, a.id, "echo"))
		})
	}
}

// Streams are no way around admission: who has no link is refused, whatever he says.
func TestStreamsNeedALink(t *testing.T) {
	closed := func(cfg *engine.Config) {
		cfg.Judge = func(_ context.Context, _ admission.Verified, cl admission.Claimed) error {
			if cl.Name == "stranger" {
				return errors.New("not you")
			}
			return nil
		}
	}
	inMesh(t, 2, closed, func(t *testing.T, c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		a.serve(t, "echo")
		incOf := func(n *node) ident.Incarnation { return n.Self().Record.Incarnation }
		refused := c.start(func(cfg *engine.Config) { cfg.Name = "stranger" })
		time.Sleep(2 * time.Second)
		tests := []struct {
			name string
			key  *ident.Key
			ask  frame.Streams
			code frame.Code
		}{
			{"a stranger", newKey(t), frame.Streams{From: 5, To: incOf(a)}, frame.CodeDenied},
			{"a stranger with the incarnation of a member", newKey(t), frame.Streams{From: incOf(b), To: incOf(a)}, frame.CodeDenied},
			{"another start of this node is meant", newKey(t), frame.Streams{From: incOf(b), To: 5}, frame.CodeDenied},
			{"a node that was refused", c.keys[refused.id], frame.Streams{From: incOf(refused), To: incOf(a)}, frame.CodeDenied},
			{"a member in another incarnation", c.keys[b.id], frame.Streams{From: 5, To: incOf(a)}, frame.CodeDenied},
			{"a member that means another start", c.keys[b.id], frame.Streams{From: incOf(b), To: 5}, frame.CodeDenied},
			{"this node itself", c.keys[a.id], frame.Streams{From: incOf(a), To: incOf(a)}, frame.CodeDenied},
			{"a member", c.keys[b.id], frame.Streams{From: incOf(b), To: incOf(a)}, ""},
		}
		for _, tt := range tests {
			conn, err := c.askStreams(a, tt.key, tt.ask)
			e, _ := errors.AsType[*link.RefusedError](err)
			switch {
			case tt.code == "" && err == nil:
				conn.Close(frame.Bye{})
			case tt.code == "" || e == nil || e.Refusal.Code != tt.code || e.Refusal.By != admission.Peer:
				t.Errorf("%s: %v, want the code %q", tt.name, err, tt.code)
			}
		}
		if got := a.Status().Dropped["stream_connections"]; got != uint64(len(tests)-1) {
			t.Errorf("%d refusals are counted, want %d", got, len(tests)-1)
		}
	})
}

// A member has four connections and no more.
func TestConnectionsForStreamsAreFew(t *testing.T) {
	inMesh(t, 2, nil, func(t *testing.T, c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		ask := frame.Streams{From: b.Self().Record.Incarnation, To: a.Self().Record.Incarnation}
		for i := range 6 {
			conn, err := c.askStreams(a, c.keys[b.id], ask)
			if e, ok := errors.AsType[*link.RefusedError](err); (i >= 4) != (ok && e.Refusal.Code == frame.CodeFull) {
				t.Errorf("connection %d: %v", i+1, err)
			}
			if err == nil {
				defer conn.Close(frame.Bye{})
			}
		}
	})
}

func newKey(t *testing.T) *ident.Key {
	t.Helper()
	key, err := ident.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// askStreams asks a node for a connection for streams, as whoever has that key.
func (c *cluster) askStreams(to *node, key *ident.Key, ask frame.Streams) (*link.Conn, error) {
	c.t.Helper()
	nc, err := c.net.Host(ip(200)).Dial(c.t.Context(), netip.AddrPortFrom(to.ip, port).String())
	if err != nil {
		c.t.Fatal(err)
	}
	identity, err := link.NewIdentity(key)
	if err != nil {
		c.t.Fatal(err)
	}
	conn, err := link.Handshake(c.t.Context(), nc, link.StreamDialer, identity)
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return conn, conn.AskStreams(c.t.Context(), ask)
}
