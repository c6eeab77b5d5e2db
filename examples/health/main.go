// Health watches the copies of a program by gRPC: each copy serves the health protocol of
// gRPC as a service of its node, and watches every other copy over a stream, without ports
// and certificates of its own. Start it in two terminals of a host, as "health ann" and
// "health bob", and end one of them.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/espial-go/espial"
)

// service is what the nodes listen on.
const service = "health"

func main() {
	if len(os.Args) != 2 {
		check(errors.New("usage: health NAME"))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	n, err := espial.Start(context.WithoutCancel(ctx), espial.Config{Cluster: "health", Name: os.Args[1]})
	check(err)
	var serving sync.WaitGroup
	serving.Go(func() { check(serve(ctx, n, health.NewServer())) })
	watchAll(ctx, n, func(who, state string) { fmt.Println(who, "is", state) })
	serving.Wait()
	check(n.Close())
}

// serve serves the health of this copy to whoever dials, until ctx ends.
func serve(ctx context.Context, n *espial.Node, state *health.Server) error {
	ln, err := n.Listen(service)
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	healthpb.RegisterHealthServer(s, state)
	context.AfterFunc(ctx, s.Stop) // a graceful one would wait for those who watch
	return s.Serve(ln)
}

// dial returns a client of the member with this ID. What it sends is encrypted and the ID
// proved below gRPC, by the connection between the two nodes.
func dial(n *espial.Node, id espial.NodeID) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+service+"."+id.String(),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return n.Dial(ctx, addr)
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// watchAll shows the health of every other member until ctx ends.
func watchAll(ctx context.Context, n *espial.Node, show func(who, state string)) {
	var watches sync.WaitGroup
	defer watches.Wait()
	ends := map[espial.NodeID]context.CancelFunc{}
	for c := range n.Changes(ctx) {
		id := c.Member.ID
		switch {
		case c.Kind == espial.AddedNode && !c.Member.Self:
			watched, end := context.WithCancel(ctx)
			ends[id] = end
			watches.Go(func() {
				err := watch(watched, n, id, func(state string) { show(c.Member.Name, state) })
				show(c.Member.Name, fmt.Sprint("watched no more: ", err))
			})
		case c.Kind == espial.RemovedNode && ends[id] != nil:
			ends[id]()
			delete(ends, id)
		}
	}
}

// watch shows the health of a member until ctx ends or the member says no more.
func watch(ctx context.Context, n *espial.Node, id espial.NodeID, show func(state string)) error {
	cc, err := dial(n, id)
	if err != nil {
		return err
	}
	c := healthpb.NewHealthClient(cc)
	states, err := c.Watch(ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
	for err == nil {
		var r *healthpb.HealthCheckResponse
		if r, err = states.Recv(); err == nil {
			show(r.GetStatus().String())
		}
	}
	return errors.Join(err, cc.Close())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
