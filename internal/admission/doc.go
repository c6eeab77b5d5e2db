// Package admission decides whether a connection becomes a link. It takes over when
// TLS has proved who is at the other end, and it lets nothing pass but the frames that
// lead to a verdict: not one event, member record or key crosses a connection before
// both ends said ACCEPT.
//
// The dialer says HELLO. The acceptor judges it and answers REJECT or its own HELLO, so
// that a stranger who is refused learns nothing but a code. The dialer judges that. The
// end with the lower node ID is the arbiter of the pair: the other end says ACCEPT
// first, which means "my policy admits you"; then the arbiter, which sees all
// connections of the pair, rules whether this one is to be their link, and says ACCEPT
// or REJECT.
//
//	dialer has the higher ID       dialer has the lower ID
//
//	D  HELLO          ──►  A       D  HELLO          ──►  A
//	D  ◄──          HELLO  A       D  ◄──  HELLO, ACCEPT  A
//	D  ACCEPT         ──►  A       D  ACCEPT         ──►  A
//	D  ◄──         ACCEPT  A
//
// REJECT may come at any time and ends it. Any other frame, and any of these at another
// time, is a breach: the connection is closed at the first one.
//
// [Machine] is one end of one connection. Its owner carries out what it returns:
//
//	m := admission.New(config, facts)
//	acts := m.Start()
//	// Send: write the frame. Ask: run the filter, then m.Judged(verdict).
//	// Arbitrate: ask the owner of the links, then m.Arbitrated(ruling).
//	acts = m.Receive(f) // for each frame that arrives
//	// Up, Refuse or Breach: the end.
//
// Time is the owner's: it closes the connection when admission takes too long. The
// package is pure: no goroutine, lock, clock, socket or randomness. A Machine is for
// one goroutine at a time.
package admission
