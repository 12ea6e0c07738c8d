package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/holdfast-monitor/holdfast/collector"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// ask asks the running collector and prints its answer alone on the last line.
func ask(cmd *cobra.Command, data, path string, request collector.AdminRequest) error {
	text, err := collector.Ask(cmd.Context(), data, path, request)
	if err != nil {
		return adminError(err)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

func adminError(err error) error {
	switch {
	case errors.Is(err, collector.ErrNotRunning):
		return exitError{exitUnreachable, err}
	case errors.Is(err, store.ErrNotFound):
		return exitError{exitNotFound, err}
	case errors.Is(err, os.ErrPermission):
		return exitError{exitNotAllowed, fmt.Errorf("%w\nhint: run this as the user the collector runs as", err)}
	}
	return err
}
