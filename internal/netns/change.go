package netns

import (
	"fmt"
	"strings"
	"time"
)

// Change is a line that espial up --json printed.
type Change struct {
	Time    time.Time `json:"time"`
	Kind    string    `json:"change"`
	Member  Member    `json:"member"`
	Cause   string    `json:"cause"`
	Source  string    `json:"source"`
	By      string    `json:"by"`
	Code    string    `json:"code"`
	Reason  string    `json:"reason"`
	Addrs   []string  `json:"addrs"`
	Control string    `json:"control"`
	Missing []string  `json:"missing"`
	Count   uint64    `json:"count"`

	Election string `json:"election"` // empty for the default one
	Leader   Leader `json:"leader"`   // zero if nobody leads
	Term     uint64 `json:"term"`
	Token    uint64 `json:"token"`

	Seen time.Time `json:"-"` // when the line arrived here
	Line string    `json:"-"` // the line itself
}

// Member is how a line names a member.
type Member struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Incarnation string   `json:"incarnation"`
	Addrs       []string `json:"addrs"`
	State       string   `json:"state"`
	Self        bool     `json:"self"`
}

// Leader is how a line names who leads.
type Leader struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Match says which changes are meant: those that agree with every field that is not zero.
type Match struct {
	Kind   string
	ID     string // of the member, or the beginning of it
	Cause  string
	Source string
	By     string
	Code   string
	Reason string
}

// Has reports whether c is meant.
func (m Match) Has(c Change) bool {
	for _, f := range [][2]string{
		{m.Kind, c.Kind},
		{m.Cause, c.Cause},
		{m.Source, c.Source},
		{m.By, c.By},
		{m.Code, c.Code},
		{m.Reason, c.Reason},
	} {
		if f[0] != "" && f[0] != f[1] {
			return false
		}
	}
	return strings.HasPrefix(c.Member.ID, m.ID)
}

// String returns the fields that are not zero.
func (m Match) String() string {
	var words []string
	for _, f := range [][2]string{
		{"kind", m.Kind},
		{"member", m.ID},
		{"cause", m.Cause},
		{"source", m.Source},
		{"by", m.By},
		{"code", m.Code},
		{"reason", m.Reason},
	} {
		if f[1] != "" {
			words = append(words, fmt.Sprintf("%s %q", f[0], f[1]))
		}
	}
	return strings.Join(words, ", ")
}

// view returns the IDs of the members that a history of changes ends with.
func view(changes []Change) map[string]bool {
	v := map[string]bool{}
	for _, c := range changes {
		switch c.Kind {
		case "added_node":
			v[c.Member.ID] = true
		case "removed_node":
			delete(v, c.Member.ID)
		}
	}
	return v
}
