// Command holdfast tells an organisation whether it could recover: one binary
// with the agent, the collector, the first-party plugins and the client commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(program()) }

// program carries out the process's command line; an interrupt ends it in order.
func program() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// run carries out one command line and returns its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var code exitError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &code):
		if code.err != nil {
			fmt.Fprintln(stderr, "holdfast:", code.err)
		}
		return code.code
	case ctx.Err() != nil:
		return exitInterrupted
	}
	fmt.Fprintln(stderr, "holdfast:", err)
	return exitFailed
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "Could we recover? Live evidence, judged against what the business agreed.",
		Long: `Holdfast tells an organisation whether it could recover.

Agents on hosts probe backups, resources and alternate sites; a collector judges
every service against its business impact analysis and says what is untested,
stale or broken, and what mends it.

Try it:  holdfast demo
Then:    holdfast status, holdfast service show NAME`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError(cmd, err) })
	root.AddCommand(
		agentCommand(), pluginCommand(), probeCommand(),
		catalogCommand(), judgeCommand(),
		collectorCommand(), statusCommand(), serviceCommand(), alertCommand(), agentsCommand(), recordCommand(), drillCommand(),
		demoCommand(), benchCommand(),
		discoverCommand(), versionCommand(),
	)
	return root
}
