package espial_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
)

// hear returns what an accepted stream of serveEcho answers.
func hear(nc net.Conn) string {
	defer nc.Close()
	_ = nc.(interface{ CloseWrite() error }).CloseWrite()
	b, err := io.ReadAll(nc)
	if err != nil {
		return err.Error()
	}
	name, _, _ := strings.Cut(string(b), ":")
	return name
}

// One stream or one error of each member that is meant, which says of whom it is.
func TestStreams(t *testing.T) {
	inCluster(t, 5, func(c *cluster) {
		for _, n := range c.nodes[2:] {
			c.serveEcho(n, "api")
		}
		time.Sleep(time.Millisecond)
		began := time.Now()
		var got []string
		for nc, err := range c.nodes[0].Streams(c.Context(), espial.Others(), "api") {
			if err == nil {
				got = append(got, hear(nc))
				continue
			}
			e, ok := errors.AsType[*espial.StreamError](err)
			if !ok || e.Member.Name != "node-1" || e.Service != "api" || !errors.Is(err, espial.ErrNoService) {
				t.Errorf("%v, want that node-1 does not listen", err)
			}
			const want = `espial: stream to "api" of node-1 (`
			if got = append(got, "none"); !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%q, want %q…", err, want)
			}
		}
		slices.Sort(got)
		if want := []string{"node-2", "node-3", "node-4", "none"}; !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
		if took := time.Since(began); took > 15*time.Millisecond {
			t.Errorf("it took %v, want that three connections are made at the same time", took)
		}
		one := 0
		for nc, err := range c.nodes[0].Streams(c.Context(), espial.All().One(), "api") {
			if err != nil || hear(nc) == "" {
				t.Errorf("a stream to one of all: %v", err)
			}
			one++
		}
		if one != 1 {
			t.Errorf("%d streams to one of all", one)
		}
	})
}

func TestStreamsThatCannotBe(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		n := c.nodes[0]
		ended, cancel := context.WithCancel(c.Context())
		cancel()
		for _, tt := range []struct {
			name    string
			ctx     context.Context
			to      espial.Target
			service string
			want    error // nil for any
		}{
			{"nobody is meant", c.Context(), espial.Named("db-*"), "api", espial.ErrNoMember},
			{"no target", c.Context(), espial.Named("A B"), "api", nil},
			{"no service", c.Context(), espial.All(), "A B", nil},
			{"one member that does not listen", c.Context(), espial.Named("node-1"), "api", espial.ErrNoService},
			{"the context has ended", ended, espial.Named("node-1"), "api", context.Canceled},
		} {
			count := 0
			for nc, err := range n.Streams(tt.ctx, tt.to, tt.service) {
				count++
				e, ok := errors.AsType[*espial.StreamError](err)
				if nc != nil || !ok || e.Service != tt.service || tt.want != nil && !errors.Is(err, tt.want) {
					t.Errorf("%s: %v, %v; want %v", tt.name, nc, err, tt.want)
				}
			}
			if count != 1 {
				t.Errorf("%s: %d times, want once", tt.name, count)
			}
		}
		n.Close()
		for _, persist := range [][]espial.DialOption{nil, {espial.Persist()}} {
			for nc, err := range n.Streams(c.Context(), espial.All(), "api", persist...) {
				if nc != nil || !errors.Is(err, espial.ErrClosed) {
					t.Errorf("a node that ended: %v, %v; want %v", nc, err, espial.ErrClosed)
				}
			}
		}
	})
}

// A loop that ends closes what was opened and not handed to it, and nothing else.
func TestALoopOverStreamsThatEnds(t *testing.T) {
	inCluster(t, 6, func(c *cluster) {
		for _, n := range c.nodes[1:] {
			c.serveEcho(n, "api")
		}
		time.Sleep(time.Millisecond)
		var kept net.Conn
		for nc, err := range c.nodes[0].Streams(c.Context(), espial.Others(), "api") {
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) // all others are open and wait
			if open := c.nodes[0].Status().Queues["streams"]; open != 5 {
				t.Errorf("%d streams are open beside the loop, want 5", open)
			}
			kept = nc
			break
		}
		time.Sleep(time.Second)
		if open := c.nodes[0].Status().Queues["streams"]; open != 1 {
			t.Errorf("%d streams are left, want the one that was handed over", open)
		}
		if name := hear(kept); !strings.HasPrefix(name, "node-") {
			t.Errorf("the stream that was handed over answers %q", name)
		}
	})
}

// persistent runs a loop with Persist and notes whose streams and errors it gets.
type persistent struct {
	over chan struct{}

	mu      sync.Mutex // guards what follows
	streams []net.Conn
	log     []string
}

// note adds a word to the log, and a stream if there is one.
func (p *persistent) note(word string, nc net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.log = append(p.log, word); nc != nil {
		p.streams = append(p.streams, nc)
	}
}

// all returns the streams.
func (p *persistent) all() []net.Conn {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.streams)
}

func persist(ctx context.Context, n *espial.Node, to espial.Target) *persistent {
	p := &persistent{over: make(chan struct{})}
	streams := n.Streams(ctx, to, "api", espial.Persist())
	go func() {
		defer close(p.over)
		for nc, err := range streams {
			switch {
			case errors.Is(err, context.DeadlineExceeded):
				continue // a dial that was under way when the network was cut
			case err != nil:
				p.note(err.Error(), nil)
				continue
			}
			name := make([]byte, len("node-0"))
			if _, err := io.ReadFull(nc, name); err != nil {
				name = []byte(err.Error())
			}
			p.note(string(name), nc)
		}
	}()
	return p
}

// took returns what came since the last call.
func (p *persistent) took() string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.Sort(p.log)
	s := strings.Join(p.log, " ")
	p.log = nil
	return s
}

// greet answers on the service api with the name of the node, and keeps the streams.
func (c *cluster) greet(n *espial.Node) net.Listener {
	c.Helper()
	ln, err := n.Listen("api")
	if err != nil {
		c.Fatal(err)
	}
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(nc, n.Name())
		}
	}()
	return ln
}

// With Persist each member that comes, comes back or begins to listen gets its stream, once.
func TestStreamsPersist(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		c.greet(c.nodes[1])
		time.Sleep(time.Second)
		p := persist(c.Context(), c.nodes[0], espial.Others())
		var second, third net.Listener
		for _, tt := range []struct {
			name string
			do   func()
			wait time.Duration
			want string
		}{
			{"who listens", func() {}, 100 * time.Millisecond, "node-1"},
			{"who begins to", func() { second = c.greet(c.nodes[2]) }, 10 * time.Millisecond, "node-2"},
			{"who appears", func() { third = c.greet(c.start(espial.Config{})) }, 5 * time.Second, "node-3"},
			{"nothing happens", func() {}, time.Minute, ""},
			{"it listens anew, and has its stream", func() {
				second.Close()
				time.Sleep(time.Second)
				second = c.greet(c.nodes[2])
			}, time.Minute, ""},
			{"that is closed", func() { p.all()[1].Close() }, 10 * time.Millisecond, "node-2"},
			{"one that did not listen anew is closed", func() { p.all()[0].Close() }, time.Minute, ""},
			{"connections that break", func() { c.net.Reset(ip(0), ip(3)) }, 900 * time.Millisecond, ""},
			{"a second later", func() {}, 200 * time.Millisecond, "node-3"},
			{"a short cut, after which the streams go on", func() {
				c.net.Partition([]netip.Addr{ip(0)})
				time.Sleep(10 * time.Second)
				c.net.Heal()
			}, time.Minute, "node-1"}, // that has none
			{"a long one", func() {
				c.net.Partition([]netip.Addr{ip(0)})
				time.Sleep(2 * time.Minute)
				c.net.Heal()
			}, 5 * time.Second, "node-1 node-2 node-3"},
			{"who leaves", func() { third.Close(); c.nodes[3].Close() }, time.Minute, ""},
			{"and starts again", func() { c.greet(c.start(espial.Config{Name: "node-3"})) }, 5 * time.Second, "node-3"},
		} {
			tt.do()
			time.Sleep(tt.wait)
			if got := p.took(); got != tt.want {
				t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
			}
		}
		c.nodes[0].Close()
		<-p.over
		if got := p.took(); got != `espial: stream to "api": `+strings.TrimPrefix(espial.ErrClosed.Error(), "espial: ") {
			t.Errorf("at its end the loop got %q", got)
		}
	})
}

// One of several has the stream, and another one when it is over; the owner of a key has it.
func TestOneStreamPersists(t *testing.T) {
	inCluster(t, 4, func(c *cluster) {
		for _, n := range c.nodes[1:] {
			c.greet(n)
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(c.Context())
		p := persist(ctx, c.nodes[0], espial.Others().One())
		all := map[string]bool{}
		for i := range 3 {
			time.Sleep(time.Minute)
			streams := p.all()
			if len(streams) != i+1 {
				t.Fatalf("%d streams, want %d", len(streams), i+1)
			}
			all[p.took()] = true
			streams[i].Close()
		}
		time.Sleep(time.Minute)
		if len(all) != 3 || len(p.all()) != 3 {
			t.Errorf("one stream after the other was to %v, want to each member once", all)
		}
		cancel()
		<-p.over
		p = persist(c.Context(), c.nodes[0], espial.Others().For("key"))
		time.Sleep(time.Second)
		for range 3 {
			owner := p.took()
			i := slices.IndexFunc(c.nodes, func(n *espial.Node) bool { return n.Name() == owner })
			if i < 0 {
				t.Fatalf("the key belongs to %q", owner)
			}
			c.nodes[i].Close()
			time.Sleep(10 * time.Second)
		}
		if got := p.took(); got != "" || len(p.all()) != 3 {
			t.Errorf("%d streams and %q, want one for each owner", len(p.all()), got)
		}
	})
}

// What fails is told and tried again, ever more seldom.
func TestStreamsThatFailAreTriedAgain(t *testing.T) {
	empty(t, func(c *cluster) {
		var tries []time.Duration
		var began time.Time
		c.start(espial.Config{Wrap: []wrapper{func(nc net.Conn, _ espial.StreamInfo) (net.Conn, error) {
			if tries = append(tries, time.Since(began).Round(100*time.Millisecond)); len(tries) < 8 {
				return nil, errors.New("not yet")
			}
			return nc, nil
		}}})
		c.greet(c.start(espial.Config{}))
		c.meet(2)
		began = time.Now()
		p := persist(c.Context(), c.nodes[0], espial.Others())
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		var want []time.Duration
		for _, s := range []int{0, 1, 3, 7, 15, 31, 61, 91} {
			want = append(want, time.Duration(s)*time.Second)
		}
		if !slices.Equal(tries, want) {
			t.Errorf("tried after %v, want %v", tries, want)
		}
		if got := p.took(); strings.Count(got, "not yet") != 7 || !strings.Contains(got, "node-1") {
			t.Errorf("the loop got %q, want 7 errors and a stream", got)
		}
	})
}

// A listener that nobody accepts from refuses what its backlog does not hold, of Streams as of
// Dial.
func TestStreamsToAFullBacklog(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		if _, err := c.nodes[1].Listen("api"); err != nil {
			t.Fatal(err)
		}
		const backlog = 512
		for i := range backlog {
			for _, err := range c.nodes[0].Streams(c.Context(), espial.Named("node-1"), "api") {
				if err != nil {
					t.Fatalf("stream %d: %v", i, err)
				}
			}
		}
		for nc, err := range c.nodes[0].Streams(c.Context(), espial.Named("node-1"), "api") {
			if !errors.Is(err, syscall.ECONNRESET) || !strings.Contains(err.Error(), "backlog full") {
				t.Errorf("one more: %v, %v; want a reset because the backlog is full", nc, err)
			}
		}
	})
}

// What happens while the body of a loop is busy is made up for when it comes back.
func TestABusyLoopOverStreams(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		ln := c.greet(c.nodes[1])
		ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
		defer cancel()
		count := 0
		for nc, err := range c.nodes[0].Streams(ctx, espial.Others(), "api", espial.Persist()) {
			if err != nil {
				t.Fatal(err)
			}
			nc.Close()
			if count++; count == 1 {
				ln.Close()
				time.Sleep(time.Second)
				c.greet(c.nodes[1])
				time.Sleep(time.Second)
			}
		}
		if count != 2 {
			t.Errorf("%d streams to a member that listened twice, want 2", count)
		}
	})
}

// Streams to many members are made some at a time.
func TestStreamsOnTheirWayAreFew(t *testing.T) {
	if raceEnabled {
		t.Skip("35 nodes cost the race detector too much")
	}
	const others, most = 34, 32
	empty(t, func(c *cluster) {
		var opening atomic.Int64
		release := make(chan struct{})
		from := c.start(espial.Config{Wrap: []wrapper{func(nc net.Conn, _ espial.StreamInfo) (net.Conn, error) {
			opening.Add(1)
			<-release
			return nc, nil
		}}})
		for range others {
			c.serveEcho(c.start(espial.Config{}), "api")
		}
		if err := from.WaitFor(c.Context(), others+1); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() {
			if n := opening.Load(); n != most {
				t.Errorf("%d streams are being opened, want %d at a time", n, most)
			}
			close(release)
		})
		count := 0
		for nc, err := range from.Streams(c.Context(), espial.Others(), "api") {
			if err != nil {
				t.Fatal(err)
			}
			nc.Close()
			count++
		}
		if count != others {
			t.Errorf("%d streams, want %d", count, others)
		}
	})
}
