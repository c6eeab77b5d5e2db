package espial_test

import (
	"context"
	"fmt"
	"io"

	"github.com/espial-go/espial"
)

// A stream to each member that listens, as soon as it does. Here that is the node itself, which
// begins to listen when the loop already waits.
func ExampleNode_Streams() {
	ctx := context.Background()
	n, err := espial.Start(ctx, espial.Config{
		Cluster: "example-streams", Name: "kitchen", Listen: "127.0.0.1:0",
		Multicast: espial.Multicast{Off: true},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer n.Close()

	go func() {
		ln, err := n.Listen("menu")
		if err != nil {
			return
		}
		for {
			nc, err := ln.Accept()
			if err != nil {
				return // the node is closed
			}
			fmt.Fprint(nc, "soup, bread")
			nc.Close()
		}
	}()

	for nc, err := range n.Streams(ctx, espial.All(), "menu", espial.Persist()) {
		if err != nil {
			fmt.Println(err) // it is tried again
			continue
		}
		menu, err := io.ReadAll(nc)
		nc.Close()
		fmt.Println(string(menu), err)
		break
	}
	for s := range n.Services() {
		fmt.Println(s.Service, "of", s.Member.Name)
	}
	// Output:
	// soup, bread <nil>
	// menu of kitchen
}
