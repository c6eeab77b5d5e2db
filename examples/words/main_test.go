package main

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/examples/internal/local"
)

// TestEveryBookIsAsked starts three copies, of which two know a word.
func TestEveryBookIsAsked(t *testing.T) {
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait) // last: when the nodes are closed
	c := local.Config(t, "words")
	var nodes []*espial.Node
	var books []*Book
	for _, name := range []string{"ann", "bob", "eve"} {
		b := &Book{means: map[string]string{}}
		c.Name = name
		n, err := espial.Start(t.Context(), b.config(c))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		ln, err := n.Listen("words")
		if err != nil {
			t.Fatal(err)
		}
		serving.Go(func() { serve(ln, b) })
		nodes, books = append(nodes, n), append(books, b)
	}
	for _, n := range nodes {
		if err := n.WaitFor(t.Context(), len(nodes)); err != nil {
			t.Fatal(err)
		}
	}

	say := func(text string) { t.Errorf("who explains a word is told %q", text) }
	long := strings.Repeat("a hot drink ", 1000)
	books[0].read(t.Context(), nodes[0], strings.NewReader("tea: "+long), say)
	books[1].read(t.Context(), nodes[1], strings.NewReader("tea: a plant"), say)
	var got []string
	books[2].read(t.Context(), nodes[2], strings.NewReader("tea\ncocoa\n"), func(text string) { got = append(got, text) })
	if len(got) != 3 || got[2] != "nobody knows cocoa" {
		t.Fatalf("who asks for tea and cocoa reads %q", got)
	}
	if slices.Sort(got[:2]); got[0] != long || got[1] != "a plant" {
		t.Errorf("who asks for tea reads %.40q, want what two books say", got[:2])
	}
	if n := books[0].traffic.Sent(); n == 0 || n > uint64(len(long)/10) {
		t.Errorf("%d bytes passed for an answer of %d, want some that are compressed", n, len(long))
	}
}
