package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial/internal/gauge"
)

const (
	// natsSubject is what its carrier publishes under.
	natsSubject = "bench.data"

	// natsStream is the replicated stream whose leader counts in scenario E.
	natsStream = "bench"

	// natsStartMax bounds the wait for a server, and createMax that for the stream.
	natsStartMax, createMax = 10 * time.Second, time.Minute

	// natsTLSMax bounds a TLS handshake, in seconds; 2 is what a configuration file sets.
	natsTLSMax = 2

	// natsLookEvery is the time between two questions for the leader of the stream.
	natsLookEvery = 20 * time.Millisecond
)

// startNATS starts a server within this process.
func startNATS(o *server.Options) (*server.Server, error) {
	o.NoSigs, o.NoLog = true, true
	s, err := server.NewServer(o)
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(natsStartMax) {
		return nil, fmt.Errorf("the NATS server is not ready within %v", natsStartMax)
	}
	return s, nil
}

// natsSeat is a server of a NATS cluster that has a replica of the stream, with a client in
// its process.
type natsSeat struct{ c *nats.Conn }

// sitJetStream starts a server, and the first one creates the stream.
func sitJetStream(ctx context.Context, p place) (seat, error) {
	config, err := gauge.TLS()
	if err != nil {
		return nil, err
	}
	host, port, err := splitAddr(p.addr())
	if err != nil {
		return nil, err
	}
	o := &server.Options{
		ServerName: p.Name, Host: host, Port: server.RANDOM_PORT, JetStream: true, StoreDir: p.Dir,
	}
	o.Cluster = server.ClusterOpts{
		Name: p.Cluster, Host: host, Port: port, TLSConfig: config, TLSTimeout: natsTLSMax,
	}
	for i, addr := range p.Addrs {
		if i != p.Index {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: addr})
		}
	}
	s, err := startNATS(o)
	if err != nil {
		return nil, err
	}
	c, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return nil, err
	}
	if p.Index > 0 {
		return natsSeat{c}, nil
	}
	return natsSeat{c}, createStream(ctx, c)
}

// createStream creates the stream, or finds it, as soon as the cluster can.
func createStream(ctx context.Context, c *nats.Conn) error {
	js, err := jetstream.New(c)
	if err != nil {
		return err
	}
	stream := jetstream.StreamConfig{Name: natsStream, Subjects: []string{"stream.>"}, Replicas: seats}
	for end := time.Now().Add(createMax); ; {
		// Who asks while nobody leads gets no answer.
		try, cancel := context.WithTimeout(ctx, time.Second)
		_, err = js.CreateOrUpdateStream(try, stream)
		cancel()
		if err == nil || time.Now().After(end) || ctx.Err() != nil {
			return err
		}
	}
}

// watch asks for the state of the stream again and again: its leader answers, and nobody else.
func (s natsSeat) watch(ctx context.Context, tell func(leader string)) error {
	inbox := s.c.NewRespInbox()
	sub, err := s.c.Subscribe(inbox, func(m *nats.Msg) {
		var info jetstream.StreamInfo
		if json.Unmarshal(m.Data, &info) == nil && info.Cluster != nil {
			tell(info.Cluster.Leader)
		}
	})
	if err != nil {
		return err
	}
	t := time.NewTicker(natsLookEvery)
	defer t.Stop()
	for {
		if err := s.c.PublishRequest("$JS.API.STREAM.INFO."+natsStream, inbox, nil); err != nil {
			return err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return sub.Unsubscribe()
		}
	}
}

func (s natsSeat) resign(ctx context.Context) error {
	m, err := s.c.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+natsStream, nil)
	if err != nil {
		return err
	}
	var answer struct {
		Success bool                `json:"success"`
		Error   *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return err
	}
	if !answer.Success {
		return fmt.Errorf("step down: %w", answer.Error)
	}
	return nil
}

// splitAddr splits an address into its host and its port.
func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	return host, port, err
}

// natsCarrier is a subject of a NATS server in a process of its own. The sender and each
// receiver have a connection to it.
type natsCarrier struct{}

func (natsCarrier) listen(context.Context) (string, error) {
	config, err := gauge.TLS()
	if err != nil {
		return "", err
	}
	s, err := startNATS(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, TLSConfig: config, TLSTimeout: natsTLSMax,
	})
	if err != nil {
		return "", err
	}
	return s.Addr().String(), nil
}

func (natsCarrier) receive(
	_ context.Context, _ *errgroup.Group, addr string, tallies []*gauge.Tally,
) (string, error) {
	for _, t := range tallies {
		c, err := dialNATS(addr)
		if err != nil {
			return "", err
		}
		sub, err := c.Subscribe(natsSubject, func(m *nats.Msg) { t.Add(m.Data) })
		if err != nil {
			return "", err
		}
		// However far the receiver is behind, the client is to drop nothing.
		if err := errors.Join(sub.SetPendingLimits(-1, -1), c.Flush()); err != nil {
			return "", err
		}
	}
	return addr, nil
}

func (natsCarrier) dial(_ context.Context, _ *errgroup.Group, addr string, _ int) (gauge.Sender, error) {
	c, err := dialNATS(addr)
	if err != nil {
		return nil, err
	}
	return func(payload []byte) error { return c.Publish(natsSubject, payload) }, nil
}

// answer and callers are requests and replies.
func (natsCarrier) answer(_ context.Context, _ *errgroup.Group, addr string) (string, error) {
	c, err := dialNATS(addr)
	if err != nil {
		return "", err
	}
	// Whoever misses an answer fails.
	_, err = c.Subscribe(natsSubject, func(m *nats.Msg) { _ = m.Respond(m.Data) })
	return addr, errors.Join(err, c.Flush())
}

func (natsCarrier) callers(ctx context.Context, addr string, count int) ([]gauge.Caller, error) {
	c, err := dialNATS(addr)
	if err != nil {
		return nil, err
	}
	call := func(payload []byte) error {
		_, err := c.RequestWithContext(ctx, natsSubject, payload)
		return err
	}
	return slices.Repeat([]gauge.Caller{call}, count), nil
}

// dialNATS connects to a server over TLS.
func dialNATS(addr string) (*nats.Conn, error) {
	return nats.Connect("nats://"+addr, nats.Secure(&tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // a benchmark of its own children on loopback
		MinVersion:         tls.VersionTLS13, DynamicRecordSizingDisabled: true,
	}))
}
