package gossip

import (
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Limits of what a neighbour may pull.
const (
	// PullBytes is how much answers one pull, in bytes of EVENTS frames: batches are sent
	// until there are so many or the last one that was asked for. Both ends count alike.
	PullBytes = 256 << 10

	// pullRate is how much a neighbour may pull in a second, pullBurst how much at once, in
	// bytes. A pull counts pullCost at least.
	pullRate  = 16 << 20
	pullBurst = 4 << 20
	pullCost  = 512
)

// Pulled takes a request of a neighbour. The answer is what is stored, from the first
// number that was asked for on, or how far this node has come if it does not have that.
// What a neighbour asks beyond its share is ignored: it will ask again.
func (r *Router) Pulled(now time.Time, from ident.NodeID, q frame.Pull) {
	r.enter()
	at, linked := r.peerAt(from)
	if !linked {
		return
	}
	if !r.peers[at].credit.afford(now, pullRate, pullBurst) {
		r.stats.Refused++
		return
	}
	sent := 0
	if o := r.byKey[Member{q.Origin, q.Incarnation}]; o != nil && o.based && o.standing.heard() {
		if sent = r.serve(o, from, q); sent == 0 {
			at := len(r.marks)
			r.marks = append(r.marks, o.mark())
			r.answer(from, r.marks[at:], false)
			if o.proof != nil {
				r.out.Proofs = append(r.out.Proofs, Prove{To: from, Proof: *o.proof})
			}
		}
	}
	r.peers[at].credit.left -= max(sent, pullCost)
}

// serve sends what was asked for. It returns how many bytes that are.
func (r *Router) serve(o *origin, to ident.NodeID, q frame.Pull) (sent int) {
	at := len(r.ids)
	r.ids = append(r.ids, to)
	for _, e := range o.stored.from(q.First) {
		r.out.Forwards = append(r.out.Forwards, Forward{To: r.ids[at : at+1 : at+1], Batch: e.batch})
		if sent += len(e.batch.Frames); sent >= PullBytes || e.batch.Last >= q.Last {
			break
		}
	}
	return sent
}
