package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/transport/unix"
	"github.com/espial-go/espial/transport/websocket"
)

// within bounds each test; it takes a second or two.
const within = 30 * time.Second

// carriers are the ways by which whole nodes are tried: each returns the settings of node i.
var carriers = []struct {
	name string
	make func(t *testing.T) func(i int) espial.Config
}{
	{"Unix sockets", func(t *testing.T) func(int) espial.Config {
		dir := t.TempDir()
		return func(i int) espial.Config {
			return espial.Config{Transport: unix.Transport{}, Listen: fmt.Sprintf("unix://%s/%d.sock", dir, i)}
		}
	}},
	{"WebSocket", func(*testing.T) func(int) espial.Config {
		return func(int) espial.Config {
			return espial.Config{Transport: &websocket.Transport{}, Listen: "ws://127.0.0.1:0/link"}
		}
	}},
	{"a handler of a web server", func(t *testing.T) func(int) espial.Config {
		mux := http.NewServeMux()
		s := httptest.NewServer(mux)
		t.Cleanup(s.Close)
		return func(i int) espial.Config {
			return mounted(mux, "ws"+strings.TrimPrefix(s.URL, "http"), i, &websocket.Transport{})
		}
	}},
	{"a reverse proxy", func(t *testing.T) func(int) espial.Config {
		mux := http.NewServeMux()
		s := httptest.NewServer(mux)
		t.Cleanup(s.Close)
		return func(i int) espial.Config {
			path := fmt.Sprintf("/link/%d", i)
			behind := &url.URL{Scheme: "http", Host: freePort(t)}
			mux.Handle(path, httputil.NewSingleHostReverseProxy(behind))
			return espial.Config{
				Transport: &websocket.Transport{}, Listen: "ws://" + behind.Host + path,
				Advertise: "ws" + strings.TrimPrefix(s.URL, "http") + path,
			}
		}
	}},
	{"a handler behind TLS and an HTTP proxy", func(t *testing.T) func(int) espial.Config {
		mux := http.NewServeMux()
		s := httptest.NewTLSServer(mux)
		t.Cleanup(s.Close)
		tunnels := new(atomic.Int64)
		client := throughProxy(t, s.Certificate(), tunnels)
		t.Cleanup(func() {
			if tunnels.Load() == 0 {
				t.Error("nothing came through the proxy")
			}
		})
		return func(i int) espial.Config {
			return mounted(mux, "wss"+strings.TrimPrefix(s.URL, "https"), i, &websocket.Transport{Client: client})
		}
	}},
}

// freePort returns an address of this host that was free a moment ago.
func freePort(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// mounted puts the transport of node i under a path of its own.
func mounted(mux *http.ServeMux, base string, i int, tr *websocket.Transport) espial.Config {
	path := fmt.Sprintf("/link/%d", i)
	tr.Mounted = true
	mux.Handle(path, tr)
	return espial.Config{Transport: tr, Listen: base + path}
}

// throughProxy returns a client that trusts a certificate and reaches everything by CONNECT.
func throughProxy(t *testing.T, cert *x509.Certificate, tunnels *atomic.Int64) *http.Client {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		there, err := new(net.Dialer).DialContext(r.Context(), "tcp", r.Host)
		if r.Method != http.MethodConnect || err != nil {
			http.Error(w, "CONNECT only", http.StatusBadGateway)
			return
		}
		defer there.Close()
		tunnels.Add(1)
		w.WriteHeader(http.StatusOK)
		here, read, err := w.(http.Hijacker).Hijack() // which may have read a byte of what follows
		if err != nil {
			return
		}
		defer here.Close()
		go func() {
			defer there.Close()
			_, _ = io.Copy(there, read)
		}()
		_, _ = io.Copy(here, there)
	}))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyURL(at), TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}
}

var greet = espial.NewMethod[string, string]("greet")

// TestNodes: three nodes meet by one seed and talk, the seed starts anew, and they talk again.
func TestNodes(t *testing.T) {
	for _, tt := range carriers {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			config := tt.make(t)
			configs := make([]espial.Config, 3)
			nodes := make([]*espial.Node, 3)
			for i := range nodes {
				configs[i] = config(i)
				if i > 0 {
					configs[i].Seeds = nodes[0].Addrs()
				}
				nodes[i] = start(ctx, t, i, configs[i])
			}
			talk(ctx, t, nodes)
			scheme, _, _ := strings.Cut(configs[0].Listen, "://")
			for _, n := range nodes {
				for p := range n.Peers() {
					if !strings.HasPrefix(p.Endpoint, scheme+"://") {
						t.Errorf("%s has a link to %q, want an address of %s", n.Name(), p.Endpoint, scheme)
					}
				}
			}

			if strings.Contains(configs[0].Listen, ":0/") {
				configs[0].Listen = nodes[0].Addrs()[0]
			}
			began := time.Now()
			if err := nodes[0].Close(); err != nil || time.Since(began) > time.Second {
				t.Errorf("Close = %v after %v, want at once", err, time.Since(began))
			}
			nodes[0] = start(ctx, t, 0, configs[0])
			talk(ctx, t, nodes)
		})
	}
}

// start starts a node that is closed with the test.
func start(ctx context.Context, t *testing.T, i int, c espial.Config) *espial.Node {
	t.Helper()
	c.Cluster, c.Name, c.Multicast.Off = "test", fmt.Sprintf("node-%d", i), true
	n, err := espial.Start(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	_, err = greet.Serve(n, func(_ context.Context, _ espial.Caller, name string) (string, error) {
		return n.Name() + " greets " + name, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := n.Listen("echo")
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
				defer nc.Close()
				_, _ = io.Copy(nc, nc)
			}()
		}
	}()
	return n
}

// talk has every node reach every other one by an event, a call and a stream.
func talk(ctx context.Context, t *testing.T, nodes []*espial.Node) {
	t.Helper()
	for _, n := range nodes {
		if err := n.WaitFor(ctx, len(nodes)); err != nil {
			t.Fatalf("%s: WaitFor = %v", n.Name(), err)
		}
	}
	for _, to := range nodes {
		events := to.Subscribe(ctx, "talk."+to.Name())
		for _, n := range nodes {
			if err := n.Publish(ctx, "talk."+to.Name(), []byte(n.Name())); err != nil {
				t.Fatal(err)
			}
			want := to.Name() + " greets " + n.Name()
			if got, err := greet.Call(ctx, n, espial.Only(to.ID()), n.Name()); got != want || err != nil {
				t.Errorf("%s: a call = %q, %v; want %q", n.Name(), got, err, want)
			}
			for _, opts := range [][]espial.DialOption{nil, {espial.Bulk()}} {
				if err := echoed(ctx, n, "echo."+to.ID().String(), opts...); err != nil {
					t.Errorf("%s: a stream to %s: %v", n.Name(), to.Name(), err)
				}
			}
		}
		heard := map[string]bool{}
		for e, err := range events {
			if err != nil {
				t.Fatal(err)
			}
			if heard[string(e.Data)] = true; len(heard) == len(nodes) {
				break
			}
		}
	}
}

// echoed sends a megabyte to a service and compares what comes back.
func echoed(ctx context.Context, n *espial.Node, addr string, opts ...espial.DialOption) error {
	nc, err := n.Dial(ctx, addr, opts...)
	if err != nil {
		return err
	}
	defer nc.Close()
	sent := strings.Repeat("0123456789abcdef", 1<<16)
	done := make(chan error, 1)
	go func() {
		_, err := io.WriteString(nc, sent)
		if err == nil {
			err = nc.(interface{ CloseWrite() error }).CloseWrite()
		}
		done <- err
	}()
	got, err := io.ReadAll(nc)
	if err == nil && string(got) != sent {
		err = fmt.Errorf("%d bytes came back of %d, or others", len(got), len(sent))
	}
	if werr := <-done; err == nil {
		err = werr
	}
	return err
}
