package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"

	"github.com/espial-go/espial/internal/gauge"
)

// What gRPC serves here.
const (
	grpcEcho  = "/bench/Echo"
	grpcDrain = "/bench/Drain"
)

// grpcCarrier is gRPC over TLS: unary calls, and streams of messages from the client. All share a
// connection.
type grpcCarrier struct{}

// rawCodec leaves bytes as they are, so that no encoding is measured.
type rawCodec struct{ encoding.Codec }

// Marshal, Unmarshal and Name implement [encoding.Codec].
func (rawCodec) Marshal(v any) ([]byte, error) {
	if b, ok := v.(*[]byte); ok {
		return *b, nil
	}
	return nil, fmt.Errorf("a %T is not bytes", v)
}

func (rawCodec) Unmarshal(data []byte, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("a %T is not bytes", v)
	}
	*b = data
	return nil
}

func (rawCodec) Name() string { return "raw" }

// serveGRPC serves both methods; t counts what streams bring.
func serveGRPC(ctx context.Context, g *errgroup.Group, t *gauge.Tally) (string, error) {
	config, err := gauge.TLS()
	if err != nil {
		return "", err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)), grpc.ForceServerCodec(rawCodec{}))
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Echo", Handler: echoGRPC}},
		Streams: []grpc.StreamDesc{{
			StreamName: "Drain", ClientStreams: true, ServerStreams: true,
			Handler: func(_ any, st grpc.ServerStream) error { return drainGRPC(st, t) },
		}},
	}, nil)
	g.Go(func() error { return s.Serve(ln) })
	return ln.Addr().String(), nil
}

// echoGRPC returns the argument of a call.
//
//nolint:revive // gRPC says in which order
func echoGRPC(
	_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor,
) (any, error) {
	var b []byte
	err := decode(&b)
	return &b, err
}

// drainGRPC says that it has the stream, and counts its bytes.
func drainGRPC(st grpc.ServerStream, t *gauge.Tally) error {
	if err := st.SendHeader(nil); err != nil {
		return err
	}
	return t.Drain(func() (int, error) {
		var b []byte
		err := st.RecvMsg(&b)
		return len(b), err
	})
}

// dialGRPC connects.
func dialGRPC(addr string) (*grpc.ClientConn, error) {
	config, err := gauge.TLS()
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(addr, grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{})))
}

func (grpcCarrier) answer(ctx context.Context, g *errgroup.Group, _ string) (string, error) {
	return serveGRPC(ctx, g, &gauge.Tally{})
}

func (grpcCarrier) callers(ctx context.Context, addr string, count int) ([]gauge.Caller, error) {
	c, err := dialGRPC(addr)
	if err != nil {
		return nil, err
	}
	call := func(payload []byte) error {
		var answer []byte
		return c.Invoke(ctx, grpcEcho, &payload, &answer)
	}
	return slices.Repeat([]gauge.Caller{call}, count), call(nil)
}

func (grpcCarrier) accept(ctx context.Context, g *errgroup.Group, t *gauge.Tally) (string, error) {
	return serveGRPC(ctx, g, t)
}

func (grpcCarrier) open(
	ctx context.Context, _ *errgroup.Group, addr string,
) (gauge.Opener, gauge.Sender, error) {
	c, err := dialGRPC(addr)
	desc := &grpc.StreamDesc{StreamName: "Drain", ClientStreams: true, ServerStreams: true}
	return func() (io.WriteCloser, error) {
		st, err := c.NewStream(ctx, desc, grpcDrain)
		if err == nil {
			_, err = st.Header() // the server has it
		}
		return grpcStream{st}, err
	}, nil, err
}

// grpcStream is a stream as a writer.
type grpcStream struct{ grpc.ClientStream }

// Write sends b as a message.
func (s grpcStream) Write(b []byte) (int, error) { return len(b), s.SendMsg(&b) }

// Close ends the stream, for which the client has to hear the last word of the server.
func (s grpcStream) Close() error {
	err := s.CloseSend()
	var b []byte
	if last := s.RecvMsg(&b); !errors.Is(last, io.EOF) {
		err = errors.Join(err, last)
	}
	return err
}
