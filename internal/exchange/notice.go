package exchange

import (
	"bytes"
	"errors"
	"slices"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/session"
)

// notice is a list of which the two ends of a pair keep each other informed: what each serves to
// the other, or listens on. The mutex of the pair guards it.
type notice struct {
	told    []byte // as the peer was told last
	stale   bool   // the peer may have another one
	telling bool   // it is to be told
	untold  bool   // the peer is about to tell its own
}

// change takes the list that the peer is to have, and reports whether it has to be told.
func (n *notice) change(list []byte, anew bool) bool {
	if anew {
		n.forget()
	}
	if !n.stale && bytes.Equal(n.told, list) {
		return false
	}
	n.told, n.stale, n.telling = list, false, true
	return true
}

// forget is for a session that may have ended: nobody knows what the peer has.
func (n *notice) forget() {
	n.stale = n.stale || n.telling || len(n.told) > 0
	n.told, n.telling = nil, false
}

// notify tells the peer a list, if it is to be told and there is room. The caller holds mu.
func (p *Pair) notify(n *notice, topic string) {
	if n.telling {
		_, err := p.post(session.Message{Topic: topic, Payload: n.told})
		n.telling = errors.Is(err, session.ErrFull)
	}
}

// heard notes that the peer has told its list.
func (p *Pair) heard(n *notice) {
	p.mu.Lock()
	awaited := n.untold
	n.untold = false
	p.mu.Unlock()
	if awaited && p.x.cfg.Opened != nil {
		p.x.cfg.Opened()
	}
}

// announced takes what the peer's OPEN says of its lists. The caller holds mu.
func (p *Pair) announced(o frame.Open) {
	d := &p.calls
	d.methods.untold = d.methods.untold || o.Methods
	d.services.untold = d.services.untold || o.Services
	if !o.Services && o.Calls.First == 1 {
		p.listening.CompareAndSwap(nil, &[]string{}) // it never said that it listens
	}
}

// advertiseAll tells each member what this node serves to it and listens on, if that has changed.
// The caller holds no lock of a pair.
func (x *Exchange) advertiseAll() {
	if x.services.byName.Load() == nil && x.listening.Load() == nil {
		return // there has never been anything
	}
	for _, p := range x.all() {
		p.advertise(false)
	}
}

// advertise tells the peer what this node serves to it and listens on, if that has changed since
// it was told, or it is told anew. What has no room in a list is left out.
func (p *Pair) advertise(anew bool) {
	if p == p.x.self {
		return
	}
	p.x.advertising.Lock() // or an older list could replace a newer one
	defer p.x.advertising.Unlock()
	methods, services := p.x.methodList(p.id), p.x.serviceList()
	p.mu.Lock()
	changed := p.calls.methods.change(methods, anew)
	changed = p.calls.services.change(services, anew) || changed
	p.mu.Unlock()
	if changed {
		p.reach()
	}
}

// differ tells which names are new, and first which of before are gone; both are sorted.
func differ(before, now []string, tell func(name string, added bool)) {
	for _, name := range before {
		if _, ok := slices.BinarySearch(now, name); !ok {
			tell(name, false)
		}
	}
	for _, name := range now {
		if _, ok := slices.BinarySearch(before, name); !ok {
			tell(name, true)
		}
	}
}
