package espial

import (
	"errors"
	"fmt"
	"net"
	"runtime/debug"

	"github.com/espial-go/espial/internal/engine"
	"github.com/espial-go/espial/internal/mux"
)

// StreamInfo is what a function of [Config.Wrap] knows of a stream.
type StreamInfo struct {
	Service string // what was dialled
	Peer    Sender // the other end, which may be this node; without a name if it is no member any more
	Dialed  bool   // this node dialled, the other one listens
	Bulk    bool   // it has a connection of its own
}

// errNoConn reports a wrapper that returned nothing.
var errNoConn = errors.New("a function of Config.Wrap returned neither a connection nor an error")

// wrapping returns what gives a stream to the wrappers, nil if there are none.
func (n *Node) wrapping() func(*mux.Stream, engine.StreamInfo) (net.Conn, error) {
	if len(n.cfg.Wrap) == 0 {
		return nil
	}
	return func(st *mux.Stream, s engine.StreamInfo) (net.Conn, error) {
		return n.wrapStream(st, StreamInfo{
			Service: s.Service, Peer: Sender{ID: NodeID(s.Peer), Name: s.Name}, Dialed: s.Dialed,
			Bulk: s.Bulk,
		})
	}
}

// wrapStream gives a stream to one wrapper after the other. With an error it returns what
// those before made of it.
func (n *Node) wrapStream(nc net.Conn, s StreamInfo) (_ net.Conn, err error) {
	for _, wrapper := range n.cfg.Wrap {
		next, err := n.wrapOnce(wrapper, nc, s)
		if err != nil {
			return nc, err
		}
		nc = next
	}
	return nc, nil
}

// wrapOnce calls one wrapper, which may panic.
func (n *Node) wrapOnce(
	wrapper func(net.Conn, StreamInfo) (net.Conn, error), nc net.Conn, s StreamInfo,
) (wrapped net.Conn, err error) {
	defer func() {
		if v := recover(); v != nil {
			n.cfg.Logger.Error("a function of Config.Wrap panicked", "service", s.Service,
				"peer", s.Peer.ID.String(), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			wrapped, err = nil, fmt.Errorf("a function of Config.Wrap panicked: %v", v)
		}
	}()
	wrapped, err = wrapper(nc, s)
	if wrapped == nil && err == nil {
		err = errNoConn
	}
	return wrapped, err
}
