// Notes is a web site that is spread over a cluster: each copy keeps the notes that are typed
// into it, and serves them to the others over HTTP, by name, without a port. Start it in two
// terminals of a host, as "notes ann" and "notes bob", and type:
//
//	buy milk        to keep a note
//	@ann            to read what ann keeps
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"github.com/espial-go/espial"
)

func main() {
	if len(os.Args) != 2 {
		check(errors.New("usage: notes NAME"))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	n, err := espial.Start(context.WithoutCancel(ctx), espial.Config{Cluster: "notes", Name: os.Args[1]})
	check(err)
	site, err := n.Listen("notes")
	check(err)
	var p pad
	server := http.Server{Handler: &p, ReadHeaderTimeout: time.Second}
	var serving, typing sync.WaitGroup
	serving.Go(func() { _ = server.Serve(site) })
	typing.Go(func() { p.read(ctx, client(n), os.Stdin, func(text string) { fmt.Print(text) }) })
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = server.Shutdown(end) // lets those finish who are reading
	serving.Wait()
	check(n.Close())
}

// client returns an HTTP client whose hosts are service.member.espial.
func client(n *espial.Node) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: n.DialContext}, Timeout: 5 * time.Second}
}

// pad is the notes of one copy.
type pad struct {
	mu    sync.Mutex // guards what follows
	notes []string
}

// ServeHTTP serves the notes, one a line, and says who reads them.
func (p *pad) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reader, err := espial.ParseNodeID(r.RemoteAddr) // TLS has proved it
	if err != nil {
		http.Error(w, "a stream has the ID of a node for an address", http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	page := fmt.Sprintf("%d notes for %s\n%s\n", len(p.notes), reader.Short(), strings.Join(p.notes, "\n"))
	p.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, page) //nolint:gosec // as text, a note is no HTML; who went does not read it
}

// read takes lines: a note to keep, or @NAME to read the notes of a member.
func (p *pad) read(ctx context.Context, c *http.Client, in io.Reader, say func(text string)) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		name, ok := strings.CutPrefix(lines.Text(), "@")
		if !ok {
			p.mu.Lock()
			p.notes = append(p.notes, lines.Text())
			p.mu.Unlock()
			continue
		}
		text, err := get(ctx, c, "http://"+net.JoinHostPort("notes."+name+".espial", "80")+"/")
		switch {
		case errors.Is(err, espial.ErrNoMember):
			say(fmt.Sprintf("there is no %s\n", name))
		case err != nil:
			say(err.Error() + "\n")
		default:
			say(text)
		}
	}
}

// get returns what an HTTP server answers.
func get(ctx context.Context, c *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return string(text), errors.Join(err, resp.Body.Close())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
