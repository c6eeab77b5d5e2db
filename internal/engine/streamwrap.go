package engine

import (
	"net"

	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mux"
)

// StreamInfo is what is known of a stream before its first byte.
type StreamInfo struct {
	Service string
	Peer    ident.NodeID // the other end, which may be this node
	Name    string       // of the other end; empty if it is no member any more
	Dialed  bool         // this end opened it
	Bulk    bool         // it has a connection of its own
}

// wrapStreams has the user's wrappers take the streams of a session with a peer. Those that
// carry something of the node's own are not theirs: nobody can listen on such a service.
func (e *Engine) wrapStreams(c *mux.Config, peer ident.NodeID, bulk bool) {
	if e.cfg.Wrap == nil {
		return
	}
	c.Wrap = func(st *mux.Stream) (net.Conn, error) {
		if public := glob.CheckName(st.Service()) == nil; !public {
			return st, nil
		}
		s := StreamInfo{Service: st.Service(), Peer: peer, Dialed: st.Dialed(), Bulk: bulk}
		if m, ok := e.member(peer); ok {
			s.Name = m.Record.Name
		}
		return e.cfg.Wrap(st, s)
	}
	c.Unwrapped = func(st *mux.Stream, err error) {
		e.streams.unwrapped.Add(1)
		if st.Dialed() {
			return // who dialled has the error
		}
		if log := e.throttled(classWrap); log != nil {
			log.Warn("a wrapper failed a stream", "service", st.Service(), "peer", peer.Short(), "err", err)
		}
	}
}
