package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/gauge"
)

const (
	// seats is how many nodes elect a leader, in a process each.
	seats = 5

	// restCalms is how many times as long as everything settles the messages at rest are
	// counted.
	restCalms = 5
)

// seat is a node of a cluster that elects a leader, in a process of its own.
type seat interface {
	// watch tells the name of the leader, at once and whenever another one leads, until ctx ends.
	watch(ctx context.Context, tell func(leader string)) error

	// resign makes this node, which leads, hand over to another one.
	resign(ctx context.Context) error
}

// elector takes a seat in an election. What it starts ends with the process.
type elector func(ctx context.Context, p place) (seat, error)

// electors returns the contenders of scenario E.
func electors() []contender[elector] {
	return []contender[elector]{
		{"espial-available", sitEspial(espial.Available())},
		{"espial-quorum", sitEspial(espial.Quorum(seats))},
		{"raft", sitRaft(0)},
		{"raft-300ms", sitRaft(300 * time.Millisecond)},
		{"jetstream", sitJetStream},
	}
}

// place is where a seat is.
type place struct {
	Cluster string
	Name    string
	Index   int
	Addrs   []string // of all seats, in their order
	Dir     string   // for the files of this one
}

// addr returns the address of this seat.
func (p place) addr() string { return p.Addrs[p.Index] }

// seatName returns the name of a seat.
func seatName(index int) string { return "seat-" + strconv.Itoa(index) }

// sighting is who leads, and when a seat learned it.
type sighting struct {
	Leader string    `json:"leader"`
	At     time.Time `json:"at"`
}

// watcher watches the leader for a seat.
type watcher struct {
	mu   sync.Mutex // guards last
	last sighting
}

// tell notes another leader. That there is none for a while is not noted.
func (w *watcher) tell(leader string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if leader != "" && leader != w.last.Leader {
		w.last = sighting{leader, time.Now()}
	}
}

func (w *watcher) seen() sighting {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// sit runs the process of one seat.
func sit(ctx context.Context, name string, spec []byte) error {
	take, err := pick(electors(), name)
	if err != nil {
		return err
	}
	var p place
	if err := json.Unmarshal(spec, &p); err != nil {
		return err
	}
	s, err := take(ctx, p)
	if err != nil {
		return err
	}
	var w watcher
	stop := look(ctx, s, &w)
	defer func() { _ = stop() }()
	return gauge.Obey(os.Stdin, os.Stdout, p.Name, func(o order) (any, error) {
		switch o.Do {
		case "leader":
			return w.seen(), nil
		case "resign":
			now := sighting{At: time.Now()}
			return now, s.resign(ctx)
		case "rest":
			// Looking may itself cost messages.
			if err := stop(); err != nil {
				return nil, err
			}
			sent := rest(o)
			stop = look(ctx, s, &w)
			return sent, nil
		}
		return nil, fmt.Errorf("unknown order %q", o.Do)
	})
}

// look watches until stop is called.
func look(ctx context.Context, s seat, w *watcher) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error { return s.watch(ctx, w.tell) })
	return func() error {
		cancel()
		return g.Wait()
	}
}

// traffic is what one seat sent at rest.
type traffic struct {
	Segments uint64 `json:"segments"`
	Counted  bool   `json:"counted"`
}

// rest counts what this process sends, once what looking left behind is over.
func rest(o order) traffic {
	time.Sleep(o.For / restCalms)
	before, _ := segments()
	time.Sleep(o.For)
	after, counted := segments()
	return traffic{max(after, before) - before, counted}
}
