package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial"
)

// Limits of espial demo.
const (
	demoNodesMin = 2
	demoNodesMax = 16
	killEveryMin = time.Second
	sceneMax     = 15 * time.Second // for what a scene waits for

	quorumNodesMin = 3 // so that a majority survives one kill
)

// The modes of the election, as espial leader prints them.
const (
	modeAvailable = "available"
	modeQuorum    = "quorum"
)

// demoOptions are the flags of espial demo.
type demoOptions struct {
	nodes     int
	killEvery time.Duration
	length    time.Duration
	mode      string
	cluster   string
	group     string
	iface     string
	json      bool
}

// newDemoCommand returns espial demo.
func newDemoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show a cluster of real nodes on this host, narrated",
		Long: `Show a cluster of real nodes on this host: how they find each other by
multicast, how events travel, who leads, and how a node that is killed or frozen
is noticed, replaced as the leader, and comes back. All but one of the nodes
live in this process; the one to be killed has a process of its own. Sockets
and multicast are real, on the loopback interface unless --multicast-interface
says otherwise.`,
		Example: "  espial demo\n  espial demo --nodes 8 --kill-every 5s --for 30s --mode quorum",
		Args:    wants(),
	}
	asJSON := jsonFlag(cmd, "one JSON object a step")
	fs := cmd.Flags()
	fs.IntVar(&o.nodes, "nodes", 5, "how many `NODES`, 2 to 16")
	fs.DurationVar(&o.killEvery, "kill-every", 10*time.Second,
		"`TIME` between kills, at least 1s; 0 for none")
	fs.DurationVar(&o.length, "for", 0, "end after this `TIME` (default 0, at an interrupt)")
	fs.StringVar(&o.mode, "mode", modeAvailable, "`MODE` of the election, available or quorum (of all nodes)")
	fs.StringVar(&o.cluster, "cluster", "", "`NAME` of the cluster (default demo- and 4 random characters)")
	fs.StringVar(&o.group, "multicast-group", "", "multicast `GROUP:PORT` (default 239.255.77.82:27272)")
	fs.StringVar(&o.iface, "multicast-interface", "", "multicast on this `INTERFACE` (default loopback)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o.json = *asJSON
		return demo(cmd.Context(), o, cmd.OutOrStdout())
	}
	return cmd
}

// check returns a usage error for a flag out of range, and sets what was left open.
func (o *demoOptions) check() error {
	switch {
	case o.nodes < demoNodesMin || o.nodes > demoNodesMax:
		return usagef("--nodes: must be between %d and %d", demoNodesMin, demoNodesMax)
	case o.killEvery != 0 && o.killEvery < killEveryMin:
		return usagef("--kill-every: must be at least %v, or 0 for none", killEveryMin)
	case o.length < 0:
		return usagef("--for: must not be negative")
	case o.mode != modeAvailable && o.mode != modeQuorum:
		return usagef("--mode: is %q, must be %s or %s", o.mode, modeAvailable, modeQuorum)
	case o.mode == modeQuorum && o.nodes < quorumNodesMin:
		return usagef("--mode quorum: needs --nodes %d at least, so that a majority survives a kill",
			quorumNodesMin)
	}
	if o.cluster == "" {
		o.cluster = "demo-" + strings.ToLower(rand.Text()[:4])
	}
	if o.iface == "" {
		o.iface = loopback()
	}
	return nil
}

// quorum returns what espial up --quorum is given, 0 in the mode available.
func (o *demoOptions) quorum() int {
	if o.mode == modeQuorum {
		return o.nodes
	}
	return 0
}

// loopback returns the name of the loopback interface, "" if there is none.
func loopback() string {
	ifs, err := net.Interfaces()
	if err != nil {
		return ""
	}
	for _, i := range ifs {
		if i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 {
			return i.Name
		}
	}
	return ""
}

// demo plays until ctx ends or its time is over.
func demo(ctx context.Context, o demoOptions, w io.Writer) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.length)
		defer cancel()
	}
	s := &stage{demoOptions: o, narrator: narrator{printer{w, o.json}}}
	err := s.play(ctx)
	over := ctx.Err() != nil
	s.clear()
	if over {
		s.fact(step{Step: "ended"}, "\nThe end: every node said goodbye and is gone.")
		return nil
	}
	return err
}

// stage is a running demo.
type stage struct {
	demoOptions
	narrator
	own    []*espial.Node // the nodes in this process
	victim *victim        // in a process of its own, nil while there is none
	scenes int
	began  time.Time
}

// play shows scene after scene until ctx ends.
func (s *stage) play(ctx context.Context) error {
	s.began = time.Now()
	for _, scene := range []func(context.Context) error{s.discovery, s.events, s.leadership} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	var pause time.Duration // before the first failure nobody has to wait
	for i := 0; s.killEvery > 0; i++ {
		f := s.mishap(i)
		if end, ok := ctx.Deadline(); ok && time.Until(end) < pause+f.length {
			break // rather no scene than one that is cut off
		}
		if pause > 0 {
			s.say("\n   The next %s comes in %v.%s", f.name, pause, s.howToEnd())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		s.title(f.title)
		if err := f.play(ctx); err != nil {
			return err
		}
		pause = s.killEvery
	}
	s.say("\nNothing else will happen now.%s", s.howToEnd())
	<-ctx.Done()
	return nil
}

// mishap is a scene in which a node fails.
type mishap struct {
	title  string
	name   string
	length time.Duration // what it takes at most, as a rule
	play   func(context.Context) error
}

// mishap returns the i-th scene of failure.
func (s *stage) mishap(i int) mishap {
	all := []mishap{
		{"A crash", "kill", 500 * time.Millisecond, s.crash},
		{"The leader crashes", "kill", 3 * time.Second, s.leaderCrash},
	}
	if freezes {
		all = append(all, mishap{"The leader freezes", "freeze", 6 * time.Second, s.leaderFreeze})
	}
	f := all[i%len(all)]
	if i >= len(all) {
		f.title += ", once more"
	}
	return f
}

// howToEnd says how the demo ends.
func (s *stage) howToEnd() string {
	if s.length > 0 {
		return ""
	}
	return " Ctrl-C ends the demo."
}

// title begins a scene.
func (s *stage) title(what string) {
	s.scenes++
	s.say("\n%d. %s\n", s.scenes, what)
}

// name returns the name of the i-th node.
func (s *stage) name(i int) string {
	return [demoNodesMax]string{
		"ada", "ben", "cleo", "dan", "eve", "finn", "gus", "hana",
		"ivo", "june", "kai", "lena", "max", "nora", "otto", "pia",
	}[i]
}

// discovery starts the nodes and waits until they have met.
func (s *stage) discovery(ctx context.Context) error {
	s.say("A cluster of %d nodes on this host, named %s.", s.nodes, s.cluster)
	s.title("Discovery")
	s.say("   Each node knows the name of the cluster and nothing else: no address, no server.")
	s.say("   It takes links on a free port and sends a beacon by multicast.\n")
	for i := range s.nodes - 1 {
		n, err := espial.Start(context.WithoutCancel(ctx), espial.Config{
			Cluster: s.cluster, Name: s.name(i), Listen: "127.0.0.1:0", Control: i == 0,
			Multicast: espial.Multicast{Group: s.group, Interface: s.iface},
			Election:  s.election(),
		})
		if err != nil {
			return err
		}
		s.own = append(s.own, n)
		s.fact(step{Step: "started", Node: n.Name(), Addr: addrs(n.Addrs())},
			"   %-5s listens on %s", n.Name(), addrs(n.Addrs()))
	}
	remark := ", in a process of its own"
	if s.killEvery > 0 {
		remark += ": it will be killed"
	}
	if err := s.launch(ctx, remark); err != nil {
		return err
	}
	took, err := s.meet(ctx)
	if err != nil {
		return err
	}
	s.fact(step{Step: "met", Nodes: s.nodes, Took: ms(took)},
		"\n   %s found, admitted and linked each other in %v.", s.all(), round(took))
	for p := range s.own[0].Peers() {
		s.say("   Every link is TLS 1.3 with a key of its own: %s.", p.Cipher)
		break
	}
	s.say("\n   Look at it from another terminal:\n")
	s.say("      espial members --cluster %s", s.cluster)
	s.say("      espial sub --cluster %s '>'", s.cluster)
	return nil
}

// all names all nodes, at the beginning of a sentence.
func (s *stage) all() string {
	if s.nodes == demoNodesMin {
		return "Both"
	}
	return fmt.Sprintf("All %d", s.nodes)
}

// launch starts the victim.
func (s *stage) launch(ctx context.Context, remark string) error {
	v, err := startVictim(ctx, s.demoOptions, s.name(s.nodes-1))
	if err != nil {
		return err
	}
	s.victim = v
	s.fact(step{Step: "started", Node: s.victim.name, Addr: s.victim.addr},
		"   %-5s listens on %s%s", s.victim.name, s.victim.addr, remark)
	return nil
}

// meet waits until every node in this process can reach all others, and returns how long
// that took.
func (s *stage) meet(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	wait, cancel := context.WithTimeout(ctx, sceneMax)
	defer cancel()
	g, gctx := errgroup.WithContext(wait)
	for _, n := range s.own {
		g.Go(func() error { return n.WaitFor(gctx, s.nodes) })
	}
	err := g.Wait()
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = nof("the nodes did not all meet within %v; is multicast possible on %q? "+
			"Choose another one with --multicast-interface", sceneMax, s.iface)
	}
	return time.Since(start), err
}

// clear ends every node, all at the same time.
func (s *stage) clear() {
	var wg sync.WaitGroup
	for _, n := range s.own {
		wg.Go(func() { _ = n.Close() })
	}
	if s.victim != nil {
		wg.Go(s.victim.end)
	}
	wg.Wait()
}

// narrator tells what happens: in words, or as steps for programs.
type narrator struct{ printer }

// step is one line of espial demo --json.
type step struct {
	Time  time.Time `json:"time"`
	Step  string    `json:"step"` // started, met, published, delivered, leader, killed, …
	Node  string    `json:"node,omitempty"`
	By    string    `json:"by,omitempty"` // the node that saw it
	Addr  string    `json:"addr,omitempty"`
	Topic string    `json:"topic,omitempty"`
	Nodes int       `json:"nodes,omitempty"`
	Term  uint64    `json:"term,omitempty"`
	Cause string    `json:"cause,omitempty"`
	Took  float64   `json:"took_ms,omitempty"`
}

// fact tells one step.
func (n narrator) fact(s step, format string, args ...any) {
	s.Time = time.Now()
	_ = n.print(s, fmt.Sprintf(format, args...)) // without a reader the show goes on
}

// say tells what is for people only.
func (n narrator) say(format string, args ...any) {
	if !n.json {
		_, _ = fmt.Fprintf(n.w, format+"\n", args...)
	}
}

// ms returns a time in milliseconds.
func ms(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

// round returns a time with about three digits.
func round(d time.Duration) time.Duration {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond)
	case d < time.Second:
		return d.Round(100 * time.Microsecond)
	default:
		return d.Round(10 * time.Millisecond)
	}
}
