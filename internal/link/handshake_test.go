package link_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/link"
	"github.com/espial-go/espial/internal/memnet"
)

func TestHandshakeTellsWhoIsThere(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		a, b := shake(t, dialed, accepted)
		keyA, keyB := newKey(t, 1), newKey(t, 2)
		if a.Peer() != keyB.ID() || b.Peer() != keyA.ID() {
			t.Errorf("peers are %v and %v, want %v and %v", a.Peer(), b.Peer(), keyB.ID(), keyA.ID())
		}
		if string(a.Public()) != string(keyB.Public()) || string(b.Public()) != string(keyA.Public()) {
			t.Errorf("public keys are %x and %x", a.Public(), b.Public())
		}
		if !a.Dialed() || b.Dialed() {
			t.Errorf("dialed is %t and %t, want true and false", a.Dialed(), b.Dialed())
		}
		if a.Remote().String() != "10.0.0.2:27272" || b.Remote().Addr() != addrA {
			t.Errorf("remote addresses are %v and %v", a.Remote(), b.Remote())
		}
		if a.Cipher() != b.Cipher() || a.AES() != (a.Cipher() == "TLS_AES_128_GCM_SHA256") {
			t.Errorf("ciphers are %s and %s, AES %t", a.Cipher(), b.Cipher(), a.AES())
		}
	})
}

// The tag of a link is known to its two ends, and no two links share one.
func TestTagsDiffer(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		seen := map[[8]byte]bool{}
		for range 20 {
			dialed, accepted := sockets(t, n)
			a, b := shake(t, dialed, accepted)
			tagA, errA := a.Tag()
			tagB, errB := b.Tag()
			if errA != nil || errB != nil || tagA != tagB || seen[tagA] {
				t.Fatalf("tags %x (%v) and %x (%v); seen before: %t", tagA, errA, tagB, errB, seen[tagA])
			}
			seen[tagA] = true
			dialed.Close()
			accepted.Close()
		}
	})
}

// mapped is a socket of a dual-stack listener: it shows IPv4 in IPv6.
type mapped struct{ net.Conn }

func (m mapped) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP("192.0.2.7").To16(), Port: 1234}
}

func TestRemoteShowsIPv4AsIPv4(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		dialed, accepted := sockets(t, n)
		_, b := shake(t, dialed, mapped{accepted})
		if got := b.Remote().String(); got != "192.0.2.7:1234" {
			t.Errorf("remote address %s, want 192.0.2.7:1234", got)
		}
	})
}

// A stranger who dawdles is gone after 5 s, at whatever point he does it.
func TestSetupDeadline(t *testing.T) {
	tests := []struct {
		name string
		sent [][]byte // every two seconds
	}{
		{"nothing is sent", nil},
		{"one byte in two seconds", [][]byte{{22}, {3}, {1}, {0}}},
		{"a record of TLS that never ends", [][]byte{{22, 3, 1, 64, 0, 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memnet.Network) {
				dialed, accepted := sockets(t, n)
				go func() {
					for _, b := range tt.sent {
						if _, err := dialed.Write(b); err != nil {
							return
						}
						time.Sleep(2 * time.Second)
					}
				}()
				start := time.Now()
				_, err := link.Handshake(t.Context(), accepted, link.Acceptor, newIdentity(t, 2))
				if took := time.Since(start); err == nil || took != 5*time.Second {
					t.Errorf("Handshake = %v after %v, want an error after 5 s", err, took)
				}
				if _, err := io.Copy(io.Discard, dialed); err != nil && !errors.Is(err, net.ErrClosed) {
					t.Logf("the stranger reads %v", err)
				}
				time.Sleep(10 * time.Second) // lets the stranger notice
			})
		})
	}
}

func TestHandshakeHeedsItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		_, accepted := sockets(t, n)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := link.Handshake(ctx, accepted, link.Acceptor, newIdentity(t, 2)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Handshake = %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

// thief signs with a key that is not the one it shows.
type thief struct {
	crypto.Signer // signs
	shown         crypto.PublicKey
}

func (th thief) Public() crypto.PublicKey { return th.shown }

// certificate returns a certificate for a key of any kind, signed by another one.
func certificate(t *testing.T, public crypto.PublicKey, signer crypto.Signer, pad int) tls.Certificate {
	t.Helper()
	_, ca, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	if pad > 0 {
		tmpl.DNSNames = []string{string(make([]byte, pad))}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, public, ca)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: thief{signer, public}}
}

// own returns the certificate that a node with key shows.
func own(t testing.TB, key *ident.Key) tls.Certificate {
	t.Helper()
	der, err := key.Certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key.Signer()}
}

// config is that of a foreign end of TLS with our protocol's name.
func config(certs ...tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates: certs, NextProtos: []string{"espial/1"}, InsecureSkipVerify: true,
		MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert,
	}
}

// strangers are ends of TLS that a node must refuse, with the error at the node; nil
// stands for any.
func strangers(t *testing.T) map[string]struct {
	config *tls.Config
	want   error
} {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// Nobody has the private half of these, so nobody gets to use it.
	rsaKey := func(bits uint) *rsa.PublicKey {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}
	}
	chain := own(t, newKey(t, 3))
	chain.Certificate = append(chain.Certificate, chain.Certificate[0])
	garbage := own(t, newKey(t, 3))
	garbage.Certificate = [][]byte{make([]byte, 1000)}
	old := config(own(t, newKey(t, 3)))
	old.MaxVersion = tls.VersionTLS12
	mute := config(own(t, newKey(t, 3)))
	mute.NextProtos = nil
	web := config(own(t, newKey(t, 3)))
	web.NextProtos = []string{"h2"}
	member := newKey(t, 4)
	stolen := own(t, member)
	stolen.PrivateKey = thief{private, member.Signer().Public()}
	return map[string]struct {
		config *tls.Config
		want   error
	}{
		"no certificate":                         {config(), nil},
		"TLS 1.2":                                {old, nil},
		"no protocol name":                       {mute, link.ErrALPN},
		"another protocol name":                  {web, nil},
		"two certificates":                       {config(chain), ident.ErrCertificateCount},
		"bytes that are no certificate":          {config(garbage), nil},
		"a certificate of 4 KiB":                 {config(certificate(t, public, private, 4<<10)), ident.ErrCertificateSize},
		"a certificate of 1 MiB":                 {config(certificate(t, public, private, 1<<20)), nil},
		"a P-521 key":                            {config(certificate(t, p521.Public(), p521, 0)), ident.ErrKeyType},
		"an RSA key of 2,048 bits":               {config(certificate(t, rsaKey(2048), private, 0)), ident.ErrKeyType},
		"an RSA key of 16,384 bits":              {config(certificate(t, rsaKey(16384), private, 0)), nil},
		"a member's certificate without its key": {config(stolen), nil},
	}
}

func TestHandshakeRefusesStrangers(t *testing.T) {
	for name, tt := range strangers(t) {
		t.Run("who dial with "+name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memnet.Network) {
				dialed, accepted := sockets(t, n)
				done := make(chan struct{})
				go func() {
					defer close(done)
					c := tls.Client(dialed, tt.config)
					if c.HandshakeContext(t.Context()) == nil {
						_, _ = c.Read(make([]byte, 1)) // in TLS 1.3 a client is done before it is refused
					}
					dialed.Close()
				}()
				refused(t, accepted, link.Acceptor, tt.want)
				<-done
			})
		})
		if len(tt.config.Certificates) == 0 {
			continue // TLS itself wants one of a server
		}
		t.Run("who take a dial with "+name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memnet.Network) {
				dialed, accepted := sockets(t, n)
				done := make(chan struct{})
				go func() {
					defer close(done)
					_ = tls.Server(accepted, tt.config).HandshakeContext(t.Context())
					accepted.Close()
				}()
				refused(t, dialed, link.Dialer, tt.want)
				<-done
			})
		})
	}
}

// refused wants the handshake over nc to fail with want, or with anything if that is
// nil, and at once.
func refused(t *testing.T, nc net.Conn, role link.Role, want error) {
	t.Helper()
	start := time.Now()
	c, err := link.Handshake(t.Context(), nc, role, newIdentity(t, 2))
	if err == nil {
		t.Fatalf("Handshake took it for node %v", c.Peer())
	}
	if want != nil && !errors.Is(err, want) {
		t.Errorf("Handshake = %v, want %v", err, want)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("Handshake refused after %v", took)
	}
}

// tickets is a cache that counts what it is given.
type tickets struct {
	tls.ClientSessionCache
	count int
}

func (c *tickets) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		c.count++
	}
}

// A ticket would let a peer in without its key, so there are none.
func TestNoTickets(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memnet.Network) {
		cache := &tickets{ClientSessionCache: tls.NewLRUClientSessionCache(8)}
		c := config(own(t, newKey(t, 3)))
		c.ClientSessionCache, c.ServerName = cache, "node"
		dialed, accepted := sockets(t, n)
		client := tls.Client(dialed, c)
		done := make(chan error)
		go func() {
			err := client.HandshakeContext(t.Context())
			_, _ = client.Read(make([]byte, 1)) // a ticket would come here
			done <- err
		}()
		if _, err := link.Handshake(t.Context(), accepted, link.Acceptor, newIdentity(t, 2)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * latency)
		accepted.Close()
		if err := <-done; err != nil || cache.count != 0 {
			t.Errorf("%d tickets (%v), want none", cache.count, err)
		}
	})
}
