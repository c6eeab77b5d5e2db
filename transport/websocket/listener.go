package websocket

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Limits of connections whose request has not come yet, as those of a node before admission.
const (
	requestWait   = 5 * time.Second
	headerMax     = 8 << 10 // bytes
	waitingMax    = 128     // in all
	waitingMaxOne = 16      // from one address, but for loopback
)

// listener hands out connections that came as requests.
type listener struct {
	at    place
	conns chan net.Conn

	once   sync.Once
	closed chan struct{}
	server *http.Server // nil if somebody else serves
	group  sync.WaitGroup
}

func newListener(at place) *listener {
	return &listener{at: at, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// serve serves the requests that come to tcp, until Close.
func (l *listener) serve(tcp net.Listener, t *Transport, path string) {
	d := &doorway{Listener: tcp, from: map[netip.Addr]int{}, waiting: map[net.Conn]netip.Addr{}}
	l.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != path {
				http.NotFound(w, r)
				return
			}
			t.take(l, w, r)
		}),
		ReadHeaderTimeout: requestWait, ReadTimeout: requestWait, WriteTimeout: requestWait,
		MaxHeaderBytes: headerMax, ConnState: d.state, TLSConfig: t.TLS,
		// Strangers choose how often they fail.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	l.server.SetKeepAlivesEnabled(false)
	l.group.Go(func() {
		if t.TLS != nil && l.at.network == "wss" {
			_ = l.server.ServeTLS(d, "", "")
		} else {
			_ = l.server.Serve(d)
		}
		l.shut() // Accept tells of it
	})
}

// hand gives a connection to who accepts.
func (l *listener) hand(nc net.Conn) {
	select {
	case l.conns <- nc:
	case <-l.closed:
		_ = nc.Close()
	case <-time.After(handWait):
		_ = nc.Close()
	}
}

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: l.at.network, Addr: l.at, Err: net.ErrClosed}
	}
}

// Close ends the listener, and leaves the connections alone that it handed out.
func (l *listener) Close() error {
	l.shut()
	if l.server == nil {
		return nil
	}
	err := l.server.Close()
	l.group.Wait()
	return err
}

func (l *listener) shut() { l.once.Do(func() { close(l.closed) }) }

// over reports whether the listener was closed.
func (l *listener) over() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// Addr returns where the listener is, with its scheme.
func (l *listener) Addr() net.Addr { return l.at }

// doorway bounds the connections from which no request has come.
type doorway struct {
	net.Listener

	mu      sync.Mutex // guards what follows
	waiting map[net.Conn]netip.Addr
	from    map[netip.Addr]int
}

// Accept returns the next connection for which there is room, and closes those before it.
func (d *doorway) Accept() (net.Conn, error) {
	for {
		nc, err := d.Listener.Accept()
		if err != nil || d.enter(nc) {
			return nc, err
		}
		_ = nc.Close()
	}
}

// enter counts a connection, if there is room for it.
func (d *doorway) enter(nc net.Conn) bool {
	var from netip.Addr
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		from = a.AddrPort().Addr().Unmap()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.waiting) >= waitingMax || d.from[from] >= waitingMaxOne && !from.IsLoopback() {
		return false
	}
	d.waiting[nc] = from
	d.from[from]++
	return true
}

// state is told what becomes of a connection.
func (d *doorway) state(nc net.Conn, s http.ConnState) {
	if s != http.StateHijacked && s != http.StateClosed {
		return
	}
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = t.NetConn() // of TLS
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	from, ok := d.waiting[nc]
	if !ok {
		return
	}
	delete(d.waiting, nc)
	if d.from[from]--; d.from[from] == 0 {
		delete(d.from, from)
	}
}
