package websocket_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	library "github.com/coder/websocket"

	"github.com/espial-go/espial/transport/websocket"
)

// patience bounds what takes milliseconds.
const patience = 20 * time.Second

// pair returns both ends of a connection, and the listener that it came to.
func pair(t *testing.T, tr *websocket.Transport, addr string) (dialed, accepted net.Conn, ln net.Listener) {
	t.Helper()
	ln, err := tr.Listen(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	dialed, err = tr.Dial(t.Context(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = dialed.Close(), accepted.Close() })
	return dialed, accepted, ln
}

// ip returns the IP address and port that an end of a connection says.
func ip(a net.Addr) netip.AddrPort { return a.(interface{ AddrPort() netip.AddrPort }).AddrPort() }

func TestConn(t *testing.T) {
	dialed, accepted, ln := pair(t, &websocket.Transport{}, "ws://127.0.0.1:0/link")
	if got := ln.Addr().String(); !strings.HasPrefix(got, "ws://127.0.0.1:") || !strings.HasSuffix(got, "/link") {
		t.Errorf("Addr = %q", got)
	}
	if got := dialed.RemoteAddr().String(); got != ln.Addr().String() || ip(dialed.RemoteAddr()).IsValid() {
		t.Errorf("the far end of a dial is %q, want what was dialled, without an IP address", got)
	}
	if got := ip(accepted.RemoteAddr()); !got.Addr().IsLoopback() || accepted.RemoteAddr().String() != "ws://"+got.String() {
		t.Errorf("who dialled is %v (%v)", accepted.RemoteAddr(), got)
	}
	sent := strings.Repeat("0123456789abcdef", 1<<14) // more than what the library takes of a message by default
	go func() { _, _ = io.WriteString(dialed, sent) }()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(accepted, got); err != nil || string(got) != sent {
		t.Fatalf("%d bytes came through: %v", len(got), err)
	}

	_ = accepted.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := accepted.Read(got); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read past the deadline = %v, want ErrDeadlineExceeded", err)
	}
	began := time.Now()
	_ = accepted.Close()
	_ = accepted.Close()
	if took := time.Since(began); took > time.Second {
		t.Errorf("Close took %v", took)
	}
	if _, err := accepted.Read(got); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read after Close = %v, want ErrClosed", err)
	}
	_ = dialed.SetReadDeadline(time.Now().Add(patience))
	if _, err := dialed.Read(got); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read after the other end closed = %v", err)
	}
}

// A listener that ends leaves alone what it handed out, and its port is free.
func TestListenerCloses(t *testing.T) {
	tr := &websocket.Transport{}
	dialed, accepted, ln := pair(t, tr, "ws://127.0.0.1:0/link")
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, want ErrClosed", err)
	}
	if _, err := tr.Dial(t.Context(), ln.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial = %v, want ECONNREFUSED", err)
	}
	go func() { _, _ = io.WriteString(dialed, "x") }()
	if _, err := accepted.Read(make([]byte, 1)); err != nil {
		t.Errorf("the connection is gone with the listener: %v", err)
	}
}

func TestMounted(t *testing.T) {
	tr := &websocket.Transport{
		Mounted: true, Header: http.Header{"X-From": {"192.0.2.7"}},
		Remote: func(r *http.Request) netip.AddrPort {
			from, _ := netip.ParseAddr(r.Header.Get("X-From"))
			return netip.AddrPortFrom(from, 7)
		},
	}
	s := httptest.NewServer(tr)
	defer s.Close()
	addr := "ws" + strings.TrimPrefix(s.URL, "http") + "/any"
	if _, err := tr.Dial(t.Context(), addr); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("while no node listens: %v, want 503", err)
	}
	_, accepted, ln := pair(t, tr, addr)
	if got := ip(accepted.RemoteAddr()).String(); got != "192.0.2.7:7" {
		t.Errorf("who dialled is %q, want what Remote says", got)
	}
	if _, err := tr.Listen(t.Context(), addr); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second node: %v, want EADDRINUSE", err)
	}
	_ = ln.Close()
	if again, err := tr.Listen(t.Context(), addr); err != nil {
		t.Errorf("Listen after Close = %v", err)
	} else {
		_ = again.Close()
	}
}

func TestBadAddresses(t *testing.T) {
	tr := &websocket.Transport{}
	for _, tt := range []struct{ addr, says string }{
		{"127.0.0.1:80", "neither ws:// nor wss://"},
		{"http://127.0.0.1:80/x", "neither ws:// nor wss://"},
		{"ws://", "not ws://host:port/path"},
		{"ws:///x", "not ws://host:port/path"},
		{"ws://127.0.0.1:1/x?y", "not ws://host:port/path"},
	} {
		_, lerr := tr.Listen(t.Context(), tt.addr)
		_, derr := tr.Dial(t.Context(), tt.addr)
		for _, err := range []error{lerr, derr} {
			if !errors.Is(err, websocket.ErrAddr) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q: %v, want ErrAddr that says %q", tt.addr, err, tt.says)
			}
		}
	}
	if _, err := tr.Listen(t.Context(), "wss://127.0.0.1:0/x"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("wss:// without a certificate: %v", err)
	}
}

// What is no node is told from one, at both ends, and leads nowhere else.
func TestStrangers(t *testing.T) {
	tr := &websocket.Transport{}
	chat := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := library.Accept(w, r, nil); err == nil {
			_ = c.CloseNow()
		}
	}))
	defer chat.Close()
	at := func(s *httptest.Server) string { return "ws" + strings.TrimPrefix(s.URL, "http") + "/x" }
	if _, err := tr.Dial(t.Context(), at(chat)); err == nil || !strings.Contains(err.Error(), "no node is at") {
		t.Errorf("Dial of a chat = %v", err)
	}
	followed := false
	victim := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer victim.Close()
	elsewhere := httptest.NewServer(http.RedirectHandler(victim.URL, http.StatusTemporaryRedirect))
	defer elsewhere.Close()
	if _, err := tr.Dial(t.Context(), at(elsewhere)); err == nil || followed {
		t.Errorf("Dial of a redirection = %v, and it was followed: %v", err, followed)
	}

	ln, err := tr.Listen(t.Context(), "ws://127.0.0.1:0/link")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	base := "http" + strings.TrimPrefix(ln.Addr().String(), "ws")
	for url, want := range map[string]int{
		base: http.StatusUpgradeRequired, strings.TrimSuffix(base, "link"): http.StatusNotFound,
	} {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want || !resp.Close {
			t.Errorf("GET %s = %d, kept open %v; want %d and closed", url, resp.StatusCode, !resp.Close, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	//nolint:bodyclose // the library closes it, or it is the connection
	c, _, err := library.Dial(ctx, ln.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("a chat is let in: %v", err)
	}
}

// Who sends no request takes one of few places, and gives it back.
func TestSlowStrangers(t *testing.T) {
	tr := &websocket.Transport{}
	ln, err := tr.Listen(t.Context(), "ws://127.0.0.1:0/link")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	host, _, _ := strings.Cut(strings.TrimPrefix(ln.Addr().String(), "ws://"), "/")
	const places = 128
	var slow []net.Conn
	for range places {
		nc, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		_, _ = io.WriteString(nc, "GET /li")
		slow = append(slow, nc)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if nc, err := tr.Dial(ctx, ln.Addr().String()); err == nil {
		_ = nc.Close()
		t.Fatal("the 129th got in")
	}
	_, _ = io.WriteString(slow[0], "nk HTTP/1.0\r\n\r\n")
	if _, err := bufio.NewReader(slow[0]).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	for ctx.Err() == nil {
		nc, err := tr.Dial(ctx, ln.Addr().String())
		if err == nil {
			_ = nc.Close()
			return
		}
	}
	t.Error("nobody got in after one was answered")
}
