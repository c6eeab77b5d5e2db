package websocket_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/transport/websocket"
)

// A program that serves web pages takes links on the same port.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	pages := http.NewServeMux()
	pages.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "soup") })
	links := &websocket.Transport{Mounted: true}
	pages.Handle("/link", links)
	server := httptest.NewServer(pages)
	defer server.Close()

	inn, err := espial.Start(ctx, espial.Config{
		Cluster: "inn", Name: "kitchen", Multicast: espial.Multicast{Off: true},
		Transport: links, Listen: "ws" + strings.TrimPrefix(server.URL, "http") + "/link",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer inn.Close()

	guest, err := espial.Start(ctx, espial.Config{
		Cluster: "inn", Name: "guest", Multicast: espial.Multicast{Off: true},
		Transport: &websocket.Transport{}, Listen: "ws://127.0.0.1:0/", Seeds: inn.Addrs(),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guest.Close()
	if err := guest.WaitFor(ctx, 2); err != nil {
		log.Fatal(err)
	}
	for p := range guest.Peers() {
		fmt.Println("a link with", p.Name, "by", p.Endpoint[:5])
	}
	// Output: a link with kitchen by ws://
}
