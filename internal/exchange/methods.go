package exchange

import (
	"maps"
	"slices"
	"strings"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
)

// Serves reports whether a member has said that it serves a method to this node. It may lag.
func (x *Exchange) Serves(id ident.NodeID, method string) bool {
	if id == x.cfg.Self {
		s := x.service(method)
		return s != nil && s.serves(id)
	}
	p := x.Member(id)
	if p == nil {
		return false
	}
	list := p.methods.Load()
	if list == nil {
		return false
	}
	_, found := slices.BinarySearchFunc(*list, method, func(m frame.Method, name string) int {
		return strings.Compare(m.Name, name)
	})
	return found
}

// Methods returns what a member has said that it serves to this node, by name.
func (x *Exchange) Methods(id ident.NodeID) []frame.Method {
	if id == x.cfg.Self {
		return x.offer(id)
	}
	if p := x.Member(id); p != nil {
		if list := p.methods.Load(); list != nil {
			return *list
		}
	}
	return nil
}

// offer returns what this node serves to a member, by name.
func (x *Exchange) offer(id ident.NodeID) (list []frame.Method) {
	m := x.services.byName.Load()
	if m == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(*m)) {
		if s := (*m)[name]; s.serves(id) && !s.Hidden {
			about := s.About
			about.Name = name
			list = append(list, about)
		}
	}
	return list
}

// offered tells what the peer serves now, and what of before it does not.
func (p *Pair) offered(before []frame.Method) {
	if now := p.methods.Load(); now != nil && p.x.Member(p.id) == p {
		p.x.compare(p.id, p.name, before, *now)
	}
}

// compare tells what a node serves now, and what of before it does not; both are by name.
func (x *Exchange) compare(id ident.NodeID, name string, before, now []frame.Method) {
	if x.cfg.Offer == nil {
		return
	}
	names := func(list []frame.Method) []string {
		all := make([]string, len(list))
		for i := range list {
			all[i] = list[i].Name
		}
		return all
	}
	differ(names(before), names(now), func(method string, served bool) {
		x.cfg.Offer(id, name, method, served)
	})
}

// serves reports whether a member may call the method.
func (s *service) serves(id ident.NodeID) bool { return s.Serves == nil || s.Serves(id) }

// methodList returns what a member is told of the methods.
func (x *Exchange) methodList(id ident.NodeID) (list []byte) {
	for _, m := range x.offer(id) {
		if longer := m.Append(list); len(longer) <= frame.MethodsMax {
			list = longer
		}
	}
	return list
}

// advertised takes what the peer serves. What is malformed is left out.
func (p *Pair) advertised(payload []byte) {
	list, ok := frame.DecodeMethods(payload)
	if !ok {
		p.x.forged.Add(1)
		return
	}
	list = slices.DeleteFunc(list, func(m frame.Method) bool { return glob.CheckTopic(m.Name) != nil })
	slices.SortFunc(list, func(a, b frame.Method) int { return strings.Compare(a.Name, b.Name) })
	list = slices.CompactFunc(list, func(a, b frame.Method) bool { return a.Name == b.Name })
	var before []frame.Method
	if former := p.methods.Swap(&list); former != nil {
		before = *former
	}
	p.offered(before)
	p.heard(&p.calls.methods)
}
