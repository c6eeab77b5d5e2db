// Environments runs one program for development, staging and production, side by side on one
// network: the environment is part of the cluster's name, so that a copy reaches the services of
// its own and cannot see the others. Start it in a few terminals, as "environments staging ann",
// "environments staging bob" and "environments production eve"; each asks for a price every second.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/espial-go/espial"
)

func main() {
	if len(os.Args) != 3 {
		check(errors.New("usage: environments ENVIRONMENT NAME"))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	n, err := espial.Start(context.WithoutCancel(ctx), espial.Config{
		Cluster: "shop-" + os.Args[1], Name: os.Args[2],
	})
	check(err)
	var serving sync.WaitGroup
	serving.Go(func() { check(serve(ctx, n)) })
	for ctx.Err() == nil {
		price, err := ask(ctx, n)
		if err == nil {
			fmt.Println(price)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	serving.Wait()
	check(n.Close())
}

// serve tells everybody who asks a price, until ctx ends.
func serve(ctx context.Context, n *espial.Node) error {
	ln, err := n.Listen("prices")
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	for {
		nc, err := ln.Accept()
		if err != nil {
			return nil // ctx or the node ended
		}
		_, _ = fmt.Fprintf(nc, "7.50 at %s of %s", n.Name(), n.Cluster()) // who went does not read it
		_ = nc.Close()
	}
}

// ask asks any copy of this environment for a price, this one included: nobody had to say where
// they are, and nothing of it differs from environment to environment.
func ask(ctx context.Context, n *espial.Node) (string, error) {
	nc, err := n.Dial(ctx, "prices.*")
	if err != nil {
		return "", err
	}
	price, err := io.ReadAll(io.LimitReader(nc, 1<<10))
	return string(price), errors.Join(err, nc.Close())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
