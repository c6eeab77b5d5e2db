package espial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/espial-go/espial/internal/engine"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mux"
)

// ErrNoService reports a member that does not listen on the service that was dialled.
var ErrNoService = errors.New("espial: no such service")

// silentMax is how many members that have not said on what they listen are tried for a stream to
// one of several. Such a member is no peer, and most likely has nothing to say.
const silentMax = 4

// domain ends the names under which services are dialled where a host is expected.
const domain = ".espial"

// Listen opens a listener for streams to a service of this node. A service is a name as a
// node's: at most 63 of a-z, 0-9, - and _. 512 streams wait to be accepted; what comes beyond
// is refused. It fails with EADDRINUSE if the node listens on the service already, and with
// [ErrClosed]; the listener is closed with the node. Every error is a [net.OpError].
//
// What Accept returns is as TCP's: deadlines, CloseWrite, and a reset that is ECONNRESET.
// Its RemoteAddr is the ID of the member that dialled, which TLS has proved.
func (n *Node) Listen(service string) (net.Listener, error) {
	if err := checkService(service); err != nil {
		return nil, streamError("listen", service, err)
	}
	ln, err := n.eng.Listen(service)
	if errors.Is(err, net.ErrClosed) {
		return nil, streamError("listen", service, ErrClosed)
	}
	if err != nil {
		return nil, err
	}
	return ln, nil
}

// Dial opens a stream to a service of a member: addr is service.peer, where peer is a target
// as [ParseTarget] reads it: a name, a pattern, an ID, leader, KEY=VALUE. Of several members, this
// node perhaps among them, those that listen on the service ([Node.Services]) are tried until one
// takes the stream, beginning with another one each time, and last 4 of those that have not said
// on what they listen. The first stream to a member makes a connection beside the link, which
// others share.
//
// Dial returns when the listener's backlog has the stream, which takes a round trip. It
// returns a [net.OpError] that wraps [ErrNoService], at once, where nobody of those meant
// listens; [syscall.ECONNRESET] where it refuses, for one because the backlog is full;
// [ErrNoMember]; [ErrNoLeader] or [ErrNoQuorum]; a [TargetError]; [ErrClosed]; ctx's error; what a
// function of [Config.Wrap] returned; or what the connection failed with. Of several members it is
// the error of the last. At most 1,024 streams to a member that this node dialled may be open.
func (n *Node) Dial(ctx context.Context, addr string, opts ...DialOption) (net.Conn, error) {
	nc, err := n.dial(ctx, addr, newDialing(opts))
	if err != nil {
		return nil, streamError("dial", addr, err)
	}
	return nc, nil
}

// DialContext is [Node.Dial] for those who bring a network and a host, as
// [net/http.Transport] does: the network is tcp, tcp4 or tcp6, the host service.peer.espial,
// with any port or none. Any other host is an error: nothing else is dialled.
func (n *Node) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, streamError("dial", addr, net.UnknownNetworkError(network))
	}
	host := addr
	if h, _, err := net.SplitHostPort(addr); err == nil {
		host = h
	}
	name, ok := strings.CutSuffix(strings.ToLower(strings.TrimSuffix(host, ".")), domain)
	if !ok {
		return nil, streamError("dial", addr, errors.New("a host is dialled as service.peer"+domain))
	}
	return n.Dial(ctx, name)
}

// dial is Dial without the dress of its errors.
func (n *Node) dial(ctx context.Context, addr string, d dialing) (net.Conn, error) {
	service, peer, ok := strings.Cut(addr, ".")
	if !ok {
		return nil, errors.New("a stream is dialled as service.peer")
	}
	if err := checkService(service); err != nil {
		return nil, err
	}
	t, err := ParseTarget(peer)
	if err != nil {
		return nil, err
	}
	ids, err := n.candidates(&t, service)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		var nc net.Conn
		if nc, _, err = n.open(ctx, id, service, d); err == nil {
			return nc, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// open opens a stream to a member: nc is what the wrappers made of st.
func (n *Node) open(
	ctx context.Context, id ident.NodeID, service string, d dialing,
) (nc net.Conn, st *mux.Stream, err error) {
	open := n.eng.OpenStream
	if d.bulk {
		open = n.eng.OpenBulk
	}
	if st, err = open(ctx, id, service); err == nil {
		nc, err = st.Wrap(ctx)
	}
	return nc, st, n.refusal(err)
}

// candidates returns who is to be tried for a stream to a service of one that t means: those that
// listen on it, beginning with another one each time, and then some of those that have not said.
// One member alone is asked whatever it said: it knows better.
func (n *Node) candidates(t *Target, service string) ([]ident.NodeID, error) {
	ids := n.meant(t)
	switch {
	case len(ids) == 1:
		return ids, nil
	case len(ids) == 0:
		return nil, n.nobody(t)
	}
	listening, silent, _ := n.listening(ids, service)
	silent = silent[:min(len(silent), silentMax)]
	if t.one != chooseEvery {
		if len(listening) == 0 {
			listening = silent
		}
		listening, silent = n.choose(t, listening), nil
	}
	if len(listening) > 1 {
		i := int(n.turn.Add(1) % uint64(len(listening)))
		listening = append(listening[i:len(listening):len(listening)], listening[:i]...)
	}
	if ids = append(listening, silent...); len(ids) == 0 {
		return nil, ErrNoService
	}
	return ids, nil
}

// nobody returns why t means nobody.
func (n *Node) nobody(t *Target) error {
	select {
	case <-n.ended:
		return ErrClosed
	default:
	}
	if t.kind == targetLeader {
		return n.leaderless()
	}
	return ErrNoMember
}

// refusal returns the public error for a stream that was not opened.
func (n *Node) refusal(err error) error {
	if e, ok := errors.AsType[*mux.ResetError](err); ok && e.Code == mux.CodeNoService {
		return ErrNoService
	}
	switch {
	case errors.Is(err, mux.ErrFull), errors.Is(err, mux.ErrEnded), errors.Is(err, engine.ErrNotLinked):
		return told(err)
	default:
		return n.public(err)
	}
}

// streamError dresses an error of Listen or Dial as the net package does.
func streamError(op, addr string, err error) error {
	to := mux.Addr{Node: addr}
	return &net.OpError{Op: op, Net: to.Network(), Addr: to, Err: err}
}

// checkService returns an error for a service that nobody can listen on.
func checkService(service string) error {
	if glob.CheckName(service) != nil {
		return fmt.Errorf("%q is no name of a service: at most 63 of a-z, 0-9, - and _", service)
	}
	return nil
}
