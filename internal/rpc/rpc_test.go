package rpc_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/rpc"
)

// TestEndsOfACall: whoever waits hears one thing, and what it hears is true.
func TestEndsOfACall(t *testing.T) {
	type ended = rpc.Ended[string]
	for _, tt := range []struct {
		name string
		do   func(c *rpc.Caller[string]) []ended // c has the calls 1, 2 and 5, of a, b and e
		want []ended
		open int // calls that are left
	}{
		{"the session ends before anything was sent", func(c *rpc.Caller[string]) []ended {
			return c.End(0)
		}, []ended{{1, "a", false}, {2, "b", false}, {5, "e", false}}, 0},
		{"the session ends when some were sent", func(c *rpc.Caller[string]) []ended {
			return c.End(4)
		}, []ended{{1, "a", true}, {2, "b", true}, {5, "e", false}}, 0},
		{"the callee forgot what was sent", func(c *rpc.Caller[string]) []ended {
			return c.Lose(2)
		}, []ended{{1, "a", true}, {2, "b", true}}, 1},
		{"one was answered before", func(c *rpc.Caller[string]) []ended {
			c.Answer(2)
			return c.End(5)
		}, []ended{{1, "a", true}, {5, "e", true}}, 0},
		{"nobody waits for one any more", func(c *rpc.Caller[string]) []ended {
			c.Abandon(1)
			return c.Lose(2)
		}, []ended{{2, "b", true}}, 1},
		{"it ended before", func(c *rpc.Caller[string]) []ended {
			c.End(5)
			return c.End(5)
		}, nil, 0},
	} {
		var c rpc.Caller[string]
		c.Call(1, "a")
		c.Call(2, "b")
		c.Call(5, "e")
		got := tt.do(&c)
		if diff := cmp.Diff(tt.want, got); diff != "" || c.Open() != tt.open {
			t.Errorf("%s: %d left, want %d; -want +got:\n%s", tt.name, c.Open(), tt.open, diff)
		}
	}
}

func TestAnAnswerIsForWhoeverWaits(t *testing.T) {
	var c rpc.Caller[string]
	c.Call(1, "a")
	c.Call(2, "b")
	if !c.Abandon(1) || c.Abandon(1) || c.Abandon(3) {
		t.Error("Abandon: want true for a call for which somebody waits, and for no other")
	}
	if c.Open() != 2 {
		t.Errorf("%d calls are open, want 2: the callee may be at work on both", c.Open())
	}
	for _, tt := range []struct {
		name    string
		number  ident.Seq
		who     string
		waiting bool
	}{
		{"to a call that was given up", 1, "", false},
		{"to a call", 2, "b", true},
		{"to the same call again", 2, "", false},
		{"to no call", 3, "", false},
	} {
		if who, waiting := c.Answer(tt.number); who != tt.who || waiting != tt.waiting {
			t.Errorf("an answer %s: %q, %v; want %q, %v", tt.name, who, waiting, tt.who, tt.waiting)
		}
	}
	if c.Open() != 0 || c.Abandon(2) {
		t.Errorf("%d calls are open after their answers", c.Open())
	}
}

func TestBothEndsHaveOneLimit(t *testing.T) {
	var caller rpc.Caller[int]
	var callee rpc.Callee[int]
	for i := range ident.Seq(rpc.CallsMax) {
		if caller.Full() || !callee.Begin(i+1, int(i)) {
			t.Fatalf("full after %d calls, want %d", i, rpc.CallsMax)
		}
		caller.Call(i+1, 0)
	}
	caller.Abandon(7)
	callee.Cancel(7)
	if !caller.Full() || callee.Begin(rpc.CallsMax+1, 0) {
		t.Error("a call that was given up makes room before it was answered")
	}
	callee.Done(7)
	caller.Answer(7)
	if caller.Full() || !callee.Begin(rpc.CallsMax+1, 0) {
		t.Error("an answer makes no room")
	}
}

func TestCallsAreToldToStopOnce(t *testing.T) {
	var c rpc.Callee[string]
	for i, name := range []string{"a", "b", "c", "d"} {
		c.Begin(ident.Seq(i+1), name)
	}
	c.Done(3)
	for _, tt := range []struct {
		name   string
		number ident.Seq
		want   string
	}{
		{"at work", 2, "b true"},
		{"told before", 2, " false"},
		{"done", 3, " false"},
		{"never begun", 9, " false"},
	} {
		stop, ok := c.Cancel(tt.number)
		if got := fmt.Sprint(stop, " ", ok); got != tt.want {
			t.Errorf("Cancel of a call %s = %s, want %s", tt.name, got, tt.want)
		}
	}
	if diff := cmp.Diff([]string{"a", "d"}, c.CancelAll()); diff != "" {
		t.Errorf("CancelAll, -want +got:\n%s", diff)
	}
	if again := c.CancelAll(); len(again) != 0 || c.Running() != 3 {
		t.Errorf("CancelAll again = %v with %d at work; want none, and 3", again, c.Running())
	}
}
