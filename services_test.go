package espial_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// services returns what a node knows of services, as words.
func services(n *espial.Node) string {
	var words []string
	for s := range n.Services() {
		words = append(words, s.Service+"."+s.Member.Name)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// TestServices: every member knows on what each other listens, from the first moment on, and of
// several only those are dialled that do.
func TestServices(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		c.serveEcho(c.nodes[1], "web")
		api := c.serveEcho(c.nodes[1], "api")
		own := c.serveEcho(c.nodes[0], "own")
		late := c.start(espial.Config{})
		if err := late.WaitFor(c.Context(), 4); err != nil {
			t.Fatal(err)
		}
		const all = "api.node-1 own.node-0 web.node-1"
		if got := services(late); got != all {
			t.Errorf("right after WaitFor a newcomer knows %q, want %q", got, all)
		}
		for range 8 {
			if answer, err := c.askEcho(late, "api.*"); answer != "node-1: hello" || err != nil {
				t.Errorf("Dial(api.*) brings %q, %v", answer, err)
			}
		}
		if open := late.Status().Queues["stream_connections"]; open != 1 {
			t.Errorf("%d connections for streams, want one: nobody else was asked", open)
		}
		began := time.Now()
		if _, err := late.Dial(c.Context(), "nothing.*"); !errors.Is(err, espial.ErrNoService) || time.Since(began) > 0 {
			t.Errorf("Dial(nothing.*) = %v after %v, want %v at once", err, time.Since(began), espial.ErrNoService)
		}
		_, _ = api.Close(), own.Close()
		time.Sleep(time.Millisecond)
		for _, n := range c.nodes {
			if got := services(n); got != "web.node-1" {
				t.Errorf("%s knows %q, want what is left", n.Name(), got)
			}
		}
		if _, err := late.Dial(c.Context(), "api.others"); !errors.Is(err, espial.ErrNoService) {
			t.Errorf("Dial(api.others) = %v, want %v", err, espial.ErrNoService)
		}
	})
}

// TestServicesAreWatched: what comes, what goes, and what a member has that comes itself.
func TestServicesAreWatched(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		seen := c.offered(func(change espial.Change) string {
			switch change.Kind {
			case espial.ServiceAdded, espial.ServiceRemoved, espial.RemovedNode:
				return fmt.Sprint(change.Kind, " ", change.Member.Name, " ", change.Service)
			default:
				return ""
			}
		}, func() (withdraw func()) {
			c.serveEcho(c.nodes[0], "own")
			api := c.serveEcho(c.nodes[1], "api")
			c.serveEcho(c.nodes[1], "web")
			return func() { _ = api.Close() }
		})
		want := []string{
			"espial.service_added node-0 own", "espial.service_added node-1 api", "espial.service_added node-1 web",
			"espial.service_removed node-1 api", "removed_node node-1 ", "espial.service_added node-1 web",
		}
		if !slices.Equal(seen, want) {
			t.Errorf("saw\n%q, want\n%q", seen, want)
		}
	})
}

// TestServicesOfAPartialMesh: members without a link tell each other, and who never had anything to
// tell is not asked without end.
func TestServicesOfAPartialMesh(t *testing.T) {
	const nodes = 12
	inMesh(t, nodes, 4, func(int) espial.Config { return espial.Config{} }, func(c *cluster) {
		c.serveEcho(c.nodes[7], "api")
		time.Sleep(15 * time.Second) // a link on demand waits until the mesh is settled
		for _, n := range c.nodes {
			if got := services(n); got != "api.node-7" {
				t.Errorf("%s knows %q", n.Name(), got)
			}
			if answer, err := c.askEcho(n, "api.*"); answer != "node-7: hello" || err != nil {
				t.Errorf("%s dials api.*: %q, %v", n.Name(), answer, err)
			}
		}
		began := time.Now()
		_, err := c.nodes[0].Dial(c.Context(), "nothing.*")
		if took := time.Since(began); err == nil || took > 20*time.Second { // four that get no link
			t.Errorf("Dial(nothing.*) = %v after %v, want %v", err, took, espial.ErrNoService)
		}
	})
}

// A service of one member that is named is asked for whatever the member said last: Dial right
// after Listen works.
func TestOneMemberIsAsked(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		for i := range 10 {
			service := fmt.Sprintf("s-%d", i)
			ln, err := c.nodes[1].Listen(service)
			if err != nil {
				t.Fatal(err)
			}
			var nc net.Conn
			if nc, err = c.nodes[0].Dial(c.Context(), service+".node-1"); err != nil {
				t.Fatalf("Dial right after Listen = %v", err)
			}
			_, _ = nc.Close(), ln.Close()
		}
	})
}
