package ident_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// certificate returns the certificate of k.
func certificate(t testing.TB, k *ident.Key) []byte {
	t.Helper()
	der, err := k.Certificate(rand.Reader)
	if err != nil {
		t.Fatalf("Certificate: %v", err)
	}
	return der
}

// signed returns a certificate for the public key pub, made by another key.
func signed(t testing.TB, pub any, cert *x509.Certificate) []byte {
	t.Helper()
	cert.SerialNumber = big.NewInt(1)
	ca := seeded(t, 0xca).Signer()
	der, err := x509.CreateCertificate(rand.Reader, cert, &x509.Certificate{}, pub, ca)
	if err != nil {
		t.Fatalf("CreateCertificate: %v", err)
	}
	return der
}

func TestCertificateCarriesTheKeyAndNothingElse(t *testing.T) {
	for name, k := range kinds(t) {
		der := certificate(t, k)
		pub, id, err := ident.CheckCertificate([][]byte{der})
		if err != nil || id != k.ID() || !bytes.Equal(pub, k.Public()) {
			t.Errorf("%s: CheckCertificate = %x, %v, %v; want %x, %v", name, pub, id, err, k.Public(), k.ID())
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatalf("%s: ParseCertificate: %v", name, err)
		}
		if cert.Subject.String() != "" || cert.Issuer.String() != "" || len(cert.Extensions) != 0 || len(der) > 320 {
			t.Errorf("%s: certificate of %d bytes names %q, %q with %d extensions; want nothing",
				name, len(der), cert.Subject, cert.Issuer, len(cert.Extensions))
		}
		if cert.NotBefore.Year() != 2000 || cert.NotAfter.Year() != 9999 {
			t.Errorf("%s: valid %v to %v, want 2000 to 9999", name, cert.NotBefore, cert.NotAfter)
		}
		if again := certificate(t, k); !bytes.Equal(again, der) && name == "Ed25519" {
			t.Errorf("%s: a second certificate differs: %x, %x", name, again, der)
		}
	}
}

// TestCheckCertificate is case D09 of the fault catalogue.
func TestCheckCertificate(t *testing.T) {
	good := certificate(t, seeded(t, 1))
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	// An RSA key of 16,384 bits needs no secret to be shown: the modulus is a number.
	huge := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 16383, 1), E: 65537}
	// The DER of an Ed25519 certificate with the key cut by a byte: lengths adjusted.
	truncated := bytes.Clone(good)
	spki := bytes.Index(truncated, []byte("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"))
	truncated[spki+10]--
	named := signed(t, seeded(t, 2).Signer().Public(), &x509.Certificate{DNSNames: []string{"a.example", "b.example"}})
	tests := []struct {
		name string
		raw  [][]byte
		err  error
	}{
		{name: "one small certificate", raw: [][]byte{good}},
		{name: "a certificate by a CA, with names", raw: [][]byte{named}},
		{name: "no certificate", err: ident.ErrCertificateCount},
		{name: "two certificates", raw: [][]byte{good, good}, err: ident.ErrCertificateCount},
		{name: "a certificate of 1 MB", raw: [][]byte{make([]byte, 1<<20)}, err: ident.ErrCertificateSize},
		{name: "RSA with 16,384 bits", raw: [][]byte{signed(t, huge, &x509.Certificate{})}, err: ident.ErrCertificateSize},
		{name: "RSA with 2,048 bits", raw: [][]byte{signed(t, &weak.PublicKey, &x509.Certificate{})}, err: ident.ErrKeyType},
		{name: "P-521", raw: [][]byte{signed(t, &ec(t, elliptic.P521()).PublicKey, &x509.Certificate{})}, err: ident.ErrKeyType},
		{name: "a truncated Ed25519 key", raw: [][]byte{truncated}, err: ident.ErrCertificate},
		{name: "DSA", raw: [][]byte{retyped(t, good, "\x2a\x86\x48\xce\x38\x04\x01")}, err: ident.ErrCertificate},
		{name: "an algorithm nobody knows", raw: [][]byte{retyped(t, good, "\x2b\x06\x01\x04\x01\x63\x07")}, err: ident.ErrKeyType},
		{name: "an empty certificate", raw: [][]byte{nil}, err: ident.ErrCertificate},
		{name: "bytes after the certificate", raw: [][]byte{append(bytes.Clone(good), 0)}, err: ident.ErrCertificate},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pub, id, err := ident.CheckCertificate(tt.raw)
			if !errors.Is(err, tt.err) {
				t.Fatalf("CheckCertificate(%x) error = %v, want %v", tt.raw, err, tt.err)
			}
			if (tt.err != nil) != (pub == nil && id.IsZero()) {
				t.Errorf("CheckCertificate(%x) = %x, %v with error %v", tt.raw, pub, id, err)
			}
		})
	}
}

// retyped returns cert with the algorithm of its Ed25519 key replaced by oid, 4 bytes
// longer than the old one.
func retyped(t testing.TB, cert []byte, oid string) []byte {
	t.Helper()
	old := []byte("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21")
	at := bytes.Index(cert, old)
	if at < 0 || len(oid) != 7 || cert[1] != 0x81 || cert[4] > 0x7b {
		t.Fatalf("unexpected certificate %x", cert)
	}
	out := slices.Concat(cert[:at], []byte("\x30\x2e\x30\x09\x06\x07"+oid+"\x03\x21"), cert[at+len(old):])
	out[2] += 4
	out[4] += 4
	return out
}

// TestCheckCertificateIsCheap holds D09's budget without a stopwatch: what is too many
// or too large is refused before anything is parsed.
func TestCheckCertificateIsCheap(t *testing.T) {
	big := [][]byte{make([]byte, 1<<20)}
	if n := testing.AllocsPerRun(100, func() { _, _, _ = ident.CheckCertificate(big) }); n > 4 {
		t.Errorf("CheckCertificate of 1 MB made %v allocations, want those of an error", n)
	}
}

// TestCertificateServesTLS runs a mutual handshake of TLS 1.3 between the two kinds.
func TestCertificateServesTLS(t *testing.T) {
	ed, p := seeded(t, 1), p256(t)
	config := func(own, peer *ident.Key) *tls.Config {
		return &tls.Config{
			MinVersion:         tls.VersionTLS13,
			Certificates:       []tls.Certificate{{Certificate: [][]byte{certificate(t, own)}, PrivateKey: own.Signer()}},
			ClientAuth:         tls.RequireAnyClientCert,
			InsecureSkipVerify: true, // the ID is the check
			VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
				_, id, err := ident.CheckCertificate(raw)
				if err == nil && id != peer.ID() {
					t.Errorf("peer of %v has ID %v, want %v", own, id, peer.ID())
				}
				return err
			},
		}
	}
	a, b := net.Pipe()
	deadline := time.Now().Add(time.Minute)
	_, _ = a.SetDeadline(deadline), b.SetDeadline(deadline)
	done := make(chan error, 1)
	go func() { done <- tls.Server(a, config(ed, p)).Handshake() }()
	if err := tls.Client(b, config(p, ed)).Handshake(); err != nil {
		t.Errorf("client: %v", err)
	}
	// The client's last flight is read by the server; nothing else crosses the pipe.
	go func() { _, _ = b.Read(make([]byte, 4096)) }()
	if err := <-done; err != nil {
		t.Errorf("server: %v", err)
	}
	_, _ = a.Close(), b.Close()
}

// FuzzCheckCertificate: no bytes may panic; what is accepted is a key that Verify
// takes, with its ID.
func FuzzCheckCertificate(f *testing.F) {
	for _, k := range kinds(f) {
		f.Add(certificate(f, k))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		pub, id, err := ident.CheckCertificate([][]byte{raw})
		if err != nil {
			return
		}
		if id != ident.IDOf(pub) || len(raw) > ident.CertificateMax {
			t.Fatalf("CheckCertificate(%x) = %x, %v", raw, pub, id)
		}
		if err := ident.Verify(pub, nil, nil); !errors.Is(err, ident.ErrSignature) {
			t.Fatalf("Verify with the accepted key %x error = %v, want ErrSignature", pub, err)
		}
	})
}

func BenchmarkCheckCertificate(b *testing.B) {
	raw := [][]byte{certificate(b, seeded(b, 1))}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ident.CheckCertificate(raw); err != nil {
			b.Fatal(err)
		}
	}
}
