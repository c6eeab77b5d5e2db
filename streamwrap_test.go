package espial_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/wrap"
)

// wrapper is what Config.Wrap has.
type wrapper = func(net.Conn, espial.StreamInfo) (net.Conn, error)

// marked adds a word in front of what is written, so that the order of wrappers shows, and
// passes CloseWrite on.
type marked struct {
	net.Conn
	word string
}

func (m marked) Write(b []byte) (int, error) {
	_, err := m.Conn.Write(append([]byte(m.word), b...))
	return len(b), err
}

func (m marked) CloseWrite() error { return m.Conn.(interface{ CloseWrite() error }).CloseWrite() }

func mark(word string) wrapper {
	return func(nc net.Conn, _ espial.StreamInfo) (net.Conn, error) { return marked{nc, word}, nil }
}

// pairOf starts two members, of which node-1 has the wrappers.
func pairOf(c *cluster, wrappers ...wrapper) (a, b *espial.Node) {
	c.Helper()
	a = c.start(espial.Config{Name: "node-0"})
	b = c.start(espial.Config{Name: "node-1", Wrap: wrappers})
	c.meet(2)
	return a, b
}

// The first wrapper is nearest the network at both ends, on streams of either direction and
// of a node to itself.
func TestWrappersAreAppliedInOrder(t *testing.T) {
	empty(t, func(c *cluster) {
		for i := range 2 {
			word := fmt.Sprint(i)
			c.start(espial.Config{
				Name: "node-" + word, Wrap: []wrapper{mark("near" + word + " "), mark("far" + word + " ")},
			})
		}
		c.meet(2)
		for _, from := range c.nodes {
			for _, to := range c.nodes {
				ln := c.serveEcho(to, "api")
				answer, err := c.askEcho(from, "api."+to.ID().String())
				i, j := from.Name()[5:], to.Name()[5:]
				want := fmt.Sprintf("near%s far%s %s: near%s far%s hello", j, j, to.Name(), i, i)
				if answer != want || err != nil {
					c.Errorf("%s asks %s: %q, %v; want %q", from.Name(), to.Name(), answer, err, want)
				}
				ln.Close()
			}
		}
	})
}

func TestWrappersAreToldWhatTheyWrap(t *testing.T) {
	empty(t, func(c *cluster) {
		var mu sync.Mutex
		got := map[string]espial.StreamInfo{}
		for _, name := range []string{"node-0", "node-1"} {
			c.start(espial.Config{Name: name, Wrap: []wrapper{
				func(nc net.Conn, s espial.StreamInfo) (net.Conn, error) {
					mu.Lock()
					defer mu.Unlock()
					got[name] = s
					return nc, nil
				},
			}})
		}
		c.meet(2)
		c.serveEcho(c.nodes[1], "api")
		if _, err := c.askEcho(c.nodes[0], "api.node-1"); err != nil {
			c.Fatal(err)
		}
		who := func(i int) espial.Sender { return espial.Sender{ID: c.nodes[i].ID(), Name: c.nodes[i].Name()} }
		for name, want := range map[string]espial.StreamInfo{
			"node-0": {Service: "api", Peer: who(1), Dialed: true},
			"node-1": {Service: "api", Peer: who(0)},
		} {
			if got[name] != want {
				c.Errorf("the wrapper of %s was told %+v, want %+v", name, got[name], want)
			}
		}
	})
}

// A wrapper that fails at the end that dials is an error of Dial, resets this stream, and
// leaves the others alone. So does one that panics, returns nothing or takes too long.
func TestWrappersThatFailWhereOneDials(t *testing.T) {
	errRefused := errors.New("refused by a wrapper")
	tests := []struct {
		name string
		f    wrapper
		want error  // what Dial wraps
		says string // and says
	}{
		{"an error", func(net.Conn, espial.StreamInfo) (net.Conn, error) { return nil, errRefused }, errRefused, "refused"},
		{"a panic", func(net.Conn, espial.StreamInfo) (net.Conn, error) { panic("at the disco") }, nil, "Config.Wrap panicked: at the disco"},
		{"the end of its goroutine", func(net.Conn, espial.StreamInfo) (net.Conn, error) {
			runtime.Goexit()
			return nil, nil
		}, nil, "called runtime.Goexit"},
		{"nothing", func(net.Conn, espial.StreamInfo) (net.Conn, error) { return nil, nil }, nil, "neither a connection nor an error"},
		{"too much time", func(net.Conn, espial.StreamInfo) (net.Conn, error) {
			<-time.After(time.Minute)
			return nil, errRefused
		}, os.ErrDeadlineExceeded, "Config.Wrap took more than 5s"},
		{"reading what never comes", func(nc net.Conn, _ espial.StreamInfo) (net.Conn, error) {
			_, err := nc.Read(make([]byte, 1))
			return nil, err
		}, os.ErrDeadlineExceeded, "Config.Wrap took more than 5s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			empty(t, func(c *cluster) {
				a, b := pairOf(c, mark(""), func(nc net.Conn, s espial.StreamInfo) (net.Conn, error) {
					if s.Service == "bad" {
						return tt.f(nc, s)
					}
					return nc, nil
				})
				c.serveEcho(a, "good")
				ln, err := a.Listen("bad")
				if err != nil {
					c.Fatal(err)
				}
				began := time.Now()
				_, err = b.Dial(c.Context(), "bad.node-0")
				if e, ok := errors.AsType[*net.OpError](err); !ok || tt.want != nil && !errors.Is(e, tt.want) ||
					!strings.Contains(err.Error(), tt.says) {
					c.Errorf("Dial = %v, want an OpError that says %q", err, tt.says)
				}
				if took := time.Since(began); took > 6*time.Second {
					c.Errorf("Dial took %v", took)
				}
				nc, err := ln.Accept()
				if err != nil {
					c.Fatal(err)
				}
				if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) ||
					!strings.Contains(err.Error(), "a wrapper failed") {
					c.Errorf("the other end: Read = %v, want a reset that says why", err)
				}
				if answer, err := c.askEcho(b, "good.node-0"); answer != "node-0: hello" || err != nil {
					c.Errorf("another stream: %q, %v", answer, err)
				}
				if got := b.Status().Dropped["unwrapped_streams"]; got != 1 {
					c.Errorf("unwrapped_streams = %d, want 1", got)
				}
				time.Sleep(time.Minute) // until the late wrapper is back
			})
		})
	}
}

// A wrapper that fails at the end that listens: Accept never sees the stream, who dialled
// learns why, and the wrappers before it are closed.
func TestWrappersThatFailWhereOneListens(t *testing.T) {
	empty(t, func(c *cluster) {
		closed := make(chan string, 1)
		a, b := pairOf(c,
			func(nc net.Conn, _ espial.StreamInfo) (net.Conn, error) { return &closing{nc, closed}, nil },
			func(nc net.Conn, s espial.StreamInfo) (net.Conn, error) {
				if s.Service == "bad" {
					return nil, errors.New("refused by a wrapper")
				}
				return nc, nil
			})
		bad, err := b.Listen("bad")
		if err != nil {
			c.Fatal(err)
		}
		nc, err := a.Dial(c.Context(), "bad.node-1")
		if err == nil { // it had been accepted before the wrapper failed it
			_, err = nc.Read(make([]byte, 1))
		}
		if !errors.Is(err, syscall.ECONNRESET) || !strings.Contains(err.Error(), "a wrapper failed") {
			c.Errorf("the end that dialled has %v, want a reset that says why", err)
		}
		select {
		case <-closed:
		case <-time.After(time.Second):
			c.Error("what the first wrapper returned was not closed")
		}
		if got := b.Status().Dropped["unwrapped_streams"]; got != 1 {
			c.Errorf("unwrapped_streams = %d, want 1", got)
		}
		time.AfterFunc(time.Second, func() { bad.Close() })
		if nc, err := bad.Accept(); !errors.Is(err, net.ErrClosed) {
			c.Errorf("Accept = %v, %v; want nothing until the listener is closed", nc, err)
		}
	})
}

// closing tells of its Close.
type closing struct {
	net.Conn
	closed chan string
}

func (k *closing) Close() error {
	select {
	case k.closed <- k.Conn.RemoteAddr().String():
	default:
	}
	return k.Conn.Close()
}

// Accept does not wait for the wrapper of one stream when another one is ready; a hundred
// that hang neither fill the backlog for ever nor keep the node from closing.
func TestASlowWrapperHoldsUpItsOwnStream(t *testing.T) {
	empty(t, func(c *cluster) {
		var mu sync.Mutex
		calls, back := 0, make(chan struct{})
		a, b := pairOf(c, func(nc net.Conn, _ espial.StreamInfo) (net.Conn, error) {
			mu.Lock()
			calls++
			hangs := calls <= 100
			mu.Unlock()
			if hangs {
				<-back
			}
			return nc, nil
		})
		ln, err := b.Listen("api")
		if err != nil {
			c.Fatal(err)
		}
		for range 100 {
			if _, err := a.Dial(c.Context(), "api.node-1"); err != nil {
				c.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		began := time.Now()
		if _, err := a.Dial(c.Context(), "api.node-1"); err != nil {
			c.Fatal(err)
		}
		if _, err := ln.Accept(); err != nil {
			c.Fatal(err)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			c.Errorf("the stream beside the slow ones took %v", took)
		}
		time.Sleep(5 * time.Second)
		if got := b.Status().Dropped["unwrapped_streams"]; got != 100 {
			c.Errorf("unwrapped_streams = %d, want 100", got)
		}
		began = time.Now()
		if err := b.Close(); err != nil {
			c.Fatal(err)
		}
		if took := time.Since(began); took > 250*time.Millisecond {
			c.Errorf("Close took %v, want 250 ms", took)
		}
		close(back)
	})
}

// Wrappers that hang for good are few: then streams are refused at once.
func TestWrappersThatHangAreFew(t *testing.T) {
	empty(t, func(c *cluster) {
		back := make(chan struct{})
		a, b := pairOf(c, func(net.Conn, espial.StreamInfo) (net.Conn, error) {
			<-back
			return nil, net.ErrClosed
		})
		c.serveEcho(a, "api")
		ctx, cancel := context.WithTimeout(c.Context(), time.Second)
		defer cancel()
		var dials sync.WaitGroup
		for range 200 {
			dials.Go(func() {
				if _, err := b.Dial(ctx, "api.node-0"); !errors.Is(err, context.DeadlineExceeded) {
					c.Errorf("Dial = %v, want the error of its context", err)
				}
			})
		}
		dials.Wait()
		began := time.Now()
		_, err := b.Dial(c.Context(), "api.node-0")
		if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "hang") || took > time.Second {
			c.Errorf("Dial = %v after %v, want a refusal at once that says what hangs", err, took)
		}
		close(back)
		time.Sleep(time.Second)
		if _, err := b.Dial(c.Context(), "api.node-0"); !errors.Is(err, net.ErrClosed) {
			c.Errorf("Dial when all are back = %v, want the wrapper's error", err)
		}
	})
}

// Wrappers of the two ends may talk to each other before the programs do.
func TestWrappersTalk(t *testing.T) {
	empty(t, func(c *cluster) {
		greet := func(nc net.Conn, s espial.StreamInfo) (net.Conn, error) {
			if _, err := fmt.Fprintf(nc, "%-5t", s.Dialed); err != nil {
				return nil, err
			}
			got := make([]byte, 5)
			_, err := io.ReadFull(nc, got)
			if want := fmt.Sprintf("%-5t", !s.Dialed); err == nil && !bytes.Equal(got, []byte(want)) {
				err = fmt.Errorf("read %q, want %q", got, want)
			}
			return nc, err
		}
		for i := range 2 {
			c.start(espial.Config{Name: fmt.Sprintf("node-%d", i), Wrap: []wrapper{greet}})
		}
		c.meet(2)
		c.serveEcho(c.nodes[1], "api")
		if answer, err := c.askEcho(c.nodes[0], "api.node-1"); answer != "node-1: hello" || err != nil {
			c.Errorf("the stream says %q, %v", answer, err)
		}
	})
}

// The wrappers of the package wrap between whole nodes: half-close, HTTP, and less on the
// network than the programs say.
func TestShippedWrappers(t *testing.T) {
	empty(t, func(c *cluster) {
		var wire, said wrap.Counter
		for i := range 2 {
			c.start(espial.Config{Name: fmt.Sprintf("node-%d", i), Wrap: []wrapper{
				wrap.Delay(time.Millisecond), wrap.Limit(rate.NewLimiter(100<<20, 64<<10), nil),
				wrap.Count(&wire), wrap.Compress(), wrap.Count(&said),
			}})
		}
		c.meet(2)
		c.serveEcho(c.nodes[1], "api")
		if answer, err := c.askEcho(c.nodes[0], "api.node-1"); answer != "node-1: hello" || err != nil {
			c.Errorf("the stream says %q, %v", answer, err)
		}
		ln, err := c.nodes[1].Listen("web")
		if err != nil {
			c.Fatal(err)
		}
		body := strings.Repeat("all work and no play ", 50_000)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })}
		go srv.Serve(ln)
		client := http.Client{Transport: &http.Transport{DialContext: c.nodes[0].DialContext}}
		for range 2 {
			resp, err := client.Get("http://web.node-1.espial/")
			if err != nil {
				c.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(got) != body || err != nil {
				c.Errorf("read %d bytes, %v; want %d", len(got), err, len(body))
			}
		}
		if wire.Sent() > said.Sent()/10 || said.Sent() < uint64(2*len(body)) {
			c.Errorf("%d bytes travelled as %d, want a tenth", said.Sent(), wire.Sent())
		}
		client.CloseIdleConnections()
		srv.Close()
		time.Sleep(time.Second)
		if wire.Opened() != 4 || wire.Open() != 0 {
			c.Errorf("%d ends of streams, %d open; want 4 and none", wire.Opened(), wire.Open())
		}
	})
}
