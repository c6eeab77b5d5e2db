// Package wrap has wrappers for the streams of a node, for [espial.Config].Wrap.
//
//	var traffic wrap.Counter
//	node, err := espial.Start(ctx, espial.Config{
//		Cluster: "shop",
//		Wrap: []wrap.Func{
//			wrap.Limit(rate.NewLimiter(1<<20, 64<<10), nil), // 1 MiB/s out, all streams together
//			wrap.Count(&traffic),                            // bytes as they travel
//			wrap.Compress(),                                 // the same at every node
//		},
//	})
//
// The first one is nearest the network. So what is counted above is compressed; with Count
// behind Compress it is what the program reads and writes.
//
// A wrapper for some streams is a function around one of these, which looks at the service,
// the member or the direction and returns the connection as it is for the others:
//
//	func(nc net.Conn, s espial.StreamInfo) (net.Conn, error) {
//		if s.Service != "backup" {
//			return nc, nil
//		}
//		return wrap.Compress()(nc, s)
//	}
//
// What they return has the deadlines, the half-close (CloseWrite, SetLinger), the addresses and the
// errors of what it wraps, and may be used by several goroutines.
package wrap

import (
	"errors"
	"net"

	"github.com/espial-go/espial"
)

// Func wraps one stream.
type Func = func(nc net.Conn, s espial.StreamInfo) (net.Conn, error)

// conn is a connection around another one.
type conn struct{ net.Conn }

// CloseWrite tells the other end that no more bytes follow. It returns
// [errors.ErrUnsupported] if what it wraps has no half-close.
func (c conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.opError("close", errors.ErrUnsupported)
}

// SetLinger says what Close does, where what it wraps can be told: with 0 it resets the stream.
// Otherwise it returns [errors.ErrUnsupported].
func (c conn) SetLinger(seconds int) error {
	if lingering, ok := c.Conn.(interface{ SetLinger(seconds int) error }); ok {
		return lingering.SetLinger(seconds)
	}
	return c.opError("set", errors.ErrUnsupported)
}

// opError dresses err as the net package does.
func (c conn) opError(op string, err error) error {
	return &net.OpError{
		Op: op, Net: c.RemoteAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err,
	}
}
