package link

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// userTimeout breaks a connection on which sent data stays unacknowledged for so
// long. It is the backstop behind the failure detector: without it a black hole holds
// a link for a quarter of an hour.
const userTimeout = 5 * time.Second

// tune sets the options of a TCP socket; other connections have none.
func tune(nc net.Conn) error {
	tc, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tc.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		ms := int(userTimeout.Milliseconds())
		serr = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, ms)
	})
	if err != nil {
		return err
	}
	return serr
}
