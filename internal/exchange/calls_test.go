package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

// ringing is a call that somebody waits for.
type ringing struct {
	done  chan struct{}
	reply exchange.Reply
	err   error
}

// ring calls a method without waiting for it.
func (n *node) ring(ctx context.Context, to *node, method, value string) *ringing {
	r := &ringing{done: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(r.done)
		r.reply, r.err = n.Call(ctx, to.id, exchange.Request{Method: method, Codec: 7, Value: []byte(value)})
	})
	return r
}

// outcome returns what a call came to as a word, "rings" if somebody still waits.
func (r *ringing) outcome() string {
	synctest.Wait()
	select {
	case <-r.done:
	default:
		return "rings"
	}
	failed, ok := errors.AsType[*exchange.CallError](r.err)
	switch {
	case ok && !failed.Sent:
		return "not sent"
	case ok:
		return "maybe executed"
	case r.err != nil:
		return r.err.Error()
	case r.reply.Outcome == frame.OutcomeValue:
		return fmt.Sprintf("%s by codec %d", r.reply.Value, r.reply.Codec)
	}
	return fmt.Sprint("outcome ", r.reply.Outcome)
}

// serve makes n answer calls of a method with what handle returns, and returns a count of them.
func (n *node) serve(method string, handle func(ctx context.Context, value string) string) *calls {
	n.t.Helper()
	c := &calls{}
	_, err := n.Serve(exchange.Service{
		Method: method, CallsMax: 1 << 20,
		Handle: func(ctx context.Context, from exchange.Sender, q exchange.Request) exchange.Reply {
			c.add(from.Name + ":" + string(q.Value))
			value := handle(ctx, string(q.Value))
			return exchange.Reply{
				Answer: frame.Answer{Outcome: frame.OutcomeValue, Value: []byte(value)}, Codec: q.Codec + 1,
			}
		},
	})
	if err != nil {
		n.t.Fatalf("Serve: %v", err)
	}
	return c
}

// calls are the calls that a method had.
type calls struct {
	mu   sync.Mutex // guards what follows
	list []string
}

func (c *calls) add(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, s)
}

func (c *calls) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.list, " ")
}

func echo(_ context.Context, value string) string { return value }

// carryCalls carries everything, also what handlers answer.
func (w *wire) carryCalls() {
	w.carry()
	synctest.Wait()
	w.carry()
	synctest.Wait()
}

// leave takes b off the list of a.
func leave(a *node) { a.SetMembers(nil) }

// TestEveryCallHasOneOutcome plays what can happen to a call between two nodes.
func TestEveryCallHasOneOutcome(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(t *testing.T, w *wire, a, b *node)
		want string // outcome
		had  string // by the method
	}{
		{"it is answered", func(_ *testing.T, w *wire, _, _ *node) { w.carryCalls() }, "x by codec 8", "a:x"},
		{"the link is lost before it is sent", func(_ *testing.T, w *wire, _, _ *node) {
			w.cut()
			w.again()
			w.carryCalls()
		}, "x by codec 8", "a:x"},
		{"the link is lost with it", func(_ *testing.T, w *wire, _, _ *node) {
			w.frames(0)
			w.cut()
			w.again()
			w.carryCalls()
		}, "x by codec 8", "a:x"},
		{"the link is lost with the answer", func(_ *testing.T, w *wire, _, _ *node) {
			w.send(0)
			synctest.Wait()
			w.frames(1)
			w.cut()
			w.again()
			w.carryCalls()
		}, "x by codec 8", "a:x"},
		{"the callee goes before it is sent", func(_ *testing.T, w *wire, a, _ *node) {
			leave(a)
			w.carryCalls()
		}, "not sent", ""},
		{"the callee goes when it is on its way", func(_ *testing.T, w *wire, a, _ *node) {
			w.frames(0)
			leave(a)
		}, "maybe executed", ""},
		{"the callee goes after it was executed", func(_ *testing.T, w *wire, a, _ *node) {
			w.send(0)
			synctest.Wait()
			leave(a)
			w.carryCalls() // too late
		}, "maybe executed", "a:x"},
		{"the callee starts again", func(_ *testing.T, w *wire, a, b *node) {
			w.frames(0)
			a.Supersede(b.id, 2)
		}, "maybe executed", ""},
		{"the node ends before it is sent", func(_ *testing.T, _ *wire, a, _ *node) { a.Close() }, "not sent", ""},
		{"the node ends when it is on its way", func(_ *testing.T, w *wire, a, _ *node) {
			w.frames(0)
			a.Close()
		}, "maybe executed", ""},
		{"the callee has forgotten it", func(_ *testing.T, w *wire, _, b *node) {
			w.send(0)
			synctest.Wait()
			leave(b) // which gives up the answer
			b.SetMembers([]*exchange.Pair{w.ends[1].pair})
			w.cut()
			w.again()
			w.carryCalls()
		}, "maybe executed", "a:x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newNode(t, 1, 0), newNode(t, 2, 0)
				a.run(t.Context())
				w := link(t, a, b)
				had := b.serve("echo", echo)
				r := a.ring(t.Context(), b, "echo", "x")
				synctest.Wait()
				tt.play(t, w, a, b)
				if got := r.outcome(); got != tt.want || had.String() != tt.had {
					t.Errorf("outcome %q with calls %q; want %q with %q", got, had, tt.want, tt.had)
				}
			})
		})
	}
}

// TestACallEndsWithItsSession: when there was no link for 30 seconds.
func TestACallEndsWithItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.run(t.Context())
		w := link(t, a, b)
		r := a.ring(t.Context(), b, "echo", "x")
		synctest.Wait()
		w.frames(0)
		w.cut()
		for _, want := range []string{"rings", "maybe executed"} {
			if got := r.outcome(); got != want {
				t.Errorf("outcome %q, want %q", got, want)
			}
			time.Sleep(32 * time.Second)
		}
	})
}

// TestWhoCannotAnswerSaysSo: there is nothing to wait for.
func TestWhoCannotAnswerSaysSo(t *testing.T) {
	refusal := func(o frame.Outcome) string { return fmt.Sprint("outcome ", o) }
	for _, tt := range []struct {
		name, method, value string
		want                string
	}{
		{"nobody serves it", "none", "x", refusal(frame.OutcomeNoHandler)},
		{"it is served to others", "private", "x", refusal(frame.OutcomeNoHandler)},
		{"it is busy", "busy", "x", refusal(frame.OutcomeBusy)},
		{"the value is too large", "echo", strings.Repeat("x", 101), refusal(frame.OutcomeTooLarge)},
		{"the value has pieces and is too large", "echo", strings.Repeat("x", 100_000), refusal(frame.OutcomeTooLarge)},
		{"the answer is too long", "long", "x", refusal(frame.OutcomeTooLong)},
		{"both are as large as can be", "full", strings.Repeat("x", 100), strings.Repeat("y", 100) + " by codec 8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newNode(t, 1, 0), newNode(t, 2, 100)
				w := link(t, a, b)
				b.serve("echo", echo)
				b.serve("long", func(context.Context, string) string { return strings.Repeat("y", 101) })
				b.serve("full", func(context.Context, string) string { return strings.Repeat("y", 100) })
				for _, s := range []exchange.Service{
					{Method: "private", CallsMax: 1, Serves: func(id ident.NodeID) bool { return id != a.id }},
					{Method: "busy"},
				} {
					if _, err := b.Serve(s); err != nil {
						t.Fatal(err)
					}
				}
				r := a.ring(t.Context(), b, tt.method, tt.value)
				synctest.Wait()
				w.carryCalls()
				if got := r.outcome(); got != tt.want {
					t.Errorf("outcome %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestACallerThatGivesUpStopsTheCallee: by its context, its deadline, or because it is gone.
func TestACallerThatGivesUpStopsTheCallee(t *testing.T) {
	for _, tt := range []struct {
		name string
		give func(ctx context.Context, cancel func(), a, b *node)
		want string
	}{
		{"its context ends", func(_ context.Context, cancel func(), _, _ *node) { cancel() }, "maybe executed"},
		{"its deadline comes", func(ctx context.Context, _ func(), _, _ *node) { <-ctx.Done() }, "maybe executed"},
		{"it is no member any more", func(_ context.Context, _ func(), _, b *node) { leave(b) }, "rings"},
		{"the callee ends", func(_ context.Context, _ func(), _, b *node) { b.Close() }, "rings"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newNode(t, 1, 0), newNode(t, 2, 0)
				w := link(t, a, b)
				stopped := make(chan time.Duration, 1)
				b.serve("wait", func(ctx context.Context, _ string) string {
					began := time.Now()
					<-ctx.Done()
					stopped <- time.Since(began)
					return "late"
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				r := a.ring(ctx, b, "wait", "x")
				synctest.Wait()
				w.carryCalls()
				tt.give(ctx, cancel, a, b)
				synctest.Wait()
				got := r.outcome()
				w.carryCalls()
				select {
				case <-stopped:
				default:
					t.Error("the callee goes on")
				}
				if got != tt.want {
					t.Errorf("outcome %q, want %q", got, tt.want)
				}
				cancel()
				<-r.done
				w.carryCalls()
				time.Sleep(time.Second) // acknowledgements
				if w.carryCalls(); tt.want != "rings" && !b.Drained() {
					t.Error("the callee has something left to do")
				}
			})
		})
	}
}

// TestASlowReaderDoesNotHoldUpCalls: who waits for an answer in a loop over direct events gets it
// even if the sender of those has filled all there is.
func TestASlowReaderDoesNotHoldUpCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		w := link(t, a, b)
		b.subscribe(mailbox.Options{MessagesMax: 1})
		a.serve("echo", echo)
		for a.TryDirect(b.id, message("d", 1, 1<<16), nil) == nil {
			w.carry()
		}
		r := b.ring(t.Context(), a, "echo", "x")
		synctest.Wait()
		w.carryCalls()
		if got := r.outcome(); got != "x by codec 8" {
			t.Errorf("outcome %q of a call beside a full log", got)
		}
	})
}

// TestCallsBeyondTheLimitWait: 1,024 are open at a time, and one more takes the place of the first
// that is answered.
func TestCallsBeyondTheLimitWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		w := link(t, a, b)
		release := make(chan struct{})
		had := b.serve("wait", func(ctx context.Context, value string) string {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return value
		})
		ctx, cancel := context.WithCancel(t.Context())
		var all []*ringing
		for range 1024 + 1 {
			all = append(all, a.ring(ctx, b, "wait", "x"))
			synctest.Wait()
		}
		w.carryCalls()
		if n := len(strings.Fields(had.String())); n != 1024 {
			t.Errorf("%d calls reach the callee, want 1,024", n)
		}
		release <- struct{}{}
		synctest.Wait()
		w.carryCalls()
		if n := len(strings.Fields(had.String())); n != 1025 {
			t.Errorf("%d calls reach the callee after one was answered, want 1,025", n)
		}
		cancel()
		for _, r := range all {
			<-r.done
		}
		w.carryCalls()
	})
}

// TestANodeCallsItself: the same way, but for the network.
func TestANodeCallsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newNode(t, 1, 0)
		a.run(t.Context())
		a.serve("echo", echo)
		if got := a.ring(t.Context(), a, "echo", "x").outcome(); got != "x by codec 8" {
			t.Errorf("outcome %q", got)
		}
		if got := a.ring(t.Context(), a, "none", "x").outcome(); got != fmt.Sprint("outcome ", frame.OutcomeNoHandler) {
			t.Errorf("outcome %q of a method that nobody serves", got)
		}
	})
}

// TestAMethodIsServedOnce: and again after it was stopped.
func TestAMethodIsServedOnce(t *testing.T) {
	x := newNode(t, 1, 0)
	stop, err := x.Serve(exchange.Service{Method: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Serve(exchange.Service{Method: "a"}); !errors.As(err, new(*exchange.ServedError)) {
		t.Errorf("Serve of what is served: %v", err)
	}
	stop()
	if _, err := x.Serve(exchange.Service{Method: "a"}); err != nil {
		t.Errorf("Serve of what was stopped: %v", err)
	}
	stop() // of the first, and must not end the second
	_, err = x.Serve(exchange.Service{Method: "b"}, exchange.Service{Method: "a"})
	if served, ok := errors.AsType[*exchange.ServedError](err); !ok || served.Method != "a" {
		t.Errorf("Serve after an old stop: %v", err)
	}
	if stop, err = x.Serve(exchange.Service{Method: "b"}, exchange.Service{Method: "c"}); err != nil {
		t.Errorf("Serve of what failed with another one: %v", err)
	}
	stop()
	if _, err = x.Serve(exchange.Service{Method: "b"}, exchange.Service{Method: "c"}); err != nil {
		t.Errorf("Serve of two that were stopped: %v", err)
	}
}
