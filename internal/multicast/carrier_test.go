package multicast_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/multicast"
)

// patience is how long a test waits for what must come, as a rule within milliseconds.
const patience = 30 * time.Second

// datagram is what a carrier received.
type datagram struct {
	text     string
	from     netip.AddrPort
	inSubnet bool
}

// running is a Carrier that runs, and what it hears.
type running struct {
	*multicast.Carrier
	heard chan datagram
}

// loopback returns the name of the loopback interface.
func loopback(t *testing.T) string {
	t.Helper()
	list, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, ifi := range list {
		if ifi.Flags&net.FlagLoopback != 0 {
			return ifi.Name
		}
	}
	t.Skip("this host has no loopback interface")
	return ""
}

// group returns an IPv4 group with a port that no other test uses.
func group(t *testing.T, addr string) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return netip.AddrPortFrom(netip.MustParseAddr(addr), c.LocalAddr().(*net.UDPAddr).AddrPort().Port())
}

// run opens a carrier on loopback and runs it to the end of the test.
func run(t *testing.T, c multicast.Config) *running {
	t.Helper()
	c.Interface = loopback(t)
	carrier, err := multicast.Open(c)
	if err != nil {
		t.Fatalf("Open(%+v): %v", c, err)
	}
	if err := carrier.Check(); err != nil {
		carrier.Close()
		t.Skipf("the system refuses multicast on loopback: %v", err)
	}
	r := &running{carrier, make(chan datagram, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- carrier.Run(ctx, func(b []byte, from netip.AddrPort, inSubnet bool) {
			r.heard <- datagram{string(b), from, inSubnet}
		}, func() {})
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Errorf("Run did not return within %v after its context ended", patience)
		}
	})
	return r
}

// next returns the next datagram that is not an own one.
func (r *running) next(t *testing.T) datagram {
	t.Helper()
	select {
	case d := <-r.heard:
		return d
	case <-time.After(patience):
		t.Fatalf("nothing received within %v; %v", patience, r.Status())
		return datagram{}
	}
}

// TestTwoNodesOfOneHost: each hears the other and itself, and a reply reaches the one
// that it is for although both listen on the group's port.
func TestTwoNodesOfOneHost(t *testing.T) {
	c := multicast.Config{Group: group(t, "239.255.77.82")}
	a, b := run(t, c), run(t, c)
	a.Send([]byte("hello"))
	own, got := a.next(t), b.next(t)
	if own.text != "hello" || got != own || !got.inSubnet || got.from.Port() == c.Group.Port() {
		t.Fatalf("received %+v and at the sender %+v, want hello from a port of its own inside the subnet", got, own)
	}
	b.Reply([]byte("question"), got.from)
	q := a.next(t)
	if q.text != "question" || !q.inSubnet || q.from == got.from {
		t.Fatalf("received %+v, want the question from b", q)
	}
	a.Reply([]byte("answer"), q.from)
	if d := b.next(t); d != (datagram{"answer", got.from, true}) {
		t.Errorf("received %+v, want the answer from %v, where the question went", d, got.from)
	}
	waitFor(t, a, "sent", 2) // the count follows the datagram
	st := a.Status()
	if st["sent"] != 2 || st["received"] != 2 || st["senders"] != 1 || st["receivers"] != 1 || st["interfaces"] != 1 {
		t.Errorf("status %v, want 2 sent and 2 received by one sender and one receiver", st)
	}
	if names := a.Interfaces(); len(names) != 1 || names[0] != loopback(t) {
		t.Errorf("Interfaces() = %v, want loopback alone", names)
	}
}

// TestNoLoopbackLeavesLoopbackAlone: a datagram sent on the loopback interface comes
// back whatever its socket says. Other interfaces are the subject of TestNamespaces.
func TestNoLoopbackLeavesLoopbackAlone(t *testing.T) {
	c, err := multicast.Open(multicast.Config{Interface: loopback(t), NoLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Check(); !errors.Is(err, multicast.ErrNoInterface) {
		t.Errorf("Check() = %v, want ErrNoInterface", err)
	}
}

// waitFor waits until a figure of the status has at least the given value.
func waitFor(t *testing.T, r *running, key string, want uint64) {
	t.Helper()
	for end := time.Now().Add(patience); r.Status()[key] < want; {
		if time.Now().After(end) {
			t.Fatalf("status %v after %v, want %s at least %d", r.Status(), patience, key, want)
		}
		runtime.Gosched()
	}
}

// TestOtherGroupsStayOutside: Linux hands a socket all groups that any socket of the host
// joined, unless told otherwise.
func TestOtherGroupsStayOutside(t *testing.T) {
	mine := multicast.Config{Group: group(t, "239.255.77.82")}
	other := mine
	other.Group = netip.AddrPortFrom(netip.MustParseAddr("239.255.77.83"), mine.Group.Port())
	b, friend, stranger := run(t, mine), run(t, mine), run(t, other)
	stranger.Send([]byte("other group"))
	if d := stranger.next(t); d.text != "other group" {
		t.Fatalf("the stranger received %+v from itself", d)
	}
	friend.Send([]byte("my group"))
	if d := b.next(t); d.text != "my group" {
		t.Errorf("received %+v, want only what was sent to the own group", d)
	}
}

// TestUnicastToTheGroupPortIsStray: who sends to the port of the group and not to the
// group is not heard.
func TestUnicastToTheGroupPortIsStray(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not tell where a datagram went")
	}
	c := multicast.Config{Group: group(t, "239.255.77.82")}
	a := run(t, c)
	s, err := net.Dial("udp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), c.Group.Port()).String())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Write([]byte("unicast")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, a, "stray", 1)
	a.Send([]byte("multicast"))
	if d := a.next(t); d.text != "multicast" {
		t.Errorf("received %+v, want only what was sent to the group", d)
	}
}

// TestLongDatagramsAreStray: a buffer bounds what is read.
func TestLongDatagramsAreStray(t *testing.T) {
	a := run(t, multicast.Config{Group: group(t, "239.255.77.82")})
	a.Send([]byte(strings.Repeat("x", 4000)))
	waitFor(t, a, "stray", 1)
	a.Send([]byte("short"))
	if d := a.next(t); d.text != "short" {
		t.Errorf("received %d bytes, want only the short datagram", len(d.text))
	}
}

func TestFullQueueDropsAndCounts(t *testing.T) {
	c, err := multicast.Open(multicast.Config{Group: group(t, "239.255.77.82"), Interface: loopback(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 300 {
		c.Send([]byte("x")) // nobody runs
	}
	if got := c.Status()["dropped"]; got != 300-256 {
		t.Errorf("%d of 300 dropped, want %d", got, 300-256)
	}
}

func TestReplyToAStrangeSubnetIsRefused(t *testing.T) {
	a := run(t, multicast.Config{Group: group(t, "239.255.77.82")})
	for _, to := range []string{"192.0.2.1:1", "[2001:db8::1]:1"} {
		a.Reply([]byte("x"), netip.MustParseAddrPort(to))
	}
	waitFor(t, a, "send_errors", 2)
	if st := a.Status(); st["sent"] != 0 {
		t.Errorf("status %v, want nothing sent outside the subnets", st)
	}
}

func TestMissingInterfaceNamesTheKnob(t *testing.T) {
	c, err := multicast.Open(multicast.Config{Interface: "nosuch0"})
	if err != nil {
		t.Fatalf("Open: %v, want a Carrier that goes on looking", err)
	}
	defer c.Close()
	err = c.Check()
	if !errors.Is(err, multicast.ErrNoInterface) || !strings.Contains(err.Error(), "Multicast.Interface") ||
		!strings.Contains(err.Error(), `"nosuch0"`) {
		t.Errorf("Check() = %v, want ErrNoInterface with the interface and the setting named", err)
	}
}

func TestNothingOpensAfterClose(t *testing.T) {
	c, err := multicast.Open(multicast.Config{Interface: loopback(t)})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	c.Close()
	c.Scan()
	if st := c.Status(); st["senders"] != 0 || st["receivers"] != 0 {
		t.Errorf("status after Close %v, want no socket open", st)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Run(ctx, func([]byte, netip.AddrPort, bool) {}, func() {}); err != nil {
		t.Errorf("Run after Close = %v, want nil", err)
	}
}
