package espial_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/internal/memnet"
)

// writeKey writes a new key file.
func writeKey(t *testing.T, path string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Every setting that cannot work is refused before anything starts, by the name of its
// field, and the error says what to do.
func TestStartRefusesBadConfig(t *testing.T) {
	dir := t.TempDir()
	writeKey(t, dir+"/open.pem")
	if err := os.Chmod(dir+"/open.pem", 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/junk.pem", []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	many := map[string]string{}
	for i := range 300 {
		many[strings.Repeat("k", i+1)] = ""
	}
	network := memnet.New(1)
	memory := wire{network, ip(0), []string{"mem"}, new(atomic.Int64)}
	tests := []struct {
		name  string
		c     espial.Config
		field string
		says  string
	}{
		{"no cluster", espial.Config{}, "Cluster", "required"},
		{"cluster with a dot", espial.Config{Cluster: "a.b"}, "Cluster", "a.b"},
		{"a wrapper that is nil", espial.Config{Cluster: "a", Wrap: []wrapper{nil}}, "Wrap", "nil"},
		{"name with a control character", espial.Config{Cluster: "a", Name: "x\x1b[2J"}, "Name", `\x1b`},
		{"name of 64 characters", espial.Config{Cluster: "a", Name: strings.Repeat("x", 64)}, "Name", "63"},
		{"listen without a port", espial.Config{Cluster: "a", Listen: "10.0.0.1"}, "Listen", "0.0.0.0:0"},
		{"taken port", espial.Config{Cluster: "a", Listen: "10.0.0.1:1000"}, "Listen", "port 0"},
		{"advertise a subnet that is not here", espial.Config{Cluster: "a", Advertise: "192.0.2.0/24"}, "Advertise", "192.0.2.0/24"},
		{"netmask with a hole", espial.Config{Cluster: "a", Advertise: "10.0.0.0/255.0.255.0"}, "Advertise", "hole"},
		{"no such interface", espial.Config{Cluster: "a", Advertise: "eth7"}, "Advertise", "eth7"},
		{"group that is none", espial.Config{Cluster: "a", Multicast: espial.Multicast{Group: "10.0.0.1:1"}}, "Multicast.Group", "10.0.0.1:1"},
		{"TTL of 256", espial.Config{Cluster: "a", Multicast: espial.Multicast{TTL: 256}}, "Multicast.TTL", "255"},
		{"key file that is missing", espial.Config{Cluster: "a", KeyFile: dir + "/none.pem"}, "KeyFile", "none.pem"},
		{"key file that others may read", espial.Config{Cluster: "a", KeyFile: dir + "/open.pem"}, "KeyFile", "chmod 600"},
		{"key file with junk", espial.Config{Cluster: "a", KeyFile: dir + "/junk.pem"}, "KeyFile", "junk.pem"},
		{"key file that is a folder", espial.Config{Cluster: "a", KeyFile: dir}, "KeyFile", dir + ": not a key file"},
		{"300 pairs of metadata", espial.Config{Cluster: "a", Metadata: many}, "Metadata", "256"},
		{"20 KiB of metadata", espial.Config{Cluster: "a", Metadata: map[string]string{"k": strings.Repeat("v", 20<<10)}}, "Metadata", "16384"},
		{"suspicion after a millisecond", espial.Config{Cluster: "a", SuspectAfter: time.Millisecond}, "SuspectAfter", "100ms"},
		{"removal before suspicion", espial.Config{Cluster: "a", RemoveAfter: time.Second}, "RemoveAfter", "SuspectAfter"},
		{"one link", espial.Config{Cluster: "a", MaxPeers: 1}, "MaxPeers", "at least 2"},
		{"2,000 links", espial.Config{Cluster: "a", MaxPeers: 2000}, "MaxPeers", "1024"},
		{"fewer links than none", espial.Config{Cluster: "a", MaxPeers: -1}, "MaxPeers", "-1"},
		{"more links than there may be", espial.Config{Cluster: "a", MinPeers: 6, MaxPeers: 5}, "MinPeers", "5 (MaxPeers)"},
		{"2,000 links at least", espial.Config{Cluster: "a", MinPeers: 2000}, "MinPeers", "1024"},
		{"events of a gigabyte", espial.Config{Cluster: "a", EventMax: 1 << 30}, "EventMax", "67108864"},
		{"a codec that is nil", espial.Config{Cluster: "a", Codecs: []codec.Codec{nil}}, "Codecs", "nil"},
		{"a codec with a number that is set aside", espial.Config{Cluster: "a", Codecs: []codec.Codec{numbered{id: 127}}}, "Codecs", "127"},
		{"two codecs with one number", espial.Config{Cluster: "a", Codecs: []codec.Codec{gobs{}, gobs{}}}, "Codecs", "200"},
		{"257 seeds", espial.Config{Cluster: "a", Seeds: make([]string, 257)}, "Seeds", "256"},
		{"listen with a scheme and no transport", espial.Config{Cluster: "a", Listen: "unix:///run/x"}, "Listen", "Config.Transport"},
		{"seed with a scheme and no transport", espial.Config{Cluster: "a", Seeds: []string{"ws://a/b"}}, "Seeds", "is of ws, and without Config.Transport"},
		{"seed with a scheme that is none", espial.Config{Cluster: "a", Seeds: []string{"W S://a"}}, "Seeds", "no scheme"},
		{"seed with a scheme and a question", espial.Config{Cluster: "a", Seeds: []string{"ws://a/b?c=d"}}, "Seeds", "'?'"},
		{"transport that speaks no TCP, and no address", espial.Config{Cluster: "a", Transport: memory}, "Listen", "required: the transport speaks mem"},
		{"listen at what the transport does not speak", espial.Config{Cluster: "a", Transport: memory, Listen: "unix:///run/x"}, "Listen", "speaks mem"},
		{"seed that the transport does not speak", espial.Config{Cluster: "a", Transport: memory, Listen: "mem://node-0/link", Seeds: []string{"10.0.0.1:1"}}, "Seeds", "speaks mem"},
		{"advertise an IP for an address that has none", espial.Config{Cluster: "a", Transport: memory, Listen: "mem://node-0/link", Advertise: "10.0.0.1"}, "Advertise", "with a scheme"},
		{"advertise what is no address", espial.Config{Cluster: "a", Advertise: "ws://"}, "Advertise", "behind the scheme"},
		{"seed without a port", espial.Config{Cluster: "a", Seeds: []string{"10.0.0.9"}}, "Seeds", "10.0.0.9"},
	}
	taken, err := network.Host(ip(0)).Listen(t.Context(), ":1000")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := espial.StartOn(t.Context(), espial.Host{Net: network, IP: ip(0)}, tt.c)
			if err == nil {
				_ = n.Close()
			}
			ce, ok := errors.AsType[*espial.ConfigError](err)
			if !ok || ce.Field != tt.field || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Start = %v; want a ConfigError for %s that says %q", err, tt.field, tt.says)
			}
		})
	}
}

// TestStartCopiesItsConfig: what a program does later with what it gave changes nothing.
func TestStartCopiesItsConfig(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		none := func(espial.Handler) espial.Handler {
			return func(context.Context, espial.Caller, []byte) ([]byte, error) { return nil, errors.New("not this one") }
		}
		same := func(h espial.Handler) espial.Handler { return h }
		cfg := espial.Config{
			Metadata: map[string]string{"role": "till"}, Codecs: append(make([]codec.Codec, 0, 2), gobs{}),
			WrapCall: []func(espial.Handler) espial.Handler{same}, WrapServe: []func(espial.Handler) espial.Handler{same},
		}
		n := c.start(cfg)
		cfg.Metadata["role"], cfg.Codecs[0], cfg.WrapCall[0], cfg.WrapServe[0] = "bar", numbered{id: 201}, none, none
		c.meet(2)
		for m := range c.nodes[0].Members() {
			if m.ID == n.ID() && m.Metadata["role"] != "till" {
				t.Errorf("its role is %q, want what Start was given", m.Metadata["role"])
			}
		}
		c.served(n.Serve("echo", echo))
		if _, err := n.Call(c.Context(), "echo", only(n), nil); err != nil {
			t.Errorf("a call by way of other wrappers: %v", err)
		}
		events := espial.NewTopic[int]("t").Subscribe(c.Context(), n)
		if err := espial.NewTopic[int]("t").WithCodec(gobs{}).Publish(c.Context(), n, 7); err != nil {
			t.Fatal(err)
		}
		for e, err := range events {
			if e.Value != 7 || err != nil {
				t.Errorf("an event in one of the codecs: %v, %v", e.Value, err)
			}
			break
		}
	})
}

// TestTheWellKnownPort is that of the first node of a host; the next ones take any, unless they
// were told which.
func TestTheWellKnownPort(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		var ports []string
		for range 2 {
			n, err := espial.StartOn(c.Context(), espial.Host{Net: c.net, IP: ip(7)}, espial.Config{Cluster: "test"})
			if err != nil {
				t.Fatal(err)
			}
			c.nodes = append(c.nodes, n)
			_, port, _ := net.SplitHostPort(n.Addrs()[0])
			ports = append(ports, port)
		}
		if ports[0] != "27272" || ports[1] == "27272" {
			t.Errorf("two nodes of a host take links at the ports %q, want 27272 and another", ports)
		}
		c.meet(3)
	})
}

// Metadata counts as it travels: 16 KiB with its lengths are taken, and reach a member.
func TestMetadataOf16KiB(t *testing.T) {
	const lengths = 1 + 1 + 2 // how many pairs; the key's and the value's
	inCluster(t, 1, func(c *cluster) {
		full := map[string]string{"k": strings.Repeat("v", 16<<10-lengths-len("k"))}
		n := c.start(espial.Config{Metadata: full})
		c.meet(2)
		for m := range c.nodes[0].Members() {
			if m.ID == n.ID() && m.Metadata["k"] != full["k"] {
				c.Errorf("a member knows %d bytes of metadata, want %d", len(m.Metadata["k"]), len(full["k"]))
			}
		}
		full["k"] += "v"
		if err := n.SetMetadata(c.Context(), full); err == nil {
			c.Error("SetMetadata takes a byte more than 16 KiB")
		}
	})
}

func TestLocalAddr(t *testing.T) {
	for _, what := range []string{"127.0.0.0/8", "127.0.0.0/255.0.0.0"} {
		if ip, err := espial.LocalAddr(what); err != nil || !ip.IsLoopback() {
			t.Errorf("LocalAddr(%q) = %v, %v; want the loopback address", what, ip, err)
		}
	}
	for _, what := range []string{"192.0.2.128/25", "no-such-interface", "10.0.0.0/255.0.255.0", "a/b"} {
		if ip, err := espial.LocalAddr(what); err == nil {
			t.Errorf("LocalAddr(%q) = %v, want an error", what, ip)
		}
	}
}
