package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

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
		return &failure{codeUsage, flagOf(e.Field) + ": " + withFlags(e.Reason)}
	}
	if errors.Is(err, control.ErrGone) {
		return &failure{codeNo, "the node has ended"}
	}
	if errors.Is(err, espial.ErrTooLarge) {
		return &failure{codeUsage, withFlags(text)}
	}
	if _, ok := errors.AsType[*espial.TopicError](err); ok {
		return &failure{codeUsage, text}
	}
	if _, ok := errors.AsType[*espial.TargetError](err); ok {
		return &failure{codeUsage, text}
	}
	if e, ok := errors.AsType[*espial.MethodError](err); ok && e.Member == (espial.Sender{}) {
		return &failure{codeUsage, text}
	}
	if e, ok := errors.AsType[*espial.RejectedError](err); ok { // also where a deadline came with it
		return &failure{codeRefused, strings.TrimPrefix(e.Error(), "espial: ")}
	}
	if e, ok := errors.AsType[*control.Error](err); ok {
		code := codeNo
		if e.Code == codeTopic || e.Code == codeTarget || e.Code == codeMethod {
			code = codeUsage
		}
		return &failure{code, strings.TrimPrefix(e.Text, "espial: ")}
	}
	// What is left of cobra's own errors is about the command line.
	if strings.HasPrefix(text, "unknown command ") {
		return &failure{codeUsage, unknownCommand(text)}
	}
	return &failure{codeNo, text}
}

// Codes that a node answers for a malformed or reserved topic, a malformed target, a method that
// cannot be called or served, too much data, a stream that nobody took in time, and a target that
// means nobody.
const (
	codeTopic    = "topic"
	codeTarget   = "target"
	codeMethod   = "method"
	codeTooLarge = "too_large"
	codeNoStream = "no_stream"
	codeNoMember = "no_member"
)

// withFlags returns words of the library with flags in place of the fields of espial.Config.
func withFlags(text string) string {
	return strings.NewReplacer(
		"Multicast.Interface", "--multicast-interface",
		"turn Multicast.Off on and name Seeds", "say --discover none and name others with --join",
		" (Config.EventMax)", "",
		" (MaxPeers)", " (--max-peers)",
	).Replace(text)
}

// unknownCommand says in one line what cobra says in several: a command does not exist, and
// which ones have a similar name.
func unknownCommand(text string) string {
	text, similar, _ := strings.Cut(text, "\n")
	text = strings.TrimSuffix(text, ` for "espial"`)
	_, similar, ok := strings.Cut(similar, "Did you mean this?")
	if !ok {
		return text + "; see espial --help"
	}
	names := strings.Fields(similar)
	for i, n := range names {
		names[i] = "espial " + n
	}
	return text + "; did you mean " + strings.Join(names, " or ") + "? See espial --help"
}

// badValue returns the failure for flags that cannot be parsed.
func badValue(err error, help string) error {
	e, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return usagef("%v; see %s --help", err, help)
	}
	return usagef("--%s: %q %s; see %s --help",
		e.GetFlag().Name, e.GetValue(), unfit(e.GetFlag().Value.Type()), help)
}

// unfit says what a value is not that a flag of a type cannot take.
func unfit(flagType string) string {
	switch flagType {
	case "bool":
		return "is neither true nor false"
	case "duration":
		return "is no time such as 300ms or 10s"
	case "intSlice":
		return "is no list of whole numbers such as 4,16"
	case "int":
		return "is no whole number"
	case "float64":
		return "is no number"
	}
	return "cannot be understood"
}
