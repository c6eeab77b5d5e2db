package memnet_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/memnet"
)

// certificate makes a self-signed one inside the bubble, whose clock starts in 2000.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

// TestTLSPairsRunAMinuteOfVirtualTime has 8 pairs exchange a message every 100 ms over
// links with jitter and loss.
func TestTLSPairsRunAMinuteOfVirtualTime(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, n *memnet.Network) {
		n.SetLatency(time.Millisecond, 5*time.Millisecond)
		n.SetLoss(0.01)
		conf := &tls.Config{
			Certificates: []tls.Certificate{certificate(t)}, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13,
		}
		ln, err := n.Host(ipB).Listen(t.Context(), ":443")
		if err != nil {
			t.Fatal(err)
		}
		const pairs, messages = 8, 600
		var wg sync.WaitGroup
		for range pairs {
			wg.Go(func() {
				raw, err := n.Host(ipA).Dial(t.Context(), "10.0.0.2:443")
				if err != nil {
					t.Error(err)
					return
				}
				if err := chat(t.Context(), tls.Client(raw, conf), messages); err != nil {
					t.Errorf("client: %v", err)
				}
			})
			raw, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				if err := echo(t.Context(), tls.Server(raw, conf)); err != nil {
					t.Errorf("server: %v", err)
				}
			})
		}
		wg.Wait()
	})
}

// chat sends messages and expects each of them back.
func chat(ctx context.Context, c *tls.Conn, messages int) error {
	defer c.Close()
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	b := make([]byte, 100)
	for range messages {
		if _, err := c.Write(b); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

func echo(ctx context.Context, c *tls.Conn) error {
	defer c.Close()
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	_, err := io.Copy(c, c)
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
