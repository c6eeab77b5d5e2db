package elect_test

import (
	"testing"
	"time"

	"github.com/espial-go/espial/internal/elect"
)

// ended is the claim of a member that the reign of a leader is over.
func ended(c elect.Claim) elect.Claim {
	c.Over = true
	return c
}

func TestFar(t *testing.T) {
	ask := func(from, target byte) func(e *elect.Election, now time.Time) {
		return func(e *elect.Election, now time.Time) {
			e.Asked(now, name(from), elect.Ask{Target: name(target), Incarnation: incOf(target)})
		}
	}
	claim := elect.Claim{Reign: reign('a', 1, 5), Last: 5}
	t.Run("a far leader is asked through all others", func(t *testing.T) {
		newScript(t, "a1- m2 x3 y4 z5-").says('y', 'a', 1, 5).promote('z', nil).
			want("say", "0 leader a 5 joined", "0 ask x for z", "0 ask y for z")
	})
	t.Run("a request is passed on, not back and once a second", func(t *testing.T) {
		s := newScript(t, "a1- m2 x3 y4 z5-").says('y', 'a', 1, 5).do(ask('x', 'z')).do(ask('y', 'z')).do(ask('x', 'z'))
		s.want("say", "0 leader a 5 joined", "0 ask y for z").to(1000).do(ask('y', 'z')).want("say", "1000 ask x for z")
		s.says('x', 'a', 1, 6).do(ask('y', 'z')).want("say", "1000 leader a 6 merged", "1000 ask x for z")
	})
	t.Run("one for who leads already is not", func(t *testing.T) {
		newScript(t, "a1- m2 x3").says('x', 'a', 1, 5).do(ask('x', 'a')).want("say", "0 leader a 5 joined")
	})
	t.Run("a leader with a link is asked itself", func(t *testing.T) {
		newScript(t, "a1 m2 x3 y4 z5-").says('y', 'a', 1, 5).promote('z', nil).
			want("say", "0 leader a 5 joined", "0 ask a for z")
	})
	t.Run("nobody hands over to a far member by itself", func(t *testing.T) {
		lead(t).view("m1 y2- z3").resign(nil).want("say", "2000 demoted 1 handed", "2000 leader z 2 handed")
		lead(t).view("m1 y2- z3-").resign(elect.ErrNoSuccessor).want("say")
	})
	t.Run("the user does", func(t *testing.T) {
		lead(t).view("m1 y2 z3-").promote('z', nil).want("say", "2000 demoted 1 handed", "2000 leader z 2 handed")
	})
	t.Run("links that come and go delay no choice", func(t *testing.T) {
		s := newScript(t, "a1 m2 z3").says('z', 'a', 1, 5).to(3000).view("m2 z3").to(3049).view("m2 z3-").to(3050)
		s.want("say", "0 leader a 5 joined", "3000 leader nobody 5 gone", "3050 leader m 6 elected", "3050 promoted 6")
	})
	t.Run("what others say of the end of a reign is passed on", func(t *testing.T) {
		newScript(t, "a1- m2 x3 y4").claims('x', claim).claims('y', ended(claim)).want("",
			"0 leader a 5 joined", "0 say to all: a 5", "0 leader nobody 5 unfit", "0 say to all: a 5 over")
	})
	t.Run("what a member said before it was far is old", func(t *testing.T) {
		newScript(t, "m1 y3").says('y', 'z', 2, 5).view("m1 y3-").view("m1 y3- z2-").to(1000).want("say")
		newScript(t, "m1 y3").says('y', 'z', 2, 5).view("m1 y3 z2-").want("say", "0 leader z 5 joined")
	})
	t.Run("who goes on following is told again", func(t *testing.T) {
		s := newScript(t, "a1- M2 x3 y4").claims('x', claim).claims('y', ended(claim)).to(999)
		s.want("leader", "0 say to all: nobody 0 unfit", "0 say to all: a 5 unfit", "0 say to all: a 5 unfit over").to(1000)
		s.want("", "1000 say to x: a 5 over", "1000 say to x: a 5 unfit again over")
	})
	t.Run("a later reign of the same leader is another one", func(t *testing.T) {
		newScript(t, "a1- m2 x3 y4").claims('y', ended(claim)).says('x', 'a', 1, 5).want("say").
			says('x', 'a', 1, 6).want("say", "0 leader a 6 joined")
	})
	t.Run("the reign of another incarnation or of this node does not end so", func(t *testing.T) {
		other := claim
		other.Reign.Incarnation++
		newScript(t, "a1- m2 x3 y4").claims('x', claim).claims('y', ended(other)).want("say", "0 leader a 5 joined")
		own := elect.Claim{Reign: reign('m', 1, 1), Last: 1}
		lead(t).claims('y', ended(own)).want("say")
	})
	t.Run("a far member is not told again what it cannot hear", func(t *testing.T) {
		newScript(t, "a1 m2 x3").says('x', 'x', 3, 4).says('a', 'a', 1, 5).want("say", "0 leader x 4 joined", "0 leader a 5 merged").
			view("a1 m2 x3-").to(9000).want("")
	})
}

func TestPatience(t *testing.T) {
	t.Run("who only hears that somebody waits does not say that it waits", func(t *testing.T) {
		s := newScript(t, "a1 m2 y3 z4").says('a', 'a', 1, 5).to(3000).view("m2 y3 z4").claims('y', elect.Claim{Waiting: true})
		s.want("leader", "0 say to all: a 5", "3000 say to all: nobody 5").to(5999)
		s.want("", "4000 say to y: nobody 5 again", "5000 say to y: nobody 5 again")
		s.to(6000).want("say", "6000 leader m 6 elected", "6000 promoted 6")
	})
	t.Run("who sees that somebody follows a stranger does", func(t *testing.T) {
		s := newScript(t, "a1 m2 y3 z4").says('a', 'a', 1, 5).to(3000).view("m2 y3 z4").says('y', 'x', 1, 5)
		s.want("leader", "0 say to all: a 5", "3000 say to all: nobody 5", "3000 say to all: nobody 5 waiting")
	})
	t.Run("when nobody is expected any more the turns begin", func(t *testing.T) {
		s := newScript(t, "a1 y2 m3 z4").says('a', 'a', 1, 5).to(3000).view("y2 m3 z4").claims('z', elect.Claim{Waiting: true})
		s.to(4000).claims('z', elect.Claim{}).to(4099).want("say", "0 leader a 5 joined", "3000 leader nobody 5 gone")
		s.to(4100).want("say", "4100 leader m 6 elected", "4100 promoted 6")
	})
}
