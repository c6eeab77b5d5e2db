package exchange

import (
	"slices"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
)

// SetListening tells on which services this node listens, by name. The list must not change any
// more; of two calls the latter counts.
func (x *Exchange) SetListening(services []string) {
	var before []string
	if former := x.listening.Swap(&services); former != nil {
		before = *former
	}
	x.compareServices(x.cfg.Self, x.cfg.Name, before, services)
	x.advertiseAll()
}

// Listening returns on which services a member has said that it listens, by name, and whether it
// has said so at all. It may lag.
func (x *Exchange) Listening(id ident.NodeID) (services []string, told bool) {
	list := &x.listening
	if id != x.cfg.Self {
		p := x.Member(id)
		if p == nil {
			return nil, false
		}
		list = &p.listening
	}
	if l := list.Load(); l != nil {
		return *l, true
	}
	return nil, id == x.cfg.Self
}

// serviceList returns what a member is told of the services.
func (x *Exchange) serviceList() (list []byte) {
	services, _ := x.Listening(x.cfg.Self)
	for _, name := range services {
		if longer := frame.AppendService(list, name); len(longer) <= frame.ServicesMax {
			list = longer
		}
	}
	return list
}

// listened takes on what the peer listens. What is malformed is left out.
func (p *Pair) listened(payload []byte) {
	list, ok := frame.DecodeServices(payload)
	if !ok {
		p.x.forged.Add(1)
		return
	}
	list = slices.DeleteFunc(list, func(name string) bool { return glob.CheckName(name) != nil })
	slices.Sort(list)
	list = slices.Compact(list)
	var before []string
	if former := p.listening.Swap(&list); former != nil {
		before = *former
	}
	p.listens(before)
	p.heard(&p.calls.services)
}

// listens tells on what the peer listens now, and on what of before it does not.
func (p *Pair) listens(before []string) {
	if now := p.listening.Load(); now != nil && p.x.Member(p.id) == p {
		p.x.compareServices(p.id, p.name, before, *now)
	}
}

// compareServices tells on what a node listens now, and on what of before it does not.
func (x *Exchange) compareServices(id ident.NodeID, name string, before, now []string) {
	if x.cfg.Listen != nil {
		differ(before, now, func(service string, open bool) { x.cfg.Listen(id, name, service, open) })
	}
}
