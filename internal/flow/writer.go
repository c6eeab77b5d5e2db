package flow

import (
	"encoding/binary"
	"io"
	"sync"
)

// Writer writes the items of a flow. What comes while the stream is busy is written in one go: a
// frame of the stream for each small value would cost more than the value.
type Writer struct {
	mu      sync.Mutex // guards what follows
	changed sync.Cond
	batch   []byte // waits to be written
	busy    bool   // something is being written
	ended   bool   // nothing follows
	err     error  // why nothing is written any more
}

// NewWriter returns a writer of which somebody must call Run.
func NewWriter() *Writer {
	w := &Writer{}
	w.changed.L = &w.mu
	return w
}

// Value adds one more value. It waits while the reader is behind by the window of the stream, and
// returns an error when nothing is written any more: that of the stream, or [io.ErrClosedPipe] after
// Finish.
func (w *Writer) Value(data []byte) error { return w.add(Value, data) }

// Finish adds the last item, with text for those that have one, and waits until all is written.
func (w *Writer) Finish(k Kind, text string) {
	_ = w.add(k, []byte(text[:min(len(text), textMax)])) // its reader is told, or is gone
	w.close()
}

// add adds an item.
func (w *Writer) add(k Kind, data []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil && !w.ended && len(w.batch) > 0 && len(w.batch)+len(data) > batchMax {
		w.changed.Wait()
	}
	switch {
	case w.err != nil:
		return w.err
	case w.ended:
		return io.ErrClosedPipe
	}
	w.batch = appendItem(w.batch, k, data)
	w.changed.Broadcast()
	return nil
}

// close ends the writer when all is written.
func (w *Writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.changed.Broadcast()
	for w.err == nil && (w.busy || len(w.batch) > 0) {
		w.changed.Wait()
	}
}

// Run writes to a stream what is added, until that ends or the stream fails.
func (w *Writer) Run(to io.Writer) {
	var batch []byte
	for {
		w.mu.Lock()
		w.busy = false
		w.changed.Broadcast()
		for len(w.batch) == 0 && !w.ended {
			w.changed.Wait()
		}
		if cap(batch) > 2*batchMax {
			batch = nil // a large value is no reason to keep its room
		}
		batch, w.batch = w.batch, batch[:0]
		w.busy = len(batch) > 0
		w.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		if _, err := to.Write(batch); err != nil {
			w.mu.Lock()
			w.err = err
			w.changed.Broadcast()
			w.mu.Unlock()
			return
		}
	}
}

// appendItem appends an item to dst.
func appendItem(dst []byte, k Kind, data []byte) []byte {
	dst = binary.AppendUvarint(append(dst, byte(k)), uint64(len(data)))
	return append(dst, data...)
}
