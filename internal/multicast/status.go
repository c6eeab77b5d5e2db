package multicast

import "slices"

// Interfaces returns the names of the interfaces in use, in the order of the system.
func (r *Carrier) Interfaces() []string {
	var names []string
	for _, s := range r.snapshot() {
		if !slices.Contains(names, s.name) {
			names = append(names, s.name)
		}
	}
	return names
}

// Status returns figures for people:
//
//   - interfaces, senders, receivers: what is open; interfaces_left: beyond the limit
//   - sent, received: datagrams, one for each interface
//   - stray: received for another group, by another interface, or too long
//   - floods: pauses of a reader because datagrams came too fast
//   - dropped: not sent because the queue was full
//   - send_errors, read_errors, open_errors: what the system refused
func (r *Carrier) Status() map[string]uint64 {
	var senders, receivers uint64
	for _, s := range r.snapshot() {
		if s.source.IsValid() {
			senders++
		} else {
			receivers++
		}
	}
	interfaces := uint64(len(r.Interfaces()))
	r.mu.Lock()
	left := uint64(r.left)
	r.mu.Unlock()
	return map[string]uint64{
		"interfaces": interfaces, "interfaces_left": left, "senders": senders, "receivers": receivers,
		"sent": r.sent.Load(), "received": r.received.Load(), "stray": r.stray.Load(),
		"floods": r.floods.Load(), "dropped": r.dropped.Load(), "send_errors": r.sendErrors.Load(),
		"read_errors": r.readErrors.Load(), "open_errors": r.openErrors.Load(),
	}
}
