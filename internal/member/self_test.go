package member_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/member"
)

func TestSelf(t *testing.T) {
	t.Run("the own record begins at version 1", func(t *testing.T) {
		if r := newScript(t).Self(); r.Version != 1 || string(r.Raw) != `s 1 v1 map[] "s"` {
			t.Errorf("own record %+v, want version 1, signed", r)
		}
	})
	t.Run("each change is a version, no change is none", func(t *testing.T) {
		s := newScript(t)
		m := map[string]string{"k": "v"}
		addrs := []frame.Addr{{Scheme: "tcp", Addr: "192.0.2.1:1"}}
		for range 2 {
			if err := errors.Join(s.SetMeta(m), s.SetAddrs(addrs)); err != nil {
				t.Fatal(err)
			}
		}
		m["k"], addrs[0].Addr = "changed by the caller", ""
		s.Refute()
		s.want("", "self", "self", "self")
		if r := s.Self(); r.Version != 4 || r.Meta["k"] != "v" || r.Addrs[0].Addr != "192.0.2.1:1" {
			t.Errorf("own record %+v, want version 4 with copies of metadata and addresses", r)
		}
	})
	t.Run("goodbye is the last word", func(t *testing.T) {
		s := newScript(t)
		s.Leave()
		s.Leave()
		s.Refute()
		s.FixJoin(3)
		s.after(time.Minute).want("", "self")
		if r := s.Self(); r.State != frame.Left || r.Version != 2 {
			t.Errorf("own record %+v, want version 2, left", r)
		}
	})
	t.Run("a record of this incarnation from elsewhere is overtaken, of another ignored", func(t *testing.T) {
		s := newScript(t)
		s.Merge(rec('s', 2, 9))
		s.Merge(rec('s', 1, 1))
		s.want("").Merge(rec('s', 1, 9, left))
		s.want("", "self")
		if r := s.Self(); r.Version != 10 || r.State != frame.Alive {
			t.Errorf("own record %+v, want version 10, alive", r)
		}
	})
}

func TestSignature(t *testing.T) {
	key, err := ident.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own := frame.Record{Public: key.Public(), ID: key.ID(), Incarnation: 1, Name: "a"}
	s := newScript(t, func(c *member.Config) {
		c.Record = own
		c.Sign = func(r *frame.Record) error { return r.Sign(key.Sign) }
	})
	if err := s.SetMeta(map[string]string{"k": "v"}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetMeta(map[string]string{"k": strings.Repeat("v", frame.MetaMax)}); !errors.Is(err, frame.ErrTooLarge) {
		t.Errorf("SetMeta beyond the limit = %v, want %v", err, frame.ErrTooLarge)
	}
	got, err := frame.DecodeRecord(s.Self().Raw)
	if err != nil || got.Verify() != nil || got.Version != 2 || got.Meta["k"] != "v" {
		t.Errorf("own record %+v, %v, want version 2 with a good signature", got, err)
	}
}

func TestJoin(t *testing.T) {
	t.Run("a node that is alone takes number 1 when its founding window ends", func(t *testing.T) {
		s := newScript(t).after(member.FoundingWindow-1).want("").after(1).want("", "self")
		if s.FixJoin(7); s.Self().Join != 1 {
			t.Errorf("join = %d, want 1 for good", s.Self().Join)
		}
	})
	t.Run("the first proposal fixes it", func(t *testing.T) {
		s := newScript(t)
		s.FixJoin(0)
		s.want("").FixJoin(5)
		s.FixJoin(6)
		s.after(time.Minute).want("", "self")
		if s.Self().Join != 5 {
			t.Errorf("join = %d, want 5", s.Self().Join)
		}
	})
	t.Run("a proposal is one more than the highest known", func(t *testing.T) {
		s := newScript(t)
		for _, step := range []struct {
			know frame.Record
			want uint64
		}{
			{rec('a', 1, 1), 1},
			{rec('b', 1, 1, join(4)), 5},
			{rec('c', 1, 1, join(3)), 5},
			{rec('d', 1, 1, join(1<<64-1)), member.JoinMax},
		} {
			if s.linkUp(step.know, "seed"); s.ProposeJoin() != step.want {
				t.Errorf("proposal after %s = %d, want %d", step.know.Raw, s.ProposeJoin(), step.want)
			}
		}
		if s.FixJoin(1<<64 - 1); s.Self().Join != member.JoinMax {
			t.Errorf("join = %d, want the limit %d", s.Self().Join, uint64(member.JoinMax))
		}
	})
}
