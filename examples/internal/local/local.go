// Package local holds what the tests of the examples share: nodes that find each other by
// multicast and keep their packets on this host.
package local

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/espial-go/espial"
)

// Config returns the settings of the nodes of one test. They meet in a multicast group of
// their own on the loopback interface.
func Config(t testing.TB, cluster string) espial.Config {
	t.Helper()
	var free net.ListenConfig // finds a port that nobody uses
	pc, err := free.ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(pc.LocalAddr().String()).Port()
	if err := pc.Close(); err != nil {
		t.Fatal(err)
	}
	return espial.Config{
		Cluster: cluster, Listen: "127.0.0.1:0",
		Multicast: espial.Multicast{
			Interface: loopback(t),
			Group:     fmt.Sprint("239.255.77.82:", port),
		},
	}
}

// loopback returns the name of the loopback interface.
func loopback(t testing.TB) string {
	t.Helper()
	ifs, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range ifs {
		if i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 {
			return i.Name
		}
	}
	t.Fatal("this host has no loopback interface that is up")
	return ""
}
