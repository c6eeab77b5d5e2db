package espial_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
)

// Each stream is reported at both ends: that it is opened, and once how it ended.
func TestStreamChanges(t *testing.T) {
	empty(t, func(c *cluster) {
		for range 2 {
			c.start(espial.Config{StreamChanges: true})
		}
		quiet := c.start(espial.Config{}) // knows nothing of this
		c.meet(3)
		ln, err := c.nodes[1].Listen("api") // whose streams nobody touches
		if err != nil {
			t.Fatal(err)
		}
		c.serveEcho(c.nodes[1], "echo")
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(c.Context())
		defer cancel()
		var mu sync.Mutex // guards seen
		var seen, logs [3][]string
		for i, n := range c.nodes {
			changes := n.Changes(ctx)
			go func() {
				for change := range changes {
					if kind, ok := strings.CutPrefix(string(change.Kind), "espial.stream_"); ok {
						mu.Lock()
						seen[i] = append(seen[i], fmt.Sprintf("%s %s of %s by %s %s",
							kind, change.Service, change.Member.Name, change.By, change.Reason))
						mu.Unlock()
					}
				}
			}()
		}
		at := func(kind, service, name, by, reason string) string {
			return fmt.Sprintf("%s %s of %s by %s %s", kind, service, name, by, reason)
		}
		dial := func(service string) (closed func()) {
			nc, err := c.nodes[0].Dial(c.Context(), service+".node-1")
			if err != nil {
				t.Fatal(err)
			}
			return func() { nc.Close() }
		}
		for _, tt := range []struct {
			name       string
			do         func()
			near, far  string // how it ended, with the reason
			wait       time.Duration
			neverThere bool // at the far end
		}{
			{"both ends close", func() { _, _ = c.askEcho(c.nodes[0], "echo.node-1") }, "closed", "closed", time.Second, false},
			{"the other end never closes", func() {
				dial("api")()
			}, "timeout took too long", "closed took too long", 70 * time.Second, false},
			{"the connection breaks", func() {
				dial("api")
				c.net.Reset(ip(0), ip(1))
			}, "closed connection lost", "closed connection lost", time.Second, false},
			{"no answer comes", func() {
				dial("api")()
				time.Sleep(time.Minute)
				dial("echo") // a connection is there
				c.net.Pause(ip(1))
				_, _ = c.nodes[0].Dial(c.Context(), "late.node-1")
				c.net.Resume(ip(1))
			}, "timeout took too long", "", time.Second, true},
		} {
			mu.Lock()
			seen = [3][]string{}
			mu.Unlock()
			tt.do()
			time.Sleep(tt.wait)
			synctest.Wait()
			mu.Lock()
			logs = seen
			mu.Unlock()
			if tt.neverThere {
				want := at("timeout", "late", "node-1", "self", "took too long")
				if !slices.Contains(logs[0], want) {
					t.Errorf("%s: the near end saw %q, want %q among it", tt.name, logs[0], want)
				}
				continue
			}
			service := "api"
			if strings.HasPrefix(tt.name, "both") {
				service = "echo"
			}
			for end, how := range []string{tt.near, tt.far} {
				other, by := "node-1", "self"
				if end == 1 {
					other, by = "node-0", "peer"
				}
				kind, reason, _ := strings.Cut(how, " ")
				want := []string{at("opened", service, other, by, ""), at(kind, service, other, by, reason)}
				if !slices.Equal(logs[end], want) {
					t.Errorf("%s: node-%d saw %q, want %q", tt.name, end, logs[end], want)
				}
			}
		}
		if len(logs[2]) > 0 {
			t.Errorf("%s was told of streams: %q", quiet.Name(), logs[2])
		}
		_ = ln.Close()
	})
}
