package mux

import (
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
)

// backlogMax bounds the streams of a listener that nobody accepted yet: half of those that
// one node may open.
const backlogMax = 512

// Services are the listeners of a node, by service. All its sessions share them.
// The zero value is ready.
type Services struct {
	// Changed is told when there is another listener, or one less; nil for nobody. It is called
	// without a lock and must not block. It must not be set once there is a listener.
	Changed func()

	late atomic.Int64 // calls of wrappers that took too long and are not back

	mu        sync.Mutex // guards what follows
	listeners map[string]*Listener
	closed    bool
}

// Listen opens a listener on a service of the node. It fails with EADDRINUSE if there is
// one, and with [net.ErrClosed] after Close.
func (v *Services) Listen(node, service string) (*Listener, error) {
	l, err := v.listen(Addr{Node: node, Service: service})
	if err == nil {
		v.changed()
	}
	return l, err
}

// listen is Listen, but tells nobody.
func (v *Services) listen(addr Addr) (*Listener, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.closed:
		return nil, opError("listen", nil, addr, net.ErrClosed)
	case v.listeners[addr.Service] != nil:
		return nil, opError("listen", nil, addr, syscall.EADDRINUSE)
	case v.listeners == nil:
		v.listeners = map[string]*Listener{}
	}
	l := &Listener{
		services: v, addr: addr,
		backlog: make(chan accepted, backlogMax), done: make(chan struct{}),
	}
	v.listeners[addr.Service] = l
	return l, nil
}

// changed calls Changed.
func (v *Services) changed() {
	if v.Changed != nil {
		v.Changed()
	}
}

// Names returns the services that have a listener, sorted.
func (v *Services) Names() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Sorted(maps.Keys(v.listeners))
}

// Close closes every listener. There are none from then on; Changed is not told.
func (v *Services) Close() {
	v.mu.Lock()
	all := v.listeners
	v.listeners, v.closed = nil, true
	v.mu.Unlock()
	for _, l := range all {
		l.shut()
	}
}

// find returns the listener on a service, or nil.
func (v *Services) find(service string) *Listener {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.listeners[service]
}

// forget takes a listener out.
func (v *Services) forget(l *Listener) {
	v.mu.Lock()
	known := v.listeners[l.addr.Service] == l
	if known {
		delete(v.listeners, l.addr.Service)
	}
	v.mu.Unlock()
	if known {
		v.changed()
	}
}

// Listener is a [net.Listener] for the streams to one service, of which 512 wait to be
// accepted. What comes beyond is refused with [CodeBacklog].
type Listener struct {
	services *Services
	addr     Addr
	backlog  chan accepted
	done     chan struct{} // closed by Close

	mu     sync.Mutex // guards what follows
	taken  int        // places in backlog that are taken or promised
	closed bool
}

// Addr returns the service and the node.
func (l *Listener) Addr() net.Addr { return l.addr }

// accepted is a stream that waits for Accept, and what its wrappers made of it.
type accepted struct {
	st *Stream
	nc net.Conn
}

// drop resets a stream that nobody will accept.
func (a accepted) drop() {
	a.st.Reset(CodeNoService)
	_ = a.nc.Close() // the stream below was reset
}

// Accept waits for the next stream. After Close it returns an error that wraps
// [net.ErrClosed].
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.backlog:
		l.release()
		return a.nc, nil
	case <-l.done:
		return nil, opError("accept", nil, l.addr, net.ErrClosed)
	}
}

// Close ends Accept and resets the streams that nobody accepted. Those that were
// accepted go on.
func (l *Listener) Close() error {
	l.services.forget(l)
	if !l.shut() {
		return opError("close", nil, l.addr, net.ErrClosed)
	}
	return nil
}

// shut is Close for a listener that its services know no more. It reports whether it was
// open.
func (l *Listener) shut() bool {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false
	}
	l.closed = true
	close(l.done)
	l.mu.Unlock()
	for {
		select {
		case a := <-l.backlog:
			a.drop()
		default:
			return true
		}
	}
}

// reserve takes a place in the backlog, or says why there is none.
func (l *Listener) reserve() (Code, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return CodeNoService, false
	case l.taken >= backlogMax:
		return CodeBacklog, false
	}
	l.taken++
	return CodeNone, true
}

// release gives a place back.
func (l *Listener) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken--
}

// push puts a stream in its reserved place. It returns false if the listener was closed
// meanwhile.
func (l *Listener) push(a accepted) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.backlog <- a // has room: the place was reserved
	return true
}
