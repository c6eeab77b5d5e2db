package transport_test

import (
	"io"
	"testing"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/transport/tcp"
	"github.com/espial-go/espial/transport/unix"
	"github.com/espial-go/espial/transport/websocket"
)

// BenchmarkStream sends 64 KiB at a time over a stream by each transport on loopback.
func BenchmarkStream(b *testing.B) {
	for _, tt := range []struct {
		name string
		tr   espial.Transport
		at   string
	}{
		{"TCP", tcp.Transport{}, "127.0.0.1:0"},
		{"Unix", unix.Transport{}, "unix://" + b.TempDir() + "/"},
		{"WebSocket", &websocket.Transport{}, "ws://127.0.0.1:0/"},
	} {
		b.Run(tt.name, func(b *testing.B) {
			var nodes []*espial.Node
			var seeds []string
			for _, name := range []string{"a", "b"} {
				c := espial.Config{
					Cluster: "test", Name: name, Transport: tt.tr, Listen: tt.at, Seeds: seeds,
					Multicast: espial.Multicast{Off: true},
				}
				if tt.name == "Unix" {
					c.Listen += name
				}
				n, err := espial.Start(b.Context(), c)
				if err != nil {
					b.Fatal(err)
				}
				defer n.Close()
				nodes, seeds = append(nodes, n), n.Addrs()
			}
			ln, err := nodes[0].Listen("sink")
			if err != nil {
				b.Fatal(err)
			}
			if err := nodes[1].WaitFor(b.Context(), 2); err != nil {
				b.Fatal(err)
			}
			nc, err := nodes[1].Dial(b.Context(), "sink.a")
			if err != nil {
				b.Fatal(err)
			}
			defer nc.Close()
			sink, err := ln.Accept()
			if err != nil {
				b.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, sink)
				done <- err
			}()
			piece := make([]byte, 64<<10)
			b.SetBytes(int64(len(piece)))
			for b.Loop() {
				if _, err := nc.Write(piece); err != nil {
					b.Fatal(err)
				}
			}
			_ = nc.(interface{ CloseWrite() error }).CloseWrite()
			if err := <-done; err != nil {
				b.Error(err)
			}
		})
	}
}
