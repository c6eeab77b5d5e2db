package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/espial-go/espial"
)

// start starts nodes that meet on this host, without multicast.
func start(t *testing.T, names ...string) (nodes []*espial.Node) {
	t.Helper()
	c := espial.Config{Cluster: "health", Listen: "127.0.0.1:0", Multicast: espial.Multicast{Off: true}}
	for _, name := range names {
		c.Name = name
		n, err := espial.Start(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		c.Seeds = n.Addrs()
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		if err := n.WaitFor(t.Context(), len(names)); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

// TestCopiesWatchOneAnother: bob sees ann's health change by gRPC, and hears when ann goes.
func TestCopiesWatchOneAnother(t *testing.T) {
	nodes := start(t, "ann", "bob")
	ann, bob := nodes[0], nodes[1]
	state := health.NewServer()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	go func() { _ = serve(ctx, ann, state) }()
	seen := make(chan string, 10)
	go watchAll(ctx, bob, func(who, state string) { seen <- who + " " + state })

	next := func(want string) {
		t.Helper()
		select {
		case got := <-seen:
			if got != want {
				t.Errorf("bob sees %q, want %q", got, want)
			}
		case <-ctx.Done():
			t.Fatalf("bob sees nothing, want %q", want)
		}
	}
	next("ann SERVING")
	state.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	next("ann NOT_SERVING")
	if err := ann.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; !strings.HasPrefix(got, "ann watched no more") {
		t.Errorf("ann went and bob sees %q, want that it is watched no more", got)
	}
}

// TestNobodyServes: an error of a stream reaches who calls by gRPC, in words.
func TestNobodyServes(t *testing.T) {
	nodes := start(t, "ann", "bob")
	cc, err := dial(nodes[1], nodes[0].ID())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	_, err = healthpb.NewHealthClient(cc).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), espial.ErrNoService.Error()) {
		t.Errorf("Check of a node that does not serve = %v, want Unavailable because of %v", err, espial.ErrNoService)
	}
}
