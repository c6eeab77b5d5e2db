package espial_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/control"
)

// controlled starts a node alone, with a control socket in a folder of the test's own, and
// returns it with what a client on the same host sees of it.
func controlled(t *testing.T, cfg espial.Config) (*espial.Node, control.Node) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl") //nolint:usetesting // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("TMPDIR", dir)
	cfg.Cluster, cfg.Name, cfg.Listen, cfg.Control = "shop", "web", "127.0.0.1:0", true
	cfg.Multicast.Off = true
	n, err := espial.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	nodes, err := control.Nodes(t.Context())
	if err != nil || len(nodes) != 1 {
		t.Fatalf("Nodes = %v, %v, want the one node", nodes, err)
	}
	return n, nodes[0]
}

// ask returns the pieces of an answer.
func ask(t *testing.T, c control.Node, verb string, args any) ([]string, error) {
	t.Helper()
	var pieces []string
	err := c.Call(t.Context(), verb, args, func(b json.RawMessage) error {
		pieces = append(pieces, string(b))
		return nil
	})
	return pieces, err
}

func TestControlTellsWhatTheNodeKnows(t *testing.T) {
	n, c := controlled(t, espial.Config{Metadata: map[string]string{"role": "<web>"}})
	if want := (control.Hello{
		ID: n.ID().String(), Name: "web", Cluster: "shop", Version: espial.Version,
	}); c.Hello != want {
		t.Errorf("hello says %+v, want %+v", c.Hello, want)
	}
	if got := n.Status().Control; got != c.Path {
		t.Errorf("the status says that the socket is %q, want %q", got, c.Path)
	}
	for _, tt := range []struct{ verb, want string }{
		{"members", `"name":"web","state":"alive","addrs":["` + n.Addrs()[0] + `"],"meta":{"role":"`},
		{"status", `"cluster":"shop"`},
		{"status", `"control":"` + c.Path + `"`},
	} {
		if got, err := ask(t, c, tt.verb, nil); err != nil || len(got) != 1 || !strings.Contains(got[0], tt.want) {
			t.Errorf("%s is answered with %q, %v, want one piece with %q", tt.verb, got, err, tt.want)
		}
	}
	if got, err := ask(t, c, "peers", nil); err != nil || len(got) != 0 {
		t.Errorf("peers of a lone node are %q, %v, want none", got, err)
	}
}

// TestEveryFigureIsExplained keeps the page for operators complete.
func TestEveryFigureIsExplained(t *testing.T) {
	page, err := os.ReadFile("docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	n, _ := controlled(t, espial.Config{})
	s := n.Status()
	for group, figures := range map[string]map[string]uint64{"queues": s.Queues, "dropped": s.Dropped} {
		if len(figures) == 0 {
			t.Errorf("status has no %s", group)
		}
		for name := range figures {
			if !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("docs/operations.md does not explain %q of %s", name, group)
			}
		}
	}
}

func TestControlStreamsChanges(t *testing.T) {
	n, c := controlled(t, espial.Config{})
	enough := errors.New("enough")
	err := c.Call(t.Context(), "changes", nil, func(b json.RawMessage) error {
		want := fmt.Sprintf(`"change":"listening","addrs":[%q],"control":%q`, n.Addrs()[0], c.Path)
		if !strings.Contains(string(b), want) {
			t.Errorf("the first change is %s, want one with %s", b, want)
		}
		return enough
	})
	if !errors.Is(err, enough) {
		t.Error(err)
	}
}

func TestControlErrorsHaveCodes(t *testing.T) {
	_, c := controlled(t, espial.Config{EventMax: 64 << 10})
	pub := func(topic string, size int) map[string]any {
		return map[string]any{"topic": topic, "data": base64.StdEncoding.EncodeToString(make([]byte, size))}
	}
	for _, tt := range []struct {
		name, verb string
		args       any
		want       string
	}{
		{"a verb of a later version", "teleport", nil, "unknown_verb"},
		{"no arguments", "pub", nil, "bad_request"},
		{"arguments of another shape", "sub", []int{1}, "bad_request"},
		{"data that is not base64", "pub", map[string]string{"topic": "a", "data": "?"}, "bad_request"},
		{"a malformed topic", "pub", pub("a..b", 1), "topic"},
		{"a reserved topic", "pub", pub("lagged", 1), "topic"},
		{"a malformed pattern", "sub", map[string]any{"pattern": "a*"}, "topic"},
		{"the largest event", "pub", pub("a", 64<<10), ""},
		{"an event above the limit", "pub", pub("a", 64<<10+1), "too_large"},
		{"a request far above the limit", "pub", pub("a", 256<<10), "too_large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ask(t, c, tt.verb, tt.args)
			code := ""
			if e, ok := errors.AsType[*control.Error](err); ok {
				code = e.Code
			}
			if code != tt.want || (err != nil) != (tt.want != "") {
				t.Errorf("%s is answered with %v, want the code %q", tt.verb, err, tt.want)
			}
		})
	}
}

func TestControlCarriesEvents(t *testing.T) {
	n, c := controlled(t, espial.Config{})
	var got []string
	err := c.Call(t.Context(), "sub", map[string]any{"pattern": "a.*", "count": 2}, func(b json.RawMessage) error {
		got = append(got, string(b))
		if string(b) != "null" {
			return nil
		}
		for topic, data := range map[string]string{"a.x": `"eA=="`, "b.x": `"eA=="`, "a.y": `"MQ=="`} {
			args := json.RawMessage(`{"topic":"` + topic + `","data":` + data + `}`)
			if _, err := ask(t, c, "pub", args); err != nil {
				return err
			}
		}
		return nil
	})
	all := strings.Join(got, "\n")
	for _, want := range []string{
		"null\n", `"topic":"a.x","from":{"id":"` + n.ID().String() + `","name":"web"},"seq":`,
		`"data_base64":"eA=="}`, `"topic":"a.y",`, `"data":1}`,
	} {
		if err != nil || len(got) != 3 || !strings.Contains(all, want) {
			t.Errorf("sub answered %v\n%s\nwant three pieces, and in them %s", err, all, want)
		}
	}
}

// A client that does not read delays nobody, and learns exactly how much it missed.
func TestControlCountsWhatASlowClientMisses(t *testing.T) {
	n, c := controlled(t, espial.Config{})
	const published = 5000
	read, lost := 0, 0
	err := c.Call(t.Context(), "sub", map[string]any{"pattern": "a"}, func(b json.RawMessage) error {
		if string(b) == "null" {
			for i := range published {
				data := fmt.Appendf(nil, `{"n":%d,"pad":%q}`, i, strings.Repeat("x", 512))
				if err := n.Publish(t.Context(), "a", data, espial.Only(n.ID())); err != nil {
					return err
				}
			}
			return nil
		}
		var e struct {
			Topic string        `json:"topic"`
			From  espial.Sender `json:"from"`
			Count int           `json:"count"`
			Data  struct{ N int }
		}
		if err := json.Unmarshal(b, &e); err != nil {
			return err
		}
		if e.Topic == "lagged" {
			if e.From.ID != n.ID() || e.Count == 0 {
				t.Errorf("the loss is %s, want its sender and count", b)
			}
			lost += e.Count
		} else {
			if e.Data.N != read+lost {
				t.Errorf("event %d follows %d that were read and %d that were lost", e.Data.N, read, lost)
			}
			read++
		}
		if read+lost == published {
			return context.Canceled
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || lost == 0 || read == 0 {
		t.Errorf("sub ended with %v after %d events read and %d lost, want both", err, read, lost)
	}
}

// Losses are no events: one that comes before the first event does not end a subscription.
func TestControlGoesOnAfterALoss(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n := c.nodes[0]
		for _, count := range []int{0, 2} {
			var pieces []string
			enough := errors.New("enough")
			args := fmt.Sprintf(`{"pattern":"t","count":%d}`, count)
			err := espial.Control(c.Context(), n, "sub", args, func(v any) error {
				b, err := json.Marshal(v)
				if err != nil {
					return err
				}
				if string(b) == "null" {
					c.publish(n, 1, 2000, 0) // the queue holds 1,024
					time.Sleep(time.Second)
					return nil
				}
				if pieces = append(pieces, string(b)); count == 0 && len(pieces) == 3 {
					return enough
				}
				return nil
			})
			if len(pieces) != 3 || !strings.Contains(pieces[0], `"topic":"lagged"`) || strings.Contains(pieces[1], "lagged") {
				c.Errorf("sub %s brings %q, %v, want a loss and two events", args, pieces, err)
			}
			if want := map[int]error{0: enough}[count]; !errors.Is(err, want) {
				c.Errorf("sub %s ends with %v, want %v", args, err, want)
			}
		}
	})
}

func TestControlTellsThatTheNodeEnded(t *testing.T) {
	for _, verb := range []string{"changes", "sub"} {
		t.Run(verb, func(t *testing.T) {
			n, c := controlled(t, espial.Config{})
			first := true
			err := c.Call(t.Context(), verb, map[string]string{"pattern": ">"}, func(json.RawMessage) error {
				if first {
					go func() { _ = n.Close() }()
				}
				first = false
				return nil
			})
			if e, ok := errors.AsType[*control.Error](err); !ok || e.Code != control.CodeClosed {
				t.Errorf("%s ended with %v, want the code %q", verb, err, control.CodeClosed)
			}
			<-n.Done()
			if _, err := os.Lstat(c.Path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the socket of a node that ended is still there: %v", err)
			}
		})
	}
}

func TestControlThatFailsIsAWarning(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("TMPDIR", dir)
	var log bytes.Buffer
	n, err := espial.Start(t.Context(), espial.Config{
		Cluster: "shop", Listen: "127.0.0.1:0", Multicast: espial.Multicast{Off: true}, Control: true,
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if got := n.Status().Control; got != "" {
		t.Errorf("the status names the socket %q, want none", got)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "no control socket") {
		t.Errorf("the log says %q, want a warning", log.String())
	}
}
