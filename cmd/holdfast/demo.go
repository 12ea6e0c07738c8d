package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-monitor/holdfast/cmd/holdfast/demo"
)

func demoCommand() *cobra.Command {
	var (
		o        demo.Options
		scenario string
	)
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a small organisation on this machine, to see Holdfast at work",
		Long: `Run a small organisation on this machine, to see Holdfast at work: two sites, six
services whose data is really backed up and restored, a collector and two agents
as processes of their own, on loopback only.

With --scenario live, troubles come and go until you stop it with Ctrl-C: every
state of a service appears and clears again within some eight minutes. With none it
stays calm.

Everything it writes is in one folder, built anew at every start; its own folder of
an earlier run is taken over, any other that is not empty is refused. Delete it when
you have seen enough.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if scenario != "live" && scenario != "none" {
				return usageError(cmd, fmt.Errorf("--scenario %q: use live or none", scenario))
			}
			o.Live, o.Call, o.Out = scenario == "live", os.Args[0], cmd.OutOrStdout()
			return demo.Run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Data, "data", "demo-data", "`folder` for everything it writes")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:8480", "`address` of the pages, on loopback")
	f.StringVar(&scenario, "scenario", "live", "`live|none`: troubles come and go, or it stays calm")
	f.DurationVar(&o.Hold, "hold", 15*time.Second, "how long a trouble is left to be looked at")
	_ = f.MarkHidden("hold")
	_ = cmd.RegisterFlagCompletionFunc("scenario", cobra.FixedCompletions([]string{"live", "none"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}
