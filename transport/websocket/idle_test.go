package websocket_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/transport/websocket"
)

// Of a dial that finds no node nothing is left: members name addresses, and each that answers as a
// web server does would keep a connection.
func TestNothingIsLeftOfADialThatFails(t *testing.T) {
	closed := make(chan struct{}, 1)
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	s.Start()
	defer s.Close()
	if _, err := new(websocket.Transport).Dial(t.Context(), "ws"+strings.TrimPrefix(s.URL, "http")+"/link"); err == nil {
		t.Fatal("Dial of a web server succeeds")
	}
	select {
	case <-closed:
	case <-time.After(patience / 10):
		t.Error("a dial that failed left its connection open")
	}
}
