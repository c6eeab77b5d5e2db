package espial_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/codec"
)

// The methods of these tests: one for each place in which a flow can stand.
var (
	counting = espial.NewMethod[int, espial.Flow[int]]("count")
	adding   = espial.NewMethod[espial.Flow[int], int]("add")
	doubling = espial.NewMethod[espial.Flow[int], espial.Flow[int]]("double")
)

// upTo yields 1 to n.
func upTo(n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i+1, nil) {
				return
			}
		}
	}
}

func count(_ context.Context, _ espial.Caller, n int) (espial.Flow[int], error) {
	return espial.FlowOf(upTo(n)), nil
}

func add(_ context.Context, _ espial.Caller, f espial.Flow[int]) (sum int, err error) {
	for v, err := range f.All() {
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}

// twice answers each value when it comes.
func twice(_ context.Context, _ espial.Caller, f espial.Flow[int]) (espial.Flow[int], error) {
	return espial.FlowOf(func(yield func(int, error) bool) {
		for v, err := range f.All() {
			if !yield(2*v, err) {
				return
			}
		}
	}), nil
}

// total adds up a flow, and says how it ended.
func total(f espial.Flow[int]) (values, sum int, err error) {
	for v, err := range f.All() {
		if err != nil {
			return values, sum, err
		}
		values++
		sum += v
	}
	return values, sum, nil
}

// TestFlows: a result, an argument and both, at another member and at the node itself.
func TestFlows(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		at := c.nodes[0]
		c.served(counting.Serve(at, count))
		c.served(adding.Serve(at, add))
		c.served(doubling.Serve(at, twice))
		for _, n := range c.nodes {
			for _, size := range []int{0, 1, 1000} {
				want := size * (size + 1) / 2
				f, err := counting.Call(c.Context(), n, espial.Only(at.ID()), size)
				if err != nil {
					t.Fatalf("%s: count: %v", n.Name(), err)
				}
				if values, sum, err := total(f); values != size || sum != want || err != nil {
					t.Errorf("%s: count: %d values of sum %d, %v; want %d of %d", n.Name(), values, sum, err, size, want)
				}
				sum, err := adding.Call(c.Context(), n, espial.Only(at.ID()), espial.FlowOf(upTo(size)))
				if sum != want || err != nil {
					t.Errorf("%s: add: %d, %v; want %d", n.Name(), sum, err, want)
				}
				f, err = doubling.Call(c.Context(), n, espial.Only(at.ID()), espial.FlowOf(upTo(size)))
				if err != nil {
					t.Fatalf("%s: double: %v", n.Name(), err)
				}
				if values, sum, err := total(f); values != size || sum != 2*want || err != nil {
					t.Errorf("%s: double: %d values of sum %d, %v; want %d of %d", n.Name(), values, sum, err, size, 2*want)
				}
			}
		}
		if got := c.nodes[1].Status().Queues["flows"] + at.Status().Queues["flows"]; got != 0 {
			t.Errorf("%d flows wait in the end", got)
		}
		for m := range c.nodes[1].Methods() {
			if m.Method == counting.Name() && (m.Result != "espial.Flow[int]" || m.Codec != codec.JSON) {
				t.Errorf("a member says of count: %+v", m)
			}
		}
	})
}

// TestAFlowIsReadWhileItIsMade: each value of a duplex call is answered before the next one is asked.
func TestAFlowIsReadWhileItIsMade(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		c.served(doubling.Serve(c.nodes[0], twice))
		answered := make(chan int, 1)
		answered <- 0
		f, err := doubling.Call(c.Context(), c.nodes[1], espial.Named("node-0"),
			espial.FlowOf(func(yield func(int, error) bool) {
				for i := range 5 {
					if got := <-answered; got != 2*i {
						t.Errorf("%d was answered before %d was asked", got, i+1)
					}
					if !yield(i+1, nil) {
						return
					}
				}
			}))
		if err != nil {
			t.Fatal(err)
		}
		for v, err := range f.All() {
			if err != nil {
				t.Fatal(err)
			}
			answered <- v
		}
		if len(answered) != 1 || <-answered != 10 {
			t.Error("the flow ended before the last answer")
		}
	})
}

// TestAFlowOfBytes: a codec of bytes carries them as they are.
func TestAFlowOfBytes(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		files := espial.NewMethod[string, espial.Flow[[]byte]]("files").WithCodec(codec.Bytes{})
		_, err := files.Call(c.Context(), c.nodes[1], espial.Named("node-0"), "x")
		if err == nil || !strings.Contains(err.Error(), "[]byte") {
			t.Errorf("an argument that the codec does not carry: %v", err)
		}
		blocks := espial.NewMethod[[]byte, espial.Flow[[]byte]]("blocks").WithCodec(codec.Bytes{})
		c.served(blocks.Serve(c.nodes[0], func(_ context.Context, _ espial.Caller, q []byte) (espial.Flow[[]byte], error) {
			return espial.FlowOf(func(yield func([]byte, error) bool) {
				for i := range 3 {
					if !yield([]byte(strings.Repeat(string(q), i*100_000)), nil) {
						return
					}
				}
			}), nil
		}))
		f, err := blocks.Call(c.Context(), c.nodes[1], espial.Named("node-0"), []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		var sizes []int
		for b, err := range f.All() {
			if err != nil || strings.Trim(string(b), "x") != "" {
				t.Errorf("block of %d bytes: %v", len(b), err)
			}
			sizes = append(sizes, len(b))
		}
		if fmt.Sprint(sizes) != "[0 100000 200000]" {
			t.Errorf("blocks of %d bytes", sizes)
		}
	})
}

// TestHowAFlowEnds: what its reader hears of each end but the good one.
func TestHowAFlowEnds(t *testing.T) {
	type seq = func(yield func(int, error) bool)
	method := espial.NewMethod[int, espial.Flow[int]]("flow")
	for _, tt := range []struct {
		name string
		seq  func(c *cluster) seq
		is   error
		text string
	}{
		{"its producer says no", func(*cluster) seq {
			return func(yield func(int, error) bool) { yield(1, nil); yield(0, errors.New("out of \"paper\"")) }
		}, nil, `"out of \"paper\""`},
		{"its producer panics", func(*cluster) seq {
			return func(yield func(int, error) bool) { yield(1, nil); panic("no") }
		}, espial.ErrPanicked, "the handler panicked"},
		{"its producer goes", func(c *cluster) seq {
			return func(yield func(int, error) bool) { yield(1, nil); c.nodes[0].Close() }
		}, espial.ErrFlowBroken, "the flow broke off: "},
		{"the caller goes", func(c *cluster) seq {
			return func(yield func(int, error) bool) { yield(1, nil); c.nodes[1].Close() }
		}, espial.ErrFlowBroken, "the flow broke off: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inCluster(t, 2, func(c *cluster) {
				s := tt.seq(c)
				c.served(method.Serve(c.nodes[0], func(context.Context, espial.Caller, int) (espial.Flow[int], error) {
					return espial.FlowOf(iter.Seq2[int, error](s)), nil
				}))
				f, err := method.Call(c.Context(), c.nodes[1], espial.Named("node-0"), 0)
				if err != nil {
					t.Fatal(err)
				}
				values, sum, err := total(f)
				e, ok := errors.AsType[*espial.MethodError](err)
				if values > 1 || sum != values || !ok || e.Member.Name != "node-0" || !errors.Is(err, tt.is) && tt.is != nil {
					t.Fatalf("%d values of sum %d, %v; want one, and %v", values, sum, err, tt.is)
				}
				if want := fmt.Sprintf("espial: method \"flow\" of node-0 (%s): %s", e.Member.ID.Short(), tt.text); !strings.HasPrefix(err.Error(), want) {
					t.Errorf("%v\nwant %s", err, want)
				}
				t.Log(err)
			})
		})
	}
}

// TestAFlowThatNobodyReads: it is made no further than a window, and ends when its reader breaks off,
// when the context of the call ends, when nobody begins within 30 s, and after a deadline.
func TestAFlowThatNobodyReads(t *testing.T) {
	for _, tt := range []struct {
		name string
		read func(c *cluster, f espial.Flow[int], cancel context.CancelFunc)
		made int // whether something was
		ends time.Duration
	}{
		{"its reader breaks off", func(_ *cluster, f espial.Flow[int], _ context.CancelFunc) {
			for range f.All() {
				break
			}
		}, 1, time.Second},
		{"the context of the call ends", func(c *cluster, f espial.Flow[int], cancel context.CancelFunc) {
			for _, err := range f.All() {
				if cancel(); err == nil {
					continue
				}
				if !errors.Is(err, espial.ErrFlowBroken) || !errors.Is(err, context.Canceled) {
					c.Errorf("the flow ends with %v", err)
				}
			}
		}, 1, time.Second},
		{"nobody begins", func(*cluster, espial.Flow[int], context.CancelFunc) {}, 0, 31 * time.Second},
		{"its reader takes its time", func(_ *cluster, f espial.Flow[int], _ context.CancelFunc) {
			for range f.All() {
				time.Sleep(time.Hour)
				break
			}
		}, 1, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inCluster(t, 2, func(c *cluster) {
				var made atomic.Int64
				ended := make(chan error, 1)
				c.served(counting.Serve(c.nodes[0], func(ctx context.Context, _ espial.Caller, _ int) (espial.Flow[int], error) {
					context.AfterFunc(ctx, func() { ended <- ctx.Err() })
					return espial.FlowOf(func(yield func(int, error) bool) {
						for yield(1, nil) {
							made.Add(1)
						}
					}), nil
				}, espial.CallsMax(1)))
				ctx, cancel := context.WithCancel(c.Context())
				defer cancel()
				f, err := counting.Call(ctx, c.nodes[1], espial.Named("node-0"), 0)
				if err != nil {
					t.Fatal(err)
				}
				_, err = counting.Call(ctx, c.nodes[1], espial.Named("node-0"), 0)
				if !errors.Is(err, espial.ErrBusy) {
					t.Errorf("a call beside a flow where one at a time is taken: %v", err)
				}
				tt.read(c, f, cancel)
				select {
				case <-ended:
				case <-time.After(tt.ends):
					t.Fatalf("the context of the handler lasts still")
				}
				synctest.Wait()
				if n := made.Load(); (n > 0) != (tt.made > 0) || n > 1<<20 {
					t.Errorf("%d values were made", n)
				}
				if _, err := counting.Call(c.Context(), c.nodes[1], espial.Named("node-0"), 0); err != nil {
					t.Errorf("a call after the flow: %v", err)
				}
				for _, err := range f.All() {
					if !errors.Is(err, espial.ErrFlowBroken) {
						t.Errorf("the flow is read again, or too late: %v", err)
					}
				}
			})
		})
	}
}

// TestWhoWaitsIsToldThatAFlowIsOver: a producer that waits for something else hears of the end by its
// context, a handler that works on the call as in any call, and a producer of an argument by its loop.
func TestWhoWaitsIsToldThatAFlowIsOver(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		n, to := c.nodes[1], espial.Named("node-0")
		over := make(chan string, 4)
		c.served(counting.Serve(c.nodes[0], func(ctx context.Context, _ espial.Caller, n int) (espial.Flow[int], error) {
			if n == 0 {
				<-ctx.Done()
				over <- "a handler"
			}
			return espial.FlowOf(func(yield func(int, error) bool) {
				yield(1, nil)
				<-ctx.Done()
				over <- "a producer"
			}), nil
		}))
		c.served(adding.Serve(c.nodes[0], func(_ context.Context, _ espial.Caller, f espial.Flow[int]) (int, error) {
			for v := range f.All() {
				if v > 1 {
					return v, nil // and leaves the rest
				}
			}
			return 0, nil
		}))
		for _, tt := range []struct {
			name string
			do   func() error
		}{
			{"a handler", func() error {
				ctx, cancel := context.WithCancel(c.Context())
				time.AfterFunc(time.Second, cancel)
				if _, err := counting.Call(ctx, n, to, 0); !errors.Is(err, context.Canceled) {
					return err
				}
				return nil
			}},
			{"a producer", func() error {
				f, err := counting.Call(c.Context(), n, to, 1)
				for range f.All() {
					break
				}
				return err
			}},
			{"a loop", func() error {
				_, err := adding.Call(c.Context(), n, to, espial.FlowOf(func(yield func(int, error) bool) {
					for i := 1; yield(i, nil); i++ {
						time.Sleep(time.Millisecond)
					}
					over <- "a loop"
				}))
				return err
			}},
		} {
			if err := tt.do(); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			select {
			case got := <-over:
				if got != tt.name {
					t.Errorf("%s is over, want %s", got, tt.name)
				}
			case <-time.After(2 * time.Second):
				t.Errorf("%s is not told", tt.name)
			}
		}
		c.served(espial.NewMethod[espial.Flow[int], int]("unread").Serve(c.nodes[0],
			func(context.Context, espial.Caller, espial.Flow[int]) (int, error) { return 7, nil }))
		got, err := espial.NewMethod[espial.Flow[int], int]("unread").Call(c.Context(), n, to, espial.FlowOf(upTo(1)))
		if synctest.Wait(); got != 7 || err != nil || n.Status().Queues["flows"] != 0 {
			t.Errorf("an argument that is not read: %d, %v; %d wait", got, err, n.Status().Queues["flows"])
		}
	})
}

// TestGatherOfFlows: each member has a flow of its own, also after the loop; an argument that is a flow
// cannot go to many.
func TestGatherOfFlows(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		for i, n := range c.nodes {
			c.served(counting.Serve(n, func(ctx context.Context, cl espial.Caller, _ int) (espial.Flow[int], error) {
				return count(ctx, cl, i+1)
			}))
		}
		flows := map[string]espial.Flow[int]{}
		for a := range counting.Gather(c.Context(), c.nodes[0], espial.All(), 0) {
			if a.Err != nil {
				t.Errorf("%s: %v", a.From.Name, a.Err)
			}
			flows[a.From.Name] = a.Value
		}
		for i, n := range c.nodes {
			if values, _, err := total(flows[n.Name()]); values != i+1 || err != nil {
				t.Errorf("%s has %d values, %v; want %d", n.Name(), values, err, i+1)
			}
		}
		for a := range adding.Gather(c.Context(), c.nodes[0], espial.All(), espial.FlowOf(upTo(1))) {
			if a.Err == nil || a.From != (espial.Sender{}) || !strings.Contains(a.Err.Error(), "cannot go to many") {
				t.Errorf("an argument for many: %+v", a)
			}
		}
	})
}

// TestFlowsThatDiffer: both ends are named where one has a flow and the other none, or one of other
// values, and a flow is no part of a value.
func TestFlowsThatDiffer(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		n, to := c.nodes[1], espial.Named("node-0")
		c.served(counting.Serve(c.nodes[0], count))
		c.served(adding.Serve(c.nodes[0], add))
		c.served(espial.NewMethod[int, int]("plain").Serve(c.nodes[0],
			func(_ context.Context, _ espial.Caller, i int) (int, error) { return i, nil }))
		mismatch := func(name string, err error, here, there string) {
			t.Helper()
			e, ok := errors.AsType[*espial.MismatchError](err)
			if !ok || e.Here != here || e.There != there {
				t.Errorf("%s: %v; want %s here and %s there", name, err, here, there)
			}
		}
		_, err := espial.NewMethod[int, int]("count").Call(c.Context(), n, to, 1)
		mismatch("a result that is a flow", err, "int", "espial.Flow[int]")
		_, err = n.Call(c.Context(), "count", to, []byte("1"))
		mismatch("a result that is a flow, of bytes", err, "", "espial.Flow[int]")
		_, err = espial.NewMethod[int, espial.Flow[int]]("plain").Call(c.Context(), n, to, 1)
		mismatch("a result that is no flow", err, "espial.Flow[int]", "int")
		_, err = espial.NewMethod[int, int]("add").Call(c.Context(), n, to, 1)
		mismatch("an argument that is no flow", err, "int", "espial.Flow[int]")
		_, err = espial.NewMethod[espial.Flow[int], int]("plain").Call(c.Context(), n, to, espial.FlowOf(upTo(3)))
		mismatch("an argument that is a flow", err, "espial.Flow[int]", "int")
		f, err := espial.NewMethod[int, espial.Flow[string]]("count").Call(c.Context(), n, to, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range f.All() {
			mismatch("a flow of other values", err, "string", "int")
		}
		type nested struct{ F espial.Flow[int] }
		_, err = espial.NewMethod[nested, int]("plain").Call(c.Context(), n, to, nested{})
		if err == nil || !strings.Contains(err.Error(), "no part of one") {
			t.Errorf("a flow in a struct: %v", err)
		}
	})
}

// TestFlowsByTheControlSocket: a client gets each value as a piece, and what the flow ends with.
func TestFlowsByTheControlSocket(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		for i, n := range c.nodes {
			c.served(counting.Serve(n, func(_ context.Context, _ espial.Caller, n int) (espial.Flow[int], error) {
				return espial.FlowOf(func(yield func(int, error) bool) {
					for v := range upTo(n) {
						if !yield(v, nil) {
							return
						}
					}
					if i == 1 {
						yield(0, errors.New("out of numbers"))
					}
				}), nil
			}))
		}
		for _, tt := range []struct{ args, want string }{
			{`{"to":"node-0","data":"Mg=="}`, "node-0:1 node-0:2"},
			{`{"to":"node-0","data":"MA=="}`, ""},
			{`{"to":"node-1","data":"MQ=="}`, `node-1:1 node-1:"out of numbers"`},
			{`{"to":"node-0","data":"OTk5OTk="}`, "node-0:1 node-0:2 node-0:3 gone"},
		} {
			var got []string
			args := strings.Replace(tt.args, "{", `{"method":"count","codec":"json","timeout_ms":5000,`, 1)
			err := espial.Control(c.Context(), c.nodes[1], "call", args, func(v any) error {
				a, ok := v.(espial.Answer[[]byte])
				if len(got) == 3 || !ok {
					return errors.New("gone")
				}
				said := string(a.Value)
				if e, failed := errors.AsType[*espial.MethodError](a.Err); failed {
					said = fmt.Sprintf("%q", e.Reason)
				}
				got = append(got, a.From.Name+":"+said)
				return nil
			})
			if err != nil {
				got = append(got, err.Error())
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("call %s: %s, want %s", tt.args, s, tt.want)
			}
		}
	})
}
