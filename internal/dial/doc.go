// Package dial decides whom to dial when.
//
// A [Scheduler] knows addresses worth trying and who names them, and answers each
// Tick with the dials to start now. Three kinds of target exist:
//
//   - a seed: an address that the user named, tried for life, whoever answers there;
//   - a remembered node: one that this node was linked with and has to find again, by
//     any of its addresses, for life, because nothing else heals a split;
//   - a stranger: an address that a beacon, a peer or an inbound link named.
//
// The shortest use, by the one goroutine that owns the Scheduler:
//
//	s := dial.New(dial.Config{Self: id}, r)
//	s.Found(now, dial.Candidate{Addr: "192.0.2.7:27272", Source: dial.Seed})
//	for _, d := range s.Tick(now) {
//		// dial d.Addr within a second, then:
//		s.Done(now, d.Number, dial.Outcome{Kind: dial.OK, ID: peer})
//	}
//	at, ok := s.Next() // when to call Tick again, unless an input comes before
//
// # What it promises
//
// At most [Config.RateMax] dials start in any second (loopback addresses excepted) and
// at most [Config.AtOnceMax] run at once. An address has one dial at a time and starts
// at most one in [Spacing], except for one redial after a link broke; a node has one
// dial at a time whatever number of addresses it has. Failures of an address back off
// from 1 s to [BackoffMax] with jitter, cut short when a peer names it again. Above
// that, seeds and remembered nodes take turns: at least one of them is dialled in any
// second for as long as there is one that is not linked, resting or being dialled, and
// the one that waited longest comes first.
// Among strangers the source that waited longest comes first, so a flood from one
// source delays the others by one dial each. [Config.Spare] starts of each second are for
// redials, turns and requests alone.
//
// A node that is linked is not dialled, and a member that needs no link, as most in a
// partial mesh, only when that is asked for: see [Scheduler.Seek]. Of two strangers that
// know each other's IDs the lower one dials at once and the higher one [HigherWait]
// later, so that they do not meet twice. An ID that refused this node rests for
// [RejectedRest] at all of its addresses, a false claim to an ID for as long, an address
// that led back here for [SelfRest].
//
// # What it does not decide
//
// The Scheduler believes what it is told. Found must therefore be called only for an
// address that answered for itself (a beacon whose source echoed a nonce), that a
// member signed, or that the user named: never for one that a stranger named, or this
// node could be aimed at a victim.
//
// The package is pure: no goroutine, lock, clock or socket. A Scheduler belongs to one
// goroutine.
package dial
