package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/examples/internal/local"
)

// TestNotesAreReadByName starts two copies, and reads in one what was typed into the other.
func TestNotesAreReadByName(t *testing.T) {
	c := local.Config(t, "notes")
	nodes, pads := map[string]*espial.Node{}, map[string]*pad{}
	for _, name := range []string{"ann", "bob"} {
		c.Name = name
		n, err := espial.Start(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		ln, err := n.Listen("notes")
		if err != nil {
			t.Fatal(err)
		}
		nodes[name], pads[name] = n, &pad{}
		server := http.Server{Handler: pads[name], ReadHeaderTimeout: time.Second}
		t.Cleanup(func() { _ = server.Close() })
		go func() { _ = server.Serve(ln) }()
	}
	for _, n := range nodes {
		if err := n.WaitFor(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
	}

	var said string
	say := func(text string) { said += text }
	pads["ann"].read(t.Context(), client(nodes["ann"]), strings.NewReader("buy milk\nbuy bread\n"), say)
	pads["bob"].read(t.Context(), client(nodes["bob"]), strings.NewReader("sleep\n@ann\n@eve\n"), say)

	want := fmt.Sprintf("2 notes for %s\nbuy milk\nbuy bread\nthere is no eve\n", nodes["bob"].ID().Short())
	if said != want {
		t.Errorf("bob typed @ann and @eve and read\n%s\nwant\n%s", said, want)
	}
}
