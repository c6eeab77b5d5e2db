package espial_test

import (
	"context"
	"fmt"

	"github.com/espial-go/espial"
)

// A result that is read while it is made. Both ends share the declaration; here a node calls itself.
func ExampleFlow() {
	ctx := context.Background()
	n, err := espial.Start(ctx, espial.Config{
		Cluster: "example-flow", Listen: "127.0.0.1:0", Multicast: espial.Multicast{Off: true},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer n.Close()

	squares := espial.NewMethod[int, espial.Flow[int]]("squares")
	stop, err := squares.Serve(n, func(_ context.Context, _ espial.Caller, from int) (espial.Flow[int], error) {
		return espial.FlowOf(func(yield func(int, error) bool) {
			for i := from; ; i++ {
				if !yield(i*i, nil) {
					return // nobody reads on
				}
			}
		}), nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()

	flow, err := squares.Call(ctx, n, espial.Only(n.ID()), 3)
	if err != nil {
		fmt.Println(err)
		return
	}
	for square, err := range flow.All() {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(square)
		if square > 20 {
			break
		}
	}
	// Output:
	// 9
	// 16
	// 25
}
