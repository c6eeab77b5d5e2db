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

// A node of a partial mesh starts again with its key. Nobody gets anything twice, the new
// process nothing of what was published before it was there, and all get what it publishes.
func TestANodeOfAPartialMeshStartsAgain(t *testing.T) {
	key := t.TempDir() + "/key.pem"
	writeKey(t, key)
	cfg := func(i int) espial.Config {
		if i == 3 {
			return espial.Config{KeyFile: key}
		}
		return espial.Config{}
	}
	inMesh(t, 12, 4, cfg, func(c *cluster) {
		var streams []*stream
		from := c.nodes[3].ID()
		for _, n := range c.nodes {
			streams = append(streams, c.collect(n, "t", espial.QueueMax(1<<20), espial.From(espial.Only(from))))
		}
		c.publish(c.nodes[3], 0, 49, 100)
		time.Sleep(time.Second)
		c.net.Down(ip(3))
		c.publish(c.nodes[0], 0, 9, 100)
		time.Sleep(time.Second) // until all have that
		c.net.Up(ip(3))
		fresh, err := espial.StartOn(c.Context(), espial.Host{Net: c.net, IP: ip(3)},
			espial.Config{Cluster: "test", KeyFile: key, MaxPeers: 4})
		if err != nil {
			c.Fatal(err)
		}
		c.nodes = append(c.nodes, fresh)
		e := c.collect(fresh, "t", espial.From(espial.Only(c.nodes[0].ID())))
		if err := fresh.WaitFor(c.Context(), 12); err != nil {
			c.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		c.publish(c.nodes[0], 10, 19, 100)
		c.publish(fresh, 50, 99, 100)
		time.Sleep(2 * time.Second)
		c.same("at the new process", e.got(false), numbers(10, 19))
		if times, count := e.lost(); count > 0 {
			c.Errorf("the new process is told of %d losses, %d events", times, count)
		}
		for i, s := range streams {
			if i == 3 {
				continue
			}
			c.same(fmt.Sprint("at ", i), s.got(false), numbers(0, 99))
			if _, count := s.lost(); count > 0 {
				c.Errorf("%d is told of %d lost events", i, count)
			}
		}
	})
}
