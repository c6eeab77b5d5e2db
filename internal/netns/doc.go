// Package netns runs real nodes in network namespaces of one Linux machine, for tests:
//
//	s := netns.New(t, espial, 2)
//	a, b := s.Host(1).Up("--cluster", "shop"), s.Host(2).Up("--cluster", "shop")
//	a.Wait(time.Second, netns.Match{Kind: "added_node", ID: b.ID})
//	s.Cut(s.Host(2))
//	a.Wait(3*time.Second, netns.Match{Kind: "removed_node", ID: b.ID, Cause: "failed"})
//
// A [Segment] is a bridge in a namespace of its own with any number of hosts, each a
// namespace with an interface eth0 on that bridge. Packets cross it as on a switch, multicast
// included, until a fault rule drops them. The interfaces, routes and firewall of the machine
// itself are never touched.
//
// It needs root and the commands ip, nft and tcpdump; where they are missing, [New] skips
// the test and says why. Namespaces, cgroups, processes and captures end with the test that
// made them, and what a killed test run left behind is swept by the next one.
//
// Its methods fail the test themselves, so they belong on the goroutine of the test.
package netns

import (
	"context"
	"time"
)

// T is what this package needs of a *testing.T.
type T interface {
	Helper()
	Context() context.Context
	Cleanup(f func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// commandMax bounds each run of ip, nft and the like. They take milliseconds; on a machine
// that is busy with other things some take seconds.
const commandMax = 20 * time.Second
