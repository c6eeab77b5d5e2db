package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/link"
)

// ErrNoAddr reports a member that has no address at which this node could dial it.
var ErrNoAddr = errors.New("engine: the member has no address that the transport of this node speaks")

// What bounds a dial until the connection stands; the handshake and admission have
// [link.SetupTimeout]. By TCP that takes a round trip, by others a name, a proxy, its TLS and a
// request.
const (
	dialTimeout      = time.Second
	dialTimeoutOther = 3 * time.Second // of an address with a scheme
)

// dialAt opens a connection to an address.
func (e *Engine) dialAt(ctx context.Context, addr string) (net.Conn, error) {
	most := dialTimeout
	if strings.Contains(addr, "://") {
		most = dialTimeoutOther
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return e.cfg.Dial(ctx, addr)
}

// listenAddr returns where the peer of c takes links; empty if only its record says so. Of a
// dial by TCP that is the far end and not what was dialled, which may be a host name with
// several addresses.
func (e *Engine) listenAddr(c *link.Conn, d core.Dial, port uint16) string {
	switch {
	case d.Number != 0 && c.Remote().IsValid() && !strings.Contains(d.Addr, "://"):
		return c.Remote().String()
	case d.Number != 0:
		return d.Addr
	case port == 0 || e.cfg.Scheme != frame.TCP || !c.Remote().IsValid():
		return ""
	}
	return net.JoinHostPort(c.Remote().Addr().String(), strconv.Itoa(int(port)))
}

// unspoken tells of a node that this one never dials.
func (e *Engine) unspoken(u core.Unspoken) {
	e.dropped.unspoken.Add(1)
	log := e.throttled(classUnspoken)
	if log == nil {
		return
	}
	var addrs []string
	for _, a := range u.Addrs {
		addrs = append(addrs, a.String())
	}
	log.Warn("no link with a node that cannot be dialled: the transport does not speak its addresses",
		"id", u.ID.Short(), "addrs", addrs, "speaks", e.cfg.Schemes)
}

// streamAddrs returns where a connection for streams with a member is dialled, once there is a
// link: where that says that it takes links or, if it says nothing, where the member's record
// does.
func (e *Engine) streamAddrs(ctx context.Context, m core.Member) (_ []string, err error) {
	linked := m.Addr
	if !m.Self && m.Link == 0 {
		if linked, err = e.awaitLink(ctx, streamKey{m.Record.ID, m.Record.Incarnation}, true); err != nil {
			return nil, err
		}
	}
	if linked != "" || m.Self {
		return []string{linked}, nil
	}
	addrs, ok := query(e, func(time.Time) []string { return e.core.Addrs(m.Record.ID) })
	switch {
	case !ok:
		return nil, ErrClosed
	case len(addrs) == 0:
		return nil, fmt.Errorf("%w: %s", ErrNoAddr, strings.Join(e.cfg.Schemes, ", "))
	}
	return addrs, nil
}

// endpoint returns the far end of a link as text. Of one that is not TCP it is what was
// dialled or, where the peer dialled and its end has no IP address, where it takes links.
func (e *Engine) endpoint(l *peerLink, m core.Member) string {
	remote := l.conn.Remote()
	switch dialed := l.conn.Dialed() && strings.Contains(l.addr, "://"); {
	case dialed:
		return l.addr
	case e.cfg.Scheme == frame.TCP || l.conn.Dialed():
		return remote.String()
	case remote.IsValid():
		return frame.Addr{Scheme: e.cfg.Scheme, Addr: remote.String()}.String()
	}
	for _, a := range m.Record.Addrs {
		if a.Scheme == e.cfg.Scheme {
			return a.String()
		}
	}
	return e.cfg.Scheme + "://"
}
