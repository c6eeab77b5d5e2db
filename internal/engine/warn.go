package engine

import (
	"log/slog"
	"sync"
	"time"
)

// logInterval is how often a message of one class may be logged: strangers cause them,
// so their number must not be the strangers' choice.
const logInterval = time.Second

// class is a kind of log message.
type class uint8

const (
	classHandshake class = iota
	classAdmission
	classLink
	classAddrs
	classStreams
	classWrap
	classUnspoken
	classes // how many there are
)

// throttle counts messages that were not logged.
type throttle struct {
	mu         sync.Mutex // guards what follows
	last       [classes]time.Time
	suppressed [classes]int
}

// throttled returns a logger for one message of a class, which tells how many like it
// were not logged before, or nil if the last one was less than a second ago.
func (e *Engine) throttled(c class) *slog.Logger {
	now := time.Now()
	t := &e.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.last[c].IsZero() && now.Sub(t.last[c]) < logInterval {
		t.suppressed[c]++
		return nil
	}
	log := e.cfg.Logger.With("suppressed", t.suppressed[c])
	t.last[c], t.suppressed[c] = now, 0
	return log
}
