// Hello greets the other nodes of its cluster and ends when one of them has greeted back.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/espial-go/espial"
)

func main() {
	ctx := context.Background()
	n, err := espial.Start(ctx, espial.Config{Cluster: "hello"})
	check(err)
	greetings := espial.NewTopic[string]("greetings")
	events := greetings.Subscribe(ctx, n)
	check(n.WaitFor(ctx, 2)) // this node and one more
	check(greetings.Publish(ctx, n, "hello from "+n.Name(), espial.Others()))
	for e, err := range events {
		check(err)
		fmt.Println(e.From.ID.Short(), "says:", e.Value)
		break
	}
	check(n.Leave(ctx)) // once the others have the greeting
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
