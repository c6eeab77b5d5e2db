package main

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/espial-go/espial"
)

// pool is workers at nodes of one cluster, and what they did.
type pool struct {
	*testing.T
	jobs  *espial.Topic[string]
	nodes []*espial.Node

	mu   sync.Mutex // guards what follows
	did  map[string][]string
	loop sync.WaitGroup
}

// newPool starts nodes that meet on this host, without multicast.
func newPool(t *testing.T, nodes int) *pool {
	t.Helper()
	p := &pool{T: t, jobs: espial.NewTopic[string]("jobs"), did: map[string][]string{}}
	c := espial.Config{Cluster: "jobs", Listen: "127.0.0.1:0", Multicast: espial.Multicast{Off: true}}
	for i := range nodes {
		c.Name = fmt.Sprint("node-", i)
		n, err := espial.Start(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		c.Seeds = n.Addrs()
		p.nodes = append(p.nodes, n)
	}
	for _, n := range p.nodes {
		if err := n.WaitFor(t.Context(), nodes); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// work lets a node do its share until ctx ends; do is told of each job before it is done.
func (p *pool) work(ctx context.Context, n *espial.Node, do func(job string)) {
	p.loop.Go(func() {
		work(ctx, n, p.jobs, func(job string) {
			do(job)
			p.mu.Lock()
			p.did[job] = append(p.did[job], n.Name())
			p.mu.Unlock()
		})
	})
}

// hand hands a job over at the first node.
func (p *pool) hand(job string) {
	p.Helper()
	if err := hand(p.Context(), p.nodes[0], p.jobs, job); err != nil {
		p.Fatalf("hand(%q) = %v", job, err)
	}
}

// TestEachJobIsDoneByOneOfAll hands jobs over, and sees who did each.
func TestEachJobIsDoneByOneOfAll(t *testing.T) {
	p := newPool(t, 3)
	ctx, cancel := context.WithCancel(t.Context())
	for _, n := range p.nodes {
		p.work(ctx, n, func(string) {})
	}
	share := map[string]int{}
	for i := range 30 {
		job := fmt.Sprint("job ", i)
		p.hand(job)
		p.mu.Lock()
		if len(p.did[job]) != 1 {
			t.Errorf("%s is done by %v when its publisher goes on, want one of three", job, p.did[job])
		}
		share[p.did[job][0]]++
		p.mu.Unlock()
	}
	cancel()
	p.loop.Wait()
	for _, n := range p.nodes {
		if share[n.Name()] == 0 {
			t.Errorf("30 jobs are shared as %v, and %s did none", share, n.Name())
		}
	}
}

// TestAJobOutlivesItsWorker: the first node that has the job ends in the middle of it.
func TestAJobOutlivesItsWorker(t *testing.T) {
	p := newPool(t, 3)
	var first sync.Once
	for _, n := range p.nodes[1:] {
		p.work(t.Context(), n, func(string) { first.Do(func() { _ = n.Close() }) })
	}
	p.hand("deadly")
	p.mu.Lock()
	defer p.mu.Unlock()
	if did := p.did["deadly"]; len(did) != 2 || did[0] == did[1] {
		t.Errorf("the job was begun by %v, want two nodes", did)
	}
}
