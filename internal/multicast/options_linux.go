package multicast

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// ownGroupsOnly makes a socket receive the groups that it joined itself. Without it
// Linux hands it every group that any socket of the host joined.
func ownGroupsOnly(c *net.UDPConn, six bool) error {
	level, option := unix.IPPROTO_IP, unix.IP_MULTICAST_ALL
	if six {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), level, option, 0) })
	if errors.Is(set, unix.ENOPROTOOPT) {
		set = nil // IPv6 has it since Linux 4.20; what arrives is checked anyway
	}
	return errors.Join(err, set)
}
