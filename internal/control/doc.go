// Package control is the control socket: how another process of the same user reaches a
// running node. It carries requests and answers as lines of JSON over a Unix socket and
// knows nothing of what they mean.
//
// A node serves it:
//
//	s, err := control.Listen(ctx, control.Folders(), id.Short())
//	if err != nil {
//		return err
//	}
//	err = s.Serve(ctx, handler) // until ctx ends
//
// and a command asks it:
//
//	nodes, err := control.Nodes(ctx)
//	err = nodes[0].Call(ctx, "members", nil, func(b json.RawMessage) error { ... })
//
// # Protocol
//
// A connection carries one request, one line:
//
//	{"verb":"members","args":{...}}
//
// The answer is any number of data lines, written as they come, and one last line:
//
//	{"data":...}
//	{"done":true}  or  {"error":{"code":"no_member","text":"..."}}
//
// The client keeps its side open until then: closing it, or sending anything more, ends
// the request. An answer without a last line means that the node was killed. Every server
// answers the verb "hello" with one [Hello].
//
// Some answers end with a line that makes a [Stream] of the rest of the connection:
//
//	{"data":...,"stream":true}
//
// # Who may connect
//
// The socket has mode 0600 and lies in a folder of mode 0700 that belongs to the user of the
// process. Both ends refuse any other folder, so that no other user of the host can
// listen in, or stand in for a node. Whoever may connect may do everything.
//
// # Limits
//
// A server has at most 32 connections and, besides, 1,024 that have become streams; the next ones
// are answered with [CodeBusy]. A
// client has 5 s to send its request, of at most [Server.LineMax] bytes, and is cut off when it
// takes more than 10 s for one line of the answer. Every connection has its own goroutines, so a slow
// client delays nobody else.
package control
