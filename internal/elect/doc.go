// Package elect is the election of the Available mode: who leads the members that this
// node sees. There is always a leader where there is a member that can lead, one on each
// side of a split, and no clock decides who it is.
//
// The shortest use:
//
//	e := elect.New(now, elect.Config{Self: id, Incarnation: inc})
//	e.View(now, voters)               // the members, this node included
//	e.Linked(now, peer)               // a link is up; View listed the peer before
//	e.Receive(now, peer, claim)       // what the peer says
//	for _, a := range e.Take() { … }  // after every call: carry the actions out
//	at, ok := e.Next()                // and wake up for Tick at that time
//
// # Who leads
//
// The present leader leads as long as it is a member, whoever joins. When there is none,
// the first in rank of those that can lead takes over: the one with the lowest join
// number, then ID; a node that resigned comes last. It acts when its view has not changed
// for 50 ms. Who comes behind it calls at that time, so that all count from the same
// moment, and takes over itself 100 ms later for each place it is behind, should nobody
// have done it by then. A node that starts waits 2 s for a leader before it takes part in
// choosing one, or until somebody else calls.
//
// # Claims and terms
//
// Everything is in one message, [Claim]: which [Reign] the sender follows. It goes to a
// peer when its link comes up, to every linked member when it changes, and once a second
// to a member that says something else. An election that is agreed on says nothing.
//
// A new term is one more than the highest that its leader has heard of, and a node never
// follows a term that is not above the last one. So terms only grow at every node. Who
// cannot follow a leader for that reason waits and says so, which is passed on until it
// reaches the leader, and the leader raises its term.
//
// Across lives terms grow where the caller keeps the last [Leader] on disk and gives it back
// in [Config]: a node that starts tells the others of that term, and waits for a leader
// with a lower one to rise. The reign that it followed may have gone on meanwhile; then it
// is the same incarnation under the same term, and nothing changes.
//
// Who is asked to take over, by [Election.Promote] or by [Election.Resign], sits on the
// seat of who asks: [Seat] is the join number and ID of the member that was elected. Of
// two leaders that meet, the one with the lower seat goes on. The other one steps down
// when it hears of it, and waits, so that there is a new term. The order is fixed and a
// leader never falls in it: k sides that meet in any order end with the least of them
// after k-1 demotions.
//
// A leader's own word about itself is final: what others say about it under a term up to
// the last that it followed is over. What a member says about a leader that is not listed
// here changes nothing, but for up to 3 s it keeps this node from choosing another one,
// because after a split members are listed one by one.
//
// # Links with some
//
// Where nobody has links with all, the members that this node has no link with are
// [Voter.Far]. Claims go round all the same, because each node tells its peers what is new
// to it, as do the terms that somebody waits for. Three things are different:
//
//   - the end of a reign without a successor is known to the leader's peers alone, so they
//     say it: [Claim.Over];
//   - nobody hands over to a far member on its own account, because it does not know
//     whether that one can lead;
//   - a request to hand over goes to all peers, and on from there.
//
// # Limits
//
// Members are trusted: one that lies can lead, and can use up the terms, which end at
// 2^53. Two sides of a split may use the same terms. Where two members that do not list
// each other share a third one, each may have a leader of its own until they do.
//
// A change of leader costs a node about three claims to each linked member.
//
// The package is pure: no goroutine, lock, clock, socket or randomness. An [Election]
// must be used by one goroutine.
package elect
