//go:build !linux

package multicast

import "net"

// ownGroupsOnly does nothing: systems other than Linux hand a socket the groups that
// it joined.
func ownGroupsOnly(*net.UDPConn, bool) error { return nil }
