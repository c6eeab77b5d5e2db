package espial_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/memnet"
)

// onDisks runs f in a bubble with a cluster whose nodes have folders in dir. Each bubble
// begins at the same time of day.
func onDisks(t *testing.T, dir string, nodes int, m espial.Mode, f func(c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{T: t, net: memnet.New(1)}
		c.net.SetLatency(200*time.Microsecond, 400*time.Microsecond)
		defer c.close()
		for i := range nodes {
			c.start(espial.Config{Election: m, StateDir: stateDir(dir, i)})
		}
		c.meet(nodes)
		f(c)
	})
}

// stateDir returns the folder of node i.
func stateDir(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("node-%d", i)) }

// fill makes the disk of node i take nothing; mend ends that.
func fill(c *cluster, dir string, i int) {
	if err := os.Mkdir(filepath.Join(stateDir(dir, i), "terms.new"), 0o700); err != nil {
		c.Fatal(err)
	}
}

func mend(c *cluster, dir string, i int) {
	if err := os.Remove(filepath.Join(stateDir(dir, i), "terms.new")); err != nil {
		c.Fatal(err)
	}
}

// B24: all nodes stop and start again, with clocks that are behind what they were: tokens
// are greater than before.
func TestTokensGrowAcrossARestartOfAll(t *testing.T) {
	for _, tt := range []struct {
		name string
		mode espial.Mode
	}{{"available", espial.Available()}, {"quorum", espial.Quorum(3)}} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			var last uint64
			for life := range 3 {
				onDisks(t, dir, 3, tt.mode, func(c *cluster) {
					leader, first := c.led(5 * time.Second)
					if first <= last {
						c.Errorf("life %d begins with token %d after %d", life, first, last)
					}
					if err := c.nodes[leader].Resign(c.Context()); err != nil {
						c.Fatal(err)
					}
					time.Sleep(time.Second)
					next, second := c.led(5 * time.Second)
					term := c.reign(nil, c.nodes[next])
					if last = term.Token; last <= first || last != second {
						c.Errorf("token %d, in term %d after %d", last, second, first)
					}
				})
			}
		})
	}
}

// A member that starts again with what it kept costs the leader no term.
func TestARestartWithAStateDirDisturbsNobody(t *testing.T) {
	for _, tt := range []struct {
		name string
		mode espial.Mode
	}{{"available", espial.Available()}, {"quorum", espial.Quorum(3)}} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			onDisks(t, dir, 3, tt.mode, func(c *cluster) {
				leader, term := c.led(5 * time.Second)
				other := (leader + 1) % 3
				if err := c.nodes[other].Close(); err != nil {
					c.Fatal(err)
				}
				c.start(espial.Config{Election: tt.mode, StateDir: stateDir(dir, other)})
				time.Sleep(5 * time.Second)
				if again, same := c.led(time.Second, other); again != leader || same != term {
					c.Errorf("node %d leads in term %d, want still %d in %d", again, same, leader, term)
				}
			})
		})
	}
}

// B27: with a majority, a node that cannot write gives no vote in what it has no room for,
// and says so. In the Available mode it leads all the same.
func TestANodeThatCannotWriteDoesNotVote(t *testing.T) {
	dir := t.TempDir()
	onDisks(t, dir, 3, espial.Available(), func(c *cluster) {
		c.led(5 * time.Second)
		time.Sleep(time.Second) // what is under way is written
		told := c.watchAll()
		fill(c, dir, 1)
		fill(c, dir, 2)
		var billing, cache []*espial.Election
		for _, n := range c.nodes {
			billing = append(billing, n.Election("billing", espial.Quorum(3)))
			cache = append(cache, n.Election("cache", espial.Available()))
		}
		time.Sleep(30 * time.Second)
		for i, n := range c.nodes {
			full := i > 0
			if l, ok := billing[i].Leader(); ok || billing[i].Leading() {
				c.Errorf("node %d: %+v leads with the votes of nodes that cannot write", i, l)
			}
			if l, ok := cache[i].Leader(); !ok {
				c.Errorf("node %d: nobody leads in the mode Available: %+v", i, l)
			}
			if got := told[i].count(espial.DiskDown); (got == 1) != full || got > 1 {
				c.Errorf("node %d told %d times that its disk is full: %t", i, got, full)
			}
			if got := n.Status().DiskError; (got != "") != full {
				c.Errorf("node %d: the error of its disk is %q, and it is full: %t", i, got, full)
			}
		}
		for _, change := range told[1].of(espial.DiskDown) {
			if change.Reason == "" {
				c.Error("nothing says what is wrong with the disk")
			}
		}
		mend(c, dir, 1)
		c.reignOfAny(5*time.Second, billing)
		if n := told[1].count(espial.DiskUp); n != 1 || c.nodes[1].Status().DiskError != "" {
			c.Errorf("node 1 told %d times that its disk is well, and says %q", n, c.nodes[1].Status().DiskError)
		}
		if told[2].count(espial.DiskUp) > 0 {
			c.Error("node 2 says that its disk is well")
		}
	})
}

// reignOfAny waits until somebody leads.
func (c *cluster) reignOfAny(within time.Duration, all []*espial.Election) {
	c.Helper()
	c.within(within, "a leader", func() bool {
		for _, e := range all {
			if e.Leading() {
				return true
			}
		}
		return false
	})
}

// A folder is of one node and one cluster, and what is in it is never thrown away.
func TestStartRefusesAStateDir(t *testing.T) {
	dir := t.TempDir()
	damaged, foreign, used := stateDir(dir, 0), stateDir(dir, 1), stateDir(dir, 2)
	empty(t, func(c *cluster) {
		for _, d := range []string{damaged, foreign} {
			cluster := "test"
			if d == foreign {
				cluster = "other"
			}
			if err := c.start(espial.Config{Cluster: cluster, StateDir: d}).Close(); err != nil {
				c.Fatal(err)
			}
		}
		terms := filepath.Join(damaged, "terms")
		if err := os.Truncate(terms, 20); err != nil {
			c.Fatal(err)
		}
		c.start(espial.Config{StateDir: used})
		for d, says := range map[string]string{
			damaged: "damaged; put a copy back, or remove the file",
			foreign: `of another cluster; give each cluster a folder of its own: "other", not "test"`,
			used:    "in use by another node; give each node a folder of its own",
		} {
			_, err := c.tryStart(espial.Config{StateDir: d})
			bad, ok := errors.AsType[*espial.ConfigError](err)
			if !ok || bad.Field != "StateDir" || !strings.Contains(bad.Reason, d) || !strings.Contains(bad.Reason, says) {
				c.Errorf("Start with %s: %v; want that it is %s", d, err, says)
			}
		}
		if info, err := os.Stat(terms); err != nil || info.Size() != 20 {
			c.Errorf("the damaged file was touched: %v, %v", info.Size(), err)
		}
		// A start that fails for another reason leaves the folder to the next one.
		if err := os.Remove(terms); err != nil {
			c.Fatal(err)
		}
		if _, err := c.tryStart(espial.Config{StateDir: damaged, Listen: "nowhere"}); err == nil {
			c.Error("a node listens nowhere")
		}
		c.start(espial.Config{StateDir: damaged})
	})
}
