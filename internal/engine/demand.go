package engine

import (
	"context"
	"sync"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// needs is for whom the data room needs a link: the owner takes them together, so that a
// message to everybody does not fill its queue.
type needs struct {
	mu  sync.Mutex // guards what follows
	ids []ident.NodeID
}

// add adds a member, and reports whether it is the first.
func (n *needs) add(id ident.NodeID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ids = append(n.ids, id)
	return len(n.ids) == 1
}

// take returns the members since the last call.
func (n *needs) take() []ident.NodeID {
	n.mu.Lock()
	defer n.mu.Unlock()
	ids := n.ids
	n.ids = nil
	return ids
}

// need asks for a link with a member. It never blocks, and is called again where it was in
// vain.
func (e *Engine) need(id ident.NodeID) {
	if e.needs.add(id) && !e.offer(e.needed) {
		e.needs.take()
	}
}

func (e *Engine) needed(now time.Time) {
	for _, id := range e.needs.take() {
		e.core.Need(now, id)
	}
}

// onDemand reports whether the link of a dial is to be one on demand: the end that dialled
// says so, to which the other end said h.
func onDemand(d core.Dial, h frame.Hello) bool { return d.OnDemand || d.Number == 0 && h.OnDemand }

// used tells core whether messages crossed a link on demand since the last tick: nothing else
// does once it is up.
func (e *Engine) used(now time.Time, id core.LinkID, l *peerLink) {
	if !l.onDemand {
		return
	}
	sent, received := l.conn.Bytes()
	if sent+received != l.bytes {
		l.bytes = sent + received
		e.core.Used(now, id)
	}
}

// hasRoom reports whether there is room for a link with a peer that the policy admits. The
// arbiter is asked when it rules.
func (e *Engine) hasRoom(ctx context.Context, peer ident.NodeID, onDemand bool) bool {
	if e.cfg.Key.ID().Compare(peer) < 0 {
		return true
	}
	room, err := ask(ctx, e, func(now time.Time) bool {
		if onDemand {
			return e.core.AdmitOnDemand(now, peer)
		}
		return e.core.Admit(now, peer)
	})
	return room && err == nil
}
