package beacon

import (
	"net/netip"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/packet"
)

// Limits of the questions, and likewise of the answers.
const (
	// ChallengeLife is how long a question waits for its answer, and the time in
	// which its source is not questioned again. A host of the same network answers
	// within milliseconds; one that was too busy sends another beacon.
	ChallengeLife = time.Second

	// RateMax bounds the questions within any ChallengeLife: a full mesh of 64 nodes
	// that start at once fits, and 100 datagrams of 128 bytes are a burden to nobody.
	RateMax = 100

	// ShareMax bounds those to one IP address that has not answered them, so that a
	// host cannot use up the rate of all. The nodes of one host share it.
	ShareMax = RateMax / 2
)

// sent is a question or an answer that left.
type sent struct {
	at time.Time
	to netip.AddrPort

	// Of a question only.
	nonce       packet.Nonce
	id          ident.NodeID
	incarnation ident.Incarnation
	answered    bool
}

// window holds what left in the last [ChallengeLife], oldest first: at most [RateMax],
// few enough to search without an index.
type window []sent

// expire forgets what is older.
func (w *window) expire(now time.Time) {
	n := 0
	for n < len(*w) && now.Sub((*w)[n].at) >= ChallengeLife {
		n++
	}
	*w = slices.Delete(*w, 0, n)
}

// find returns what went to an address last, or nil.
func (w window) find(to netip.AddrPort) *sent {
	for i := range slices.Backward(w) {
		if w[i].to == to {
			return &w[i]
		}
	}
	return nil
}

// admits reports whether one more may go to an address.
func (w window) admits(to netip.Addr) bool {
	if len(w) >= RateMax {
		return false
	}
	n := 0
	for i := range w {
		if w[i].to.Addr() == to && !w[i].answered {
			n++
		}
	}
	return n < ShareMax
}
