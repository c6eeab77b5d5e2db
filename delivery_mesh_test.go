package espial_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// Where nobody has links with all a broadcast reaches all the same: in the order of its
// publisher, once, and while nodes are killed and others come.
func TestBroadcastsReachAllOfAPartialMesh(t *testing.T) {
	const nodes = 12
	inMesh(t, nodes, 4, func(int) espial.Config { return espial.Config{} }, func(c *cluster) {
		publishers := []int{0, 5, 11}
		streams := map[[2]int]*stream{} // by publisher and reader
		collect := func(reader int) {
			for _, p := range publishers {
				streams[[2]int{p, reader}] = c.collect(c.nodes[reader], "t", espial.QueueMax(1<<20),
					espial.From(espial.Only(c.nodes[p].ID())))
			}
		}
		for i := range c.nodes {
			collect(i)
		}
		sent := 0
		publish := func(rounds int) {
			for range rounds {
				size := 100
				if sent%300 == 0 {
					size = 100_000 // in pieces
				}
				for _, p := range publishers {
					c.publish(c.nodes[p], sent, sent+2, size)
				}
				sent += 3
				time.Sleep(20 * time.Millisecond)
			}
		}
		publish(100)
		for _, i := range []int{3, 7} {
			c.net.Down(ip(i))
		}
		publish(100)
		newcomer := len(c.nodes)
		c.start(espial.Config{MaxPeers: 4})
		if err := c.nodes[newcomer].WaitFor(c.Context(), 5); err != nil {
			c.Fatal(err)
		}
		collect(newcomer)
		time.Sleep(time.Second)
		joined := sent
		publish(200)
		time.Sleep(2 * time.Second)
		for key, s := range streams {
			want := numbers(0, sent-1)
			if key[1] == newcomer {
				want = numbers(joined, sent-1)
			}
			if slices.Contains([]int{3, 7}, key[1]) {
				continue
			}
			c.same(fmt.Sprintf("from %d at %d", key[0], key[1]), s.got(false), want)
			if times, count := s.lost(); times > 0 {
				c.Errorf("%d is told of %d losses of %d, %d events", key[1], times, key[0], count)
			}
		}
	})
}
