package espial_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// serveEcho answers on a service of a node with its name and what it is sent.
func (c *cluster) serveEcho(n *espial.Node, service string) net.Listener {
	c.Helper()
	ln, err := n.Listen(service)
	if err != nil {
		c.Fatal(err)
	}
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				b, _ := io.ReadAll(nc)
				fmt.Fprintf(nc, "%s: %s", n.Name(), b)
			}()
		}
	}()
	return ln
}

// askEcho dials and returns the answer to "hello".
func (c *cluster) askEcho(n *espial.Node, addr string) (string, error) {
	c.Helper()
	nc, err := n.Dial(c.Context(), addr)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	if _, err := nc.Write([]byte("hello")); err != nil {
		return "", err
	}
	if err := nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return "", err
	}
	b, err := io.ReadAll(nc)
	return string(b), err
}

// Who is dialled: by name, ID, pattern, metadata and as the leader; of several in turn, and
// one that does not listen is passed over.
func TestDial(t *testing.T) {
	empty(t, func(c *cluster) {
		for i := range 3 {
			c.start(espial.Config{Name: fmt.Sprintf("db-%d", i), Metadata: map[string]string{"role": fmt.Sprint(i % 2)}})
		}
		c.meet(3)
		time.Sleep(3 * time.Second) // until one leads
		c.serveEcho(c.nodes[1], "api")
		c.serveEcho(c.nodes[2], "api")
		from := c.nodes[0]
		for _, tt := range []struct{ addr, want string }{
			{"api.db-1", "db-1"},
			{"api.db-2", "db-2"},
			{"api." + c.nodes[1].ID().String(), "db-1"},
			{"api." + c.nodes[1].ID().Short(), "db-1"},
			{"api.role=1", "db-1"},
			{"api.role=0", "db-2"}, // the other one with this role does not listen
			{"api.*", "db-1 db-2"},
			{"api.others", "db-1 db-2"},
		} {
			got := map[string]bool{}
			for range 6 {
				answer, err := c.askEcho(from, tt.addr)
				if err != nil {
					c.Fatalf("Dial(%q) = %v", tt.addr, err)
				}
				name, _, _ := strings.Cut(answer, ": ")
				got[name] = true
			}
			if names := strings.Fields(tt.want); len(got) != len(names) || !got[names[0]] || !got[names[len(names)-1]] {
				c.Errorf("Dial(%q) reached %v, want %s", tt.addr, got, tt.want)
			}
		}
		if answer, err := c.askEcho(c.nodes[1], "api.db-1"); answer != "db-1: hello" || err != nil {
			c.Errorf("a node dials itself: %q, %v", answer, err)
		}
		l, ok := from.Leader()
		answer, err := c.askEcho(from, "api.leader")
		if !ok || (l.Leader.Name == "db-0") != errors.Is(err, espial.ErrNoService) {
			c.Errorf("Dial(api.leader), which is %s: %q, %v", l.Leader.Name, answer, err)
		}
	})
}

func TestDialContextTakesHosts(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		c.serveEcho(c.nodes[1], "api")
		for _, tt := range []struct {
			network, addr string
			ok            bool
		}{
			{"tcp", "api.node-1.espial:80", true},
			{"tcp4", "api.node-1.espial:443", true},
			{"tcp6", "api.node-1.espial", true},
			{"tcp", "API.Node-1.Espial.:8080", true},
			{"udp", "api.node-1.espial:80", false},
			{"unix", "api.node-1.espial", false},
			{"tcp", "api.node-1:80", false},
			{"tcp", "example.com:80", false},
			{"tcp", "127.0.0.1:80", false},
			{"tcp", "espial:80", false},
			{"tcp", ".espial:80", false},
			{"tcp", "", false},
		} {
			nc, err := c.nodes[0].DialContext(c.Context(), tt.network, tt.addr)
			if e, isOp := errors.AsType[*net.OpError](err); (err == nil) != tt.ok || !tt.ok && (!isOp || e.Op != "dial") {
				c.Errorf("DialContext(%s, %q) = %v, want success: %t", tt.network, tt.addr, err, tt.ok)
			}
			if err == nil {
				nc.Close()
			}
		}
	})
}

func TestWhatCannotBeDialled(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		n := c.nodes[0]
		began := time.Now()
		for _, tt := range []struct {
			name, addr string
			want       error
		}{
			{"an unknown service", "nothing.node-1", espial.ErrNoService},
			{"an unknown service of this node", "nothing.node-0", espial.ErrNoService},
			{"an unknown service of all", "nothing.*", espial.ErrNoService},
			{"an unknown member", "api.nobody", espial.ErrNoMember},
			{"an unknown ID", "api." + strings.Repeat("a", 52), espial.ErrNoMember},
			{"metadata that nobody has", "api.role=db", espial.ErrNoMember},
		} {
			if _, err := n.Dial(c.Context(), tt.addr); !errors.Is(err, tt.want) {
				c.Errorf("%s: Dial(%q) = %v, want %v", tt.name, tt.addr, err, tt.want)
			}
		}
		if took := time.Since(began); took > 50*time.Millisecond {
			c.Errorf("it took %v, want a few round trips", took)
		}
		for _, addr := range []string{"", "api", ".", "api.", ".node-1", "API.node-1", "a b.node-1", "api.no de", "api.=x"} {
			if _, err := n.Dial(c.Context(), addr); err == nil || errors.Is(err, espial.ErrNoMember) {
				c.Errorf("Dial(%q) = %v, want an error that says what is wrong with it", addr, err)
			}
		}
		for _, service := range []string{"", "API", "a.b", "ä", strings.Repeat("a", 64)} {
			if _, err := n.Listen(service); err == nil {
				c.Errorf("Listen(%q) took it", service)
			}
		}
		ctx, cancel := context.WithCancel(c.Context())
		cancel()
		if _, err := n.Dial(ctx, "api.node-1"); !errors.Is(err, context.Canceled) {
			c.Errorf("Dial = %v, want %v", err, context.Canceled)
		}
	})
}

// A node that closes ends its listeners and its streams, and nobody's Read goes on.
func TestStreamsEndWithTheNode(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		ln, err := b.Listen("api")
		if err != nil {
			c.Fatal(err)
		}
		if _, err := b.Listen("api"); !errors.Is(err, syscall.EADDRINUSE) {
			c.Errorf("a second Listen = %v, want EADDRINUSE", err)
		}
		nc, err := a.Dial(c.Context(), "api.node-1")
		if err != nil {
			c.Fatal(err)
		}
		accepted, err := ln.Accept()
		if err != nil {
			c.Fatal(err)
		}
		if id, err := espial.ParseNodeID(accepted.RemoteAddr().String()); id != a.ID() || err != nil {
			c.Errorf("the stream is from %v, %v; want the ID of who dialled", id, err)
		}
		began := time.Now()
		if err := b.Close(); err != nil {
			c.Fatal(err)
		}
		if took := time.Since(began); took > 250*time.Millisecond {
			c.Errorf("Close took %v, want 250 ms", took)
		}
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			c.Errorf("Accept = %v, want %v", err, net.ErrClosed)
		}
		for name, end := range map[string]net.Conn{"the node that left": accepted, "the other": nc} {
			_, err := end.Read(make([]byte, 1))
			if !errors.Is(err, syscall.ECONNRESET) || !strings.Contains(err.Error(), "the node left") {
				c.Errorf("%s: Read = %v, want a reset because the node left", name, err)
			}
		}
		if _, err := b.Dial(c.Context(), "api.node-1"); !errors.Is(err, espial.ErrClosed) {
			c.Errorf("Dial of a closed node = %v, want %v", err, espial.ErrClosed)
		}
		if _, err := b.Listen("db"); !errors.Is(err, espial.ErrClosed) || !errors.Is(err, net.ErrClosed) {
			c.Errorf("Listen of a closed node = %v, want %v", err, espial.ErrClosed)
		}
	})
}

// Events go on at their own pace beside a stream that takes all that it gets.
func TestBulkDoesNotDelayEvents(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		ln, err := b.Listen("bulk")
		if err != nil {
			c.Fatal(err)
		}
		nc, err := a.Dial(c.Context(), "bulk.node-1")
		if err != nil {
			c.Fatal(err)
		}
		if _, err := ln.Accept(); err != nil { // and nobody reads it
			c.Fatal(err)
		}
		var bulk sync.WaitGroup
		bulk.Go(func() { nc.Write(make([]byte, 64<<20)) })
		events := b.Subscribe(c.Context(), "tick")
		sent := time.Now()
		if err := a.Publish(c.Context(), "tick", nil); err != nil {
			c.Fatal(err)
		}
		for range events {
			if took := time.Since(sent); took > 2*time.Millisecond {
				c.Errorf("the event took %v, want the latency of the network", took)
			}
			break
		}
		nc.Close()
		bulk.Wait()
	})
}

// An http server and its clients need nothing but a listener and DialContext.
func TestHTTPOverStreams(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		ln, err := c.nodes[0].Listen("web")
		if err != nil {
			c.Fatal(err)
		}
		mux := http.NewServeMux()
		mux.HandleFunc("POST /len", func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "%d %v for %s", n, err, r.RemoteAddr)
		})
		mux.HandleFunc("POST /refuse", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "too large for me", http.StatusRequestEntityTooLarge)
		})
		srv := &http.Server{Handler: mux}
		go srv.Serve(ln)
		defer srv.Close()
		const size = 1 << 20
		for _, n := range c.nodes {
			client := http.Client{Transport: &http.Transport{DialContext: n.DialContext}}
			for range 3 { // over one stream, which is kept alive
				resp, err := client.Post("http://web.node-0.espial/len", "", strings.NewReader(strings.Repeat("x", size)))
				if err != nil {
					c.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if want := fmt.Sprintf("%d <nil> for %v", size, n.ID()); string(body) != want || err != nil {
					c.Errorf("the server says %q, %v; want %q", body, err, want)
				}
			}
			// A server that does not read what it refuses is heard all the same.
			resp, err := client.Post("http://web.node-0.espial/refuse", "", strings.NewReader(strings.Repeat("x", 32*size)))
			if err != nil {
				c.Fatalf("a refused body: %v", err)
			}
			if resp.Body.Close(); resp.StatusCode != http.StatusRequestEntityTooLarge {
				c.Errorf("a refused body: %s", resp.Status)
			}
			client.CloseIdleConnections()
		}
		time.Sleep(time.Second) // net/http waits for half of it before it closes
	})
}
