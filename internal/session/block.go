package session

// blockSize is the room in one block, in bytes: four frames of [frameTarget], or two
// that hold a single message of [PieceMax].
const blockSize = 64 << 10

// block is memory for the frames of a log. Frames lie in blocks back to back, so that
// many small ones cost no more memory than they have bytes.
type block struct {
	buf []byte

	// users counts the frames of the log that lie here, and for each cursor whether
	// its last Take handed some of them out.
	users int
}

// pool keeps blocks that are free, so that the steady state allocates nothing. It is a
// stack, because what was used last is still in the processor's cache.
type pool struct {
	free []*block
	idle int // free blocks that nobody needed since the last trim
}

// get returns an empty block.
func (p *pool) get() *block {
	n := len(p.free)
	if n == 0 {
		return &block{buf: make([]byte, blockSize)}
	}
	b := p.free[n-1]
	p.free[n-1] = nil
	p.free = p.free[:n-1]
	p.idle = min(p.idle, n-1)
	return b
}

// put takes back a block that has no users, unless there are keep already.
func (p *pool) put(b *block, keep int) {
	if len(p.free) < keep {
		p.free = append(p.free, b)
	}
}

// trim gives up the blocks that were not needed since the last trim.
func (p *pool) trim() {
	n := len(p.free) - p.idle
	clear(p.free[n:])
	p.free = p.free[:n]
	p.idle = n
	if n == 0 {
		p.free = nil
	}
}
