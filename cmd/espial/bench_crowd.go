package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/espial-go/espial"
)

// crowdWait bounds every wait for what the nodes of a crowd should see, which takes seconds.
const crowdWait = time.Minute

// crowd is a cluster of nodes in a process each, and what they printed. One goroutine uses
// it; a reader for each process brings the lines.
type crowd struct {
	cluster string
	nodes   []*crowdNode // the running ones, the oldest first
	started int          // names the next one
	log     []crowdLine  // everything that was printed, as it came
	lines   chan crowdLine
	readers sync.WaitGroup
}

// crowdNode is one process.
type crowdNode struct {
	name string
	addr string
	cmd  *exec.Cmd
}

// crowdLine is one change that one node printed, with the time at which that node saw it.
type crowdLine struct {
	by     string
	Time   time.Time   `json:"time"`
	Change espial.Kind `json:"change"`
	Addrs  []string    `json:"addrs"`
	Member struct {
		Name string `json:"name"`
	} `json:"member"`
	Leader struct {
		Name string `json:"name"`
	} `json:"leader"`
}

func newCrowd() *crowd {
	return &crowd{
		cluster: benchCluster(),
		lines:   make(chan crowdLine),
	}
}

// grow starts one more node, which is told where the others are, and waits until it listens.
// The end of ctx kills it.
func (c *crowd) grow(ctx context.Context) (*crowdNode, error) {
	c.started++
	n := &crowdNode{name: fmt.Sprintf("node-%d", c.started)}
	args := []string{
		"up", "--until-eof", "--json", "--cluster", c.cluster, "--name", n.name,
		"--listen", "127.0.0.1:0", "--discover", "none",
	}
	for _, other := range c.nodes {
		args = append(args, "--join", other.addr)
	}
	var err error
	if n.cmd, err = itself(ctx, args...); err != nil {
		return nil, err
	}
	// A frozen child in a group of its own is woken and ended by the system if we die.
	ownGroup(n.cmd)
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if _, err := n.cmd.StdinPipe(); err != nil { // its end, at the latest ours, is the child's end
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	c.nodes = append(c.nodes, n)
	c.readers.Go(func() { c.read(ctx, n.name, out) })
	from := len(c.log)
	err = c.await(ctx, func() bool {
		for _, s := range c.log[from:] {
			if s.by == n.name && s.Change == espial.Listening {
				n.addr = addrs(s.Addrs)
			}
		}
		return n.addr != ""
	})
	return n, err
}

// read brings what one process prints, until that ends or ctx does.
func (c *crowd) read(ctx context.Context, by string, out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		s := crowdLine{by: by}
		if json.Unmarshal(lines.Bytes(), &s) != nil {
			continue
		}
		select {
		case c.lines <- s:
		case <-ctx.Done():
			return
		}
	}
}

// await takes what is printed until done.
func (c *crowd) await(ctx context.Context, done func() bool) error {
	late := time.NewTimer(crowdWait)
	defer late.Stop()
	for !done() {
		select {
		case s := <-c.lines:
			c.log = append(c.log, s)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-late.C:
			return fmt.Errorf("the nodes did not see within %v what they should", crowdWait)
		}
	}
	return nil
}

// settle waits until every node has a link to each other one and all agree on a leader.
func (c *crowd) settle(ctx context.Context) error {
	return c.await(ctx, func() bool { return c.linked() && c.leader() != nil })
}

// linked reports whether every node has a link to each other one.
func (c *crowd) linked() bool {
	links := map[[2]string]bool{}
	for _, s := range c.log {
		switch s.Change {
		case espial.PeerAdded:
			links[[2]string{s.by, s.Member.Name}] = true
		case espial.PeerRemoved:
			delete(links, [2]string{s.by, s.Member.Name})
		default:
		}
	}
	for _, n := range c.nodes {
		for _, m := range c.nodes {
			if n != m && !links[[2]string{n.name, m.name}] {
				return false
			}
		}
	}
	return true
}

// leader returns the node of which all say that it leads, nil if they do not.
func (c *crowd) leader() *crowdNode {
	said := map[string]string{}
	for _, s := range c.log {
		if s.Change == espial.NewLeader {
			said[s.by] = s.Leader.Name
		}
	}
	for _, n := range c.nodes {
		if said[n.name] != said[c.nodes[0].name] {
			return nil
		}
	}
	i := slices.IndexFunc(c.nodes, func(n *crowdNode) bool { return n.name == said[n.name] })
	if i < 0 {
		return nil
	}
	return c.nodes[i]
}

// follower returns the youngest node that does not lead.
func (c *crowd) follower() *crowdNode {
	leader := c.leader()
	for _, n := range slices.Backward(c.nodes) {
		if n != leader {
			return n
		}
	}
	return nil
}

// drop takes n out of the running nodes: it is about to fail.
func (c *crowd) drop(n *crowdNode) {
	c.nodes = slices.DeleteFunc(c.nodes, func(m *crowdNode) bool { return m == n })
}

// first returns, for each running node, how long after start it first printed what match
// wants, looking from the given line on. Nodes that did not are left out.
func (c *crowd) first(from int, start time.Time, match func(crowdLine) bool) []time.Duration {
	var took []time.Duration
	for _, n := range c.nodes {
		i := slices.IndexFunc(c.log[from:], func(s crowdLine) bool { return s.by == n.name && match(s) })
		if i >= 0 {
			took = append(took, c.log[from+i].Time.Sub(start))
		}
	}
	return took
}
