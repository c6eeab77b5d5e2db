// Command espial is an agent that makes this host a member of a cluster, and the commands
// that ask a running node, publish and subscribe.
//
//	espial up --cluster shop        # run a node and print what happens
//	espial members                  # ask the running node, in another terminal
//	espial sub 'orders.>'           # print events
//	espial pub orders.placed '{"ID":"7"}'
//	espial demo                     # see it all in one terminal
//
// Every command has --help with an example and --json. Exit codes: 0 done, 1 the answer is
// no, 2 usage, 3 no node runs, 4 refused.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/control"
	"github.com/espial-go/espial/internal/term"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run executes one command line and returns the exit code.
func run(args []string, in io.Reader, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal finds the default action and ends the process at once.
	context.AfterFunc(ctx, stop)

	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	w := &output{Writer: out}
	root.SetOut(w)
	root.SetErr(errs)
	err := unlessStuck(ctx, func() error { return cmp.Or(root.ExecuteContext(ctx), w.err) })
	if err == nil || readerGone(err) {
		return codeDone
	}
	f := asFailure(err)
	_, _ = fmt.Fprintf(errs, "espial: %s\n", term.Text(f.text))
	return f.code
}

// unlessStuck runs a command and returns its error. It waits for one that was interrupted as
// long as a goodbye may take: the command may be writing to somebody who reads nothing more.
func unlessStuck(ctx context.Context, command func() error) error {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	context.AfterFunc(ctx, func() {
		time.AfterFunc(leaveMax+time.Second, func() {
			cancel(nof("it did not end when it was interrupted; is its output read?"))
		})
	})
	return orEnd(late, command)
}

// orEnd runs f and returns its error, or the cause of ctx if that ends first. Then f goes on,
// and only the end of the process ends it.
func orEnd(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	new(sync.WaitGroup).Go(func() { done <- f() })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// output keeps the first error of a writer, for help and whatever else does not look. One
// goroutine at a time writes to it.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	o.err = cmp.Or(o.err, err)
	return n, err
}

// outliveReader turns the end of whoever reads standard output into an error of the next
// write, so that a node can say goodbye: unasked, the signal ends the process.
func outliveReader() {
	// Not [signal.Ignore], which our own children would inherit.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

// readerGone reports whether a command ended because nobody reads its output any more, as in
// espial up | head -1. That is how such a command is meant to end.
func readerGone(err error) bool {
	return errors.Is(err, syscall.EPIPE) && !errors.Is(err, control.ErrGone)
}

// newRoot returns the command with all its subcommands.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "espial",
		Short: "Make this host a member of a cluster",
		Long: `espial makes this host a member of a cluster: one command, no server to run.
Nodes with the same cluster name find each other on the network, admit or
refuse each other, and exchange events over encrypted links.

Every flag is also an environment variable: --cluster is ESPIAL_CLUSTER,
--key-file is ESPIAL_KEY_FILE. A flag wins.

Commands reach the nodes of this user on this host by their control sockets,
which lie in $XDG_RUNTIME_DIR/espial or else in espial-UID in the folder for
temporary files.

Exit codes: 0 done, 1 the answer is no, 2 usage, 3 no node runs, 4 refused.`,
		Example:       "  espial demo\n  espial up --cluster shop",
		Version:       espial.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		// Runs once flags and arguments are known to be well-formed.
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := noneEmpty(cmd.Flags()); err != nil && !cmd.Hidden {
				return err
			}
			return fromEnvironment(cmd, os.Getenv)
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return badValue(err, cmd.CommandPath())
	})
	root.AddCommand(
		newUpCommand(), newDemoCommand(),
		newMembersCommand(), newPeersCommand(), newTopicsCommand(), newStatusCommand(),
		newPubCommand(), newSubCommand(),
		newCallCommand(), newServeCommand(), newMethodsCommand(), newServicesCommand(),
		newExposeCommand(), newForwardCommand(), newNcCommand(),
		newLeaderCommand(), newPromoteCommand(), newResignCommand(),
		newBenchCommand(), newBenchReceiverCommand(),
	)
	return root
}
