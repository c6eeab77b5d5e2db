package espial

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/espial-go/espial/internal/tunnel"
)

// berthWait is how long a client of the control socket has to take a stream.
const berthWait = 10 * time.Second

// berths are the streams that clients of the control socket are to take.
type berths struct {
	mu   sync.Mutex // guards what follows
	last uint64
	open map[uint64]*berth
}

// berth is one of them.
type berth struct {
	conn net.Conn
	free chan struct{} // has one of the listener's places
	late *time.Timer
}

// errNobody is why a stream ends that no client took.
var errNobody = errors.New("the program that listens did not take the stream")

// leave gives the place back.
func (b *berth) leave() { <-b.free }

// add adds a stream for which free has a place.
func (b *berths) add(nc net.Conn, free chan struct{}) (number uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == nil {
		b.open = map[uint64]*berth{}
	}
	b.last++
	number = b.last
	b.open[number] = &berth{conn: nc, free: free, late: time.AfterFunc(berthWait, func() {
		if late := b.take(number); late != nil {
			tunnel.Break(late.conn, errNobody)
			late.leave()
		}
	})}
	return number
}

// take returns a stream, once; nil if there is none of that number.
func (b *berths) take(number uint64) *berth {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.open[number]
	if taken != nil {
		taken.late.Stop()
		delete(b.open, number)
	}
	return taken
}

// drop ends the streams of a listener that nobody took.
func (b *berths) drop(free chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for number, left := range b.open {
		if left.free == free {
			left.late.Stop()
			delete(b.open, number)
			tunnel.Break(left.conn, errNobody)
		}
	}
}
