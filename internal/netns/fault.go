package netns

import (
	"fmt"
	"strings"
	"time"
)

// Cut drops every packet from and to a host at the bridge. Its interface stays up, so that the
// host itself notices nothing.
func (s *Segment) Cut(h *Host) {
	s.t.Helper()
	s.fault(in(h)+"drop", out(h)+"drop")
}

// CutOneWay drops every packet from one host to another, and nothing on the way back.
func (s *Segment) CutOneWay(from, to *Host) {
	s.t.Helper()
	s.fault(in(from) + out(to) + "drop")
}

// Deafen drops every packet to a host, and none from it.
func (s *Segment) Deafen(h *Host) {
	s.t.Helper()
	s.fault(out(h) + "drop")
}

// Split drops every packet between hosts of different sides, and ends the other faults of the
// segment in the same step: no packet passes between two splits. Hosts that are on no side
// reach, and are reached by, all.
func (s *Segment) Split(sides ...[]*Host) {
	s.t.Helper()
	rules := []string{heal}
	for i, side := range sides {
		for j, other := range sides {
			for _, h := range side {
				for _, o := range other {
					if i != j {
						rules = append(rules, forward+in(h)+out(o)+"drop")
					}
				}
			}
		}
	}
	s.nft(s.name, rules...)
}

// Loss drops each packet from and to a host with the given probability, in percent.
func (s *Segment) Loss(h *Host, percent int) {
	s.t.Helper()
	chance := fmt.Sprintf("numgen random mod 100 < %d drop", percent)
	s.fault(in(h)+chance, out(h)+chance)
}

// LossTo drops each packet to a host with the given probability, in percent, and none from it.
func (s *Segment) LossTo(h *Host, percent int) {
	s.t.Helper()
	s.fault(out(h) + fmt.Sprintf("numgen random mod 100 < %d drop", percent))
}

// DropUDP drops every UDP packet from and to a host, of which discovery consists.
func (s *Segment) DropUDP(h *Host) {
	s.t.Helper()
	s.fault(in(h)+"meta l4proto udp drop", out(h)+"meta l4proto udp drop")
}

// Hold leaves everything as it is for d, or until the test ends. It is for what has no event to
// wait for: a fault that has to last, and something that must not happen and needs the time to.
// Nothing else here waits in real time but for a line.
func (s *Segment) Hold(d time.Duration) {
	s.t.Helper()
	select {
	case <-time.After(d):
	case <-s.t.Context().Done():
	}
}

// Heal ends what the other faults of the segment began.
func (s *Segment) Heal() {
	s.t.Helper()
	s.nft(s.name, heal)
}

// The lines of nft that end all faults, and that begin one.
const (
	heal    = "flush chain bridge fault forward"
	forward = "add rule bridge fault forward "
)

// fault adds rules for what the bridge forwards, all in one step.
func (s *Segment) fault(rules ...string) {
	s.t.Helper()
	for i := range rules {
		rules[i] = forward + rules[i]
	}
	s.nft(s.name, rules...)
}

// in matches what a host sent, out what it will get, both as the bridge sees it.
func in(h *Host) string  { return fmt.Sprintf("iifname %q ", h.port) }
func out(h *Host) string { return fmt.Sprintf("oifname %q ", h.port) }

// ResetTCP answers the next packet of a TCP connection of the host with a reset, once on each
// way, and so breaks it at both ends. Attempts to connect pass: a connection that breaks is no
// refusal. It reports whether there was one to break within a second.
func (h *Host) ResetTCP() bool {
	h.segment.t.Helper()
	const rule = "tcp flags & (fin | syn | rst) == 0 limit rate 1/day burst 1 packets counter " +
		"reject with tcp reset"
	h.segment.nft(h.name, `table inet breaking {
		chain input { type filter hook input priority 0; iifname lo accept; `+rule+`; }
		chain output { type filter hook output priority 0; oifname lo accept; `+rule+`; }
	}`)
	hit := false
	for end := time.Now().Add(time.Second); !hit && time.Now().Before(end); {
		list := h.segment.tool("", "ip", "netns", "exec", h.name, "nft", "list", "table", "inet", "breaking")
		hit = strings.Count(list, "counter packets 0 ") < 2
	}
	h.segment.nft(h.name, "delete table inet breaking")
	return hit
}
