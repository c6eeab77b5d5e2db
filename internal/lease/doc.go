// Package lease is the election in which at most one node leads at any instant: the
// modes Quorum(n) and Voters(keys…). An [Election] is one election at one node.
//
// The shortest use:
//
//	e, err := lease.New(now, lease.Config{Self: id, Incarnation: inc, Electorate: lease.Quorum(5)})
//	e.View(now, members)             // all of them, this node included, at every change
//	e.Linked(now, peer)              // a link came up
//	e.Receive(now, peer, message)    // what came over it
//	for _, a := range e.Take() { … } // after every call: carry the actions out
//	at, ok := e.Next()               // and wake up for Tick at that time
//
// # The lease
//
// A voter grants its vote for one lease at a time: to one incarnation of one node, under
// one term. Who has the votes of a majority leads. It renews them three times a lease.
// The leader counts a vote from before it asked; the voter counts it from when it was
// asked, and a fortieth longer, which covers two clocks of which one is 1 % fast and the
// other 1 % slow (1.01 / 0.99 is less than 1.025). So the vote of a voter is free only
// after the leader knows that it has lost it, and two majorities share a voter.
//
// Time is the whole argument. The time passed in must be that of a clock that goes on
// while the machine sleeps, [Election.Receive] must be given a time that was read after
// the message came, and [Election.Leading] one that was read for the question. No message
// has to arrive for a leader to stop: a paused, frozen or cut one finds its lease over in
// the first instruction after it looks at the clock.
//
// Votes are not on disk. A node that starts, or that becomes eligible, neither grants nor
// stands for 1.1 leases; by then every vote that it may have given before is over.
//
// # How a leader is found
//
// When its own vote is free a node polls the others: would they grant? Nobody is bound by
// a poll, so one who cannot win disturbs nobody. With a majority of yes it picks a term
// above all that these voters saw and claims their votes. Who claims and fails gives the
// votes back. By age (join number, then ID) each node waits 30 ms longer than the one
// before it, and the last leader comes last, so that votes are seldom split.
//
// A leader ignores refusals; only a lost majority counts. One who returns, and a split
// that heals, change nothing.
//
// A leader hands over by ending its reign and releasing the votes, with a successor named:
// that one polls and claims at once, and its word that the leader released is permission
// enough for a voter that has not heard of it yet.
//
// # Who votes
//
// With Quorum(n) every eligible member votes, and the promise holds as long as no more
// than n eligible nodes run at the same time anywhere, seen or not. With Voters the named
// nodes vote, nobody else leads, and there is no such condition. If more than n eligible
// members are listed, or if a member states another electorate, there is a conflict: no
// new lease is granted, and the present leader may go on with the voters that it has.
//
// Members are trusted: votes are not safe against a member that lies.
//
// # Terms
//
// The term is the fencing token. It is the highest of what the granting majority saw, plus
// one, and of their clocks in milliseconds since 1970; one that is more than 24 hours above
// the median of them is not believed. Terms are unique and grow. A voter that restarts
// forgets the terms that it granted and then relies on the clocks, unless it has a disk.
//
// # What is on disk
//
// With [Config.Durable] a voter grants a claim only if its term is above the one that an
// earlier life left on disk, and not above the one that is there now. A reign begins with
// such votes of a majority, and two majorities share a voter, so whatever happened to
// processes and clocks in between the later reign has the higher term. Votes for the
// reign that there is, renewals, need no disk.
//
// The caller is asked to write a term that is an hour above the clock, with [Keep], when
// half of the hour is used up. So elections never wait for the disk. A voter whose disk
// takes nothing says no to every poll and claim, and does not stand, from when the hour is
// over; at the start it does so at once.
//
// # Links
//
// Voters need links with each other. What a node without a vote hears of the leader it
// tells those that may hear it from nobody else, if it has no link with some members
// ([Voter.Far]). A message that is lost is repeated after half a lease at most; a round trip must be shorter
// than that.
//
// The package is pure: no goroutine, lock, clock, socket or global randomness. An
// [Election] must be used by one goroutine. Its memory is that of the member list.
package lease
