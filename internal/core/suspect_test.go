package core_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/frame"
)

// stranger returns a member of meshed that node 0 neither watches nor dials.
func stranger(dialled []string) int {
	n := 3
	for slices.Contains(dialled, addr(n)) {
		n++
	}
	return n
}

// doubted is a suspicion of the record of node of that has a version.
func doubted(by, of int, version uint64) frame.Suspicion {
	s := frame.Suspicion{Target: id(of), Incarnation: 1, Version: version, By: id(by), Signature: make([]byte, 32)}
	if of == 0 {
		s.Incarnation = 7
	}
	return s
}

// said returns what the core decided but for probes.
func (n *node) said() []string {
	return slices.DeleteFunc(n.take(), func(w string) bool { return strings.Contains(w, "PROBE") })
}

func TestSuspicions(t *testing.T) {
	// start returns a node with links 1 and 2 that knows version v of node of.
	start := func(t *testing.T) (n *node, of int, v uint64, from core.LinkID) {
		n, dialled := meshed(t)
		of = stranger(dialled)
		n.join(2, 1)
		n.hear()
		n.take()
		return n, of, uint64(n.now.UnixMilli()), n.links - 1
	}
	later := func(of int, v uint64) []frame.Record {
		return []frame.Record{record(of, 1, func(r *frame.Record) { r.Version = v + 1 })}
	}
	hears := func(n *node, from core.LinkID, s frame.Suspicion) []string {
		n.Receive(n.now, from, s)
		return n.said()
	}
	about := func(of int, words []string) []string {
		return slices.DeleteFunc(words, func(w string) bool { return !strings.HasSuffix(w, " "+record(of, 1).Name) })
	}
	check := func(t *testing.T, what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: decided %q, want %q", what, got, want)
		}
	}
	t.Run("one is passed on once and believed if it is not refuted", func(t *testing.T) {
		n, of, v, l := start(t)
		check(t, "at first", hears(n, l, doubted(2, of, v)), "send 2 SUSPICION")
		check(t, "again", hears(n, l, doubted(2, of, v)))
		check(t, "without an answer", about(of, n.pass(100*time.Millisecond, l, l+1)), "suspected_node "+record(of, 1).Name)
	})
	t.Run("one that a record refutes is answered with it", func(t *testing.T) {
		n, of, v, l := start(t)
		n.Learn(n.now, l, later(of, v))
		n.take()
		check(t, "refuted", hears(n, l, doubted(2, of, v)), "send 1 RECORDS×1")
		check(t, "later", about(of, n.pass(3*time.Second, l, l+1)))
	})
	t.Run("one of a version that was not seen is neither believed nor passed on until it is", func(t *testing.T) {
		n, of, v, l := start(t)
		check(t, "ahead", hears(n, l, doubted(2, of, v+1)))
		check(t, "later", about(of, n.pass(3*time.Second, l, l+1)))
		n.Learn(n.now, l, later(of, v))
		n.take()
		check(t, "behind its record", hears(n, l, doubted(2, of, v+1)), "send 2 SUSPICION")
	})
	t.Run("one of this node is refuted, an old one with the record, one of the future not at all", func(t *testing.T) {
		n, of, _, l := start(t)
		version := n.Self().Version
		check(t, "ahead", hears(n, l, doubted(2, 0, version+1)))
		hears(n, l, doubted(2, 0, version))
		if got := n.Self().Version; got != version+1 {
			t.Errorf("version %d after a suspicion, want %d", got, version+1)
		}
		check(t, "behind", hears(n, l, doubted(of, 0, version)), "send 1 RECORDS×1")
		n.now = n.now.Add(600 * time.Millisecond)
		hears(n, l, doubted(2, 0, version+1)) // it was ahead once
		if got := n.Self().Version; got != version+2 {
			t.Errorf("version %d after a suspicion that was ahead before, want %d", got, version+2)
		}
	})
	t.Run("one of a stranger, or by one, is nobody's business", func(t *testing.T) {
		n, of, v, l := start(t)
		check(t, "by a stranger", hears(n, l, doubted(30, of, v)))
		check(t, "of a stranger", hears(n, l, doubted(2, 30, v)))
	})
}
