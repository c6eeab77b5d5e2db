package espial_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
)

// order is what the methods of these tests take.
type order struct {
	ID    string
	Count int
}

// placing is a method that answers an order of n articles with its ID and twice n.
var placing = espial.NewMethod[order, order]("orders.place")

func double(_ context.Context, _ espial.Caller, o order) (order, error) {
	return order{o.ID, 2 * o.Count}, nil
}

// served fails the test where a method could not be served.
func (c *cluster) served(_ func(), err error) {
	c.Helper()
	if err != nil {
		c.Fatalf("Serve: %v", err)
	}
}

// TestCall: another member and the node itself answer alike, a member that joins later is served,
// and a method that was stopped is there no more.
func TestCall(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		stop, err := placing.Serve(c.nodes[0], double)
		if err != nil {
			c.Fatal(err)
		}
		late := c.start(espial.Config{})
		c.meet(3)
		for _, n := range []*espial.Node{c.nodes[0], c.nodes[1], late} {
			got, err := placing.Call(c.Context(), n, espial.Named("node-0"), order{"a", 21})
			if want := (order{"a", 42}); got != want || err != nil {
				t.Errorf("%s: Call = %v, %v; want %v", n.Name(), got, err, want)
			}
			raw, err := n.Call(c.Context(), placing.Name(), espial.Only(c.nodes[0].ID()), []byte(`{"ID":"b"}`))
			if want := `{"ID":"b","Count":0}`; string(raw) != want || err != nil {
				t.Errorf("%s: Node.Call = %s, %v; want %s", n.Name(), raw, err, want)
			}
		}
		stop()
		_, err = placing.Call(c.Context(), late, espial.Named("node-0"), order{})
		if !errors.Is(err, espial.ErrNoHandler) {
			t.Errorf("Call of what was stopped: %v, want %v", err, espial.ErrNoHandler)
		}
	})
}

// TestCallsThatBringNothing: each error is the right one, names the method and its member, and
// comes within a few round trips.
func TestCallsThatBringNothing(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		answer := func(err error) espial.Handler {
			return func(context.Context, espial.Caller, []byte) ([]byte, error) { return make([]byte, 1<<20+1), err }
		}
		c.served(b.Serve("large", answer(nil)))
		c.served(b.Serve("fails", answer(errors.New("out of \"paper\""))))
		c.served(b.Serve("panics", func(context.Context, espial.Caller, []byte) ([]byte, error) { panic("no") }))
		c.served(b.Serve("private", answer(nil), espial.To(espial.Named("node-2"))))
		c.served(placing.Serve(b, double))
		from := fmt.Sprintf(" of node-1 (%s): ", b.ID().Short())
		only := espial.Only(b.ID())
		for _, tt := range []struct {
			name, method string
			to           espial.Target
			data         int
			is           error
			text         string
		}{
			{"nobody serves it", "none", only, 1, espial.ErrNoHandler, `"none"` + from + "no such method"},
			{"it is not for this node", "private", only, 1, espial.ErrNoHandler, `"private"` + from + "no such method"},
			{"the handler says no", "fails", only, 1, nil, `"fails"` + from + `"out of \"paper\""`},
			{"the handler panics", "panics", only, 1, espial.ErrPanicked, `"panics"` + from + "the handler panicked"},
			{
				"the result is too large", "large", only, 1, espial.ErrTooLarge,
				`"large"` + from + "event too large: the result, for Config.EventMax of one of the ends",
			},
			{
				"the argument is too large", "large", only, 1<<20 + 1, espial.ErrTooLarge,
				`"large"` + from + "the call was not sent: event too large: 1048577 bytes, limit 1048576 (Config.EventMax)",
			},
			{"no name of a method", "a..b", only, 1, nil, `"a..b": word 2 is empty`},
			{"a reserved name", "espial.x", only, 1, nil, `"espial.x": the name is reserved for espial`},
			{"a target that means nobody", "x", espial.Named("db-*"), 1, espial.ErrNoMember, ""},
			{"who is no member", "x", espial.Only(espial.NodeID{1}), 1, espial.ErrNotSent, ""},
		} {
			began := time.Now()
			_, err := a.Call(c.Context(), tt.method, tt.to, make([]byte, tt.data))
			if took := time.Since(began); took > 10*time.Millisecond {
				t.Errorf("%s: took %v", tt.name, took)
			}
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.is)
			} else if tt.text != "" && err.Error() != "espial: method "+tt.text {
				t.Errorf("%s:\n%v, want\nespial: method %s", tt.name, err, tt.text)
			}
		}
		if got := b.Status().Dropped["panicked_calls"]; got != 1 {
			t.Errorf("%d panics are counted, want 1", got)
		}
		if _, err := c.nodes[2].Call(c.Context(), "private", only, nil); !errors.Is(err, espial.ErrTooLarge) {
			t.Errorf("a call of a node for which the method is served: %v", err)
		}
	})
}

// TestTypesThatDiffer: the error names both, whichever end cannot read what it gets.
func TestTypesThatDiffer(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		c.served(placing.Serve(c.nodes[0], double))
		to := espial.Named("node-0")
		_, err := espial.NewMethod[[]int, order](placing.Name()).Call(c.Context(), c.nodes[1], to, []int{1})
		wrong, ok := errors.AsType[*espial.MismatchError](err)
		if !ok || wrong.Here != "[]int" || wrong.There != "espial_test.order" {
			t.Errorf("an argument of another type: %v", err)
		}
		_, err = espial.NewMethod[order, string](placing.Name()).Call(c.Context(), c.nodes[1], to, order{})
		if wrong, ok = errors.AsType[*espial.MismatchError](err); !ok || wrong.Here != "string" ||
			wrong.There != "espial_test.order" {
			t.Errorf("a result of another type: %v", err)
		}
		if _, err = c.nodes[1].Call(c.Context(), placing.Name(), to, []byte("x")); !strings.Contains(err.Error(),
			"the type is bytes here and espial_test.order there: ") {
			t.Errorf("bytes that are no argument: %v", err)
		}
		foreign := espial.NewMethod[order, order](placing.Name()).WithCodec(gobs{})
		if _, err = foreign.Call(c.Context(), c.nodes[1], to, order{}); !strings.Contains(err.Error(), "Config.Codecs") {
			t.Errorf("a codec that the callee does not know: %v", err)
		}
	})
}

// TestServeRefuses: what cannot be served, and why.
func TestServeRefuses(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n := c.nodes[0]
		c.served(placing.Serve(n, double))
		for _, tt := range []struct {
			name string
			err  error
			want string
		}{
			{"a name that is none", second(espial.NewMethod[int, int]("a b").Serve(n, nil)), `"a b": word 1 contains " "`},
			{"what is served", second(placing.Serve(n, double)), `"orders.place": is served by this node already`},
			{"no handler", second(n.Serve("x", nil)), `"x": needs a handler`},
			{"no call at a time", second(n.Serve("x", echo, espial.CallsMax(0))), `"x": CallsMax(0) is not above 0`},
			{"a description that is none", second(n.Serve("x", echo, espial.Describe(strings.Repeat("x", 257)))), "257 bytes"},
			{"a target that is none", second(n.Serve("x", echo, espial.To(espial.Named("")))), "target"},
			{"a codec that is none", second(placing.WithCodec(nil).Serve(n, double)), `"orders.place": has a codec that is nil`},
		} {
			if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
				t.Errorf("%s: %v, want %s", tt.name, tt.err, tt.want)
			}
		}
	})
}

func second(_ func(), err error) error { return err }

func last(_ []byte, err error) error { return err }

func echo(_ context.Context, _ espial.Caller, data []byte) ([]byte, error) { return data, nil }

// TestADeadlineTravels: the callee knows how long its caller waits, and hears when it gives up.
func TestADeadlineTravels(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		stopped := make(chan time.Duration, 1)
		c.served(c.nodes[0].Serve("wait", func(ctx context.Context, _ espial.Caller, _ []byte) ([]byte, error) {
			at, _ := ctx.Deadline()
			left := time.Until(at)
			<-ctx.Done()
			stopped <- left
			return nil, ctx.Err()
		}))
		for _, tt := range []struct {
			name   string
			cancel time.Duration // the caller gives up before its deadline of 1 s
			is     error
		}{
			{"its deadline comes", time.Hour, context.DeadlineExceeded},
			{"it gives up", 300 * time.Millisecond, context.Canceled},
		} {
			ctx, cancel := context.WithTimeout(c.Context(), time.Second)
			time.AfterFunc(tt.cancel, cancel)
			began := time.Now()
			_, err := c.nodes[1].Call(ctx, "wait", espial.Named("node-0"), nil)
			left := <-stopped
			if !errors.Is(err, tt.is) || !errors.Is(err, espial.ErrMaybeExecuted) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.is)
			}
			if left > time.Second || left < time.Second-5*time.Millisecond {
				t.Errorf("%s: the handler has %v left, want 1 s", tt.name, left)
			}
			if took := time.Since(began) - min(tt.cancel, time.Second); took < 0 || took > 5*time.Millisecond {
				t.Errorf("%s: the callee hears of it %v later", tt.name, took)
			}
			cancel()
		}
	})
}

// TestBusy: a method takes so many calls at a time, and the next one hears at once.
func TestBusy(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		release := make(chan struct{})
		c.served(c.nodes[0].Serve("slow", func(context.Context, espial.Caller, []byte) ([]byte, error) {
			<-release
			return nil, nil
		}, espial.CallsMax(2)))
		call := func() error {
			_, err := c.nodes[1].Call(c.Context(), "slow", espial.Named("node-0"), nil)
			return err
		}
		errs := make(chan error, 2)
		for range 2 {
			go func() { errs <- call() }()
		}
		time.Sleep(time.Second)
		if err := call(); !errors.Is(err, espial.ErrBusy) {
			t.Errorf("the third call: %v, want %v", err, espial.ErrBusy)
		}
		close(release)
		if err := errors.Join(<-errs, <-errs, call()); err != nil {
			t.Errorf("calls within the limit: %v", err)
		}
		if got := c.nodes[0].Status().Dropped["busy_calls"]; got != 1 {
			t.Errorf("%d busy calls are counted, want 1", got)
		}
	})
}

// TestManyCallsOfAMethod: 1,024 run at a time, whoever calls, unless its server says otherwise.
func TestManyCallsOfAMethod(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		release := make(chan struct{})
		c.served(c.nodes[0].Serve("slow", func(context.Context, espial.Caller, []byte) ([]byte, error) {
			<-release
			return nil, nil
		}))
		ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
		defer cancel()
		errs := make(chan error)
		call := func(n *espial.Node) {
			_, err := n.Call(ctx, "slow", only(c.nodes[0]), nil)
			errs <- err
		}
		for i := range 1025 {
			go call(c.nodes[i%2])
		}
		if err := <-errs; !errors.Is(err, espial.ErrBusy) {
			t.Errorf("one of 1,025 calls: %v, want %v", err, espial.ErrBusy)
		}
		time.Sleep(time.Second)
		close(release)
		for range 1024 {
			if err := <-errs; err != nil {
				t.Errorf("one of 1,024 calls: %v", err)
			}
		}
	})
}

// TestGather: one answer or error of each member, and the loop ends when the last one is gone.
func TestGather(t *testing.T) {
	inCluster(t, 5, func(c *cluster) {
		for i, n := range c.nodes[:4] {
			c.served(n.Serve("who", func(ctx context.Context, who espial.Caller, _ []byte) ([]byte, error) {
				if i == 2 {
					<-ctx.Done()
				}
				return []byte(who.Callee.Name), ctx.Err()
			}))
		}
		got := map[string]string{}
		time.AfterFunc(time.Second, func() { c.net.Down(ip(2)) })
		began := time.Now()
		for a := range c.nodes[0].Gather(c.Context(), "who", espial.All(), nil) {
			if got[a.From.Name] != "" {
				t.Errorf("two answers of %s", a.From.Name)
			}
			switch {
			case a.Err == nil:
				got[a.From.Name] = string(a.Value)
			case errors.Is(a.Err, espial.ErrMaybeExecuted) && errors.Is(a.Err, espial.ErrNoMember):
				got[a.From.Name] = "gone"
			case errors.Is(a.Err, espial.ErrNoHandler):
				got[a.From.Name] = "none"
			default:
				t.Errorf("%s: %v", a.From.Name, a.Err)
			}
		}
		want := map[string]string{
			"node-0": "node-0", "node-1": "node-1", "node-2": "gone", "node-3": "node-3", "node-4": "none",
		}
		if !maps.Equal(got, want) || time.Since(began) > 6*time.Second {
			t.Errorf("answers after %v: %v, want %v", time.Since(began), got, want)
		}
		for a := range placing.Gather(c.Context(), c.nodes[0], espial.Named("db-*"), order{}) {
			if !errors.Is(a.Err, espial.ErrNoMember) || a.From != (espial.Sender{}) {
				t.Errorf("an answer of nobody: %+v", a)
			}
		}
	})
}

// TestABrokenOffGatherStopsTheRest: who breaks the loop off leaves nobody at work.
func TestABrokenOffGatherStopsTheRest(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		var stopped atomic.Int32
		for i, n := range c.nodes {
			c.served(n.Serve("first", func(ctx context.Context, _ espial.Caller, _ []byte) ([]byte, error) {
				if i > 0 {
					<-ctx.Done()
					stopped.Add(1)
				}
				return nil, nil
			}))
		}
		for range c.nodes[0].Gather(c.Context(), "first", espial.All(), nil) {
			time.Sleep(time.Second) // the others have begun
			break
		}
		time.Sleep(time.Second)
		if stopped.Load() != 2 {
			t.Errorf("%d of 2 were told to stop", stopped.Load())
		}
	})
}

// TestWrappers: on both sides, the first one outermost, and with names of both ends.
func TestWrappers(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		wrapper := func(word string) func(espial.Handler) espial.Handler {
			return func(next espial.Handler) espial.Handler {
				return func(ctx context.Context, who espial.Caller, data []byte) ([]byte, error) {
					data = fmt.Appendf(data, " %s:%s-%s/%s", word, who.Name, who.Callee.Name, who.Method)
					out, err := next(ctx, who, data)
					return append(out, " -"+word...), err
				}
			}
		}
		type wrappers = []func(espial.Handler) espial.Handler
		n := c.start(espial.Config{WrapCall: wrappers{wrapper("a"), wrapper("b")}, WrapServe: wrappers{wrapper("c")}})
		c.meet(2)
		c.served(n.Serve("echo", echo))
		c.served(c.nodes[0].Serve("echo", echo))
		for to, want := range map[string]string{
			"node-0": "x a:node-1-node-0/echo b:node-1-node-0/echo -b -a",
			"node-1": "x a:node-1-node-1/echo b:node-1-node-1/echo c:node-1-node-1/echo -c -b -a",
		} {
			got, err := n.Call(c.Context(), "echo", espial.Named(to), []byte("x"))
			if string(got) != want || err != nil {
				t.Errorf("to %s: %s, %v; want %s", to, got, err, want)
			}
		}
	})
}

// TestCallsInTurn: calls to one of several members are shared out.
func TestCallsInTurn(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		var had [3]atomic.Int32
		for i, n := range c.nodes {
			c.served(n.Serve("work", func(context.Context, espial.Caller, []byte) ([]byte, error) {
				had[i].Add(1)
				return nil, nil
			}))
		}
		time.Sleep(time.Second) // all have heard of the method
		for range 30 {
			if _, err := c.nodes[0].Call(c.Context(), "work", espial.OneOf("node-*"), nil); err != nil {
				t.Fatal(err)
			}
		}
		for i := range had {
			if had[i].Load() != 10 {
				t.Errorf("node-%d had %d calls of 30, want 10", i, had[i].Load())
			}
		}
	})
}

// TestCallsAtWork go on when their method is stopped; the end of their node is the end of their
// context, and waits for nobody who does not look at it.
func TestCallsAtWork(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		n, told := c.nodes[0], make(chan error, 1)
		work := func(ctx context.Context, _ espial.Caller, _ []byte) ([]byte, error) {
			select {
			case <-ctx.Done():
				told <- ctx.Err()
				time.Sleep(10 * time.Second)
			case <-time.After(time.Second):
			}
			return []byte("done"), nil
		}
		call := func() <-chan string {
			answer := make(chan string, 1)
			go func() {
				value, err := c.nodes[1].Call(c.Context(), "work", only(n), nil)
				answer <- fmt.Sprintf("%s %v", value, err)
			}()
			time.Sleep(100 * time.Millisecond)
			return answer
		}
		stop, err := n.Serve("work", work)
		c.served(stop, err)
		answer := call()
		stop()
		if got, want := <-answer, "done <nil>"; got != want {
			t.Errorf("a call whose method was stopped: %s, want %s", got, want)
		}
		c.served(n.Serve("work", work))
		_ = call()
		began := time.Now()
		if err := n.Close(); err != nil || time.Since(began) > 250*time.Millisecond {
			t.Errorf("Close = %v after %v, want nil within 250 ms", err, time.Since(began))
		}
		synctest.Wait()
		if len(told) != 1 {
			t.Error("the handler was not told that the node ended")
		}
		time.Sleep(10 * time.Second) // until it returns
	})
}

// TestLeaveWaitsForCalls: a node that leaves answers what it has begun, and takes nothing new.
func TestLeaveWaitsForCalls(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		c.served(c.nodes[0].Serve("slow", func(context.Context, espial.Caller, []byte) ([]byte, error) {
			time.Sleep(2 * time.Second)
			return []byte("done"), nil
		}))
		answers := make(chan string, 2)
		call := func() {
			value, err := c.nodes[1].Call(c.Context(), "slow", espial.Named("node-0"), nil)
			answers <- fmt.Sprintf("%s %v", value, errors.Is(err, espial.ErrNoHandler))
		}
		go call()
		synctest.Wait()
		time.AfterFunc(time.Second, call)
		time.Sleep(500 * time.Millisecond)
		if err := c.nodes[0].Leave(c.Context()); err != nil {
			t.Errorf("Leave: %v", err)
		}
		got := []string{<-answers, <-answers}
		if want := []string{" true", "done false"}; !slices.Equal(got, want) {
			t.Errorf("answers %q, want %q", got, want)
		}
	})
}
