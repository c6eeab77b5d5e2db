package engine

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// warnInterval is how often one kind of warning may be logged: strangers cause them, so
// their number must not be the strangers' choice.
const warnInterval = time.Second

// throttle counts warnings that were not logged.
type throttle struct {
	mu   sync.Mutex // guards what follows
	seen map[string]*warned
}

// warned is what a throttle knows about one message.
type warned struct {
	last       time.Time
	suppressed int
}

// admit reports whether a message may be logged now, and how many like it were not
// since the last one that was.
func (t *throttle) admit(msg string, now time.Time) (suppressed int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil {
		t.seen = map[string]*warned{}
	}
	w := t.seen[msg]
	if w == nil {
		w = &warned{}
		t.seen[msg] = w
	}
	if !w.last.IsZero() && now.Sub(w.last) < warnInterval {
		w.suppressed++
		return 0, false
	}
	suppressed = w.suppressed
	w.last, w.suppressed = now, 0
	return suppressed, true
}

// warn logs a constant message once a second at most.
func (e *Engine) warn(msg string, args ...any) {
	if !e.cfg.Logger.Enabled(context.Background(), slog.LevelWarn) {
		return
	}
	if suppressed, ok := e.throttle.admit(msg, time.Now()); ok {
		e.cfg.Logger.Warn(msg, append(args, "suppressed", suppressed)...)
	}
}
