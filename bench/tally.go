package main

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

// tally is what one receiver counts. One goroutine at a time adds to it.
type tally struct {
	count       atomic.Uint64
	first, last atomic.Int64 // when messages came, in ns of Unix
	stamped     atomic.Bool  // messages begin with the time at which they were sent

	mu        sync.Mutex // guards what follows
	latencies []time.Duration
}

// reset begins to count anew.
func (t *tally) reset(stamped bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.latencies = nil
	t.count.Store(0)
	t.first.Store(0)
	t.last.Store(0)
	t.stamped.Store(stamped)
}

// add counts one message. It looks at the clock once in 64 messages: that costs half as much
// as some contenders take for a message.
func (t *tally) add(payload []byte) {
	stamped := t.stamped.Load()
	if t.count.Add(1)&63 != 1 && !stamped {
		return
	}
	now := time.Now().UnixNano()
	t.first.CompareAndSwap(0, now)
	t.last.Store(now)
	if stamped {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.latencies = append(t.latencies, time.Duration(now-int64(binary.BigEndian.Uint64(payload))))
	}
}

// stamp writes the present time into the first 8 bytes of a message.
func stamp(payload []byte) {
	binary.BigEndian.PutUint64(payload, uint64(time.Now().UnixNano()))
}
