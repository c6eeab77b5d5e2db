package espial

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/internal/control"
	"github.com/espial-go/espial/internal/engine"
	"github.com/espial-go/espial/internal/memnet"
)

// JSON returns the codec of topics that name none.
func JSON() codec.Codec { return &jsonCodec{} }

// Control answers one request of the control socket of a node.
func Control(ctx context.Context, n *Node, verb, args string, send func(any) error) error {
	return controller{n}.Handle(ctx, control.Request{Verb: verb, Args: []byte(args)}, send)
}

// Host is a host of a network in memory, for tests.
type Host struct {
	Net *memnet.Network
	IP  netip.Addr

	// Mapped makes the listener a dual-stack one, which shows IPv4 inside IPv6.
	Mapped bool
}

// StartOn is Start on a host of a network in memory.
func StartOn(ctx context.Context, h Host, c Config) (*Node, error) {
	return start(ctx, c, memoryEnv{h})
}

// memoryEnv is what a node needs of the system, in memory.
type memoryEnv struct{ Host }

func (m memoryEnv) Listen(ctx context.Context, addr string) (net.Listener, error) {
	ln, err := m.Net.Host(m.IP).Listen(ctx, addr)
	if err == nil && m.Mapped {
		ln = dualStack{ln}
	}
	return ln, err
}

// dualStack is a listener whose connections show IPv4 inside IPv6, as the kernel does.
type dualStack struct{ net.Listener }

func (d dualStack) Accept() (net.Conn, error) {
	nc, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return mapped{nc}, nil
}

type mapped struct{ net.Conn }

func (m mapped) RemoteAddr() net.Addr {
	a := *m.Conn.RemoteAddr().(*net.TCPAddr)
	a.IP = a.IP.To16()
	return &a
}

func (m memoryEnv) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return m.Net.Host(m.IP).Dial(ctx, addr)
}

func (m memoryEnv) awake() time.Time { return time.Now() }

func (m memoryEnv) hostname() string { return "host-" + m.IP.String() }

func (m memoryEnv) locals() ([]engine.Local, error) {
	return []engine.Local{{Interface: "mem0", Prefix: netip.PrefixFrom(m.IP, 24)}}, nil
}

func (m memoryEnv) beacons(c Config) (engine.Beacons, error) {
	group, err := netip.ParseAddrPort(c.Multicast.Group)
	if err != nil {
		return nil, err
	}
	host := m.Net.Host(m.IP)
	in, err := host.Multicast(group)
	if err != nil {
		return nil, err
	}
	out, err := host.ListenPacket(":0")
	if err != nil {
		return nil, err
	}
	return &memoryBeacons{group: net.UDPAddrFromAddrPort(group), in: in, out: out}, nil
}

// memoryBeacons carries beacons over a network in memory.
type memoryBeacons struct {
	group   *net.UDPAddr
	in, out net.PacketConn
}

func (b *memoryBeacons) Run(
	ctx context.Context, receive func(b []byte, from netip.AddrPort, inSubnet bool), _ func(),
) error {
	stop := context.AfterFunc(ctx, b.Close)
	defer stop()
	done := make(chan struct{})
	read := func(pc net.PacketConn) {
		defer func() { done <- struct{}{} }()
		buf := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			receive(buf[:n], from.(*net.UDPAddr).AddrPort(), true)
		}
	}
	go read(b.in)
	go read(b.out)
	<-done
	<-done
	return nil
}

func (b *memoryBeacons) Close() { _, _ = b.in.Close(), b.out.Close() }

func (b *memoryBeacons) Send(p []byte) { _, _ = b.out.WriteTo(p, b.group) }

func (b *memoryBeacons) Reply(p []byte, to netip.AddrPort) {
	_, _ = b.out.WriteTo(p, net.UDPAddrFromAddrPort(to))
}

func (b *memoryBeacons) Status() map[string]uint64 { return map[string]uint64{} }
