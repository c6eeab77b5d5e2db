//go:build linux

package ns_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/espial-go/espial"
)

// roleEnv makes the test binary play a role in a host: a program that uses the library, or
// one that attacks it.
const roleEnv = "ESPIAL_NS_ROLE"

// play plays the role that is named by the first word; the others are its arguments.
func play(role string) error {
	words := strings.Fields(role)
	args := words[1:]
	ctx := context.Background() // until the test ends the process
	switch words[0] {
	case "receiver":
		return receive(ctx, args[0])
	case "sender":
		count, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		return send(ctx, count)
	case "lead":
		return lead(ctx, args[0])
	case "spin":
		spin()
		return nil
	case "idle":
		return idle(args[0], args[1])
	case "shake":
		return shake(args[0], args[1])
	case "drip":
		return drip(args[0])
	case "garbage":
		return garbage(args[0], args[1])
	case "forge":
		return forge(args[0], args[1], args[2])
	case "ask":
		return ask(args[0])
	}
	return fmt.Errorf("unknown role %q", role)
}

// program returns the command line that plays a role.
func program(role ...string) []string {
	return []string{"env", roleEnv + "=" + strings.Join(role, " "), os.Args[0]}
}

// report is a line of a program in the shape of a change.
type report struct {
	Change string `json:"change"`
	Reason string `json:"reason,omitempty"`
	Count  int    `json:"count,omitempty"`
}

// printer prints one value a line.
type printer struct {
	mu sync.Mutex
}

func (p *printer) print(v any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(v); err != nil {
		panic(err)
	}
}

// changes prints the changes of a node until it ends.
func (p *printer) changes(ctx context.Context, n *espial.Node) {
	for c := range n.Changes(ctx) {
		p.print(c)
	}
}

// The topics of the load, and the payload that comes after the last number.
const (
	direct    = "load.direct"
	broadcast = "load.broadcast"
	last      = "last"
)

// receive prints what is wrong with the numbers that arrive, the first one of each topic, and
// how many there were when the last one has come.
func receive(ctx context.Context, keyFile string) error {
	n, err := espial.Start(ctx, espial.Config{Cluster: "c", Name: "receiver", KeyFile: keyFile})
	if err != nil {
		return err
	}
	defer n.Close()
	var p printer
	// A reader that falls behind loses broadcasts, which is not what this looks for.
	events := n.Subscribe(ctx, "load.>", espial.QueueMax(4<<20))
	go p.changes(ctx, n)
	seen := map[string]int{}
	for e, err := range events {
		if lag, ok := errors.AsType[*espial.LaggedError](err); ok {
			p.print(report{Change: "missing", Reason: err.Error(), Count: int(lag.Count)})
			continue
		}
		if err != nil {
			return err
		}
		if string(e.Data) == last {
			p.print(report{Change: "last", Reason: e.Topic, Count: seen[e.Topic]})
			continue
		}
		number, err := strconv.Atoi(string(e.Data))
		if err != nil {
			return err
		}
		before, begun := seen[e.Topic]
		switch {
		case !begun:
			p.print(report{Change: "first", Reason: e.Topic, Count: number})
		case number != before+1:
			p.print(report{Change: "disorder", Reason: fmt.Sprintf("%s: %d after %d", e.Topic, number, before)})
		}
		seen[e.Topic] = number
	}
	return ctx.Err()
}

const (
	burst = 100  // numbers that leave at once, every 5 ms: 20,000 in a second on each topic
	stint = 2000 // numbers of which send says that it is sending, every 100 ms
)

// send sends numbers to the receiver, from 1 to count, directly and to all others. While
// there is no receiver it waits for the next one and goes on where it was.
func send(ctx context.Context, count int) error {
	n, err := espial.Start(ctx, espial.Config{Cluster: "c", Name: "sender"})
	if err != nil {
		return err
	}
	defer n.Close()
	var p printer
	go p.changes(ctx, n)
	to, err := receiver(ctx, n)
	if err != nil {
		return err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := 1; i <= count; i++ {
		if i%burst == 0 {
			<-tick.C
		}
		if i%stint == 0 {
			p.print(report{Change: "sending", Count: i})
		}
		number := []byte(strconv.Itoa(i))
		err := n.Publish(ctx, direct, number, espial.Only(to))
		if errors.Is(err, espial.ErrNoMember) {
			if to, err = receiver(ctx, n); err != nil {
				return err
			}
			p.print(report{Change: "resumed", Count: i})
			err = n.Publish(ctx, direct, number, espial.Only(to))
		}
		if err != nil {
			return err
		}
		if err := n.Publish(ctx, broadcast, number, espial.Others()); err != nil {
			return err
		}
	}
	if err := n.Publish(ctx, direct, []byte(last), espial.Only(to)); err != nil {
		return err
	}
	if err := n.Publish(ctx, broadcast, []byte(last), espial.Others()); err != nil {
		return err
	}
	p.print(report{Change: "sent", Count: count})
	<-ctx.Done()
	return nil
}

// receiver waits until there is a member with that name, linked with this one.
func receiver(ctx context.Context, n *espial.Node) (espial.NodeID, error) {
	if err := n.WaitFor(ctx, 2); err != nil {
		return espial.NodeID{}, err
	}
	for c := range n.Changes(ctx) {
		if c.Kind == espial.AddedNode && c.Member.Name == "receiver" {
			return c.Member.ID, nil
		}
	}
	return espial.NodeID{}, errors.New("the node ended")
}
