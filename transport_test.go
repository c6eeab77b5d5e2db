package espial_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/memnet"
)

// wire is a transport over the network in memory. It names hosts as mem://node-3/link, and
// its connections have no IP addresses; addresses without a scheme are TCP's.
type wire struct {
	net    *memnet.Network
	host   netip.Addr
	speaks []string
	dials  *atomic.Int64
}

func (w wire) Schemes() []string { return w.speaks }

func (w wire) Listen(ctx context.Context, addr string) (net.Listener, error) {
	at, named := w.at(addr)
	ln, err := w.net.Host(w.host).Listen(ctx, at)
	if err != nil || !named {
		return ln, err
	}
	return hidden{ln}, nil
}

func (w wire) Dial(ctx context.Context, addr string) (net.Conn, error) {
	w.dials.Add(1)
	at, named := w.at(addr)
	nc, err := w.net.Host(w.host).Dial(ctx, at)
	if err != nil || !named {
		return nc, err
	}
	return masked{nc}, nil
}

// at returns the place in the network that an address means, and whether it has a scheme.
func (w wire) at(addr string) (string, bool) {
	i := 0
	if _, err := fmt.Sscanf(addr, "mem://node-%d/link", &i); err != nil {
		return addr, false
	}
	return netip.AddrPortFrom(ip(i), 1).String(), true
}

type hidden struct{ net.Listener }

func (h hidden) Accept() (net.Conn, error) {
	nc, err := h.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return masked{nc}, nil
}

func (hidden) Addr() net.Addr { return nowhere{} }

// masked is a connection whose ends have no IP addresses.
type masked struct{ net.Conn }

func (masked) LocalAddr() net.Addr  { return nowhere{} }
func (masked) RemoteAddr() net.Addr { return nowhere{} }

type nowhere struct{}

func (nowhere) Network() string { return "mem" }
func (nowhere) String() string  { return "" }

// wired starts the next node at a mem:// address. It speaks mem alone unless told otherwise.
func (c *cluster) wired(cfg espial.Config, schemes ...string) (*espial.Node, *atomic.Int64) {
	c.Helper()
	if len(schemes) == 0 {
		schemes = []string{"mem"}
	}
	i, dials := len(c.nodes), new(atomic.Int64)
	cfg.Transport = wire{c.net, ip(i), schemes, dials}
	if cfg.Listen == "" {
		cfg.Listen = fmt.Sprintf("mem://node-%d/link", i)
	}
	cfg.Multicast.Off = true
	return c.start(cfg), dials
}

// Members meet, talk and lose each other over another transport as over TCP, and are shown
// by its addresses.
func TestTransport(t *testing.T) {
	empty(t, func(c *cluster) {
		key := filepath.Join(t.TempDir(), "node.pem")
		writeKey(t, key)
		seeds := []string{"mem://node-0/link"}
		c.wired(espial.Config{KeyFile: key})
		c.wired(espial.Config{Seeds: seeds})
		c.wired(espial.Config{Seeds: seeds})
		c.meet(3)
		first, last := c.nodes[0], c.nodes[2]
		if got := first.Addrs(); !slices.Equal(got, []string{"mem://node-0/link"}) {
			c.Errorf("Addrs = %q", got)
		}
		for _, n := range c.nodes {
			for p := range n.Peers() {
				want := "mem://" + p.Name + "/link"
				if p.Endpoint != want || p.Addr.IsValid() {
					c.Errorf("%s has a link to %q (%v), want %q and no IP address", n.Name(), p.Endpoint, p.Addr, want)
				}
			}
		}
		c.talks()
		c.net.Reset(ip(1), ip(2))
		c.meet(3)
		c.talks()

		gone := last.Changes(c.Context())
		c.net.Down(ip(0))
		if _, took := c.await(gone, espial.RemovedNode); took > 200*time.Millisecond {
			c.Errorf("removed after %v, want within 200ms: the dial is refused", took)
		}
		_ = first.Close()
		c.net.Up(ip(0))
		rest := c.nodes[1:]
		c.nodes = nil
		c.wired(espial.Config{KeyFile: key}) // which dials nobody: the others find it again
		c.nodes = append(c.nodes, rest...)
		c.meet(3)
		c.talks()
	})
}

// talks has every node reach every other one by a stream, a call and an event.
func (c *cluster) talks() {
	c.Helper()
	for _, to := range c.nodes {
		echo := c.serveEcho(to, "api")
		stop, err := placing.Serve(to, double)
		if err != nil {
			c.Fatal(err)
		}
		topic := "orders." + to.Name()
		for _, n := range c.nodes {
			events := to.Subscribe(c.Context(), topic)
			want := to.Name() + ": hello"
			if got, err := c.askEcho(n, "api."+to.ID().String()); got != want || err != nil {
				c.Errorf("%s: a stream to %s = %q, %v; want %q", n.Name(), to.Name(), got, err, want)
			}
			if got, err := placing.Call(c.Context(), n, espial.Only(to.ID()), order{"a", 1}); got.Count != 2 || err != nil {
				c.Errorf("%s: a call of %s = %v, %v; want 2", n.Name(), to.Name(), got, err)
			}
			if err := n.Publish(c.Context(), topic, []byte(n.Name())); err != nil {
				c.Error(err)
			}
			for e, err := range events {
				if string(e.Data) != n.Name() || err != nil {
					c.Errorf("%s: got %q, %v; want %q", to.Name(), e.Data, err, n.Name())
				}
				break
			}
		}
		stop()
		_ = echo.Close()
	}
}

// In a partial mesh members without a link reach each other by the addresses of their records.
func TestTransportInAMesh(t *testing.T) {
	empty(t, func(c *cluster) {
		for i := range 16 {
			cfg := espial.Config{MaxPeers: 4}
			if i > 0 {
				cfg.Seeds = []string{fmt.Sprintf("mem://node-%d/link", (i-1)/2)}
			}
			c.wired(cfg)
		}
		c.meet(16)
		for _, n := range c.strangers() {
			c.serveEcho(n, "api")
			want := n.Name() + ": hello"
			if got, err := c.askEcho(c.nodes[0], "api."+n.Name()); got != want || err != nil {
				c.Errorf("a stream to %s = %q, %v; want %q", n.Name(), got, err, want)
			}
			n.Subscribe(c.Context(), "t")
			if err := c.nodes[0].Publish(c.Context(), "t", nil, only(n).Queued()); err != nil {
				c.Errorf("an event for %s: %v", n.Name(), err)
			}
		}
	})
}

// A node hears of another whose addresses it cannot dial: it says so once, counts it, and
// does not try. A third one that speaks both has links with both.
func TestTransportThatIsNotSpoken(t *testing.T) {
	empty(t, func(c *cluster) {
		p := &page{}
		plain := c.start(espial.Config{
			Multicast: espial.Multicast{Off: true}, Logger: slog.New(slog.NewTextHandler(p, nil)),
		})
		both, _ := c.wired(espial.Config{Seeds: []string{plain.Addrs()[0]}}, "mem", "tcp")
		other, _ := c.wired(espial.Config{Seeds: []string{"mem://node-1/link"}})
		if err := both.WaitFor(c.Context(), 3); err != nil {
			c.Fatal(err)
		}
		// The fourth one is named to the third as well, which cannot dial it and is dialled by it.
		c.wired(espial.Config{Listen: "10.0.0.4:27272", Seeds: []string{"mem://node-1/link"}}, "mem", "tcp")
		time.Sleep(time.Minute)
		lines := p.lines("cannot be dialled")
		if len(lines) != 1 || !strings.Contains(lines[0], "mem://node-2/link") ||
			!strings.Contains(lines[0], other.ID().Short()) || !strings.Contains(lines[0], "speaks=[tcp]") {
			c.Errorf("the log says %q, want one line of mem://node-2/link and %s", lines, other.ID().Short())
		}
		for i, want := range []uint64{1, 0, 1, 0} {
			if got := c.nodes[i].Status().Dropped["unspoken"]; got != want {
				c.Errorf("node %d: %d nodes cannot be dialled, want %d", i, got, want)
			}
		}
		c.serveEcho(plain, "api")
		c.serveEcho(both, "api")
		_, err := c.askEcho(plain, "api.node-1") // which needs a connection of its own
		if err == nil || !strings.Contains(err.Error(), "no address that the transport of this node speaks: tcp") {
			c.Errorf("a stream to a member without an address to dial: %v", err)
		}
		if got, err := c.askEcho(both, "api.node-0"); got != "node-0: hello" || err != nil {
			c.Errorf("a stream by TCP: %q, %v", got, err)
		}
		if got, err := c.askEcho(other, "api.node-1"); got != "node-1: hello" || err != nil {
			c.Errorf("a stream by mem: %q, %v", got, err)
		}
		if got, err := c.askEcho(plain, "api.node-1"); got != "node-1: hello" || err != nil {
			c.Errorf("a stream by the connection that the member made: %q, %v", got, err)
		}
		if err := plain.AddPeer(c.Context(), "mem://node-1/link"); err == nil || !strings.Contains(err.Error(), "mem") {
			c.Errorf("AddPeer of an address that is not spoken: %v", err)
		}
	})
}

// A transport without the method Schemes speaks those of Listen and Seeds.
func TestSchemesOfTransport(t *testing.T) {
	type plain struct{ espial.Transport } // hides the method
	empty(t, func(c *cluster) {
		dials := new(atomic.Int64)
		for i := range 2 {
			c.start(espial.Config{
				Transport: plain{wire{c.net, ip(i), nil, dials}}, Listen: fmt.Sprintf("mem://node-%d/link", i),
				Seeds: []string{"mem://node-0/link"}, Multicast: espial.Multicast{Off: true},
			})
		}
		c.meet(2)
		if err := c.nodes[0].AddPeer(c.Context(), "10.0.0.9:1"); err == nil {
			c.Error("AddPeer takes an address of TCP, which is in neither Listen nor Seeds")
		}
		if err := c.nodes[0].AddPeer(c.Context(), "mem://node-1/link"); err != nil {
			c.Errorf("AddPeer = %v", err)
		}
	})
}

// Multicast can name no address with a scheme: a node that would be alone is told, and one with
// seeds says so in its log.
func TestMulticastWithTransport(t *testing.T) {
	empty(t, func(c *cluster) {
		w := wire{c.net, ip(0), []string{"mem"}, new(atomic.Int64)}
		_, err := c.tryStart(espial.Config{Transport: w, Listen: "mem://node-0/link"})
		if err == nil || !strings.Contains(err.Error(), "Multicast.Off") {
			c.Errorf("without seeds: %v, want an error that names Multicast.Off", err)
		}
		p := &page{}
		c.start(espial.Config{
			Transport: w, Listen: "mem://node-0/link", Seeds: []string{"mem://node-1/link"},
			Logger: slog.New(slog.NewTextHandler(p, nil)),
		})
		if got := p.lines("no multicast"); len(got) != 1 || !strings.Contains(got[0], "beacons name IP:port") {
			c.Errorf("with seeds the log says %q, want that there is no multicast", got)
		}
	})
}

// slow is a transport whose dials take two seconds: a name, a proxy, its TLS and a request, far
// away.
type slow struct{ wire }

func (s slow) Dial(ctx context.Context, addr string) (net.Conn, error) {
	select {
	case <-time.After(2 * time.Second):
		return s.wire.Dial(ctx, addr)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestSlowTransport(t *testing.T) {
	empty(t, func(c *cluster) {
		for i := range 2 {
			c.start(espial.Config{
				Transport: slow{wire{c.net, ip(i), []string{"mem"}, new(atomic.Int64)}},
				Listen:    fmt.Sprintf("mem://node-%d/link", i), Seeds: []string{"mem://node-0/link"},
				Multicast: espial.Multicast{Off: true},
			})
		}
		ctx, cancel := context.WithTimeout(c.Context(), 5*time.Second)
		defer cancel()
		if err := c.nodes[1].WaitFor(ctx, 2); err != nil {
			c.Fatalf("WaitFor = %v", err)
		}
		c.talks()
	})
}

// A transport may change TCP and keep its addresses and multicast.
func TestTransportOverTCP(t *testing.T) {
	empty(t, func(c *cluster) {
		for i := range 2 {
			c.start(espial.Config{Transport: wire{c.net, ip(i), []string{"tcp"}, new(atomic.Int64)}})
		}
		c.meet(2)
		c.talks()
	})
}

// Strangers without addresses have the limits of all strangers, and keep out nobody else.
func TestStrangersWithoutAddresses(t *testing.T) {
	empty(t, func(c *cluster) {
		n, dials := c.wired(espial.Config{})
		w := wire{c.net, ip(9), []string{"mem"}, dials}
		const knocks = 200
		open := 0
		for range knocks {
			nc, err := w.Dial(c.Context(), "mem://node-0/link")
			if err != nil {
				c.Fatal(err)
			}
			defer nc.Close()
			_ = nc.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := nc.Read(make([]byte, 1)); err != nil && !isEnd(err) {
				open++
			}
		}
		if open != 112 {
			c.Errorf("%d of %d silent connections are held open, want 112", open, knocks)
		}
		if got := n.Status().Dropped["half_open"]; got != knocks-112 {
			c.Errorf("half_open is %d, want %d", got, knocks-112)
		}
		time.Sleep(6 * time.Second) // until they are given up
		c.wired(espial.Config{Seeds: []string{"mem://node-0/link"}})
		c.meet(2)
	})
}

// isEnd reports whether the other end closed a connection.
func isEnd(err error) bool {
	return strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), syscall.ECONNRESET.Error())
}
