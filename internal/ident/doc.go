// Package ident holds the words that name a node and its moments, and the key that
// proves them:
//
//   - [NodeID] says which node: the hash of its public key, so a claim to an ID is a
//     claim to a key, and a key can be asked to prove itself.
//   - [Incarnation] says which start of that node.
//   - [Seq] numbers the messages of one sender; [Term] numbers the reigns of leaders;
//     join numbers tell who is older ([CompareJoins]).
//   - [Key] is the private key, its file form, and the certificate that carries it
//     through TLS.
//
// The shortest use:
//
//	key, err := ident.NewKey(rand.Reader)
//	der, err := key.Certificate(rand.Reader)      // what the node shows in TLS
//	pub, id, err := ident.CheckCertificate(raw)   // what its peer makes of it
//
// Two kinds of key exist: Ed25519, which [NewKey] makes, and P-256 for keys that come
// from elsewhere. Each has exactly one encoding, so one key has exactly one ID. Every
// input may be hostile; nothing here allocates more than a small constant times what
// it was given.
//
// The package is pure: no goroutine, lock, clock, socket or global randomness. Values
// are immutable and safe for use by several goroutines.
package ident
