// Package mux carries streams between two nodes over one connection: a [net.Conn] for
// each, opened under the name of a service and accepted by a listener of that name.
//
//	s := mux.New(conn, mux.Config{Services: services})
//	err := s.Run(ctx)                // until the connection ends
//
//	st, err := s.Open(ctx, "api")    // at one end
//
//	ln, err := services.Listen("api")
//	nc, err := ln.Accept()           // at the other
//
// What goes on inside the connection is yamux (go-yamux): frames, windows, half-close
// and resets with a number. Each stream begins with a frame of this package's choice:
// SERVICE, which ACCEPT answers, or a reset whose [Code] says why not. So Open knows at
// once that nobody listens, and a full backlog refuses and never hangs.
//
// A stream behaves as a TCP connection does, with two differences. Data that arrived
// before the other end closed can always be read. And who writes to an end that closed
// learns it by a reset, also where yamux alone would let it wait for ever.
//
// Nothing here decides who may connect: whoever gives New a connection has verified the
// other end. All methods may be called by several goroutines.
package mux
