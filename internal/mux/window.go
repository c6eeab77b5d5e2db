package mux

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-yamux/v5"
)

// Windows: how much of a stream may be on its way, and wait for its reader.
const (
	windowMin = 256 << 10 // at first, in bytes; yamux's own minimum
	windowMax = 16 << 20  // where the reader keeps up, in bytes

	// growthMax bounds by how much the windows of one connection grow together, in bytes:
	// four streams at the maximum. Further ones keep what they have.
	growthMax = 64 << 20
)

// errGrowth makes yamux leave a window as it is.
var errGrowth = errors.New("mux: windows have grown enough")

// growth is what the windows of a connection grew by, in bytes.
type growth struct{ held atomic.Int64 }

// span returns the share of a new stream.
func (g *growth) span() (yamux.MemoryManager, error) { return &span{growth: g}, nil }

// span is the share of one stream. It implements yamux.MemoryManager; yamux calls it from
// several goroutines.
type span struct {
	growth *growth

	mu    sync.Mutex // guards what follows
	held  int
	first bool // the first window was reserved, which is the stream's by right
	done  bool
}

// ReserveMemory implements yamux.MemoryManager.
func (s *span) ReserveMemory(size int, _ uint8) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.first:
		s.first = true
		return nil
	case s.done:
		return errGrowth
	case s.growth.held.Add(int64(size)) > growthMax:
		s.growth.held.Add(-int64(size))
		return errGrowth
	}
	s.held += size
	return nil
}

// ReleaseMemory implements yamux.MemoryManager.
func (s *span) ReleaseMemory(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held -= size
	s.growth.held.Add(-int64(size))
}

// Done implements yamux.MemoryManager. yamux may call it more than once.
func (s *span) Done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.growth.held.Add(-int64(s.held))
	s.held, s.done = 0, true
}
