package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-monitor/holdfast/plugins"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// pluginCommand is what an agent runs to get a first-party plugin: this program
// again, so that plugins share its memory pages and its version.
func pluginCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "plugin NAME",
		Short:  "Serve a plugin to the agent that started this process",
		Hidden: true,
		Args:   usageArgs(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			all := plugins.All()
			probes := all[args[0]]
			if probes == nil {
				return exitf(exitNotFound, "there is no plugin %q; there are %s", args[0], strings.Join(slices.Sorted(maps.Keys(all)), ", "))
			}
			probe.Serve(probes()...)
			return nil
		},
	}
}
