package espial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/espial-go/espial/internal/control"
	"github.com/espial-go/espial/internal/disk"
	"github.com/espial-go/espial/internal/engine"
	"github.com/espial-go/espial/internal/flow"
	"github.com/espial-go/espial/internal/ident"
)

// Version is the version of this library.
const Version = "0.1.0-dev"

// Node is one running member of a cluster. [Start] makes one.
type Node struct {
	cfg     Config
	id      NodeID
	eng     *engine.Engine
	started time.Time
	schemes []string // of addresses that it can dial
	control string   // path of the control socket, "" if there is none
	socket  *control.Server
	store   *disk.Store // nil without Config.StateDir

	panics atomic.Uint64 // of handlers
	booths booths
	flows  flow.Desk
	berths berths
	loans  loans

	topic atomic.Pointer[string] // the last one that was checked: events come in droves
	turn  atomic.Uint64          // of [Target.One]

	stop   context.CancelFunc // ends the node without a goodbye's wait
	ended  chan struct{}      // closed when every goroutine of the node is gone
	endErr error              // what ended it; read after ended
	once   sync.Once
}

// Start opens the listener and starts the node; it returns once the node takes
// links, and does not wait for others: see [Node.WaitFor]. The node lives until
// [Node.Close], [Node.Leave] or the end of ctx, which is Close.
//
// It returns a [ConfigError] for settings that cannot work: a taken address, an
// unreadable key file, a malformed name. That no network interface is fit for
// multicast is an error too, unless there are seeds.
func Start(ctx context.Context, c Config) (*Node, error) {
	return start(ctx, c, systemEnv{})
}

// ID returns the node's ID. It is another one after each start unless
// [Config.KeyFile] is set.
func (n *Node) ID() NodeID { return n.id }

// Name returns the node's name.
func (n *Node) Name() string { return n.cfg.Name }

// Cluster returns the name of the cluster.
func (n *Node) Cluster() string { return n.cfg.Cluster }

// Addrs returns the addresses at which others are told to reach the node.
func (n *Node) Addrs() []string { return n.Self().Addrs }

// Self returns this node as its members see it.
func (n *Node) Self() Member { return member(n.eng.Self()) }

// Members yields the members of the cluster at this moment, this node included,
// in order of their join numbers.
func (n *Node) Members() iter.Seq[Member] {
	v := n.eng.View()
	rtts := n.eng.RTTs()
	return func(yield func(Member) bool) {
		for _, m := range v.Members {
			out := member(m)
			out.RTT = rtts[m.Record.ID]
			if !yield(out) {
				return
			}
		}
	}
}

// Peers yields the members to which this node keeps a link, those with one at this moment; links
// on demand, for direct events and calls, are left out.
func (n *Node) Peers() iter.Seq[Peer] {
	peers := n.eng.Peers()
	return func(yield func(Peer) bool) {
		for _, p := range peers {
			if !yield(n.peer(p)) {
				return
			}
		}
	}
}

// AddPeer keeps a link with one node for as long as it is a member, in a partial mesh
// ([Config.MaxPeers]) too, where both ends have room: it goes before every link but two, which
// hold the mesh together. peer is the node's ID, or an address of it, at which this node then
// tries to find it for its life, as at [Config.Seeds]; at most 256 of those. AddPeer does not wait
// for the link: [PeerAdded] tells of it. It returns [ErrClosed], ctx's error, or one that says
// what is wrong with peer.
func (n *Node) AddPeer(ctx context.Context, peer string) error {
	if id, err := ParseNodeID(peer); err == nil {
		return n.public(n.eng.Pin(ctx, ident.NodeID(id)))
	}
	peer = strings.TrimPrefix(peer, untold)
	if err := n.cfg.checkDialable(peer, n.schemes); err != nil {
		return fmt.Errorf("espial: peer %q is neither a node ID nor an address: %s", peer, words(err))
	}
	return n.public(n.eng.PinAddr(ctx, peer))
}

// Changes yields [Listening] first, the present members, each as [AddedNode], and the
// present leaders, each as [NewLeader] without a cause, and then every change, until ctx or
// the node ends. A reader that falls 1,024 changes behind gets
// one [Lagged] with the exact count in place of what it missed.
func (n *Node) Changes(ctx context.Context) iter.Seq[Change] {
	feed := n.eng.Changes(ctx)
	unregister := context.AfterFunc(ctx, feed.Close) // also if nobody ranges over it
	return func(yield func(Change) bool) {
		defer feed.Close()
		defer unregister()
		for {
			batch, lost, err := feed.Next(ctx)
			if lost > 0 && !yield(Change{Kind: Lagged, At: time.Now(), Count: lost}) {
				return
			}
			for _, c := range batch {
				if !yield(n.change(c)) {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
}

// refusalGrace is how long WaitFor goes on looking after a first refusal: whoever admits
// this node may answer a little later.
const refusalGrace = time.Second

// WaitFor waits until the cluster has count members that this node can exchange
// events with, itself included. It returns ctx's error if that ends first, [ErrClosed]
// if the node ends, and a [RejectedError] if this node never met anybody and all nodes
// that answered, up to a second after the first one, refused it. If ctx ends within that
// second, the error is both.
func (n *Node) WaitFor(ctx context.Context, count int) error {
	var grace <-chan time.Time
	over := false
	for {
		s := n.eng.Paths()
		refused := !s.Met && len(s.Refusals) > 0
		select {
		case <-n.ended:
			return ErrClosed
		default:
		}
		switch {
		case s.Count+1 >= count:
			return nil
		case refused && over:
			return rejected(s.Refusals)
		case refused && grace == nil:
			grace = time.After(refusalGrace)
		}
		select {
		case <-s.Changed:
		case <-grace:
			over = true
		case <-n.ended:
			return ErrClosed
		case <-ctx.Done():
			if refused {
				return fmt.Errorf("%w: %w", context.Cause(ctx), rejected(s.Refusals))
			}
			return context.Cause(ctx)
		}
	}
}

// SetMetadata replaces what the node says of itself; every member gets an
// [UpdatedNode]. It keeps a copy. It returns a [ConfigError] for metadata over the
// limits, [ErrClosed], or ctx's error, after which it may still happen.
func (n *Node) SetMetadata(ctx context.Context, meta map[string]string) error {
	if err := checkMetadata(meta); err != nil {
		return err
	}
	// Cloned here: where ctx ends first, the caller has meta back before it is read.
	return n.public(n.eng.SetMeta(ctx, maps.Clone(meta)))
}

// Leave takes no more calls, waits for those at work, sends what is still queued, waits until every
// member has taken it or ctx ends, says goodbye and ends the node as Close does.
func (n *Node) Leave(ctx context.Context) error {
	n.eng.Exchange().Unserve()
	err := n.public(n.eng.Drain(ctx))
	return errors.Join(err, n.Close())
}

// Close says goodbye on every link, ends the node and returns when all its
// goroutines are gone, after 250 ms at most; with a [Config.StateDir] it waits for the disk,
// too. Others see it as left.
func (n *Node) Close() error {
	n.once.Do(n.stop)
	<-n.ended
	return n.endErr
}

// Done returns a channel that is closed when the node has ended.
func (n *Node) Done() <-chan struct{} { return n.ended }

// Status returns figures on the node for people and monitoring.
func (n *Node) Status() Status {
	s := n.eng.Status()
	leader, _ := n.main().shape()
	s.Dropped["panicked_calls"] = n.panics.Load()
	s.Queues["lent_objects"] = n.loans.count()
	s.Queues["flows"] = uint64(n.flows.Waiting())
	return Status{
		ID: n.id, Name: n.cfg.Name, Cluster: n.cfg.Cluster, Version: Version, Addrs: n.Addrs(),
		Members: s.Members, Peers: s.Peers, Uptime: time.Since(n.started).Seconds(),
		Control: n.control, DiskError: s.DiskError, Multicast: s.Multicast, Queues: s.Queues,
		Dropped: s.Dropped, Leader: leader,
	}
}

// Status holds figures on a node. Its JSON form is the stable shape that the
// command espial status prints.
type Status struct {
	ID        NodeID            `json:"id"`                   // of this node
	Name      string            `json:"name"`                 // of this node
	Cluster   string            `json:"cluster"`              // the cluster's name
	Version   string            `json:"version"`              // of the library
	Addrs     []string          `json:"addrs"`                // where the node takes links
	Members   int               `json:"members"`              // this node included
	Peers     int               `json:"peers"`                // links that are up
	Leader    json.RawMessage   `json:"leader,omitempty"`     // as espial leader prints it; absent for none
	Uptime    float64           `json:"uptime_s"`             // seconds since Start
	Control   string            `json:"control,omitempty"`    // path of the control socket
	DiskError string            `json:"disk_error,omitempty"` // of Config.StateDir; absent if all is well
	Multicast map[string]uint64 `json:"multicast"`            // interfaces, beacons sent and received
	Queues    map[string]uint64 `json:"queues"`               // what waits now, in messages or bytes
	Dropped   map[string]uint64 `json:"dropped"`              // what was refused or lost so far, by cause
}
