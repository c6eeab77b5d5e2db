// Package multicast carries discovery datagrams: it sends to a group on every suitable
// interface of this host and receives from it, IPv4 and IPv6, and it carries the
// replies from node to node. It reads no datagram and decides nothing about them, but has
// the system drop those of other clusters ([Config.Tag]).
//
// The shortest use:
//
//	c, err := multicast.Open(multicast.Config{})
//	if err != nil {
//		return err // a setting is wrong
//	}
//	if err := c.Check(); err != nil {
//		// nothing can be sent at present: warn, or give up if nothing else finds nodes
//	}
//	go c.Run(ctx, receive, moved) // through an errgroup; receive may call c.Reply
//	c.Send(beacon)
//
// # Sockets
//
// An interface is suitable if it is up, has an address, and does multicast. Loopback
// counts for IPv4, although it does not say that it does multicast: nodes of one host
// find each other without any network. On each interface and for each family there is
// one socket that joins the group and one for each subnet that sends: datagrams leave
// with a source of that subnet and a port of their own, because a reply to the group's
// port would reach any one of the nodes of a host. The list of interfaces is read again
// every [Config.Rescan]. The group is joined anew every 60 to 120 s: a switch that
// listens to membership reports and finds nobody who asks for them forgets the members.
//
// # What it promises
//
// Send and Reply never wait; what finds the queue full is dropped and counted. What
// arrives for another group or by another interface than its socket's is dropped and
// counted where the system tells (Linux, macOS, the BSDs; not Windows). The failure of
// one interface does not touch the others: it is counted and tried again at the next
// reading of the list. At most 32 interfaces are used.
package multicast
