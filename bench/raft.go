package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/espial-go/espial/internal/gauge"
)

// raftSeat is a voter of hashicorp/raft. It keeps its log in memory, which is in its favour: a
// real one writes each vote to a disk.
type raftSeat struct{ r *raft.Raft }

// sitRaft returns what starts a voter with the given time-outs; 0 are the defaults, 1 s.
func sitRaft(timeout time.Duration) elector {
	return func(_ context.Context, p place) (seat, error) {
		quiet := hclog.NewNullLogger()
		c := raft.DefaultConfig()
		c.LocalID, c.Logger = raft.ServerID(p.Name), quiet
		if timeout > 0 {
			c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = timeout, timeout, timeout
		}
		stream, err := newRaftStream(p.addr())
		if err != nil {
			return nil, err
		}
		transport := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: stream, MaxPool: 3, Timeout: 10 * time.Second, Logger: quiet,
		})
		store := raft.NewInmemStore()
		r, err := raft.NewRaft(c, noState{}, store, store, raft.NewInmemSnapshotStore(), transport)
		if err != nil {
			return nil, err
		}
		var all raft.Configuration
		for i, addr := range p.Addrs {
			all.Servers = append(all.Servers, raft.Server{
				ID: raft.ServerID(seatName(i)), Address: raft.ServerAddress(addr),
			})
		}
		return raftSeat{r}, r.BootstrapCluster(all).Error()
	}
}

func (s raftSeat) watch(ctx context.Context, tell func(leader string)) error {
	seen := make(chan raft.Observation, 64)
	o := raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	s.r.RegisterObserver(o)
	defer s.r.DeregisterObserver(o)
	for {
		_, id := s.r.LeaderWithID()
		tell(string(id))
		select {
		case <-seen:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s raftSeat) resign(context.Context) error { return s.r.LeadershipTransfer().Error() }

// raftStream brings the messages of raft over TLS.
type raftStream struct {
	net.Listener
	config *tls.Config
}

func newRaftStream(addr string) (*raftStream, error) {
	config, err := gauge.TLS()
	if err != nil {
		return nil, err
	}
	ln, err := tls.Listen("tcp", addr, config)
	return &raftStream{ln, config}, err
}

// Dial connects to another voter.
func (s *raftStream) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: timeout}, Config: s.config}
	return d.Dial("tcp", string(addr))
}

// noState is what raft replicates here: nothing.
type noState struct{}

// Apply, Snapshot, Restore, Persist and Release have nothing to do.
func (noState) Apply(*raft.Log) any                 { return nil }
func (noState) Snapshot() (raft.FSMSnapshot, error) { return noState{}, nil }
func (noState) Restore(r io.ReadCloser) error       { return r.Close() }
func (noState) Persist(s raft.SnapshotSink) error   { return s.Close() }
func (noState) Release()                            {}
