package ident

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// Limits of what the two kinds of key produce, in bytes.
const (
	// PublicMax is the length of the longest public key (P-256; Ed25519 has 44).
	PublicMax = len(p256Prefix) + p256PointLen

	// SignatureMax is the length of the longest signature: P-256 in ASN.1, two
	// integers of at most 33 bytes and three headers of 2. Ed25519 has 64.
	SignatureMax = 72
)

// A SubjectPublicKeyInfo (RFC 5280, section 4.1) of a fixed kind of key is a fixed
// prefix and the key. Comparing the prefix instead of parsing ASN.1 means that a key
// has one encoding, and so one [NodeID], and that a hostile one costs nothing.
const (
	ed25519Prefix = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00" // RFC 8410, section 4
	p256Prefix    = "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01" +
		"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00" // RFC 5480, section 2
	p256PointLen = 65 // 4, X, Y (SEC 1, section 2.3.3)
)

// pemType is the type of a PEM block that holds PKCS#8 (RFC 7468, section 10).
const pemType = "PRIVATE KEY"

// Errors about keys and signatures.
var (
	// ErrKeyType reports a key that is neither Ed25519 nor P-256, or not in the one
	// encoding that each of them has.
	ErrKeyType = errors.New("ident: not an Ed25519 or P-256 key")

	// ErrKeyFile reports bytes that are not one private key in PKCS#8 PEM.
	ErrKeyFile = errors.New("ident: not a private key in PKCS#8 PEM")

	// ErrSignature reports a signature that does not fit the key and the message.
	ErrSignature = errors.New("ident: signature does not verify")
)

// Key is the private key of a node. Printing it shows the ID and never the secret.
// Create one with [NewKey] or [ParseKey].
type Key struct {
	signer crypto.Signer // ed25519.PrivateKey or *ecdsa.PrivateKey on P-256
	public []byte        // SubjectPublicKeyInfo
	id     NodeID
}

// NewKey makes an Ed25519 key from the next 32 bytes of rand. The same bytes give the
// same key. It fails only if rand does.
func NewKey(rand io.Reader) (*Key, error) {
	var seed [ed25519.SeedSize]byte
	if _, err := io.ReadFull(rand, seed[:]); err != nil {
		return nil, fmt.Errorf("ident: new key: %w", err)
	}
	return newKey(ed25519.NewKeyFromSeed(seed[:]))
}

// ParseKey reads one private key, Ed25519 or P-256, in unencrypted PKCS#8 PEM, as
// "openssl genpkey" and "openssl pkcs8 -topk8 -nocrypt" write it. Text before the block is
// a comment; a second block is refused, because nobody could say which key counts. Errors
// wrap [ErrKeyFile] or [ErrKeyType].
func ParseKey(text []byte) (*Key, error) {
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, fmt.Errorf("%w: no PEM block", ErrKeyFile)
	case block.Type != pemType:
		return nil, fmt.Errorf("%w: PEM block %q; convert it with openssl pkcs8 -topk8 -nocrypt",
			ErrKeyFile, block.Type)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, fmt.Errorf("%w: %d bytes after the key; keep one key in a file", ErrKeyFile, len(rest))
	}
	secret, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		// The parser's reason never quotes the key.
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	return newKey(secret)
}

// newKey wraps a secret of one of the two kinds.
func newKey(secret any) (*Key, error) {
	k := &Key{}
	switch s := secret.(type) {
	case ed25519.PrivateKey:
		k.signer = s
		k.public = append([]byte(ed25519Prefix), s[ed25519.SeedSize:]...)
	case *ecdsa.PrivateKey:
		if s.Curve != elliptic.P256() {
			return nil, fmt.Errorf("%w: curve %s", ErrKeyType, s.Curve.Params().Name)
		}
		point, err := s.PublicKey.Bytes()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKeyType, err)
		}
		k.signer = s
		k.public = append([]byte(p256Prefix), point...)
	default:
		return nil, fmt.Errorf("%w: %T", ErrKeyType, secret)
	}
	k.id = IDOf(k.public)
	return k, nil
}

// ID returns the ID of the node that holds k.
func (k *Key) ID() NodeID { return k.id }

// Public returns a copy of the public key: DER SubjectPublicKeyInfo, 44 bytes for
// Ed25519, 91 for P-256.
func (k *Key) Public() []byte { return bytes.Clone(k.public) }

// Signer returns the secret as crypto/tls takes it.
func (k *Key) Signer() crypto.Signer { return k.signer }

// Sign returns a signature of msg that [Verify] accepts, at most [SignatureMax] bytes
// long: Ed25519, or ECDSA over SHA-256 in ASN.1. It is deterministic (RFC 8032;
// RFC 6979), so a poor random source cannot leak the key. Different uses of one key
// begin msg with different labels, or a signature made for one would serve another.
func (k *Key) Sign(msg []byte) ([]byte, error) {
	digest, opts := msg, crypto.SignerOpts(crypto.Hash(0))
	if _, ok := k.signer.(*ecdsa.PrivateKey); ok {
		sum := sha256.Sum256(msg)
		digest, opts = sum[:], crypto.SHA256
	}
	sig, err := k.signer.Sign(nil, digest, opts)
	if err != nil {
		return nil, fmt.Errorf("ident: sign with %s: %w", k.id.Short(), err)
	}
	return sig, nil
}

// String names the key by its ID and hides the secret.
func (k *Key) String() string { return "key of node " + k.id.Short() }

// GoString is [Key.String], so that %#v hides the secret too.
func (k *Key) GoString() string { return k.String() }

// Verify reports whether sig is a signature of msg by the holder of pub, the form
// that [Key.Public] returns. It returns [ErrKeyType] for any other pub and
// [ErrSignature] for any other sig. Who holds a P-256 key can make many signatures
// of one msg, and anybody can make a second one of a first: do not use one as a name.
func Verify(pub, msg, sig []byte) error {
	key, err := parsePublic(pub)
	if err != nil {
		return err
	}
	ok := false
	switch key := key.(type) {
	case ed25519.PublicKey:
		ok = ed25519.Verify(key, msg, sig)
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(msg)
		ok = ecdsa.VerifyASN1(key, sum[:], sig)
	}
	if !ok {
		return ErrSignature
	}
	return nil
}

// parsePublic reads a public key: ed25519.PublicKey, which aliases pub, or
// *ecdsa.PublicKey.
func parsePublic(pub []byte) (crypto.PublicKey, error) {
	switch {
	case len(pub) == len(ed25519Prefix)+ed25519.PublicKeySize &&
		string(pub[:len(ed25519Prefix)]) == ed25519Prefix:
		return ed25519.PublicKey(pub[len(ed25519Prefix):]), nil
	case len(pub) == PublicMax && string(pub[:len(p256Prefix)]) == p256Prefix:
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), pub[len(p256Prefix):])
		if err != nil {
			return nil, fmt.Errorf("%w: point not on the curve", ErrKeyType)
		}
		return key, nil
	}
	return nil, ErrKeyType
}
