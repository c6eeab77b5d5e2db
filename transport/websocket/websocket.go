// Package websocket carries links over WebSocket, for places that let only HTTP through: a
// node behind a reverse proxy or on the port of a web server, and nodes that reach it through
// an HTTP proxy.
//
//	espial.Start(ctx, espial.Config{
//		Cluster: "shop", Transport: &websocket.Transport{},
//		Listen: "ws://0.0.0.0:8080/link", Multicast: espial.Multicast{Off: true},
//	})
//
// TLS of the nodes runs inside, so ws:// is no less secret and no less authenticated than
// wss://; the latter is for the proxies on the way.
package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

const (
	// protocol is the subprotocol that both ends name, so that a node is not taken for
	// something else that speaks WebSocket, nor the other way round.
	protocol = "espial"

	// handWait is how long a connection waits to be accepted. A node takes it at once.
	handWait = 5 * time.Second
)

// ErrAddr reports an address that is none of this transport.
var ErrAddr = errors.New("websocket: no address")

// Transport listens at and dials ws://host:port/path and wss://host:port/path. The ports are
// 80 and 443 by default. The zero value is ready; it must not be copied, and not be changed
// while a node has it.
//
// A Transport is an [http.Handler] as well: with Mounted, a server of yours hands it the
// requests for the path at which nodes are dialled.
type Transport struct {
	// Client makes the requests of Dial, for one through a proxy. Default: one that uses the
	// proxy that the environment names (HTTP_PROXY, HTTPS_PROXY, NO_PROXY), and follows no
	// redirection.
	Client *http.Client

	// Header is sent with each request, as a proxy may want it.
	Header http.Header

	// TLS has the certificate to listen at wss://. Usually a reverse proxy has it: then listen
	// at ws:// and advertise wss://.
	TLS *tls.Config

	// Mounted makes Listen open no port: requests come by ServeHTTP, and the address is what
	// others are told.
	Mounted bool

	// Remote says where a request comes from, for the limits for strangers and for
	// Config.Admit: behind a reverse proxy, from the header that it sets. Zero means that
	// nobody knows. Default: the address of the connection.
	Remote func(*http.Request) netip.AddrPort

	once   sync.Once
	client *http.Client

	mu      sync.Mutex // guards what follows
	mounted *listener
}

// Schemes returns the two that it speaks.
func (*Transport) Schemes() []string { return []string{"ws", "wss"} }

// Listen takes links at an address. It returns an error that wraps [ErrAddr], EADDRINUSE, or
// what the system says.
func (t *Transport) Listen(ctx context.Context, addr string) (net.Listener, error) {
	scheme, host, path, err := split(addr)
	switch {
	case err != nil:
		return nil, err
	case t.Mounted:
		return t.mount(addr)
	case scheme == "wss" && t.TLS == nil:
		return nil, fmt.Errorf("%w: to listen at wss:// needs a certificate (Transport.TLS); behind a proxy "+
			"that has it, listen at ws:// and advertise %s", ErrAddr, addr)
	}
	tcp, err := (&net.ListenConfig{KeepAlive: -1}).Listen(ctx, "tcp", host)
	if err != nil {
		return nil, fmt.Errorf("websocket: %w", err)
	}
	ln := newListener(place{text: scheme + "://" + tcp.Addr().String() + path, network: scheme})
	ln.serve(tcp, t, path)
	return ln, nil
}

// mount makes a listener that ServeHTTP feeds.
func (t *Transport) mount(addr string) (net.Listener, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mounted != nil && !t.mounted.over() {
		return nil, fmt.Errorf("websocket: a node has this transport: %w", syscall.EADDRINUSE)
	}
	t.mounted = newListener(place{text: addr, network: "ws"})
	return t.mounted, nil
}

// ServeHTTP takes a link that comes as a request, with Mounted. It answers 503 while no node
// listens, and what the protocol asks for if the request is not for WebSocket.
func (t *Transport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	ln := t.mounted
	t.mu.Unlock()
	if ln == nil || ln.over() {
		http.Error(w, "no node listens here now", http.StatusServiceUnavailable)
		return
	}
	t.take(ln, w, r)
}

// take makes a connection of a request and hands it to a listener.
func (t *Transport) take(ln *listener, w http.ResponseWriter, r *http.Request) {
	from := remote(r)
	if t.Remote != nil {
		from = t.Remote(r)
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{protocol}})
	if err != nil {
		return // it was answered
	}
	if c.Subprotocol() != protocol {
		_ = c.CloseNow() // a stranger
		return
	}
	far := place{text: ln.at.network + "://" + from.String(), network: ln.at.network, ip: from}
	if !from.IsValid() {
		far.text = ln.at.network + "://"
	}
	ln.hand(newConn(r.Context(), c, ln.at, far))
}

// remote returns where the connection of a request comes from.
func remote(r *http.Request) netip.AddrPort {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr) // zero if a server has its own idea of it
	return ap
}

// Dial connects to an address.
func (t *Transport) Dial(ctx context.Context, addr string) (net.Conn, error) {
	scheme, _, _, err := split(addr)
	if err != nil {
		return nil, err
	}
	t.once.Do(func() {
		if t.client = t.Client; t.client == nil {
			t.client = newClient()
		}
	})
	//nolint:bodyclose // the library closes it, or it is the connection
	c, _, err := websocket.Dial(ctx, addr, &websocket.DialOptions{
		HTTPClient: t.client, HTTPHeader: t.Header, Subprotocols: []string{protocol},
	})
	if err != nil {
		return nil, fmt.Errorf("websocket: %w", err)
	}
	if c.Subprotocol() != protocol {
		_ = c.CloseNow()
		return nil, fmt.Errorf("websocket: no node is at %s, but something else that speaks WebSocket", addr)
	}
	near, far := place{text: scheme + "://", network: scheme}, place{text: addr, network: scheme}
	return newConn(ctx, c, near, far), nil
}

// newClient returns the default of Transport.Client.
func newClient() *http.Client {
	return &http.Client{
		// A connection that did not become one of WebSocket would be kept for a next request,
		// for as long as the process lives.
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		// Who may name an address must not send this node to another one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// split returns the parts of an address; the host has a port.
func split(addr string) (scheme, host, path string, err error) {
	scheme, rest, ok := strings.Cut(addr, "://")
	ports := map[string]string{"ws": "80", "wss": "443"}
	if ports[scheme] == "" || !ok {
		return "", "", "", fmt.Errorf("%w: %q is neither ws:// nor wss://", ErrAddr, addr)
	}
	host, path = rest, "/"
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	if host == "" || strings.ContainsAny(path, "?#") {
		return "", "", "", fmt.Errorf("%w: %q is not %s://host:port/path", ErrAddr, addr, scheme)
	}
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(strings.Trim(host, "[]"), ports[scheme])
	}
	return scheme, host, path, nil
}
