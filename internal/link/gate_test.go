package link_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/link"
)

// door is a gate with a clock.
type door struct {
	link.Gate
	now time.Time
}

func newDoor() *door { return &door{now: time.Unix(1_000_000, 0)} }

// enter enters n times at once and returns how often it was let in, and the ways out.
func (d *door) enter(c link.Caller, n int) (in int, leave []func()) {
	for range n {
		if out, ok := d.Enter(d.now, c); ok {
			in++
			leave = append(leave, out)
		}
	}
	return in, leave
}

// flood has callers try so many times a second together, for a time. Who is let in is gone at
// once. It returns how many were.
func (d *door) flood(rate int, last time.Duration, callers ...link.Caller) (in int) {
	every := time.Second / time.Duration(rate)
	for i := range int(last / every) {
		n, leave := d.enter(callers[i%len(callers)], 1)
		in += n
		for _, out := range leave {
			out()
		}
		d.now = d.now.Add(every)
	}
	return in
}

// from is a caller at an address.
func from(addr string) link.Caller { return link.Caller{Addr: netip.MustParseAddr(addr)} }

// hosts returns callers at n addresses.
func hosts(n int) (callers []link.Caller) {
	for i := range n {
		callers = append(callers, link.Caller{Addr: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})})
	}
	return callers
}

func TestGate(t *testing.T) {
	d := newDoor()
	in, leave := d.enter(from("192.0.2.7"), 20)
	if crowded, hurried := d.Refused(); in != 8 || crowded != 12 || hurried != 0 {
		t.Errorf("one address got in %d times and was refused %d and %d times, want 8, 12 and 0", in, crowded, hurried)
	}
	if in, _ := d.enter(from("::ffff:192.0.2.7"), 1); in != 0 {
		t.Error("the same address got in again in its IPv6 form")
	}
	leave[0]()
	leave[0]() // a second call counts for nothing
	if in, _ := d.enter(from("192.0.2.7"), 20); in != 1 {
		t.Errorf("one left and %d got in", in)
	}
	own := from("127.0.0.1")
	own.Own = true
	if in, _ := d.enter(own, 200); in != 128-8 {
		t.Errorf("this host got in %d times, want what is left of 128", in)
	}
	if in, _ := d.enter(from("2001:db8::1"), 1); in != 0 {
		t.Error("the 129th got in")
	}
	leave[1]()
	if in, _ := d.enter(from("2001:db8::1"), 2); in != 1 {
		t.Errorf("one left and %d got in", in)
	}
}

// A flood of handshakes costs what the limits say, and keeps nobody out who takes no part (D03).
func TestHandshakesAreFew(t *testing.T) {
	for _, tt := range []struct {
		name     string
		callers  []link.Caller
		last     time.Duration
		min, max int // of those that were let in
	}{
		{"one address", hosts(1), 10 * time.Second, 8*10 + 32 - 1, 8*10 + 32},
		{"ten addresses", hosts(10), 10 * time.Second, 10 * (8*10 + 32 - 1), 10 * (8*10 + 32)},
		{"sixty", hosts(60), 10 * time.Second, 128*10 + 128 - 1, 128*10 + 256},
		{"nobody knows where from", []link.Caller{{}}, 10 * time.Second, 128*10 + 128 - 1, 128*10 + 128},
		{"two hundred for ten minutes", hosts(200), 10 * time.Minute, 128*600 + 128 - 1, 128*600 + 256},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDoor()
			in := d.flood(5000, tt.last, tt.callers...)
			if in < tt.min || in > tt.max {
				t.Errorf("5,000 a second for %v: %d were let in, want %d to %d", tt.last, in, tt.min, tt.max)
			}
			if _, hurried := d.Refused(); hurried != uint64(5000*tt.last/time.Second)-uint64(in) {
				t.Errorf("%d came too often, want all but the %d that were let in", hurried, in)
			}
			if in, _ := d.enter(from("192.0.2.7"), 4); in != 4 {
				t.Errorf("a newcomer got in %d times, want 4", in)
			}
			own := from("192.0.2.8")
			own.Own = true
			if in, _ := d.enter(own, 100); in != 100 {
				t.Errorf("this host got in %d times, want 100", in)
			}
		})
	}
}

// Strangers who take their time fill no more than their part: members and this host get in.
func TestSlowStrangersLeaveRoomForMembers(t *testing.T) {
	d := newDoor()
	in := 0
	for _, c := range hosts(100) {
		n, _ := d.enter(c, 8)
		in += n
		d.now = d.now.Add(time.Second / 16)
	}
	if want := 112; in != want {
		t.Errorf("strangers got in %d times, want %d", in, want)
	}
	member, own := from("192.0.2.7"), from("192.0.2.8")
	member.Member, own.Own = true, true
	if in, _ := d.enter(member, 10); in != 8 {
		t.Errorf("a member got in %d times, want 8", in)
	}
	if in, _ := d.enter(own, 100); in != 128-112-8 {
		t.Errorf("this host got in %d times, want %d", in, 128-112-8)
	}
}

// Where everybody is a newcomer there is no share for them, and still one for members.
func TestMembersAreNoStrangers(t *testing.T) {
	d := newDoor()
	in := d.flood(5000, 5*time.Second, hosts(25_000)...)
	if want := 128*5 + 256; in < want-1 || in > want {
		t.Errorf("of 25,000 addresses in 5 s %d were let in, want %d", in, want)
	}
	if in, _ := d.enter(from("192.0.2.6"), 8); in > 1 {
		t.Errorf("a newcomer got in %d times: so there is room, and the test shows nothing", in)
	}
	member := from("192.0.2.7")
	member.Member = true
	if in := d.flood(100, time.Second, member); in < 32+7 || in > 32+8 {
		t.Errorf("a member got in %d times of 100 in a second, want what one address may", in)
	}
}

// An address that rests is as good as new.
func TestRestIsEnough(t *testing.T) {
	d := newDoor()
	one := hosts(1)
	d.flood(5000, time.Second, one...)
	d.now = d.now.Add(4 * time.Second)
	if in := d.flood(5000, 10*time.Millisecond, one...); in != 32 {
		t.Errorf("after four seconds of rest %d were let in at once, want 32", in)
	}
}

// exhausted is a listener whose process has no descriptor left for a while.
type exhausted struct {
	failures int
	at       []time.Time // of each Accept
	closed   chan struct{}
}

func (l *exhausted) Accept() (net.Conn, error) {
	l.at = append(l.at, time.Now())
	if l.failures--; l.failures >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	if l.failures == -1 {
		a, b := net.Pipe()
		_ = a.Close()
		return b, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *exhausted) Close() error   { close(l.closed); return nil }
func (l *exhausted) Addr() net.Addr { return &net.TCPAddr{} }

func TestServeSurvivesExhaustion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &exhausted{failures: 11, closed: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		taken := 0
		go func() {
			done <- link.Serve(ctx, l, func(nc net.Conn) {
				taken++
				_ = nc.Close()
			})
		}()
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
		if taken != 1 {
			t.Errorf("%d connections taken, want 1", taken)
		}
		var pauses []time.Duration
		for i := range l.at[1:] {
			pauses = append(pauses, l.at[i+1].Sub(l.at[i]).Round(time.Millisecond))
		}
		const ms = time.Millisecond
		want := []time.Duration{
			5 * ms, 10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms, 1000 * ms, 1000 * ms, 1000 * ms, 0,
		}
		if !slices.Equal(pauses, want) {
			t.Errorf("pauses %v, want %v", pauses, want)
		}
	})
}

func TestServeReportsAListenerThatSomebodyClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &exhausted{failures: -2, closed: make(chan struct{})}
		done := make(chan error)
		go func() { done <- link.Serve(t.Context(), l, func(net.Conn) {}) }()
		synctest.Wait()
		_ = l.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve = %v, want %v", err, net.ErrClosed)
		}
		l.closed = make(chan struct{}) // the end of the test's context closes it again
	})
}
