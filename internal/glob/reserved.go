package glob

import "strings"

// namespace is the first word of the changes that came after the first release, so
// that a new one never takes a topic that a program already uses.
const namespace = "espial"

// Reserved reports whether the topic or pattern s belongs to espial: the core
// changes, "espial", and all that begins with "espial.". A program may subscribe to
// those and never publish them. The patterns "*" and ">" are not reserved: they match
// what programs publish.
func Reserved(s string) bool {
	if first, _, more := strings.Cut(s, "."); more {
		return first == namespace
	}
	switch s {
	case namespace,
		"listening",
		"added_node", "removed_node", "updated_node", "suspected_node",
		"node_accepted", "node_rejected",
		"peer_added", "peer_removed",
		"connected", "disconnected",
		"split", "healed",
		"new_leader", "new_master", "promotion", "demotion",
		"lagged":
		return true
	}
	return false
}
