package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Limits of a [Server].
const (
	// LineMaxDefault is the limit of a request line, in bytes, unless [Server.LineMax] is set.
	LineMaxDefault = 64 << 10

	connsMax     = 32                     // connections that are no streams
	streamsMax   = 1024                   // as many as a node may open to one member
	requestWait  = 5 * time.Second        // to send the request
	stallMax     = 10 * time.Second       // for the client to take one line of the answer
	farewellWait = 100 * time.Millisecond // for the last line when the node ends
	acceptPause  = 100 * time.Millisecond // after a failure to accept, such as no descriptors left
	probeWait    = time.Second            // for somebody to answer at a socket that exists
)

// Handler answers requests. It is called on a goroutine of its own for each request.
type Handler interface {
	// Handle answers r. It calls send for each piece of the answer, from one goroutine at a
	// time; send encodes v as JSON and waits until the client's socket has it. ctx ends when
	// the client has gone, has been cut off, or the server ends; send fails then.
	//
	// The returned error is the last line of the answer: an [*Error] as it is, any other
	// with [CodeFailed].
	Handle(ctx context.Context, r Request, send func(v any) error) error
}

// Server is one control socket. [Listen] makes one.
type Server struct {
	// LineMax bounds the line of a request, in bytes. Set it before Serve. Default
	// [LineMaxDefault].
	LineMax int

	// TooLong is the answer to a longer line. Set it before Serve. Default a [CodeRequest]
	// that names LineMax.
	TooLong *Error

	ln   net.Listener
	path string
	once sync.Once
}

// Listen creates the socket name.sock in the first of folders that works, and creates that
// folder, but not its parents, if need be. A socket that a killed process left behind is
// replaced; [ErrTaken] reports one on which somebody listens. ctx is for creating it only. The caller calls
// [Server.Serve] or [Server.Close].
func Listen(ctx context.Context, folders []string, name string) (*Server, error) {
	var errs []error
	for _, folder := range folders {
		s, err := listen(ctx, folder, name)
		if err == nil || errors.Is(err, ErrTaken) {
			return s, err
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("control: no place for the socket: %w", errors.Join(errs...))
}

func listen(ctx context.Context, folder, name string) (*Server, error) {
	if err := makeFolder(folder); err != nil {
		return nil, err
	}
	path := filepath.Join(folder, name+suffix)
	if len(path) > pathMax {
		return nil, fmt.Errorf("%s has %d bytes, a socket's path at most %d", path, len(path), pathMax)
	}
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	c, err := dial(ctx, path)
	if err == nil {
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrTaken, path), c.Close())
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	// Nobody else could connect meanwhile, whatever the umask: the folder is private.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return &Server{LineMax: LineMaxDefault, ln: ln, path: path}, nil
}

// Path returns the path of the socket.
func (s *Server) Path() string { return s.path }

// Close removes the socket. It ends [Server.Serve] but not the requests being answered.
// Further calls do nothing.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() { err = s.ln.Close() })
	return err
}

// Serve answers requests with h until ctx ends or the server is closed. Then it removes the
// socket, ends the requests being answered, each with [CodeClosed] unless its client
// takes nothing for 100 ms, and returns when every call of h has returned.
func (s *Server) Serve(ctx context.Context, h Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()

	var taken counts
	for {
		c, err := s.ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return s.Close()
		case err != nil:
			if !pause(ctx, acceptPause) {
				return s.Close()
			}
			continue
		}
		place, ok := taken.conn()
		if !ok {
			busy(c)
			continue
		}
		conns.Go(func() {
			defer place.free()
			n := newConn(c, s.LineMax, s.TooLong)
			n.place = place
			n.serve(ctx, h)
		})
	}
}

// counts are the connections of a server.
type counts struct {
	mu             sync.Mutex // guards what follows
	conns, streams int
}

// place is one connection among them.
type place struct {
	of     *counts
	stream bool
}

// conn takes a place for a new connection, if there is one.
func (n *counts) conn() (*place, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns == connsMax {
		return nil, false
	}
	n.conns++
	return &place{of: n}, true
}

// move makes the connection a stream, if there is a place for another one.
func (p *place) move() bool {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	if p.of.streams == streamsMax {
		return false
	}
	p.of.conns--
	p.of.streams++
	p.stream = true
	return true
}

// free gives the place back.
func (p *place) free() {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	if p.stream {
		p.of.streams--
	} else {
		p.of.conns--
	}
}

// pause waits for d and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// busy turns a client away. The line fits into the empty buffer of a new socket; the
// deadline is for the case that it does not.
func busy(c net.Conn) {
	_ = c.SetWriteDeadline(time.Now().Add(farewellWait))
	text := fmt.Sprintf("the node already has %d connections to its control socket", connsMax)
	_ = json.NewEncoder(c).Encode(answer{Error: &Error{Code: CodeBusy, Text: text}})
	_ = c.Close()
}
