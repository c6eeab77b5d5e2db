package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	nodesMax = 1024            // sockets looked at in one folder
	asksMax  = 16              // of them at the same time
	helloMax = time.Second     // for the answer of one
	youngMax = 5 * time.Second // age of a socket that nobody may listen on yet
)

// Node is a running node of this user on this host, as a client sees it. [Nodes] finds
// them; with nothing but Path set it is good for [Node.Call].
type Node struct {
	Path string // of its control socket
	Hello
}

// Nodes asks every control socket of this user for its node and returns those that answer
// within 1 s, by name and then ID. Sockets whose owner was killed are removed. An error,
// such as a [SilentError] for each that does not answer, comes with the nodes that were
// found all the same.
func Nodes(ctx context.Context) ([]Node, error) { return nodes(ctx, Folders()) }

func nodes(ctx context.Context, folders []string) ([]Node, error) {
	var paths []string
	var errs []error
	for _, folder := range folders {
		found, err := sockets(folder)
		paths, errs = append(paths, found...), append(errs, err)
	}
	var (
		mu    sync.Mutex // guards found and errs
		found []Node
		wg    sync.WaitGroup
		free  = make(chan struct{}, asksMax)
	)
	for _, path := range paths {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			n, err := hello(ctx, path)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				found = append(found, n)
			} else if !gone(err) {
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	slices.SortFunc(found, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return found, errors.Join(errs...)
}

// sockets returns the sockets in folder, none if it does not exist.
func sockets(folder string) ([]string, error) {
	switch err := checkFolder(folder); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries[:min(len(entries), nodesMax)] {
		if strings.HasSuffix(e.Name(), suffix) {
			paths = append(paths, filepath.Join(folder, e.Name()))
		}
	}
	return paths, nil
}

// hello asks the socket at path who listens there, and removes it if nobody does.
func hello(ctx context.Context, path string) (Node, error) {
	ctx, cancel := context.WithTimeout(ctx, helloMax)
	defer cancel()
	n := Node{Path: path}
	err := n.Call(ctx, "hello", nil, func(b json.RawMessage) error { return json.Unmarshal(b, &n.Hello) })
	if refused(err) {
		removeStale(path)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = &SilentError{Name: strings.TrimSuffix(filepath.Base(path), suffix), Path: path}
	}
	return n, err
}

// removeStale removes a socket that refuses connections, unless it is so young that its
// owner may be between creating it and listening on it.
func removeStale(path string) {
	if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > youngMax {
		_ = os.Remove(path) // another client may have been quicker
	}
}

// gone reports whether err means that no node is there (any more).
func gone(err error) bool {
	return refused(err) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrGone)
}

// Call asks the node and gives each piece of the answer to each, as it comes. It returns
// nil after the whole answer, the [*Error] that the node answered, [ErrGone] if the node
// ended first, what each returned, or ctx's error; in the last two cases the request is
// abandoned. The size of an answer is bounded by nothing but the node.
func (n Node) Call(ctx context.Context, verb string, args any, each func(json.RawMessage) error) error {
	r, err := newRequest(verb, args)
	if err != nil {
		return err
	}
	c, err := dial(ctx, n.Path)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	defer stop()

	if err := ask(c, r, each); ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}

// ask sends the request and reads the answer.
func ask(c net.Conn, r Request, each func(json.RawMessage) error) error {
	// A server that refuses the request may close before it has read all of it. Its answer
	// is what counts, and without one the error shows when reading.
	_ = json.NewEncoder(c).Encode(r)
	in := json.NewDecoder(c)
	for {
		var a answer
		if err := in.Decode(&a); err != nil {
			return lost(err)
		}
		switch {
		case a.Error != nil:
			return a.Error
		case a.Done:
			return nil
		}
		if err := each(a.Data); err != nil {
			return err
		}
	}
}

// lost returns the error for an answer without a last line.
func lost(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || reset(err) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return fmt.Errorf("control: no answer of a node: %w", err)
}

// dial connects to the socket at path.
func dial(ctx context.Context, path string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", path)
}
