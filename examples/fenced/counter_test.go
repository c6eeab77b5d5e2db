package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/examples/internal/local"
)

func TestCounterKeepsTheHighestToken(t *testing.T) {
	for _, tt := range []struct {
		name   string
		tokens []uint64 // of one put after the other
		want   int64    // the last put that was taken, counted from 1
	}{
		{"the same token writes again", []uint64{7, 7}, 2},
		{"a higher token takes over", []uint64{7, 8}, 2},
		{"a lower token is refused", []uint64{8, 7}, 1},
		{"a refusal is no obstacle to the holder", []uint64{8, 7, 8}, 3},
		{"the highest token of all is taken", []uint64{1 << 52, 1<<53 - 1}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newCounter(t)
			highest := uint64(0)
			for i, token := range tt.tokens {
				highest = max(highest, token)
				err := k.put(t.Context(), token, int64(i+1))
				if refused := errors.Is(err, errStale); refused != (token < highest) || !refused && err != nil {
					t.Errorf("put %d of %v: %v, highest token %d", i+1, tt.tokens, err, highest)
				}
			}
			if got, err := k.take(t.Context(), highest); err != nil || got != tt.want {
				t.Errorf("after %v: %d, %v, want %d", tt.tokens, got, err, tt.want)
			}
		})
	}
}

// A leader that only read has fenced its predecessor all the same.
func TestTakeRefusesTheOneBefore(t *testing.T) {
	k := newCounter(t)
	if _, err := k.take(t.Context(), 42); err != nil {
		t.Fatal(err)
	}
	if err := k.put(t.Context(), 41, 1); !errors.Is(err, errStale) {
		t.Errorf("put with token 41 after take with 42: %v, want %v", err, errStale)
	}
	if _, err := k.take(t.Context(), 41); !errors.Is(err, errStale) {
		t.Errorf("take with token 41 after take with 42: %v, want %v", err, errStale)
	}
}

// TestLateWriteOfAFormerLeaderIsRefused is the story of docs/leadership.md with real nodes:
// a leader has a write in hand and does not look again, as if it were paused there; another
// node begins to lead; the write comes late.
func TestLateWriteOfAFormerLeaderIsRefused(t *testing.T) {
	k := newCounter(t)
	terms := make(chan *espial.Term)
	nodes := startNodes(t, terms)

	first := receive(t, terms)
	value, err := k.take(t.Context(), first.Token)
	if err != nil {
		t.Fatal(err)
	}
	handOver(t, nodes)
	second := receive(t, terms)
	if second.Token <= first.Token {
		t.Errorf("the second leader has token %d, the first had %d: want it higher", second.Token, first.Token)
	}
	if err := k.put(t.Context(), second.Token, value+10); err != nil {
		t.Errorf("the leader cannot write: %v", err)
	}
	if err := k.put(t.Context(), first.Token, value+1); !errors.Is(err, errStale) {
		t.Errorf("the late write of the former leader: %v, want %v", err, errStale)
	}
	if first.Err() == nil {
		t.Error("the term of the former leader is not over")
	}
	if got, err := k.take(t.Context(), second.Token); err != nil || got != value+10 {
		t.Errorf("the number is %d, %v, want %d", got, err, value+10)
	}
}

// TestFencedCountsOnUnderTheNextLeader runs the program itself: the count goes on where the
// first leader left it.
func TestFencedCountsOnUnderTheNextLeader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "count.db")
	c := local.Config(t, "fenced")
	c.Election = espial.Quorum(1) // one at a time here
	last := 0
	for i := range 2 {
		ctx, cancel := context.WithCancel(wait(t))
		r, w := io.Pipe()
		var program sync.WaitGroup
		program.Go(func() {
			if err := fenced(ctx, c, path, w); err != nil {
				t.Error(err)
			}
			w.Close()
		})
		before := last
		for lines := bufio.NewScanner(r); lines.Scan(); last++ {
			cancel() // it has counted, and may do so once more
			if want := fmt.Sprint("counted to ", last+1, " with token "); !strings.HasPrefix(lines.Text(), want) {
				t.Errorf("leader %d says %q, want %q", i, lines.Text(), want)
			}
		}
		if last == before {
			t.Errorf("leader %d does not count", i)
		}
		program.Wait()
		cancel()
	}
}

// newCounter returns a counter in a file of its own.
func newCounter(t *testing.T) *counter {
	t.Helper()
	k, err := openCounter(t.Context(), filepath.Join(t.TempDir(), "a count?.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.close)
	return k
}

// startNodes starts three nodes, which send their terms to terms.
func startNodes(t *testing.T, terms chan<- *espial.Term) []*espial.Node {
	t.Helper()
	c := local.Config(t, "fenced")
	c.Election = espial.Quorum(3)
	ctx, cancel := context.WithCancel(t.Context())
	var loops sync.WaitGroup
	var nodes []*espial.Node
	t.Cleanup(func() {
		cancel()
		for _, n := range nodes {
			loops.Go(func() { _ = n.Close() })
		}
		loops.Wait()
	})
	for i := range 3 {
		c.Name = fmt.Sprint("node-", i+1)
		n, err := espial.Start(context.WithoutCancel(ctx), c)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
		loops.Go(func() {
			for term := range n.Terms(ctx) {
				select {
				case terms <- term:
				case <-ctx.Done():
				}
				<-term.Done()
			}
		})
	}
	for _, n := range nodes {
		if err := n.WaitFor(wait(t), len(nodes)); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

// handOver makes another node than the present leader lead.
func handOver(t *testing.T, nodes []*espial.Node) {
	t.Helper()
	for _, n := range nodes {
		if n.Leading() {
			if err := n.Resign(wait(t)); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("no node leads")
}

// receive returns the next term.
func receive(t *testing.T, terms <-chan *espial.Term) *espial.Term {
	t.Helper()
	select {
	case term := <-terms:
		return term
	case <-wait(t).Done():
		t.Fatal("nobody leads")
		return nil
	}
}

// wait returns a context that ends long after what a test waits for should have come.
func wait(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
