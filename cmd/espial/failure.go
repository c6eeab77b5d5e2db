package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/control"
)

// The exit codes. They are stable.
const (
	codeDone    = 0
	codeNo      = 1 // the answer is no: nobody there, not delivered
	codeUsage   = 2 // the command line, the environment or a setting cannot work
	codeNoNode  = 3 // no node runs that could answer
	codeRefused = 4 // every node that answered refused this one
)

// failure is an error with the exit code and the words for it.
type failure struct {
	code int
	text string
}

func (f *failure) Error() string { return f.text }

// usageError returns err as a failure with codeUsage.
func usageError(err error) error { return &failure{code: codeUsage, text: err.Error()} }

// usagef returns a failure with codeUsage.
func usagef(format string, args ...any) error {
	return &failure{code: codeUsage, text: fmt.Sprintf(format, args...)}
}

// nof returns a failure with codeNo.
func nof(format string, args ...any) error {
	return &failure{code: codeNo, text: fmt.Sprintf(format, args...)}
}

// asFailure finds the exit code and the words for any error of a command. The flags that
// would have avoided it stand in place of the fields of espial.Config.
func asFailure(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	text := strings.TrimPrefix(err.Error(), "espial: ")
	if e, ok := errors.AsType[*espial.ConfigError](err); ok {
		return &failure{codeUsage, flagOf(e.Field) + ": " + e.Reason}
	}
	if _, ok := errors.AsType[*espial.TopicError](err); ok {
		return &failure{codeUsage, text}
	}
	if _, ok := errors.AsType[*espial.RejectedError](err); ok {
		return &failure{codeRefused, text}
	}
	if e, ok := errors.AsType[*control.Error](err); ok {
		code := codeNo
		if e.Code == codeTopic {
			code = codeUsage
		}
		return &failure{code, strings.TrimPrefix(e.Text, "espial: ")}
	}
	// What is left of cobra's own errors is about the command line.
	if strings.HasPrefix(text, "unknown command ") {
		return &failure{codeUsage, text + "; see espial --help"}
	}
	return &failure{codeNo, text}
}

// codeTopic is the code that a node answers for a malformed or reserved topic.
const codeTopic = "topic"
