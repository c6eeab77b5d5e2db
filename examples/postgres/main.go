// Postgres asks a PostgreSQL server by the name of a member: the server listens at 127.0.0.1 of
// its host, and no port is open to the network. On that host run
//
//	postgres expose db-1 127.0.0.1:5432
//
// which is what espial expose does, and on any other host
//
//	postgres ask db-1 'postgres://shop@/shop' 'select version()'
//
// It is a module of its own, because espial does not depend on a driver.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/espial-go/espial"
)

// service is what the gateway listens on.
const service = "postgres"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c := espial.Config{Cluster: "postgres"}
	switch args := os.Args[1:]; {
	case len(args) == 3 && args[0] == "expose":
		c.Name = args[1]
		n, err := espial.Start(context.WithoutCancel(ctx), c)
		check(err)
		check(expose(ctx, n, args[2]))
		check(n.Close())
	case len(args) == 4 && args[0] == "ask":
		c.Ineligible = true
		n, err := espial.Start(context.WithoutCancel(ctx), c)
		check(err)
		check(n.WaitFor(ctx, 2))
		check(ask(ctx, n, args[1], args[2], args[3]))
		check(n.Close())
	default:
		check(errors.New("usage: postgres expose NAME HOST:PORT | ask NAME URL QUERY"))
	}
}

// ask prints what a query brings.
func ask(ctx context.Context, n *espial.Node, member, url, query string) error {
	pool, err := connect(ctx, n, member, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	rows, err := pool.Query(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		fmt.Println(values...)
	}
	return rows.Err()
}

// connect returns a pool of connections to the server behind a member. A connection that breaks
// because the member went is replaced once it is back, as pools do.
func connect(ctx context.Context, n *espial.Node, member, url string) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	c.ConnConfig.Host = service + "." + member + ".espial"
	c.ConnConfig.Fallbacks = nil // to other hosts, and from TLS to none
	c.ConnConfig.TLSConfig = nil // the stream below is encrypted, and the member's ID proved
	c.ConnConfig.LookupFunc = func(_ context.Context, host string) ([]string, error) {
		return []string{host}, nil // it is no name of DNS
	}
	c.ConnConfig.DialFunc = n.DialContext
	return pgxpool.NewWithConfig(ctx, c)
}

// expose carries each stream that a member opens to the server at addr, until ctx ends.
func expose(ctx context.Context, n *espial.Node, addr string) error {
	ln, err := n.Listen(service)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	var streams sync.WaitGroup
	defer streams.Wait()
	for {
		nc, err := ln.Accept()
		if err != nil {
			return nil // ctx or the node ended
		}
		streams.Go(func() {
			if err := carry(ctx, nc, addr); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		})
	}
}

// carry joins a stream with a connection to the server. When either ends, so does the other:
// PostgreSQL closes connections as a whole.
func carry(ctx context.Context, stream net.Conn, addr string) error {
	defer func() { _ = stream.Close() }()
	d := net.Dialer{Timeout: 5 * time.Second}
	server, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	end := func() { _, _ = stream.Close(), server.Close() }
	stop := context.AfterFunc(ctx, end)
	defer stop()
	var back sync.WaitGroup
	back.Go(func() {
		defer end()
		_, _ = io.Copy(stream, server) // an error is the end of both
	})
	_, _ = io.Copy(server, stream)
	end()
	back.Wait()
	return nil
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
