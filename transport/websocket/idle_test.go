package websocket_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/espial-go/espial/transport/websocket"
)

// Of a dial that finds no node nothing is left: members name addresses, and each that answers as a
// web server does would keep a connection.
func TestNothingIsLeftOfADialThatFails(t *testing.T) {
	var mu sync.Mutex // guards what follows
	open := 0
	tr := &websocket.Transport{}
	for range 8 { // places
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			if s == http.StateNew {
				open++
			} else if s == http.StateClosed {
				open--
			}
		}
		s.Start()
		defer s.Close()
		if _, err := tr.Dial(t.Context(), "ws"+strings.TrimPrefix(s.URL, "http")+"/link"); err == nil {
			t.Fatal("Dial of a web server succeeds")
		}
	}
	left := func() int {
		mu.Lock()
		defer mu.Unlock()
		return open
	}
	for until := time.Now().Add(patience / 10); left() > 0 && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	if got := left(); got != 0 {
		t.Errorf("%d connections are left of 8 dials that failed, want none", got)
	}
}
