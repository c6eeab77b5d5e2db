package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Times of a link.
const (
	// SetupTimeout bounds the handshake and admission together.
	SetupTimeout = 5 * time.Second

	// closeTimeout is how long a closing link tries to send what is queued, and after
	// that how long it waits for the peer to close.
	closeTimeout = 100 * time.Millisecond
)

// blankMax is how many records without data a peer may send in the life of a link. Each may be
// a KeyUpdate, which costs a reader 4 µs, or 7 if it has to answer. crypto/tls ends a
// connection with more than 16 of them in a row, and allows any number with a byte of data now
// and then. Go sends none; who does it once a day or 2^24 records needs very few.
const blankMax = 64

// ErrBlank reports a peer that sent more than 64 records without data.
var ErrBlank = errors.New("link: too many records without data")

// tagLabel is the exporter label of [Conn.Tag] (RFC 8446, section 7.5).
const tagLabel = "EXPORTER-espial-link"

// Role is the part of one end in the handshake.
type Role uint8

// The roles.
const (
	Dialer Role = iota + 1
	Acceptor
	StreamDialer // dials a connection for streams
)

// stage is how far a connection came.
type stage uint8

const (
	proved   stage = iota // the handshake is done
	admitted              // both ends said ACCEPT
	running               // Run was called
)

// Conn is a connection whose handshake is done. Admit comes next, then Run.
type Conn struct {
	raw  *buffer
	tls  *tls.Conn
	role Role
	peer ident.NodeID

	start time.Time
	heard atomic.Int64 // when the last bytes came, as the time since start

	sent, received atomic.Uint64 // bytes before encryption

	taken   atomic.Uint64 // records read
	in      []byte        // read and not yet cut into frames
	blank   uint64        // records of the peer without data, since the handshake
	helloAt time.Time     // when the peer's HELLO was read

	mu      sync.Mutex // guards what follows
	control []byte     // frames to send ahead of data
	bye     []byte     // the last frame, once closing is closed
	cause   error      // what Run returns, once this end decided that the link ends
	stage   stage

	signaled atomic.Bool   // wake holds a token, or is about to
	wake     chan struct{} // the writer waits for it
	closing  chan struct{} // closed by Close
}

// Handshake runs TLS over nc. From here on nc is the connection's, which is closed if
// the handshake fails. The deadline of [SetupTimeout] begins before the first byte.
func Handshake(ctx context.Context, nc net.Conn, role Role, i *Identity) (*Conn, error) {
	raw := newBuffer(nc)
	c := &Conn{
		raw: raw, role: role, start: time.Now(),
		wake: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	if c.Dialed() {
		c.tls = tls.Client(raw, i.config(role))
	} else {
		c.tls = tls.Server(raw, i.config(role))
	}
	err := tune(nc)
	if err == nil {
		err = nc.SetDeadline(c.start.Add(SetupTimeout))
	}
	if err == nil {
		err = c.tls.HandshakeContext(ctx)
	}
	if err == nil {
		c.peer, err = peerID(c.tls.ConnectionState())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("link: handshake: %w", err), ignoreClosed(nc.Close()))
	}
	return c, nil
}

// read reads once from TLS, which returns data of one record at most.
func (c *Conn) read(p []byte) (int, error) {
	before := c.raw.taken
	n, err := c.tls.Read(p)
	if taken := c.raw.taken - before; taken > 0 {
		c.blank += taken - 1
		c.taken.Store(c.raw.taken)
	}
	if c.blank > blankMax {
		return 0, ErrBlank
	}
	return n, err
}

// ignoreClosed returns err unless it says that the connection was closed before.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Peer returns the node ID of the other end.
func (c *Conn) Peer() ident.NodeID { return c.peer }

// Dialed reports whether this end dialled.
func (c *Conn) Dialed() bool { return c.role != Acceptor }

// ForStreams reports whether the connection is for streams, as its dialer said.
// [Conn.AskStreams] or [Conn.AnswerStreams] comes next then, in place of Admit.
func (c *Conn) ForStreams() bool { return c.tls.ConnectionState().NegotiatedProtocol == alpnStreams }

// Cipher returns the name of the cipher suite.
func (c *Conn) Cipher() string { return tls.CipherSuiteName(c.tls.ConnectionState().CipherSuite) }

// AES reports whether the cipher is TLS_AES_128_GCM_SHA256.
func (c *Conn) AES() bool { return c.tls.ConnectionState().CipherSuite == cipherAES }

// Remote returns the address of the other end; IPv4 in IPv6 comes as IPv4. It is zero where
// that is no IP address and port.
func (c *Conn) Remote() netip.AddrPort { return AddrPort(c.raw.RemoteAddr()) }

// AddrPort converts the address of a connection that has an IP address and a port, as
// [net.TCPAddr] has. Any other gives the zero value.
func AddrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// Tag returns eight bytes that both ends, and nobody else, derive for this connection.
func (c *Conn) Tag() (tag [8]byte, err error) {
	s := c.tls.ConnectionState()
	key, err := s.ExportKeyingMaterial(tagLabel, nil, len(tag))
	if err != nil {
		return tag, fmt.Errorf("link: tag: %w", err)
	}
	return [8]byte(key), nil
}

// HelloAt returns when the peer's HELLO was read, once Admit returned.
func (c *Conn) HelloAt() time.Time { return c.helloAt }

// Heard returns when the last bytes of the peer were read.
func (c *Conn) Heard() time.Time { return c.start.Add(time.Duration(c.heard.Load())) }

// Bytes returns how many bytes were sent and received, before encryption.
func (c *Conn) Bytes() (sent, received uint64) { return c.sent.Load(), c.received.Load() }

// Records returns how many TLS records went the busier way, the handshake's included. A link
// is replaced before they are 2^24 (RFC 8446, section 5.5), by either end: one of them may not
// know where to dial the other.
func (c *Conn) Records() uint64 { return max(c.raw.records.Load(), c.taken.Load()) }

// Closed returns a channel that is closed by Close.
func (c *Conn) Closed() <-chan struct{} { return c.closing }

// Close sends what is queued and then bye, for a short time at most, and ends the
// connection. It does not wait. Before Run it sends nothing but bye, and before
// admission nothing at all. Only the first call counts, and none after the link broke.
func (c *Conn) Close(bye frame.Bye) { c.shut(bye, errClosed) }

// errClosed is the cause of a link that this end closed on purpose.
var errClosed = errors.New("link: closed")

// shut begins the end of the link: the writer says bye, and Run returns cause.
func (c *Conn) shut(bye frame.Bye, cause error) {
	at, first := c.decide(bye, cause)
	if !first {
		return
	}
	close(c.closing)
	// A write in progress fails when the time is over, and with it the link.
	_ = c.raw.SetWriteDeadline(time.Now().Add(closeTimeout))
	if at == running {
		return // the writer does the rest
	}
	if at == admitted {
		// The peer may wait for frames already. Nothing but admission was sent before,
		// so the socket has room for this; for all that is queued it may not.
		_, _ = c.tls.Write(c.bye)
	}
	_ = c.raw.Close()
}

// abort ends the link at once and without a word; Run returns cause.
func (c *Conn) abort(cause error) {
	c.decide(frame.Bye{}, cause)
	_ = c.raw.Close() // wakes reader and writer, who return cause
}

// decide notes why this end ends the link, unless it did already.
func (c *Conn) decide(bye frame.Bye, cause error) (at stage, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return c.stage, false
	}
	c.bye, c.cause = bye.Append(nil), cause
	return c.stage, true
}

// broken returns why the link ends: what this end decided, or else err.
func (c *Conn) broken(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return c.cause
	}
	return err
}

// ending reports whether Close was called.
func (c *Conn) ending() bool {
	select {
	case <-c.closing:
		return true
	default:
		return false
	}
}
