package espial

import "iter"

// TopicStats is what this node knows of a topic, or of the pattern of a subscription. Its JSON
// form is the stable shape that the command espial topics prints.
type TopicStats struct {
	Topic         string `json:"topic"`         // its name, or the pattern
	Events        uint64 `json:"events"`        // that came here since the start, read or not
	Subscriptions int    `json:"subscriptions"` // of this node, that match the topic or have the pattern
}

// Topics yields the topics on which events came to this node, its own included, and the
// patterns of its subscriptions, by name: the first 4,096 topics since the start.
func (n *Node) Topics() iter.Seq[TopicStats] {
	topics := n.eng.Exchange().Topics()
	return func(yield func(TopicStats) bool) {
		for _, t := range topics {
			if !yield(TopicStats{Topic: t.Name, Events: t.Messages, Subscriptions: t.Subscriptions}) {
				return
			}
		}
	}
}
