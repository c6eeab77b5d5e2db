package wrap_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"golang.org/x/time/rate"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/wrap"
)

// A node that sends at most 10 MiB each second on all its streams together, compresses those
// of one service, and knows what all of them cost. The other nodes have the same functions.
func Example() {
	var traffic wrap.Counter
	compress := wrap.Compress()
	n, err := espial.Start(context.Background(), espial.Config{
		Cluster: "example-wrap", Listen: "127.0.0.1:0",
		Multicast: espial.Multicast{Off: true},
		Wrap: []wrap.Func{
			wrap.Limit(rate.NewLimiter(10<<20, 64<<10), nil),
			wrap.Count(&traffic),
			func(nc net.Conn, s espial.StreamInfo) (net.Conn, error) {
				if s.Service != "logs" {
					return nc, nil
				}
				return compress(nc, s)
			},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	fmt.Println(traffic.Open(), "streams,", traffic.Sent(), "bytes")
	// Output: 0 streams, 0 bytes
}
