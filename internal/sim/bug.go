package sim

// Bug is a mistake that every node of a run makes, so that a test can show that the
// checker finds it.
type Bug uint8

// The bugs, each with the invariant that it breaks.
const (
	BugNone      Bug = iota
	BugEager         // M1: a member is shown before it was admitted
	BugStutter       // M2: a member is added twice
	BugStaleView     // M3: the view only grows
	BugHasty         // M4: a member is removed at the first silence
	BugGhost         // M5: a removed member is shown again
	BugReorder       // D1: two messages of a frame change places
	BugNoDedupe      // D2: what comes twice is delivered twice
	BugQuietLoss     // D3: a loss is not reported
	BugMisroute      // D4: a direct message reaches somebody else
	BugHoard         // D5: what was sent is kept for ever
	BugForgetful     // D6: what is not acknowledged is not sent again
	BugCrowd         // A24: links that others need the room of stay
	BugLenient       // M1: who is refused is listed all the same
)
