package session

import "github.com/espial-go/espial/internal/frame"

// Extend is the short way of [Log.Append] for a message that is nothing but its bytes, with
// no reign, wish, group or past: it adds it to the open frame if that takes it, and else
// changes nothing and returns false. Most messages of a drove go this way, and to hand them
// over in the registers of the processor instead of in a [Message] takes half the time.
func (l *Log) Extend(topic string, codec, class uint8, payload []byte) bool {
	e := l.open
	size := frame.PayloadSize(len(payload))
	cost := size + Overhead
	if e == nil || len(l.tail)+size > min(cap(l.tail), frameTarget) || e.count == RunMax ||
		l.held+cost > l.limits.BytesMax || len(payload) > l.limits.EventMax || l.owed ||
		codec != l.codec || class != l.class || topic != l.topic ||
		l.reign != nil || l.wish != frame.WishNone || l.group != "" || l.past != nil {
		return false
	}
	l.tail = frame.AppendPayload(l.tail, payload)
	l.held += cost
	e.cost += cost
	e.count++
	l.next++
	l.count++
	return true
}
