package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"

	"github.com/espial-go/espial/internal/gauge"
)

// order is what a child is to do.
type order struct {
	Do string `json:"do"`
	gauge.Load
}

// spawn starts a child in the role, for the contender, with what else it has to know. The
// child is ready when it has given its first answer. The end of ctx kills it.
func spawn(ctx context.Context, role, contender string, with any) (*gauge.Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	spec, err := json.Marshal(with)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, role, contender, string(spec)) //nolint:gosec // runs itself
	return gauge.Start(role+" of "+contender, cmd)
}
