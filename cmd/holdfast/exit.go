package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// Exit codes of every command but `probe run`, which follows the monitoring
// plugins' convention.
const (
	exitDone         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitBadAnswer    = 3 // ran fine, and the answer is bad
	exitNotFound     = 4
	exitNotAllowed   = 5
	exitUnreachable  = 6 // no collector answers
	exitVerification = 7 // evidence does not verify
	exitUndecidable  = 8
	exitInterrupted  = 130
)

// exitError ends the program with a code of its own. A nil err prints nothing:
// the command has already said what there is to say.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// exitf ends the program with a code and a message.
func exitf(code int, format string, args ...any) error {
	return exitError{code, fmt.Errorf(format, args...)}
}

// usageError says what is wrong with the command line and where help is.
func usageError(cmd *cobra.Command, err error) error {
	return exitf(exitUsage, "%w\nhint: %s --help", err, cmd.CommandPath())
}

// usageArgs makes an argument check answer with the usage exit code.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError(cmd, err)
		}
		return nil
	}
}
