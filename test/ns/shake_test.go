//go:build linux

package ns_test

import (
	"context"
	crand "crypto/rand"
	"crypto/tls"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/netns"
)

// shake begins a number of handshakes a second with a node, and breaks each connection off when
// its handshake is done.
func shake(addr, words string) error {
	rate, err := strconv.Atoi(words)
	if err != nil {
		return err
	}
	key, err := ident.NewKey(crand.Reader)
	if err != nil {
		return err
	}
	der, err := key.Certificate(nil)
	if err != nil {
		return err
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key.Signer()}},
		NextProtos:   []string{"espial/1"}, InsecureSkipVerify: true,
	}
	var p printer
	p.print(report{Change: "begun"})
	var done, failed atomic.Int64
	var wg sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for end := time.Now().Add(idleFor); time.Now().Before(end); <-tick.C {
		wg.Go(func() {
			if handshake(addr, config) == nil {
				done.Add(1)
			} else {
				failed.Add(1)
			}
		})
	}
	wg.Wait()
	p.print(report{Change: "shaken", Count: int(done.Load())})
	p.print(report{Change: "failed", Count: int(failed.Load())})
	return nil
}

// handshake runs one handshake.
func handshake(addr string, config *tls.Config) error {
	ctx, cancel := context.WithTimeout(context.Background(), idleFor)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	return tls.Client(nc, config).HandshakeContext(ctx)
}

// TestHandshakesWithoutEndCostLittle, and who comes from another address joins (D03). Each costs
// 0.6 ms, so that 500 a second, all of them taken, would be 30 % of a core.
func TestHandshakesWithoutEndCostLittle(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 5)
	nodes := []*netns.Node{
		s.Host(1).Up("--cluster", "c"), s.Host(2).Up("--cluster", "c"), s.Host(3).Up("--cluster", "c"),
	}
	netns.Whole(startMax, nodes...)
	settle(t, nodes)
	victim := nodes[0]
	begin, used := time.Now(), victim.CPU()
	stranger := s.Host(4).Start(program("shake", s.Host(1).Addr.String()+port, "500")...)
	stranger.Wait(startMax, netns.Match{Kind: "begun"})
	s.Hold(second)
	joining := time.Now()
	guest := s.Host(5).Up("--cluster", "c", "--discover", "none", "--join", s.Host(1).Addr.String()+port)
	netns.Whole(patient(2*second), append(nodes, guest)...)
	joined := time.Since(joining)
	failed := int(stranger.Wait(startMax, netns.Match{Kind: "failed"}).Count)
	shaken := int(stranger.Wait(startMax, netns.Match{Kind: "shaken"}).Count)
	took := time.Since(begin)
	share := float64(victim.CPU()-used) / float64(took)
	t.Logf("%d of %d handshakes in %v: %.1f %% of a core; joined in %v",
		shaken, shaken+failed, took, 100*share, joined)
	if most := 32 + 8*took.Seconds(); float64(shaken) > most {
		t.Errorf("%d handshakes with one address in %v, want %.0f at most", shaken, took, most)
	}
	if shaken+failed < chaos(200, 1000) {
		t.Errorf("%d handshakes were tried: nothing is proved", shaken+failed)
	}
	if share > 0.15 {
		t.Errorf("%d handshakes cost %.0f %% of a core, want 15 %% at most", shaken+failed, 100*share)
	}
	undisturbed(t, nodes...)
}
