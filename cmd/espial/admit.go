package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"

	"github.com/espial-go/espial"
)

// gatekeepersMax is how many commands --admit runs at once; further newcomers wait for their turn.
const gatekeepersMax = 4

// gatekeeper asks a command who may join.
type gatekeeper struct {
	command string
	turns   chan struct{}
}

func newGatekeeper(command string) *gatekeeper {
	return &gatekeeper{command: command, turns: make(chan struct{}, gatekeepersMax)}
}

// applicant is what the command reads from its standard input.
type applicant struct {
	Verified struct {
		ID    espial.NodeID `json:"id"`
		Addr  string        `json:"addr"`
		Names []string      `json:"names"`
	} `json:"verified"`
	Claimed struct {
		Name string            `json:"name"`
		Host string            `json:"host"`
		Meta map[string]string `json:"meta"`
	} `json:"claimed"`
}

// admit runs the command for one newcomer. It is the Admit of espial.Config.
func (g *gatekeeper) admit(ctx context.Context, v espial.Verified, c espial.Claimed) error {
	select {
	case g.turns <- struct{}{}:
		defer func() { <-g.turns }()
	case <-ctx.Done():
		return errors.New("too many nodes ask to join at once")
	}
	var a applicant
	a.Verified.ID, a.Verified.Addr, a.Verified.Names = v.ID, v.Addr.String(), v.Names
	a.Claimed.Name, a.Claimed.Host, a.Claimed.Meta = c.Name, c.Host, c.Metadata
	if a.Verified.Names == nil {
		a.Verified.Names = []string{}
	}
	if a.Claimed.Meta == nil {
		a.Claimed.Meta = map[string]string{}
	}
	in, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return g.run(ctx, append(in, '\n'))
}

// run runs the command until ctx ends and returns why it refuses, nil if it admits.
func (g *gatekeeper) run(ctx context.Context, in []byte) error {
	out := &tail{max: outputMax}
	cmd := exec.CommandContext(ctx, "sh", "-c", g.command) //nolint:gosec // the user's own command
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), out, out
	err := runCommand(cmd)
	_, refused := errors.AsType[*exec.ExitError](err)
	switch {
	case ctx.Err() != nil:
		return errors.New("the admission command took too long")
	case err == nil:
		return nil
	case !refused:
		return errors.New("the admission command did not run")
	}
	if reason := out.lastLine(); reason != "" {
		return errors.New(reason)
	}
	return errors.New("the admission command says no")
}
