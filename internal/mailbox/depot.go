package mailbox

import (
	"math/bits"
	"sync"
)

// Sizes of a depot, in bytes. Buffers are powers of two from 2^classMin to 2^classMax,
// which holds the run of any frame.
const (
	classMin   = 6
	classMax   = 16
	depotBytes = 4 << 20 // kept free at most
)

// depot keeps buffers that readers are done with. It is a stack for each size, because
// what was used last is still in the processor's cache.
type depot struct {
	mu    sync.Mutex
	free  [classMax + 1][][]byte // by class
	bytes int
}

// class returns the power of two that holds n bytes.
func class(n int) int { return max(bits.Len(uint(max(n, 1)-1)), classMin) }

// clone returns a copy of b.
func (d *depot) clone(b []byte) []byte {
	c := class(len(b))
	if c > classMax {
		return append([]byte(nil), b...)
	}
	var buf []byte
	d.mu.Lock()
	if n := len(d.free[c]); n > 0 {
		buf = d.free[c][n-1]
		d.free[c][n-1] = nil
		d.free[c] = d.free[c][:n-1]
		d.bytes -= 1 << c
	}
	d.mu.Unlock()
	if buf == nil {
		buf = make([]byte, 0, 1<<c)
	}
	return append(buf, b...)
}

// put takes a buffer that came from clone; any other is left to the garbage collector.
func (d *depot) put(b []byte) {
	c := class(cap(b))
	if cap(b) != 1<<c || c > classMax {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bytes+1<<c <= depotBytes {
		d.bytes += 1 << c
		d.free[c] = append(d.free[c], b[:0])
	}
}
