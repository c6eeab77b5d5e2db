// Words is a dictionary that is spread over a cluster, and asked by net/rpc: each copy knows the
// words that are typed into it, and asks all copies for those of others. The streams that net/rpc
// runs on are compressed and counted by wrappers. Start it in two terminals of a host, as
// "words ann" and "words bob", and type:
//
//	tea: a hot drink        to explain a word
//	tea                     to ask what it means
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"os/signal"
	"strings"
	"sync"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/wrap"
)

func main() {
	if len(os.Args) != 2 {
		check(errors.New("usage: words NAME"))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b := &Book{means: map[string]string{}}
	c := b.config(espial.Config{Cluster: "words", Name: os.Args[1]})
	n, err := espial.Start(context.WithoutCancel(ctx), c)
	check(err)
	ln, err := n.Listen("words")
	check(err)
	var serving, typing sync.WaitGroup
	serving.Go(func() { serve(ln, b) })
	typing.Go(func() { b.read(ctx, n, os.Stdin, func(text string) { fmt.Println(text) }) })
	<-ctx.Done()
	check(ln.Close())
	check(n.Close())
	serving.Wait()
}

// Book is the words of one copy. Its exported methods are those that net/rpc serves.
type Book struct {
	traffic wrap.Counter // bytes of all streams, as they are on the wire

	mu    sync.Mutex // guards what follows
	means map[string]string
}

// config returns a configuration with the wrappers, which must be the same at all copies.
func (b *Book) config(c espial.Config) espial.Config {
	c.Wrap = append(c.Wrap, wrap.Count(&b.traffic), wrap.Compress())
	return c
}

// Look tells what a word means here; nothing if it is not known.
func (b *Book) Look(word string, meaning *string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	*meaning = b.means[word]
	return nil
}

// serve serves a book on each stream, until the listener is closed.
func serve(ln net.Listener, b *Book) {
	s := rpc.NewServer()
	check(s.Register(b))
	s.Accept(ln)
}

// ask asks every copy, this one included, and returns what they answer.
func ask(ctx context.Context, n *espial.Node, word string) (answers []string) {
	for nc, err := range n.Streams(ctx, espial.All(), "words") {
		if err != nil {
			answers = append(answers, err.Error())
			continue
		}
		c := rpc.NewClient(nc)
		var meaning string
		if err := c.Call("Book.Look", word, &meaning); err != nil {
			answers = append(answers, err.Error())
		} else if meaning != "" {
			answers = append(answers, meaning)
		}
		_ = c.Close() // all is said
	}
	return answers
}

// read takes lines: a word and what it means, or a word to ask for.
func (b *Book) read(ctx context.Context, n *espial.Node, in io.Reader, say func(text string)) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		word, meaning, known := strings.Cut(lines.Text(), ": ")
		if known {
			b.mu.Lock()
			b.means[word] = meaning
			b.mu.Unlock()
			continue
		}
		answers := ask(ctx, n, word)
		if len(answers) == 0 {
			answers = []string{"nobody knows " + word}
		}
		for _, a := range answers {
			say(a)
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
