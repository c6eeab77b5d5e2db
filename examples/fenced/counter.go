package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	_ "modernc.org/sqlite" // the driver called sqlite
)

// errStale reports that the file has seen a higher token: whoever asked leads no more.
var errStale = errors.New("the token is stale")

// counter is a number in a SQLite file, with the highest token that was ever shown to it.
// It takes a number from the holder of that token or of a higher one, and from nobody else.
type counter struct{ db *sql.DB }

// openCounter opens the file at path and creates it if there is none.
func openCounter(ctx context.Context, path string) (*counter, error) {
	// Several processes write: one waits for the other instead of failing.
	file := url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: "_pragma=busy_timeout(5000)"}
	db, err := sql.Open("sqlite", file.String())
	if err != nil {
		return nil, err
	}
	_, err = db.ExecContext(ctx, `
		CREATE TABLE IF NOT EXISTS counter (
			id    INTEGER PRIMARY KEY CHECK (id = 1),
			value INTEGER NOT NULL,
			token INTEGER NOT NULL
		) STRICT;
		INSERT OR IGNORE INTO counter VALUES (1, 0, 0);`)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	return &counter{db}, nil
}

// take returns the number and shows the token, so that nobody with a lower one can change
// the number from now on. A new leader begins with it: what it read is then still true when
// it writes. It returns errStale if a higher token was shown before.
func (k *counter) take(ctx context.Context, token uint64) (value int64, err error) {
	// Tokens stay below 2^53 and fit.
	row := k.db.QueryRowContext(ctx,
		`UPDATE counter SET token = ?1 WHERE token <= ?1 RETURNING value`, int64(token))
	if err := row.Scan(&value); err != nil {
		return 0, stale(err, token)
	}
	return value, nil
}

// put changes the number. It returns errStale, and changes nothing, if a higher token was
// shown before: the comparison and the change are one statement.
func (k *counter) put(ctx context.Context, token uint64, value int64) error {
	row := k.db.QueryRowContext(ctx,
		`UPDATE counter SET value = ?2, token = ?1 WHERE token <= ?1 RETURNING value`, int64(token), value)
	return stale(row.Scan(&value), token)
}

// stale returns what it means that no row matched.
func stale(err error, token uint64) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("token %d: %w", token, errStale)
	}
	return err
}

// close closes the file.
func (k *counter) close() { _ = k.db.Close() } // every write was committed or refused
