// Package beacon finds nodes by datagrams: it decides when to announce this node to a
// multicast group, whose announcement to question, and which answer is worth a dial.
//
// Datagrams carry no proof, and a source address costs a liar nothing. So an
// announcement is a hint that leads to one question at most, sent to the address that
// it came from; only who receives there can repeat the question's nonce, and only then
// does [Finder.Received] report [Found]: an address of this network that answered for
// itself. TLS decides the rest.
//
// The shortest use, by the one goroutine that owns the Finder:
//
//	f := beacon.New(beacon.Config{Tag: packet.Tag("shop"), ID: id, Incarnation: inc, Port: 27272,
//		Linked: linked, Nonce: nonce}, r)
//	if b := f.Tick(now); b != nil {
//		// send b to the group on every interface
//	}
//	at := f.Next() // when to call Tick again
//	switch a := f.Received(now, from, datagram).(type) {
//	case beacon.Reply: // send a.Packet to a.To
//	case beacon.Found: // dial a.Addr, once, if it fits the budget
//	}
//
// # What it promises
//
// Whoever sends from outside the subnets of the receiving interface is ignored. No
// datagram causes a longer one, or more than one. Questions and answers are at most
// [RateMax] a second each, of which one IP address gets [ShareMax] until it answers; a
// source is questioned once in [ChallengeLife]. Memory is bounded by these figures.
// What is ignored is counted in [Stats].
//
// The package is pure: no goroutine, lock, clock or socket. A Finder belongs to one
// goroutine.
package beacon
