package ident

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"
)

// CertificateMax is the size of the largest certificate that a node accepts, in
// bytes. An own one has about 250; a CA's, with names and an extension or two, less
// than 1 KiB. It also keeps out RSA keys of 16,384 bits, whose check is slow.
const CertificateMax = 2 << 10

// Errors of [CheckCertificate].
var (
	// ErrCertificateCount reports that a peer sent none or several certificates.
	ErrCertificateCount = errors.New("ident: want exactly one certificate")

	// ErrCertificateSize reports a certificate above [CertificateMax].
	ErrCertificateSize = errors.New("ident: certificate exceeds 2 KiB")

	// ErrCertificate reports bytes that are not an X.509 certificate.
	ErrCertificate = errors.New("ident: malformed certificate")
)

// Certificate returns a self-signed X.509 certificate in DER that carries the public
// key and nothing else: no name, no serial worth reading, valid from 2000 to 9999,
// because in open mode the key is all that counts and a wrong clock must not part
// two nodes. rand is what X.509 signing takes; the two kinds of key sign
// deterministically without it, so it may be nil.
func (k *Key) Certificate(rand io.Reader) (der []byte, err error) {
	blank := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		// RFC 5280, section 4.1.2.5: the date that means "no expiration".
		NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	der, err = x509.CreateCertificate(rand, blank, blank, k.signer.Public(), k.signer)
	if err != nil {
		return nil, fmt.Errorf("ident: certificate of %s: %w", k.id.Short(), err)
	}
	return der, nil
}

// CheckCertificate judges what a peer sent in the TLS handshake and returns its
// public key and its ID. It wants exactly one certificate of at most
// [CertificateMax] bytes that carries an Ed25519 or P-256 key; errors wrap
// [ErrCertificateCount], [ErrCertificateSize], [ErrCertificate] or [ErrKeyType].
//
// Count and size are checked before anything is parsed, and no signature is: that the
// peer holds the key is proved by the handshake and not by the certificate, so what
// CheckCertificate returns is a claim until the handshake is complete. Validity and
// names are left to the caller, who reads them only where a CA is in use. The public
// key aliases raw.
func CheckCertificate(raw [][]byte) (pub []byte, id NodeID, err error) {
	if len(raw) != 1 {
		return nil, NodeID{}, fmt.Errorf("%w: got %d", ErrCertificateCount, len(raw))
	}
	if len(raw[0]) > CertificateMax {
		return nil, NodeID{}, fmt.Errorf("%w: got %d bytes", ErrCertificateSize, len(raw[0]))
	}
	cert, err := x509.ParseCertificate(raw[0])
	if err != nil {
		// The parser may quote the peer's bytes; %q keeps them off a terminal.
		return nil, NodeID{}, fmt.Errorf("%w: %q", ErrCertificate, err.Error())
	}
	if _, err = parsePublic(cert.RawSubjectPublicKeyInfo); err != nil {
		return nil, NodeID{}, fmt.Errorf("%w: certificate with %v", err, cert.PublicKeyAlgorithm)
	}
	return cert.RawSubjectPublicKeyInfo, IDOf(cert.RawSubjectPublicKeyInfo), nil
}
