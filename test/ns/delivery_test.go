//go:build linux

package ns_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/espial-go/espial/internal/netns"
)

// TestResetsEverySecondLoseNothing: what is sent to one and what is sent to all arrives once
// and in order, and no session ends (C02).
func TestResetsEverySecondLoseNothing(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 2)
	count := chaos(100_000, 1_000_000)
	receiver := s.Host(2).Start(program("receiver", keyFile(t))...)
	sender := s.Host(1).Start(program("sender", strconv.Itoa(count))...)
	receiver.Wait(startMax, netns.Match{Kind: "first", Reason: direct})
	resets := 0
	for sender.Count(netns.Match{Kind: "sent"}) == 0 {
		if s.Host(1).ResetTCP() {
			resets++
		}
		s.Hold(second)
		if resets > chaos(30, 300) {
			t.Fatalf("the sender is not done after %d resets\n%s\n%s", resets, sender.Report(), receiver.Report())
		}
	}
	for _, topic := range []string{direct, broadcast} {
		if got := receiver.Wait(startMax, netns.Match{Kind: "last", Reason: topic}).Count; got != uint64(count) {
			t.Errorf("%s ended with number %d, want %d", topic, got, count)
		}
		if got := receiver.Wait(0, netns.Match{Kind: "first", Reason: topic}).Count; got != 1 {
			t.Errorf("%s began with number %d, want 1", topic, got)
		}
	}
	for _, n := range []*netns.Node{sender, receiver} {
		for _, kind := range []string{"disorder", "missing", "lagged", "espial.in_doubt", "removed_node"} {
			never(t, n, netns.Match{Kind: kind})
		}
	}
	// A test that reset nothing has shown nothing.
	if ups := receiver.Count(netns.Match{Kind: "peer_added"}); resets < chaos(1, 3) || ups < chaos(2, 3) {
		t.Errorf("%d resets, and %d links came up", resets, ups)
	}
	t.Logf("%d messages each way of delivery through %d resets", count, resets)
}

// TestAKilledReceiverLeavesItsMessagesInDoubt: the sender is told how many, and the next
// incarnation gets none of them (C04).
func TestAKilledReceiverLeavesItsMessagesInDoubt(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 2)
	key := keyFile(t)
	first := s.Host(2).Start(program("receiver", key)...)
	sender := s.Host(1).Start(program("sender", strconv.Itoa(100_000))...)
	first.Wait(startMax, netns.Match{Kind: "first", Reason: direct})
	sender.Wait(startMax, netns.Match{Kind: "sending"}) // in the middle of the stream
	first.Signal(syscall.SIGSTOP)
	for range 2 { // what is sent between the two lines is acknowledged by nobody
		sender.Mark()
		sender.Wait(startMax, netns.Match{Kind: "sending"})
	}
	first.Kill()
	sender.Wait(patient(silentMax), netns.Match{Kind: "removed_node", Cause: "failed"})
	next := s.Host(2).Start(program("receiver", key)...)
	resumed := sender.Wait(startMax, netns.Match{Kind: "resumed"}).Count
	if doubt := sender.Wait(startMax, netns.Match{Kind: "espial.in_doubt"}); doubt.Count == 0 {
		t.Errorf("no message is in doubt: %s", doubt.Line)
	}
	if got := next.Wait(startMax, netns.Match{Kind: "first", Reason: direct}).Count; got != resumed {
		t.Errorf("the next incarnation began with number %d, want %d", got, resumed)
	}
	sender.Wait(2*startMax, netns.Match{Kind: "sent"})
	next.Wait(startMax, netns.Match{Kind: "last", Reason: direct})
	never(t, next, netns.Match{Kind: "disorder"})
}

// TestANodeIsSomebodyElseAtEachStart unless it keeps its key (E14).
func TestANodeIsSomebodyElseAtEachStart(t *testing.T) {
	t.Parallel()
	h := netns.New(t, command, 1).Host(1)
	start := func(flags ...string) string {
		n := h.Up(append(flags, "--cluster", "c")...)
		n.Leave()
		return n.ID
	}
	if a, b := start(), start(); a == b {
		t.Errorf("two starts have the same ID %s", a)
	}
	key := keyFile(t)
	if a, b := start("--key-file", key), start("--key-file", key); a != b {
		t.Errorf("two starts with one key file have the IDs %s and %s", a, b)
	}
}

// keyFile makes a file with a new key.
func keyFile(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
