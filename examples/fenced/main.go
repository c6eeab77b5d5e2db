// Fenced counts seconds in a SQLite file, on the leader of its cluster only: start it three
// times with the same file on one host, and stop the one that counts (Ctrl-C, or Ctrl-Z to
// pause it, and fg). Every write carries the leader's token, so that the file refuses what
// a former leader still writes.
//
// It is a module of its own, because espial does not depend on a database.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/espial-go/espial"
)

const (
	every    = time.Second     // between two counts
	leaveMax = 5 * time.Second // to hand over at the end
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: fenced FILE")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c := espial.Config{Cluster: "fenced", Election: espial.Quorum(3)}
	if err := fenced(ctx, c, os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// fenced runs a node that counts in the file at path whenever it leads, and says so on w, until
// ctx ends.
func fenced(ctx context.Context, c espial.Config, path string, w io.Writer) error {
	k, err := openCounter(ctx, path)
	if err != nil {
		return err
	}
	defer k.close()
	n, err := espial.Start(context.WithoutCancel(ctx), c) // the end of ctx is a Leave, below
	if err != nil {
		return err
	}
	for term := range n.Terms(ctx) { //nolint:contextcheck // a term is a context, made from ctx
		switch err := count(term, k, w); {
		case errors.Is(err, errStale):
			fmt.Fprintln(w, "refused:", err) // another one leads, which this node will hear soon
		case err != nil && term.Err() == nil:
			return errors.Join(err, n.Close())
		}
	}
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveMax)
	defer cancel()
	return n.Leave(leave)
}

// count counts on from what the file says, until the term is over or a write is refused.
func count(term *espial.Term, k *counter, w io.Writer) error {
	value, err := k.take(term, term.Token)
	if err != nil {
		return err
	}
	for term.Err() == nil {
		value++
		// Between the question above and the write below anything can happen, a pause of an
		// hour included. The token makes that harmless.
		if err := k.put(term, term.Token, value); err != nil {
			return err
		}
		fmt.Fprintln(w, "counted to", value, "with token", term.Token)
		select {
		case <-time.After(every):
		case <-term.Done():
		}
	}
	return nil
}
