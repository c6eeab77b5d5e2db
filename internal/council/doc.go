// Package council holds the elections of a node under their names: each is a machine of
// internal/elect in the Available mode or of internal/lease in the modes Quorum and
// Voters. It carries frames and views to them and brings what they decide into one form.
//
// The caller owns the links and tells a [Council] what happens. After every call it
// carries out what [Council.Take] returns, in order; [Council.Next] says when to call
// [Council.Tick] if nothing happens before:
//
//	c := council.New(council.Config{Self: id, Incarnation: inc, Eligible: true})
//	err := c.Open(now, "", council.Mode{Quorum: 3})
//	c.View(now, members)        // whenever a member or a link changes
//	c.Receive(now, peer, frame) // a frame of the types 48 to 55
//	for _, a := range c.Take() {
//		switch a := a.(type) {
//		case council.Send:   // write a.Frame to the link with a.To, or to all
//		case council.Hold:   // this node leads until then, or does not
//		case council.Keep:   // write a.Mark on disk, then call Kept
//		case council.Report: // tell the user
//		}
//	}
//
// # Time
//
// The time passed in must be that of a clock that goes on while the machine sleeps, and
// for [Council.Receive] it must have been read after the frame came. A node that leads
// until a [Hold.Until] stops at that time by itself: it compares with the same clock
// whenever it is asked, and needs no call into this package for it.
//
// # Who takes part
//
// All members take part in the default election, whose name is empty. In another one
// those take part that have said something about it on a link; so a node greets each
// member with which it has a link in each of its elections. The first word of a member on
// a link is greeted back: what this node said before may have come before the member
// opened the election, or listed this node. What members say about elections that are not
// open here is remembered as far as needed to open them later: who takes part, and whether
// in the Available mode.
//
// A member that takes part in another mode is a conflict, of which both sides report.
// In the Available mode it is not reckoned with; what it means with a majority is the
// affair of internal/lease. The first word of a member about an election settles its mode
// for this incarnation.
//
// # The disk
//
// With [Config.Kept] terms grow over all lives of a node. In the Available mode the last
// reign that it followed is written when it begins; a node that starts waits for a leader
// with a lower term to rise. With a majority room is made on disk an hour ahead, and a node
// votes only where there is: see the package lease.
//
// # Order
//
// Reports come as the machines give them: a demotion before the new leader, and the new
// leader before a promotion. A [Hold] comes before what it changes is reported, and a [Keep]
// before what it is for.
//
// The package is pure: no goroutine, lock, clock, socket or randomness. A Council belongs
// to one goroutine. Its memory is that of the member list and of at most 2 ×
// [ElectionsMax] names for each member.
package council
