//go:build unix

package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// period is what a quota counts in; Linux does so, too.
const period = 100 * time.Millisecond

// Quota is processor time that some processes share: a slice of every period.
type Quota struct {
	t     T
	nodes []*Node
	slice time.Duration

	cgroup string // its folder; empty where signals take its place
}

// Starve leaves nodes, all of them together, a share of one core, in percent, until the test
// ends. Who does not use its slice up notices nothing of it, so give a node company that does.
//
// A cgroup does it. Where this machine lets us make none, signals do: the nodes run for a slice
// of every period, whether they need it or not, and stand still for the rest.
func (s *Segment) Starve(percent int, nodes ...*Node) *Quota {
	s.t.Helper()
	q := &Quota{t: s.t, nodes: nodes, slice: period * time.Duration(percent) / 100}
	reason := s.group(q)
	if reason == nil {
		return q
	}
	s.t.Logf("signals share out the processor, for want of a cgroup: %v", reason)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { q.pulse(stop) })
	s.t.Cleanup(func() {
		close(stop)
		wg.Wait()
	})
	return q
}

// Throttled returns in which share of the periods, from 0 to 1, the nodes had to wait because
// their slice was used up.
func (q *Quota) Throttled() float64 {
	q.t.Helper()
	if q.cgroup == "" {
		return 1
	}
	b, err := os.ReadFile(filepath.Join(q.cgroup, "cpu.stat"))
	if err != nil {
		q.t.Fatalf("read a quota: %v", err)
	}
	stat := map[string]float64{}
	for line := range strings.Lines(string(b)) {
		var word string
		var figure float64
		if _, err := fmt.Sscan(line, &word, &figure); err == nil {
			stat[word] = figure
		}
	}
	return stat["nr_throttled"] / max(1, stat["nr_periods"])
}

// pulse lets the nodes run for a slice of each period, until stop is closed.
func (q *Quota) pulse(stop <-chan struct{}) {
	for {
		q.signal(syscall.SIGSTOP)
		select {
		case <-time.After(period - q.slice):
		case <-stop:
		}
		q.signal(syscall.SIGCONT)
		select {
		case <-time.After(q.slice):
		case <-stop:
			return
		}
	}
}

// signal sends a signal to all of the nodes. One that has ended does not mind.
func (q *Quota) signal(s syscall.Signal) {
	for _, n := range q.nodes {
		_ = n.cmd.Process.Signal(s)
	}
}

// group puts the nodes of a quota into a cgroup, or says why that cannot be.
func (s *Segment) group(q *Quota) error {
	var errs []error
	for _, root := range cgroups() {
		folder := filepath.Join(root, s.name+"-"+strconv.Itoa(q.nodes[0].cmd.Process.Pid))
		err := os.Mkdir(folder, 0o755) //nolint:gosec // as every other one there
		if err == nil {
			s.cgroups = append(s.cgroups, folder)
			err = q.enter(folder)
		}
		if err == nil {
			q.cgroup = folder
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// enter limits the processes in a cgroup, and brings the nodes there.
func (q *Quota) enter(folder string) error {
	slice, whole := strconv.Itoa(int(q.slice.Microseconds())), strconv.Itoa(int(period.Microseconds()))
	lines := [][2]string{{"cpu.max", slice + " " + whole}}
	if _, err := os.Stat(filepath.Join(folder, "cpu.cfs_quota_us")); err == nil { // version 1
		lines = [][2]string{{"cpu.cfs_period_us", whole}, {"cpu.cfs_quota_us", slice}}
	}
	for _, n := range q.nodes {
		lines = append(lines, [2]string{"cgroup.procs", strconv.Itoa(n.cmd.Process.Pid)})
	}
	for _, line := range lines {
		name := filepath.Join(folder, line[0])
		f, err := os.OpenFile(name, os.O_WRONLY, 0) //nolint:gosec // the kernel has made it
		if err != nil {
			return err
		}
		_, err = f.WriteString(line[1])
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}
