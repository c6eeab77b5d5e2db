// Hello greets the other nodes of its cluster and ends when one of them greets back.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/espial-go/espial"
)

func main() {
	if err := greet(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func greet(ctx context.Context) error {
	n, err := espial.Start(ctx, espial.Config{Cluster: "hello"})
	if err != nil {
		return err
	}
	greetings := espial.NewTopic[string]("greetings")
	events := greetings.Subscribe(ctx, n)
	if err := n.WaitFor(ctx, 2); err != nil { // this node and one more
		return err
	}
	if err := greetings.Publish(ctx, n, "hello from "+n.Name()); err != nil {
		return err
	}
	for e, err := range events {
		if err != nil {
			return err
		}
		fmt.Println(e.From.ID.Short(), "says:", e.Value)
		if e.From.ID != n.ID() {
			break
		}
	}
	return n.Leave(ctx) // once the others have what was published
}
