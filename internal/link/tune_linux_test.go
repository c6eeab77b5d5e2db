package link_test

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Without TCP_USER_TIMEOUT a black hole holds a link for a quarter of an hour.
func TestSocketOptions(t *testing.T) {
	dialed, accepted := loopback(t)
	shake(t, dialed, accepted)
	raw, err := accepted.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		if ms, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); ms != 5000 {
			t.Errorf("TCP_USER_TIMEOUT is %d ms (%v), want 5000", ms, err)
		}
		if on, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY); on != 1 {
			t.Errorf("TCP_NODELAY is %d (%v), want 1", on, err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
