package espial_test

import (
	"testing"
	"time"

	"github.com/espial-go/espial/internal/frame"
)

// A peer that was admitted and keeps its record to itself is listed by nobody. It must
// not read or publish either: its first data frame ends the link.
func TestPeerWithoutARecordNeitherReadsNorPublishes(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		n := c.nodes[0]
		heard := c.listen(n, ">")
		t := c.attacker(9).admitted(n)
		t.say(opening())
		_, _ = t.conn.Write(events(frame.Direct, 1, "orders.placed", "boo"))
		for range 10 {
			if err := n.Publish(c.Context(), "secret.plan", []byte("for members")); err != nil {
				c.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		for {
			raw, err := t.next()
			if err != nil {
				break // the link ended
			}
			if raw.Type == frame.TypeEvents {
				c.Fatal("the ghost reads what is for members")
			}
		}
		for _, e := range heard.heard() {
			if e == "boo" {
				c.Error("the ghost was heard")
			}
		}
	})
}
