package espial

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/espial-go/espial/internal/admission"
	"github.com/espial-go/espial/internal/council"
	"github.com/espial-go/espial/internal/disk"
	"github.com/espial-go/espial/internal/engine"
	"github.com/espial-go/espial/internal/flow"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/multicast"
	"github.com/espial-go/espial/internal/packet"
	"github.com/espial-go/espial/transport/tcp"
)

// env is what a node needs of the system. Tests give it a network in memory.
type env interface {
	Transport
	beacons(c Config) (engine.Beacons, error)
	locals() ([]engine.Local, error)
	hostname() string
	awake() time.Time // a clock that goes on while the machine sleeps
}

// systemEnv is the host's network.
type systemEnv struct{ tcp.Transport }

func (systemEnv) beacons(c Config) (engine.Beacons, error) {
	group, err := netip.ParseAddrPort(c.Multicast.Group)
	if err != nil {
		return nil, err
	}
	carrier, err := multicast.Open(multicast.Config{
		Group: group, Tag: packet.Tag(c.Cluster), Interface: c.Multicast.Interface,
		NoLoopback: c.Multicast.NoLoopback, TTL: c.Multicast.TTL, Logger: c.Logger,
	})
	if err != nil {
		return nil, err
	}
	if err := carrier.Check(); err != nil {
		carrier.Close()
		return nil, err
	}
	return carrier, nil
}

func (systemEnv) locals() ([]engine.Local, error) { return engine.Locals() }

func (systemEnv) awake() time.Time { return engine.AwakeClock() }

func (systemEnv) hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// start is Start over any network.
func start(ctx context.Context, c Config, sys env) (*Node, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	host := sys.hostname()
	c, err := c.withDefaults(host)
	if err != nil {
		return nil, err
	}
	key, err := loadKey(c.KeyFile)
	if err != nil {
		return nil, err
	}
	store, err := openStore(c)
	if err != nil {
		return nil, err
	}
	ln, err := listen(ctx, c.Listen, c.transport(sys))
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	n := &Node{cfg: c, id: NodeID(key.ID()), store: store, started: time.Now(), ended: make(chan struct{})}
	if err := n.assemble(key, ln, host, sys); err != nil {
		return nil, errors.Join(err, ln.Close(), store.Close())
	}
	n.run(ctx)
	return n, nil
}

// openStore opens the state directory; it returns nil if there is none.
func openStore(c Config) (*disk.Store, error) {
	if c.StateDir == "" {
		return nil, nil
	}
	s, err := disk.Open(c.StateDir, c.Cluster)
	if err != nil {
		return nil, unusable("StateDir", err)
	}
	return s, nil
}

// assemble makes the engine.
func (n *Node) assemble(key *ident.Key, ln net.Listener, host string, sys env) error {
	c := n.cfg
	listen, err := bound(c.Listen, ln)
	if err == nil {
		n.schemes, err = c.schemes()
	}
	if err != nil {
		return unusable("Listen", err)
	}
	advertised := c.advertise(listen, sys)
	addrs, err := advertised()
	switch {
	case errors.Is(err, engine.ErrAdvertise):
		return unusable("Advertise", err)
	case err != nil:
		return told(err)
	}
	beacons, err := n.beacons(sys, listen)
	if err != nil {
		return err
	}
	ec := engine.Config{
		Key: key, Cluster: c.Cluster, Name: c.Name, Host: host, Meta: c.Metadata, Seeds: c.Seeds,
		Ineligible: c.Ineligible, RequireAES: c.RequireAES, SuspectAfter: c.SuspectAfter,
		RemoveAfter: c.RemoveAfter, MinPeers: c.MinPeers, MaxPeers: c.MaxPeers, EventMax: c.EventMax,
		Listener: ln, Scheme: listen.Scheme,
		Addrs: addrs, Readdress: advertised, Dial: c.transport(sys).Dial, Schemes: n.schemes,
		Beacons: beacons, Judge: judge(c.Admit), Wrap: n.wrapping(), StreamChanges: c.StreamChanges,
		Mode: c.Election.m, Awake: sys.awake, Listening: listening(), Logger: c.Logger,
	}
	if n.store != nil {
		ec.Kept, ec.Keep = n.store.Marks(), n.store.Keep
	}
	n.eng, err = engine.New(ec)
	if err != nil && beacons != nil {
		beacons.Close()
	}
	if errors.Is(err, council.ErrElectorate) {
		return unusable("Election", err)
	}
	return err
}

// beacons opens multicast. A node with seeds can do without.
func (n *Node) beacons(sys env, listen frame.Addr) (engine.Beacons, error) {
	if n.cfg.Multicast.Off {
		return nil, nil
	}
	var b engine.Beacons
	err := errNoBeacons
	if listen.Scheme == frame.TCP {
		b, err = sys.beacons(n.cfg)
	}
	switch {
	case err == nil:
		return b, nil
	case len(n.cfg.Seeds) > 0:
		n.cfg.Logger.Warn("no multicast; only seeds and their members will be found", "err", err)
		return nil, nil
	}
	return nil, unusable("Multicast", err)
}

// run starts the goroutines of the node.
func (n *Node) run(ctx context.Context) {
	ctx, n.stop = context.WithCancel(ctx)
	if n.cfg.Control {
		n.openControl(ctx)
	}
	flows, err := n.eng.Listen(flow.Service) // whose one listener this is
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(n.ended)
		defer n.stop()
		var control sync.WaitGroup
		control.Go(func() { n.serveControl(ctx) })
		if err == nil {
			control.Go(func() { n.flows.Serve(flows) })
		}
		n.endErr = n.eng.Run(ctx)
		n.stop()
		control.Wait()
		n.endErr = errors.Join(n.endErr, n.store.Close())
	})
}

// listen opens the listener. Only the default port may be replaced by a free one.
func listen(ctx context.Context, addr string, t Transport) (net.Listener, error) {
	if strings.Contains(addr, "://") {
		ln, err := t.Listen(ctx, addr)
		if err != nil {
			return nil, unusable("Listen", err)
		}
		return ln, nil
	}
	if addr == "" {
		ln, err := t.Listen(ctx, ":"+strconv.Itoa(defaultPort))
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			return ln, listenError(err)
		}
		addr = ":0"
	}
	ap, err := netip.ParseAddrPort(addr)
	if err != nil && addr != ":0" {
		return nil, &ConfigError{
			Field: "Listen", Err: err,
			Reason: fmt.Sprintf("%q is no IP:port; for a free port on every address say 0.0.0.0:0", addr),
		}
	}
	if err == nil {
		addr = ap.String()
	}
	ln, err := t.Listen(ctx, addr)
	return ln, listenError(err)
}

func listenError(err error) error {
	if err == nil {
		return nil
	}
	reason := err.Error()
	if errors.Is(err, syscall.EADDRINUSE) {
		reason += "; choose another port, or port 0 for a free one"
	}
	return &ConfigError{Field: "Listen", Reason: reason, Err: err}
}

// LocalAddr returns an address of this host: the first in a subnet ("192.168.2.0/24" or
// "192.168.2.0/255.255.255.0"), or the first of an interface ("eth0"). It is for settings
// such as [Config.Listen], where several hosts share a configuration.
func LocalAddr(what string) (netip.Addr, error) {
	local, err := engine.Locals()
	if err != nil {
		return netip.Addr{}, told(err)
	}
	addrs, err := engine.Advertised(what, frame.Addr{Scheme: frame.TCP, Addr: "0.0.0.0:0"}, local)
	if err != nil {
		return netip.Addr{}, told(err)
	}
	if len(addrs) == 0 {
		return netip.Addr{}, fmt.Errorf("espial: %q names no address of this host", what)
	}
	ap, err := netip.ParseAddrPort(addrs[0].Addr)
	return ap.Addr(), err
}

// keyBytesMax bounds what is read of a key file.
const keyBytesMax = 64 << 10

// loadKey reads the key file, or makes a new key if there is none.
func loadKey(path string) (*ident.Key, error) {
	if path == "" {
		return ident.NewKey(rand.Reader)
	}
	key, err := readKey(path)
	if err != nil {
		return nil, unusable("KeyFile", err)
	}
	return key, nil
}

// readKey reads a key file that nobody else may read.
func readKey(path string) (*ident.Key, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w; make a key with: "+
			"openssl genpkey -algorithm ed25519 -out %s && chmod 600 %s", err, path, path)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > keyBytesMax: // first: chmod 600 is no advice for a folder
		return nil, fmt.Errorf("%s: not a key file", path)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s may be read by others (mode %v); run chmod 600", path, info.Mode().Perm())
	}
	pem, err := os.ReadFile(path) //nolint:gosec // the user named it
	if err != nil {
		return nil, err
	}
	key, err := ident.ParseKey(pem)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// judge converts the user's filter at the border.
func judge(
	admit func(context.Context, Verified, Claimed) error,
) func(context.Context, admission.Verified, admission.Claimed) error {
	if admit == nil {
		return nil
	}
	return func(ctx context.Context, v admission.Verified, c admission.Claimed) error {
		return admit(ctx,
			Verified{ID: NodeID(v.ID), Addr: v.Remote, Cipher: v.Cipher, Names: v.Names},
			Claimed{Name: c.Name, Host: c.Host, Metadata: c.Meta})
	}
}
