package ident_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/ident"
)

// seeded returns the Ed25519 key whose seed is 32 times b.
func seeded(t testing.TB, b byte) *ident.Key {
	t.Helper()
	k, err := ident.NewKey(bytes.NewReader(bytes.Repeat([]byte{b}, 32)))
	if err != nil {
		t.Fatalf("NewKey: %v", err)
	}
	return k
}

// pkcs8 returns secret as a PEM file.
func pkcs8(t testing.TB, secret any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatalf("MarshalPKCS8PrivateKey: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// ec returns a fresh key on a curve.
func ec(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	secret, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatalf("GenerateKey: %v", err)
	}
	return secret
}

// p256 returns a fresh P-256 key by way of its file.
func p256(t testing.TB) *ident.Key {
	t.Helper()
	k, err := ident.ParseKey(pkcs8(t, ec(t, elliptic.P256())))
	if err != nil {
		t.Fatalf("ParseKey of a P-256 key: %v", err)
	}
	return k
}

// kinds returns one key of each kind.
func kinds(t testing.TB) map[string]*ident.Key {
	return map[string]*ident.Key{"Ed25519": seeded(t, 7), "P-256": p256(t)}
}

// TestNewKeyVector pins the whole way from seed to ID: RFC 8032, section 7.1, test 1.
func TestNewKeyVector(t *testing.T) {
	seed, _ := hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
	wantPub, _ := hex.DecodeString("302a300506032b6570032100" +
		"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
	wantSig, _ := hex.DecodeString("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155" +
		"5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b")
	k, err := ident.NewKey(bytes.NewReader(seed))
	if err != nil {
		t.Fatalf("NewKey: %v", err)
	}
	if got := k.Public(); !bytes.Equal(got, wantPub) {
		t.Errorf("Public = %x, want %x", got, wantPub)
	}
	if got, want := k.ID(), ident.NodeID(sha256.Sum256(wantPub)); got != want {
		t.Errorf("ID = %v, want %v", got, want)
	}
	if got, err := k.Sign(nil); err != nil || !bytes.Equal(got, wantSig) {
		t.Errorf("Sign of nothing = %x, %v; want %x", got, err, wantSig)
	}
}

func TestPublicIsTheStandardEncoding(t *testing.T) {
	for name, k := range kinds(t) {
		want, err := x509.MarshalPKIXPublicKey(k.Signer().Public())
		if err != nil {
			t.Fatalf("%s: MarshalPKIXPublicKey: %v", name, err)
		}
		got := k.Public()
		if !bytes.Equal(got, want) || len(got) > ident.PublicMax || ident.IDOf(got) != k.ID() {
			t.Errorf("%s: Public = %x with ID %v, want %x", name, got, k.ID(), want)
		}
		got[len(got)-1]++
		if !bytes.Equal(k.Public(), want) {
			t.Errorf("%s: writing to the result of Public changed the key", name)
		}
	}
}

func TestPEMRoundTrip(t *testing.T) {
	for name, k := range kinds(t) {
		again, err := ident.ParseKey(k.PEM(t))
		if err != nil || again.ID() != k.ID() || !bytes.Equal(again.PEM(t), k.PEM(t)) {
			t.Errorf("%s: ParseKey(PEM) = %v, %v; want %v", name, again, err, k)
		}
	}
}

func TestNewKeyNeedsTheWholeSeed(t *testing.T) {
	if k, err := ident.NewKey(strings.NewReader("too short")); k != nil || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("NewKey of 9 bytes = %v, %v; want io.ErrUnexpectedEOF", k, err)
	}
}

func TestParseKey(t *testing.T) {
	good := seeded(t, 1).PEM(t)
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(ec(t, elliptic.P256()))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		in   []byte
		err  error
	}{
		{name: "a comment before the key", in: append([]byte("node of the lab\n"), good...)},
		{name: "blank lines after the key", in: append(bytes.Clone(good), "\n \r\n"...)},
		{name: "nothing", err: ident.ErrKeyFile},
		{name: "not PEM", in: []byte("secret"), err: ident.ErrKeyFile},
		{name: "two keys", in: append(bytes.Clone(good), good...), err: ident.ErrKeyFile},
		{name: "text after the key", in: append(bytes.Clone(good), "x"...), err: ident.ErrKeyFile},
		{name: "a PEM block of SEC 1", in: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}), err: ident.ErrKeyFile},
		{name: "a PEM block without a key", in: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY"}), err: ident.ErrKeyFile},
		{name: "a P-521 key", in: pkcs8(t, ec(t, elliptic.P521())), err: ident.ErrKeyType},
		{name: "an RSA key", in: pkcs8(t, weak), err: ident.ErrKeyType},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if k, err := ident.ParseKey(tt.in); !errors.Is(err, tt.err) || (k == nil) != (tt.err != nil) {
				t.Errorf("ParseKey(%q) = %v, %v; want error %v", tt.in, k, err, tt.err)
			}
		})
	}
}

func TestPrintingAKeyHidesTheSecret(t *testing.T) {
	k := seeded(t, 0x5a)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		got := fmt.Sprintf(verb, k)
		if !strings.Contains(got, k.ID().Short()) || strings.Contains(got, "90") || strings.Contains(got, "5a") {
			t.Errorf("%s of a key = %q, want its short ID and no seed", verb, got)
		}
	}
}

func TestSignAndVerify(t *testing.T) {
	msg := []byte("espial test\x00message")
	for name, k := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			sig, err := k.Sign(msg)
			if err != nil || len(sig) > ident.SignatureMax {
				t.Fatalf("Sign = %x, %v; want at most %d bytes", sig, err, ident.SignatureMax)
			}
			if again, err := k.Sign(msg); err != nil || !bytes.Equal(again, sig) {
				t.Errorf("a second Sign = %x, %v; want %x again", again, err, sig)
			}
			if err := ident.Verify(k.Public(), msg, sig); err != nil {
				t.Errorf("Verify of an own signature error = %v", err)
			}
			for at := range sig {
				bad := bytes.Clone(sig)
				bad[at] ^= 1
				if err := ident.Verify(k.Public(), msg, bad); !errors.Is(err, ident.ErrSignature) {
					t.Errorf("Verify with byte %d of the signature flipped error = %v, want ErrSignature", at, err)
				}
			}
			if err := ident.Verify(k.Public(), msg[1:], sig); !errors.Is(err, ident.ErrSignature) {
				t.Errorf("Verify of another message error = %v, want ErrSignature", err)
			}
			if err := ident.Verify(seeded(t, 9).Public(), msg, sig); !errors.Is(err, ident.ErrSignature) {
				t.Errorf("Verify with another key error = %v, want ErrSignature", err)
			}
			if err := ident.Verify(k.Public(), msg, nil); !errors.Is(err, ident.ErrSignature) {
				t.Errorf("Verify of no signature error = %v, want ErrSignature", err)
			}
		})
	}
}

func TestVerifyRefusesOtherKeys(t *testing.T) {
	p521, err := x509.MarshalPKIXPublicKey(&ec(t, elliptic.P521()).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	offCurve := p256(t).Public()
	offCurve[len(offCurve)-1] ^= 1
	compressed := p256(t).Public()
	compressed[26] = 2
	ed := seeded(t, 3).Public()
	tests := []struct {
		name string
		pub  []byte
	}{
		{"nothing", nil},
		{"a truncated Ed25519 key", ed[:43]},
		{"an Ed25519 key with a byte more", append(bytes.Clone(ed), 0)},
		{"an Ed25519 key without its prefix", ed[12:]},
		{"an Ed25519 key with a wrong prefix", append([]byte{0x31}, ed[1:]...)},
		{"a P-521 key", p521},
		{"a P-256 point off the curve", offCurve},
		{"a P-256 point in another form", compressed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := ident.Verify(tt.pub, nil, nil); !errors.Is(err, ident.ErrKeyType) {
				t.Errorf("Verify with key %x error = %v, want ErrKeyType", tt.pub, err)
			}
		})
	}
}

// FuzzVerify: no public key, message or signature from the wire may panic, and no
// short string is a signature.
func FuzzVerify(f *testing.F) {
	for _, k := range kinds(f) {
		sig, err := k.Sign([]byte("m"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(k.Public(), []byte("m"), sig)
	}
	f.Fuzz(func(t *testing.T, pub, msg, sig []byte) {
		if err := ident.Verify(pub, msg, sig); err == nil && len(sig) > ident.SignatureMax {
			t.Fatalf("Verify(%x, %x, %x) accepted a signature of %d bytes", pub, msg, sig, len(sig))
		}
	})
}

func BenchmarkSign(b *testing.B) {
	for name, k := range kinds(b) {
		b.Run(name, func(b *testing.B) {
			msg := make([]byte, 1200)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Sign(msg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for name, k := range kinds(b) {
		b.Run(name, func(b *testing.B) {
			msg := make([]byte, 1200)
			sig, err := k.Sign(msg)
			if err != nil {
				b.Fatal(err)
			}
			pub := k.Public()
			b.ReportAllocs()
			for b.Loop() {
				if err := ident.Verify(pub, msg, sig); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
