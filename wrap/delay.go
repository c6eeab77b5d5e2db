package wrap

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/espial-go/espial"
)

// delayedMax bounds the bytes of a stream that [Delay] holds back, in bytes. It bounds the
// speed as well: to so much in one latency.
const delayedMax = 4 << 20

// Delay delivers what arrives so much later, as a longer way would: for tests. At both ends it
// adds to both directions. Bytes keep their distance in time; at most 4 MiB of a stream are
// held back, more waits at the other end. What is written is not touched.
func Delay(latency time.Duration) Func {
	return func(nc net.Conn, _ espial.StreamInfo) (net.Conn, error) {
		c := &delayed{conn: conn{nc}, latency: latency, wait: newWait(), changed: make(chan struct{})}
		c.pump.Go(c.receive)
		return c, nil
	}
}

// delayed is a connection of which what arrives is held back.
type delayed struct {
	conn
	latency time.Duration
	wait    wait           // of Read
	pump    sync.WaitGroup // receives until the connection ends

	mu      sync.Mutex // guards what follows
	queue   []delivery
	held    int           // bytes in queue
	changed chan struct{} // closed when the queue or closed changed
	closed  bool
}

// delivery is what arrived at once: bytes, or the error that ends them.
type delivery struct {
	due time.Time
	b   []byte
	err error
}

// receive puts what arrives into the queue.
func (c *delayed) receive() {
	buf := make([]byte, 32<<10)
	for {
		n, err := c.Conn.Read(buf)
		due := time.Now().Add(c.latency)
		if n > 0 && !c.put(delivery{due: due, b: append([]byte(nil), buf[:n]...)}) {
			return
		}
		if err != nil {
			c.put(delivery{due: due, err: err})
			return
		}
	}
}

// put waits for room and queues d. It returns false if nobody will read it.
func (c *delayed) put(d delivery) bool {
	c.mu.Lock()
	for c.held >= delayedMax && !c.closed {
		changed := c.changed
		c.mu.Unlock()
		<-changed
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	c.queue = append(c.queue, d)
	c.held += len(d.b)
	c.change()
	return !c.closed
}

// change wakes who waits for the queue. The caller holds mu.
func (c *delayed) change() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Read implements [net.Conn].
func (c *delayed) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		due, changed := c.next()
		if err := c.wait.reach(due, changed); err != nil {
			return 0, c.opError("read", err)
		}
		if n, err := c.take(b); n > 0 || err != nil {
			return n, err
		}
	}
}

// next returns when the first delivery is due, the zero time if there is none, and a channel
// that says when there may be another one.
func (c *delayed) next() (due time.Time, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) > 0 {
		return c.queue[0].due, nil
	}
	return time.Time{}, c.changed
}

// take returns what of the first delivery fits, if it is due. The error that ends the bytes
// stays.
func (c *delayed) take(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 || c.queue[0].due.After(time.Now()) {
		return 0, nil // another Read has taken it
	}
	first := &c.queue[0]
	if first.err != nil {
		return 0, first.err
	}
	n := copy(b, first.b)
	first.b = first.b[n:]
	c.held -= n
	if len(first.b) == 0 {
		c.queue = c.queue[1:]
	}
	c.change()
	return n, nil
}

// Close implements [net.Conn].
func (c *delayed) Close() error {
	c.wait.end()
	c.mu.Lock()
	c.closed = true
	c.change()
	c.mu.Unlock()
	err := c.Conn.Close()
	c.pump.Wait()
	return err
}

// SetDeadline implements [net.Conn].
func (c *delayed) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements [net.Conn].
func (c *delayed) SetReadDeadline(t time.Time) error {
	if err := c.wait.until(t); err != nil {
		return c.opError("set", err)
	}
	return nil
}
