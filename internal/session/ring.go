package session

// ring is a first-in, first-out queue whose elements are addressed by their count
// since the beginning, so that a position stays valid while others come and go. It
// doubles when full and keeps its memory until reset.
type ring[T any] struct {
	buf       []T    // a power of two, or empty
	low, high uint64 // positions of the oldest element and of the next one
}

// len returns the number of elements.
func (r *ring[T]) len() int { return int(r.high - r.low) }

// at returns the element at a position from low up to high-1, valid until the next
// push.
func (r *ring[T]) at(i uint64) *T { return &r.buf[i&uint64(len(r.buf)-1)] }

// push appends v and returns its place, valid until the next push.
func (r *ring[T]) push(v T) *T {
	if r.len() == len(r.buf) {
		r.grow()
	}
	p := r.at(r.high)
	*p = v
	r.high++
	return p
}

// pop removes the oldest element.
func (r *ring[T]) pop() {
	var zero T
	*r.at(r.low) = zero // so that it keeps nothing alive
	r.low++
}

// grow doubles the room.
func (r *ring[T]) grow() {
	old := *r
	r.buf = make([]T, max(16, 2*len(old.buf)))
	for i := old.low; i < old.high; i++ {
		*r.at(i) = *old.at(i)
	}
}

// reset gives the memory of an empty ring back.
func (r *ring[T]) reset() { r.buf = nil }
