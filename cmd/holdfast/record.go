package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// recordFlags are the flags of each kind of record, besides by, at, note.
var recordFlags = map[holdfast.RecordKind]struct {
	flags []string
	short string
	use   string
}{
	holdfast.Exercise: {[]string{"service", "path", "plan", "plan-version", "site", "outcome", "started", "duration", "point", "bytes", "people", "scenario"},
		"A path was walked at the recovery site, by people, with the plan",
		`holdfast record exercise --service payments --path restore-in-ams --site ams --plan payments-scp --plan-version 7 --started 2026-03-01T09:00:00Z --duration 40m --point 2026-03-01T08:55:00Z --people dba-1,ops-2`},
	holdfast.Review: {[]string{"service", "plan", "plan-version", "editorial"},
		"A plan, or a service's BIA, was reviewed", `holdfast record review --plan payments-scp`},
	holdfast.Training: {[]string{"team", "people", "plan"},
		"People were trained in a plan", `holdfast record training --team payments-oncall --people dba-1,ops-2 --plan payments-scp`},
	holdfast.Change: {[]string{"service", "path", "reason", "substantive", "data"},
		"Something changed that may void proof", `holdfast record change --service payments --reason "new storage" --substantive --data`},
	holdfast.Attestation: {[]string{"need", "until", "service"},
		"A need, or a declared fact, holds", `holdfast record attestation --need payments/restore-in-ams/contract-exit`},
	holdfast.Acceptance: {[]string{"need", "reason", "approver", "until", "service"},
		"A risk is accepted: it silences alerts and raises no score", `holdfast record acceptance --need payments/ransomware --reason migration --approver cio --until 2026-09-01T00:00:00Z`},
	holdfast.Maintenance: {[]string{"service", "site", "host", "reason", "until"},
		"A maintenance window: alerts stay silent, the posture stays true", `holdfast record maintenance --host db1 --reason "kernel" --until 2026-03-01T12:00:00Z`},
	holdfast.Invocation: {[]string{"service", "path", "outcome", "started", "duration", "point", "site", "people", "scenario"},
		"A plan was carried out for real", `holdfast record invocation --service payments --path restore-in-ams --started 2026-03-01T09:00:00Z --duration 50m --outcome ok`},
}

func recordCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "record KIND",
		Short: "Enter what people attest: exercises, reviews, training, changes, accepted risks",
		Long: `Enter what people attest. Records are never changed or deleted; a later one says
better. What lies in the future is refused: a record says what has happened.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, kind := range holdfast.RecordKinds {
		cmd.AddCommand(recordKindCommand(kind))
	}
	return cmd
}

func recordKindCommand(kind holdfast.RecordKind) *cobra.Command {
	var (
		api    client
		output string
		r      = holdfast.Record{Kind: kind}
	)
	about := recordFlags[kind]
	cmd := &cobra.Command{
		Use:     string(kind),
		Short:   about.short,
		Example: "  " + about.use,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.At.IsZero() {
				r.At = time.Now().UTC().Truncate(time.Second)
				if end := r.Started.Add(r.Duration.Std()); !r.Started.IsZero() && end.Before(r.At) {
					r.At = end
				}
			}
			if kind == holdfast.Exercise && r.Outcome == "" {
				r.Outcome = holdfast.OK
			}
			asked := r
			if asked.By == "" {
				asked.By = "whom the token stands for" // the collector fills it in
			}
			if err := asked.Validate(); err != nil {
				return usageError(cmd, err)
			}
			var stored holdfast.Record
			if err := api.do(cmd.Context(), "POST", "/records", r, &stored); err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), stored)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "recorded %s %s\n", clean(string(stored.Kind)), clean(stored.ID))
			return err
		},
	}
	addOutput(cmd, &output)
	addClient(cmd, &api)
	f := cmd.Flags()
	f.StringVar(&r.By, "by", "", "`who` attests (default: whom the token stands for)")
	f.Var(timeFlag{&r.At}, "at", "when it happened (default now)")
	f.StringVar(&r.Note, "note", "", "free `text`")
	all := recordFlagSet(&r)
	for _, name := range about.flags {
		f.AddFlag(all.Lookup(name))
	}
	return cmd
}

// recordFlagSet holds the flags of every kind.
func recordFlagSet(r *holdfast.Record) *pflag.FlagSet {
	f := pflag.NewFlagSet("record", pflag.ContinueOnError)
	f.StringVar(&r.Service, "service", "", "the `service`")
	f.StringVar(&r.Path, "path", "", "the recovery `path`")
	f.StringVar(&r.Scenario, "scenario", "", "the `scenario`")
	f.StringVar(&r.Plan, "plan", "", "the `plan`")
	f.StringVar(&r.Version, "plan-version", "", "the plan's `version`")
	f.StringVar(&r.Site, "site", "", "the `site`; of an exercise, where it was walked")
	f.StringVar(&r.Host, "host", "", "the `host`")
	f.StringVar(&r.Team, "team", "", "the `team`")
	f.StringSliceVar(&r.People, "people", nil, "`names`, separated by commas")
	f.StringVar((*string)(&r.Outcome), "outcome", "", "`ok`, degraded or failed")
	f.Var(timeFlag{&r.Started}, "started", "when it started")
	f.Var(durationFlag{&r.Duration}, "duration", "how long it took, like 40m")
	f.Var(timeFlag{&r.Point}, "point", "the recovery point that was restored")
	f.Var(bytesFlag{&r.Bytes}, "bytes", "how much was restored, like 200GiB")
	f.BoolVar(&r.Editorial, "editorial", false, "the revision changes no procedure")
	f.BoolVar(&r.Substantive, "substantive", false, "it voids exercises")
	f.BoolVar(&r.Data, "data", false, "it touches data: voids restore tests too")
	f.StringVar(&r.Need, "need", "", "the need's `ID`, as findings show it")
	f.StringVar(&r.Reason, "reason", "", "why")
	f.StringVar(&r.Approver, "approver", "", "`who` approved")
	f.Var(timeFlag{&r.Until}, "until", "when it ends")
	return f
}
