// Package packet encodes the datagrams by which nodes find one another. It does no
// I/O. Three of them make one introduction:
//
//	A → group  Beacon     "a node of the cluster with this tag listens here"
//	B → A      Challenge  "if this is your address, repeat these 16 bytes"
//	A → B      Answer     "these 16 bytes; I am this node and listen on this port"
//
// None of them is authenticated. A [Beacon] is a hint that moves no state; an
// [Answer] that repeats the nonce proves that its sender receives at the address from
// which the beacon came, and is worth one dial, where TLS decides the rest.
//
// # Format
//
// Integers are big-endian. Every datagram begins with 6 bytes: "ESPL", version (1),
// type. Types 1 to 3 are below; 16 to 31 are reserved for sealed multicast; the others
// are free. The body is of fixed length for its type and then come fields: tag
// (uvarint), length (uvarint), value. A field with an odd tag is critical: who does
// not know it refuses the datagram. One with an even tag is optional: who does not
// know it goes on. Tag 0 ends the fields, and only zero bytes follow it. Version 1 has
// no field yet.
//
// Every datagram is [SizeMin] to [SizeMax] bytes long, filled up with zeros, and this
// version sends all of them with [SizeMin]. So a reply is never longer than what
// caused it, and who forges the address of a victim gains nothing over sending to the
// victim himself.
//
// The shortest use:
//
//	p, err := packet.Decode(b)
//	switch p := p.(type) {
//	case packet.Beacon:
//		reply := packet.Challenge{Tag: p.Tag, …}.Append(nil)
//	}
//
// The package is pure: no goroutine, lock, clock or socket.
package packet
