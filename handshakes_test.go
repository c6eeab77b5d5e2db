package espial_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// D03: handshakes without end cost a node few of them, and who comes from elsewhere joins.
func TestHandshakesWithoutEndLeaveRoomForANode(t *testing.T) {
	empty(t, func(c *cluster) {
		n := c.start(espial.Config{})
		var shaken atomic.Int64
		flood := func(a *attacker) {
			config := a.config()
			for range 300 {
				if t, err := a.tryDial(n, config); err == nil {
					shaken.Add(1)
					_ = t.conn.Close()
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
		began := time.Now()
		var floods sync.WaitGroup
		for i := range 5 {
			floods.Go(func() { flood(c.attacker(100 + i)) })
		}
		time.Sleep(2 * time.Second)
		joining := time.Now()
		c.start(espial.Config{})
		c.meet(2)
		if took := time.Since(joining); took > time.Second {
			c.Errorf("a node joined after %v, want within 1s", took)
		}
		floods.Wait()
		seconds := time.Since(began).Seconds()
		if got, most := shaken.Load(), int64(5*(32+8*seconds)); got > most {
			c.Errorf("%d handshakes in %.1f s from five addresses, want at most %d", got, seconds, most)
		}
		if got := n.Status().Dropped["too_often"]; got < 1000 {
			c.Errorf("%d connections were refused as too many in a time, want over 1,000", got)
		}
	})
}
