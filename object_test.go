package espial_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
)

// shop is an object with a method of each shape.
type shop struct {
	Name  string
	Shelf struct{ Boards int }
	note  string

	n     *espial.Node
	mu    sync.Mutex // guards what follows
	carts []*cart
}

func (s *shop) Place(_ context.Context, o order) (order, error) {
	if o.Count == 0 {
		return order{}, errors.New("nothing ordered")
	}
	return order{o.ID, 2 * o.Count}, nil
}

func (s *shop) Greet(c espial.Caller, name string) string {
	return fmt.Sprintf("%s greets %s of %s by %s", s.Name, name, c.Name, c.Method)
}

func (s *shop) Open() bool       { return true }
func (s *shop) Ring()            {}
func (s *shop) Break(int)        { panic("broken") }
func (s *shop) Check() error     { return errors.New("unchecked") }
func (s *shop) Note(text string) { s.note = text }
func (s *shop) Sum(f espial.Flow[int]) (int, error) {
	_, sum, err := total(f)
	return sum, err
}

func (s *shop) Count(ctx context.Context, n int) (espial.Flow[int], error) {
	return espial.FlowOf(upTo(n)), ctx.Err()
}

// Cart lends a cart to whoever asks.
func (s *shop) Cart(c espial.Caller, owner string) (espial.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &cart{Owner: owner}
	s.carts = append(s.carts, k)
	return espial.Lend(s.n, c, k)
}

// cart is an object that a shop lends.
type cart struct {
	Owner string

	mu     sync.Mutex // guards what follows
	list   []string
	closed int
}

func (k *cart) Add(_ context.Context, what string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list = append(k.list, what)
	return len(k.list)
}

func (k *cart) Wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *cart) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed++
	return nil
}

func (k *cart) closings() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.closed
}

// remoteShop and remoteCart are what their callers have.
type remoteShop struct {
	Place func(context.Context, order) (order, error)
	Greet func(context.Context, string) (string, error)
	Open  func(context.Context) (bool, error)
	Ring  func(context.Context) error
	Break func(context.Context, int) error
	Check func(context.Context) error
	Sum   func(context.Context, espial.Flow[int]) (int, error)
	Count func(context.Context, int) (espial.Flow[int], error)
	Write func(context.Context, string) error `espial:"Note"`
	Cart  func(context.Context, string) (espial.Object, error)
	Get   struct {
		Name  func(context.Context) (string, error)
		Shelf func(context.Context) (struct{ Boards int }, error)
	}
	Title  func(context.Context) (string, error) `espial:"get.Name"`
	Absent func(context.Context) error
	Calls  int `espial:"-"`
	_      int
}

type remoteCart struct {
	Add  func(context.Context, string) (int, error)
	Wait func(context.Context, time.Duration) error
	Get  struct {
		Owner func(context.Context) (string, error)
	}
}

// serveShop serves a shop at a node.
func (c *cluster) serveShop(n *espial.Node, opts ...espial.ServeOption) *shop {
	c.Helper()
	s := &shop{Name: "corner shop", n: n}
	s.Shelf.Boards = 3
	c.served(espial.ServeObject(n, "shops.corner", s, opts...))
	return s
}

// bound binds to an object, or fails the test.
func bound[T any](c *cluster, n *espial.Node, to espial.Target, prefix string) T {
	c.Helper()
	t, err := espial.Bind[T](n, to, prefix)
	if err != nil {
		c.Fatalf("Bind: %v", err)
	}
	return t
}

// TestAnObjectIsCalled: by another member and by the node itself, in each shape that there is.
func TestAnObjectIsCalled(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		s := c.serveShop(c.nodes[0])
		for _, n := range c.nodes {
			ctx := c.Context()
			r := bound[remoteShop](c, n, espial.Named("node-0"), "shops.corner")
			check := func(name string, got any, err error, want any) {
				t.Helper()
				if fmt.Sprint(got) != fmt.Sprint(want) || err != nil {
					t.Errorf("%s: %s = %v, %v; want %v", n.Name(), name, got, err, want)
				}
			}
			placed, err := r.Place(ctx, order{"a", 21})
			check("Place", placed, err, order{"a", 42})
			greeting, err := r.Greet(ctx, "Ann")
			check("Greet", greeting, err, "corner shop greets Ann of "+n.Name()+" by shops.corner.Greet")
			open, err := r.Open(ctx)
			check("Open", open, err, true)
			check("Ring", nil, r.Ring(ctx), nil)
			check("Write", nil, r.Write(ctx, n.Name()), nil)
			check("what Write wrote", s.note, nil, n.Name())
			name, err := r.Get.Name(ctx)
			check("Get.Name", name, err, s.Name)
			name, err = r.Title(ctx)
			check("Title", name, err, s.Name)
			shelf, err := r.Get.Shelf(ctx)
			check("Get.Shelf", shelf.Boards, err, 3)
			sum, err := r.Sum(ctx, espial.FlowOf(upTo(4)))
			check("Sum", sum, err, 10)
			f, err := r.Count(ctx, 4)
			check("Count", nil, err, nil)
			values, sum, err := total(f)
			check("Count", []int{values, sum}, err, []int{4, 10})
			raw, err := n.Call(ctx, "shops.corner.get.Name", espial.Named("node-0"), nil)
			check("Node.Call", string(raw), err, `"corner shop"`)
			if _, err := r.Place(ctx, order{}); err == nil || !strings.Contains(err.Error(), `"nothing ordered"`) {
				t.Errorf("Place of nothing: %v", err)
			}
			if err := r.Check(ctx); err == nil || !strings.Contains(err.Error(), `"unchecked"`) {
				t.Errorf("Check: %v", err)
			}
			if err := r.Break(ctx, 1); !errors.Is(err, espial.ErrPanicked) {
				t.Errorf("Break: %v", err)
			}
			if err := r.Absent(ctx); !errors.Is(err, espial.ErrNoHandler) {
				t.Errorf("Absent: %v", err)
			}
		}
		var names []string
		for m := range c.nodes[1].Methods() {
			names = append(names, strings.TrimPrefix(m.Method, "shops.corner."))
			if m.Method == "shops.corner.Place" && (m.Argument != "espial_test.order" || m.Result != m.Argument) {
				t.Errorf("a member says of Place: %+v", m)
			}
		}
		if got := strings.Join(names, " "); got != "Break Cart Check Count Greet Note Open Place Ring Sum get.Name get.Shelf" {
			t.Errorf("the methods are %s", got)
		}
	})
}

// TestWhatIsNoObject: why a value is not served, and a struct not bound; then nothing is.
func TestWhatIsNoObject(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n := c.nodes[0]
		serve := func(prefix string, v any, opts ...espial.ServeOption) error {
			return second(espial.ServeObject(n, prefix, v, opts...))
		}
		c.served(n.Serve("taken.get.B", echo))
		bind := func(_ any, err error) error { return err }
		for _, tt := range []struct {
			name string
			err  error
			want string
		}{
			{"nil", serve("x", nil), `"x": a nil value`},
			{"a nil pointer", serve("x", (*shop)(nil)), `"x": a nil value`},
			{"nothing exported", serve("x", struct{ a int }{}), `"x": struct { a int } has no exported method or field`},
			{"two arguments", serve("x", twoArguments{}), `"x.Move": is not of the shape func(`},
			{"any number of arguments", serve("x", manyArguments{}), `"x.Move": is not of the shape func(`},
			{"two results", serve("x", twoResults{}), `"x.Move": is not of the shape func(`},
			{"a prefix that is none", serve("x y", &cart{}), `"x y.Add": word 1 contains " "`},
			{"a reserved prefix", serve("espial.x", &cart{}), `"espial.x.Add": the name is reserved`},
			{"a name that is taken", serve("taken", struct{ A, B int }{}), `"taken.get.B": is served by this node already`},
			{"an option that cannot be", serve("x", &cart{}, espial.CallsMax(0)), `CallsMax(0)`},
			{"no struct", bind(espial.Bind[int](n, espial.All(), "x")), `"x": is bound to a int, which is no struct`},
			{"a field of another kind", bind(espial.Bind[struct{ A int }](n, espial.All(), "x")), `"x.A": is bound to a int, and`},
			{"no context", bind(espial.Bind[struct{ A func() error }](n, espial.All(), "x")), `"x.A": is bound to a func() error`},
			{"no error", bind(espial.Bind[struct{ A func(context.Context) int }](n, espial.All(), "x")), `"x.A": is bound to`},
			{"a prefix that is bound to none", bind(espial.Bind[remoteCart](n, espial.All(), "x y")), `"x y.Add": word 1`},
			{"a target that is none", bind(espial.Bind[remoteCart](n, espial.Named(""), "x")), "target"},
		} {
			if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
				t.Errorf("%s: %v, want %s", tt.name, tt.err, tt.want)
			}
		}
		var names []string
		for m := range n.Methods() {
			names = append(names, m.Method)
		}
		if !slices.Equal(names, []string{"taken.get.B"}) {
			t.Errorf("served after all that: %v", names)
		}
		stop, err := espial.ServeObject(n, "x", &cart{})
		c.served(stop, err)
		stop()
		c.served(espial.ServeObject(n, "x", &cart{}))
	})
}

type (
	twoArguments  struct{}
	manyArguments struct{}
	twoResults    struct{}
)

func (twoArguments) Move(int, int)  {}
func (manyArguments) Move(...int)   {}
func (twoResults) Move() (int, int) { return 0, 0 }

// TestALentObject: whoever borrowed it calls it, nobody else does or sees it, and it is closed once
// when it is released.
func TestALentObject(t *testing.T) {
	for _, tt := range []struct {
		name    string
		release func(t *testing.T, c *cluster, o espial.Object, r remoteCart)
		gone    error // what the borrower hears then; nil where it cannot ask
	}{
		{"by its borrower", func(t *testing.T, c *cluster, o espial.Object, _ remoteCart) {
			if err := o.Release(c.Context(), c.nodes[1]); err != nil {
				t.Errorf("Release: %v", err)
			}
			if err := o.Release(c.Context(), c.nodes[1]); !errors.Is(err, espial.ErrNoHandler) {
				t.Errorf("Release again: %v", err)
			}
		}, espial.ErrNoHandler},
		{"because nobody calls it", func(t *testing.T, c *cluster, _ espial.Object, r remoteCart) {
			for range 3 {
				time.Sleep(9 * time.Minute)
				if _, err := r.Add(c.Context(), "more"); err != nil {
					t.Errorf("Add within 10 minutes: %v", err)
				}
			}
			if err := r.Wait(c.Context(), 11*time.Minute); err != nil {
				t.Errorf("Wait: %v", err)
			}
			if _, err := r.Add(c.Context(), "more"); err != nil {
				t.Errorf("Add after a long call: %v", err)
			}
			time.Sleep(11 * time.Minute)
		}, espial.ErrNoHandler},
		{"because its borrower goes", func(_ *testing.T, c *cluster, _ espial.Object, _ remoteCart) { c.nodes[1].Close() }, nil},
		{"because its node goes", func(_ *testing.T, c *cluster, _ espial.Object, _ remoteCart) { c.nodes[0].Close() }, espial.ErrNotSent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inCluster(t, 3, func(c *cluster) {
				s, n := c.serveShop(c.nodes[0]), c.nodes[1]
				o, err := bound[remoteShop](c, n, espial.Named("node-0"), "shops.corner").Cart(c.Context(), "Ann")
				if err != nil {
					t.Fatal(err)
				}
				k := bound[remoteCart](c, n, espial.Only(o.Member), o.Prefix)
				owner, err := k.Get.Owner(c.Context())
				items, err2 := k.Add(c.Context(), "bread")
				if owner != "Ann" || items != 1 || err != nil || err2 != nil {
					t.Errorf("the cart of %s with %d: %v, %v", owner, items, err, err2)
				}
				thief := bound[remoteCart](c, c.nodes[2], espial.Only(o.Member), o.Prefix)
				if _, err := thief.Add(c.Context(), "bread"); !errors.Is(err, espial.ErrNoHandler) {
					t.Errorf("another member: %v", err)
				}
				if err := o.Release(c.Context(), c.nodes[2]); !errors.Is(err, espial.ErrNoHandler) {
					t.Errorf("another member releases it: %v", err)
				}
				for m := range n.Methods() {
					if strings.HasPrefix(m.Method, "espial.") {
						t.Errorf("it is announced: %v", m.Method)
					}
				}
				if got := c.nodes[0].Status().Queues["lent_objects"]; got != 1 || s.carts[0].closings() != 0 {
					t.Errorf("%d objects are lent, and it is closed %d times", got, s.carts[0].closings())
				}
				tt.release(t, c, o, k)
				time.Sleep(time.Second)
				synctest.Wait()
				if got := s.carts[0].closings(); got != 1 {
					t.Errorf("it is closed %d times", got)
				}
				if _, err := k.Add(c.Context(), "milk"); tt.gone != nil && !errors.Is(err, tt.gone) {
					t.Errorf("a call of what is released: %v", err)
				}
			})
		})
	}
}

// TestLentObjectsAreFew: 256 to one member, and one more when one is released.
func TestLentObjectsAreFew(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		c.serveShop(c.nodes[0])
		r := bound[remoteShop](c, c.nodes[1], espial.Named("node-0"), "shops.corner")
		var last espial.Object
		for range 256 {
			o, err := r.Cart(c.Context(), "Ann")
			if err != nil {
				t.Fatal(err)
			}
			last = o
		}
		_, err := r.Cart(c.Context(), "Ann")
		if err == nil || !strings.Contains(err.Error(), "256 objects are lent to the member") {
			t.Errorf("one more: %v", err)
		}
		own := bound[remoteShop](c, c.nodes[0], espial.Named("node-0"), "shops.corner")
		if _, err := own.Cart(c.Context(), "Bob"); err != nil {
			t.Errorf("to another member: %v", err)
		}
		if err := last.Release(c.Context(), c.nodes[1]); err != nil {
			t.Errorf("Release: %v", err)
		}
		if _, err := r.Cart(c.Context(), "Ann"); err != nil {
			t.Errorf("one more after a release: %v", err)
		}
	})
}

// TestAnObjectForSome: to others it is not there.
func TestAnObjectForSome(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		c.serveShop(c.nodes[0], espial.To(espial.Named("node-1")))
		for i, want := range []error{espial.ErrNoHandler, nil, espial.ErrNoHandler} {
			r := bound[remoteShop](c, c.nodes[i], espial.Named("node-0"), "shops.corner")
			if _, err := r.Open(c.Context()); !errors.Is(err, want) {
				t.Errorf("node-%d: %v, want %v", i, err, want)
			}
		}
	})
}
