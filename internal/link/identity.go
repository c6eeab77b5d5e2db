package link

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// The protocols that a dialer may name (RFC 7301): what the connection is for.
const (
	alpn        = "espial/1"         // a link
	alpnStreams = "espial-streams/1" // streams beside a link
)

// cipherAES is the suite that Go negotiates where both CPUs have AES instructions.
const cipherAES = tls.TLS_AES_128_GCM_SHA256

// ErrALPN reports a peer that speaks TLS and not this protocol.
var ErrALPN = errors.New("link: peer does not speak " + alpn)

// Identity is the key of this node with its certificate.
type Identity struct{ cert tls.Certificate }

// NewIdentity makes the certificate for k.
func NewIdentity(k *ident.Key) (*Identity, error) {
	der, err := k.Certificate(nil)
	if err != nil {
		return nil, err
	}
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k.Signer()}
	return &Identity{cert}, nil
}

// protocols returns what an end in that role names. An acceptor takes what the dialer names.
func (r Role) protocols() []string {
	switch r {
	case Dialer:
		return []string{alpn}
	case StreamDialer:
		return []string{alpnStreams}
	default:
		return []string{alpn, alpnStreams}
	}
}

// config returns the TLS configuration of one end. It verifies no chain of trust,
// because a node is its key: what matters is who holds it, which TLS proves.
func (i *Identity) config(r Role) *tls.Config {
	return &tls.Config{
		Certificates:           []tls.Certificate{i.cert},
		MinVersion:             tls.VersionTLS13,
		MaxVersion:             tls.VersionTLS13,
		NextProtos:             r.protocols(),
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, //nolint:gosec // self-certifying: the ID is the hash of the key
		VerifyConnection:       verify,
		SessionTicketsDisabled: true, // a ticket would let a peer in without its key
		Time:                   func() time.Time { return time.Unix(certTime, 0) },

		// Batches fill whole records from the first byte on; there is no page to render.
		DynamicRecordSizingDisabled: true,
	}
}

// certTime is what TLS takes for the present, 2020-01-01: certificates in open mode
// have no meaningful validity, so a wrong clock must not matter.
const certTime = 1577836800

// verify may only refuse: a server runs it before the client proved its key. The
// cipher is admission's to judge, which can tell the peer why.
func verify(s tls.ConnectionState) error {
	if s.NegotiatedProtocol != alpn && s.NegotiatedProtocol != alpnStreams {
		return ErrALPN
	}
	_, err := peerID(s)
	return err
}

// peerID returns the ID that follows from the key in the peer's certificate.
func peerID(s tls.ConnectionState) (ident.NodeID, error) {
	raw := make([][]byte, len(s.PeerCertificates))
	for i, c := range s.PeerCertificates {
		raw[i] = c.Raw
	}
	_, id, err := ident.CheckCertificate(raw)
	if err != nil {
		return ident.NodeID{}, fmt.Errorf("link: peer's certificate: %w", err)
	}
	return id, nil
}
