// Package tcp carries links over TCP, which is what a node does without a transport of its
// own. It is here for those who combine transports:
//
//	transport.ByScheme{"tcp": tcp.Transport{}, "unix": unix.Transport{}}
package tcp

import (
	"context"
	"net"
)

// Transport listens and dials by TCP. Addresses are host:port, without a scheme. Keep-alive
// is off, because the members probe each other. The zero value is ready.
type Transport struct{}

// Schemes returns the one that it speaks.
func (Transport) Schemes() []string { return []string{"tcp"} }

// Listen listens at IP:port or :port.
func (Transport) Listen(ctx context.Context, addr string) (net.Listener, error) {
	return (&net.ListenConfig{KeepAlive: -1}).Listen(ctx, "tcp", addr)
}

// Dial connects to host:port.
func (Transport) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", addr)
}
