package member

// Added reports that a member is listed: the first link with it is up or, in a partial
// mesh, its record came.
type Added struct{ Member Member }

// Removed reports that a member is not listed any more. Its State says why: [Left],
// [Failed] or [Expelled].
type Removed struct{ Member Member }

// Updated reports a newer record of a member with another name, host, address,
// metadata, eligibility, or another number of rings or links. Other news of a record, as
// the join number, are not worth a report: they are in [Table.Members].
type Updated struct{ Member Member }

// Suspected reports that a member is [Suspect] from now on.
type Suspected struct{ Member Member }

// PeerAdded reports that a link with a member is up; only the first of a pair counts.
type PeerAdded struct{ Member Member }

// PeerRemoved reports that the link with a member is down.
type PeerRemoved struct{ Member Member }

// Connected reports the first peer of this node, or the first after [Disconnected].
type Connected struct{ Member Member }

// Disconnected reports that the last peer is gone.
type Disconnected struct{ Member Member }

// Split reports that two or more members, or the last one, fell silent within one
// RemoveAfter. Here are the members still listed, this node not included, Gone those that
// fell silent. It is a judgement: from here a cut and many lost machines look alike.
type Split struct{ Here, Gone []Member }

// Healed reports that a member that [Split] had named is back in the same incarnation:
// certainly it was cut off and not down. Others that return within one RemoveAfter are
// not reported again.
type Healed struct{ Member Member }

func (Added) action()        {}
func (Removed) action()      {}
func (Updated) action()      {}
func (Suspected) action()    {}
func (PeerAdded) action()    {}
func (PeerRemoved) action()  {}
func (Connected) action()    {}
func (Disconnected) action() {}
func (Split) action()        {}
func (Healed) action()       {}
