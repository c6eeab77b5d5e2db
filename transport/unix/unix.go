// Package unix carries links over Unix sockets, for nodes of one host, or of containers that
// share a folder.
//
//	espial.Start(ctx, espial.Config{
//		Cluster: "shop", Transport: unix.Transport{},
//		Listen: "unix:///run/shop/web-1.sock", Seeds: []string{"unix:///run/shop/db-1.sock"},
//		Multicast: espial.Multicast{Off: true},
//	})
//
// Every node has a path of its own, at most 103 bytes long, in a folder that exists. Who may
// write to the socket may connect to it, and who may write to the folder may take its place;
// who joins is still decided by TLS and Config.Admit.
package unix

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	scheme = "unix://"

	// pathMax is the longest path of a socket that every system takes, in bytes: 104 with
	// the closing zero (sun_path of macOS and the BSDs; Linux has 108).
	pathMax = 103

	// modeDefault lets the user of this process connect, and nobody else.
	modeDefault fs.FileMode = 0o600

	// probeWait is how long somebody who listens at a socket that exists has to take a
	// connection.
	probeWait = time.Second
)

// ErrAddr reports an address that is none of a Unix socket.
var ErrAddr = errors.New("unix: no address")

// Transport listens at and dials Unix sockets; addresses are unix:///absolute/path. The zero
// value is ready.
type Transport struct {
	// Mode is that of the sockets that it listens at: 0660 lets a group connect. Default 0600.
	// It holds from a moment after the socket was made, for which the umask holds.
	Mode fs.FileMode
}

// Schemes returns the one that it speaks.
func (Transport) Schemes() []string { return []string{"unix"} }

// Listen makes a socket, which is removed when the listener is closed. One that a killed
// process left behind is replaced. It returns an error that wraps [ErrAddr], EADDRINUSE if
// somebody listens there, or what the system says.
func (t Transport) Listen(ctx context.Context, addr string) (net.Listener, error) {
	path, err := pathOf(addr)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(ctx, path) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("unix: replace what a killed process left: %w", err)
		}
		ln, err = lc.Listen(ctx, "unix", path)
	}
	if err != nil {
		return nil, fmt.Errorf("unix: %w", err)
	}
	if err := os.Chmod(path, cmp.Or(t.Mode, modeDefault)); err != nil {
		return nil, errors.Join(fmt.Errorf("unix: %w", err), ln.Close())
	}
	return listener{ln, at(addr)}, nil
}

// Dial connects to a socket.
func (Transport) Dial(ctx context.Context, addr string) (net.Conn, error) {
	path, err := pathOf(addr)
	if err != nil {
		return nil, err
	}
	nc, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("unix: %w", err)
	}
	return nc, nil
}

// pathOf returns the path of an address.
func pathOf(addr string) (string, error) {
	path, ok := strings.CutPrefix(addr, scheme)
	switch {
	case !ok, !filepath.IsAbs(path):
		return "", fmt.Errorf("%w: %q is not unix:///absolute/path", ErrAddr, addr)
	case len(path) > pathMax:
		return "", fmt.Errorf("%w: %s has a path of %d bytes, at most %d", ErrAddr, addr, len(path), pathMax)
	}
	return path, nil
}

// abandoned reports whether there is a socket at path on which nobody listens.
func abandoned(ctx context.Context, path string) bool {
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	nc, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		_ = nc.Close() // somebody does
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// listener is a listener that says where it is as nodes do.
type listener struct {
	net.Listener
	at at
}

func (l listener) Addr() net.Addr { return l.at }

// at is an address with its scheme.
type at string

func (at) Network() string  { return "unix" }
func (a at) String() string { return string(a) }
