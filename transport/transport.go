// Package transport makes one transport of several. The folders below it have those that come
// with espial: tcp, unix, websocket.
package transport

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/espial-go/espial"
)

// ErrScheme reports an address of a scheme that no transport is there for.
var ErrScheme = errors.New("transport: unknown scheme")

// ByScheme is a transport that hands each address to the one of its scheme; that of addresses
// without one is tcp.
//
//	web := &websocket.Transport{}
//	c.Transport = transport.ByScheme{"tcp": tcp.Transport{}, "ws": web, "wss": web}
//
// It must not be changed while a node has it.
type ByScheme map[string]espial.Transport

// Schemes returns the schemes in order.
func (b ByScheme) Schemes() []string { return slices.Sorted(maps.Keys(b)) }

// Listen listens at an address, or returns an error that wraps [ErrScheme].
func (b ByScheme) Listen(ctx context.Context, addr string) (net.Listener, error) {
	t, err := b.of(addr)
	if err != nil {
		return nil, err
	}
	return t.Listen(ctx, addr)
}

// Dial connects to an address, or returns an error that wraps [ErrScheme].
func (b ByScheme) Dial(ctx context.Context, addr string) (net.Conn, error) {
	t, err := b.of(addr)
	if err != nil {
		return nil, err
	}
	return t.Dial(ctx, addr)
}

// of returns the transport of an address.
func (b ByScheme) of(addr string) (espial.Transport, error) {
	scheme, _, ok := strings.Cut(addr, "://")
	if !ok {
		scheme = "tcp"
	}
	if t := b[scheme]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("%w %q; there are %s", ErrScheme, scheme, strings.Join(b.Schemes(), ", "))
}
