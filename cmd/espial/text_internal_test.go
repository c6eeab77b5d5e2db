package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/control"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 5e6, time.Local)

func TestChangeLine(t *testing.T) {
	web := espial.Member{
		ID: espial.NodeID{1}, Name: "web-1", Addrs: []string{"10.0.0.2:27272", "[2001:db8::2]:27272"},
		Metadata: map[string]string{"zone": "b", "role": "\x1bweb"},
	}
	const id = "aeaaaaaaaaaaaaaa"
	for _, c := range []struct {
		name string
		in   espial.Change
		want string
	}{
		{
			"listening",
			espial.Change{Kind: espial.Listening, Addrs: []string{"10.0.0.1:27272"}, Control: "/run/x.sock"},
			"listening        on 10.0.0.1:27272, control socket /run/x.sock",
		},
		{
			"listening without a socket",
			espial.Change{Kind: espial.Listening, Addrs: []string{"10.0.0.1:27272"}},
			"listening        on 10.0.0.1:27272, no control socket",
		},
		{
			"a member",
			espial.Change{Kind: espial.AddedNode, Member: web, Source: "multicast"},
			"added_node       web-1         " + id + "  10.0.0.2:27272, [2001:db8::2]:27272  found by multicast",
		},
		{
			"a member's new metadata",
			espial.Change{Kind: espial.UpdatedNode, Member: web},
			"updated_node     web-1         " + id + `  10.0.0.2:27272, [2001:db8::2]:27272  role=\x1bweb zone=b`,
		},
		{
			"a member that is gone",
			espial.Change{Kind: espial.RemovedNode, Member: web, Cause: espial.CauseFailed},
			"removed_node     web-1         " + id + "  failed",
		},
		{
			"a refusal",
			espial.Change{
				Kind: espial.NodeRejected, Member: espial.Member{ID: web.ID}, By: "peer", Code: "filter", Reason: "no \x1b\"you\"",
			},
			"node_rejected    -             " + id + `  by peer: filter "no \x1b\"you\""`,
		},
		{
			"a refusal without a word",
			espial.Change{Kind: espial.NodeRejected, Member: web, By: "self", Code: "full"},
			"node_rejected    web-1         " + id + "  by self: full",
		},
		{
			"a split",
			espial.Change{
				Kind: espial.Split, Present: []espial.NodeID{{9}}, Missing: []espial.NodeID{{1}, {1}},
			},
			"split            1 answer, 2 do not: " + id + " " + id,
		},
		{
			"a large split",
			espial.Change{Kind: espial.Split, Missing: make([]espial.NodeID, 10)},
			"split            0 answer, 10 do not: " + strings.Repeat("aaaaaaaaaaaaaaaa ", 8) + "and 2 more",
		},
		{
			"a heal",
			espial.Change{Kind: espial.Healed, Member: web, Missing: []espial.NodeID{web.ID}},
			"healed           web-1         " + id + "  back: " + id,
		},
		{"a loss", espial.Change{Kind: espial.Lagged, Count: 3}, "lagged           3 changes are missing"},
		{
			"a loss that nobody can count",
			espial.Change{Kind: espial.Lagged, Unknown: true},
			"lagged           an unknown number of changes is missing",
		},
		{
			"doubt",
			espial.Change{Kind: espial.InDoubt, Member: web, Count: 2},
			"espial.in_doubt  web-1         " + id + "  2 events may not have arrived",
		},
		{"the first peer", espial.Change{Kind: espial.Connected}, "connected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.in.At = noon
			if diff := cmp.Diff("12:00:00.005  "+c.want, changeLine(c.in)); diff != "" {
				t.Errorf("changeLine (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEventLine(t *testing.T) {
	at, err := json.Marshal(noon)
	if err != nil {
		t.Fatal(err)
	}
	head := `{"time":` + string(at) + `,"topic":"a.b",`
	for _, c := range []struct{ name, in, want string }{
		{
			"JSON", head + `"from":{"id":"abc","name":"web"},"seq":1,"data":{"a":"\u003cb\u003e"}}`,
			`a.b                   web           {"a":"<b>"}`,
		},
		{
			"text", head + `"from":{"id":"abc","name":"web"},"data_base64":"aGkKG1sybQ=="}`,
			`a.b                   web           hi\n\x1b[2m`,
		},
		{
			"a sender without a name", head + `"from":{"id":"abcdefghijklmnopqrst"},"data":null}`,
			`a.b                   abcdefghijklmnop  null`,
		},
		{
			"a loss", strings.Replace(head, "a.b", "lagged", 1) + `"from":{"id":"abc"},"count":3}`,
			`lagged                abc           3 events are missing`,
		},
		{
			"a loss that nobody can count",
			strings.Replace(head, "a.b", "lagged", 1) + `"from":{"id":"abc"},"count":0,"unknown":true}`,
			`lagged                abc           an unknown number of events is missing`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := eventLine(json.RawMessage(c.in))
			if want := "12:00:00.005  " + c.want; got != want || err != nil {
				t.Errorf("eventLine(%s)\n = %q, %v\nwant %q", c.in, got, err, want)
			}
		})
	}
	if _, err := eventLine(json.RawMessage(`[]`)); err == nil {
		t.Error("eventLine took an array")
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		name string
		in   error
		code int
		text string
	}{
		{"a failure is itself", &failure{codeNoNode, "x"}, 3, "x"},
		{"a setting names its flag", &espial.ConfigError{Field: "Multicast.TTL", Reason: "bad"}, 2, "--multicast-ttl: bad"},
		{"seeds are --join", &espial.ConfigError{Field: "Seeds", Reason: "bad"}, 2, "--join: bad"},
		{"the key file", &espial.ConfigError{Field: "KeyFile", Reason: "bad"}, 2, "--key-file: bad"},
		{"metadata", fmt.Errorf("w: %w", &espial.ConfigError{Field: "Metadata", Reason: "bad"}), 2, "--meta: bad"},
		{"a topic", &espial.TopicError{Topic: "a", Reason: "bad"}, 2, `topic "a": bad`},
		{"a topic that a running node refused", &control.Error{Code: "topic", Text: "espial: bad"}, 2, "bad"},
		{"another answer of a running node", &control.Error{Code: "too_large", Text: "espial: bad"}, 1, "bad"},
		{
			"a refusal", &espial.RejectedError{Refusals: []espial.Refusal{{Code: "full"}}}, 4,
			"refused by every node that answered: aaaaaaaaaaaaaaaa: full",
		},
		{"anything else", errors.New("espial: bad"), 1, "bad"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := asFailure(c.in); got.code != c.code || got.text != c.text {
				t.Errorf("asFailure(%v) = %+v, want code %d and %q", c.in, got, c.code, c.text)
			}
		})
	}
}

func TestPayloadIsBounded(t *testing.T) {
	long := bytes.NewReader(make([]byte, stdinMax+1))
	if _, err := (&series{}).payload(t.Context(), long); err == nil || asFailure(err).code != codeUsage {
		t.Errorf("payload of %d bytes returned %v, want a usage error", stdinMax+1, err)
	}
}

// TestAnInterruptIsHeardWhileNothingIsTyped: standard input may never end.
func TestAnInterruptIsHeardWhileNothingIsTyped(t *testing.T) {
	in, out := io.Pipe()
	defer out.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if _, err := (&series{}).payload(ctx, in); !errors.Is(err, context.Canceled) {
		t.Errorf("payload returns %v, want %v", err, context.Canceled)
	}
}

func TestSize(t *testing.T) {
	for in, want := range map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 5 << 20: "5.0 MiB", 1<<64 - 1: "16.0 EiB",
	} {
		if got := size(in); got != want {
			t.Errorf("size(%d) = %q, want %q", in, got, want)
		}
	}
}
