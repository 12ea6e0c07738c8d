package main

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

func drillCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drill",
		Short: "Walk a recovery path: run its tests, ask its people, measure the whole",
		Long: `Walk a recovery path: its needs and credentials, copies and restore tests run on
their agents in order, people are asked for what they have to do, and the clock
runs until the last step. A drill ends in an exercise record with its verdict and
every gap. It goes on when this command ends, and when the collector is started
anew.`,
		Example: `  holdfast drill start payments --path restore-in-ams --dry-run
  holdfast drill start payments --path restore-in-ams
  holdfast drill schedule payments --path restore-in-ams --at 2026-03-01T09:00:00Z --every 90d`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(drillStartCommand(), drillListCommand(), drillShowCommand(), drillStepCommand(), drillCancelCommand(),
		drillScheduleCommand(), drillBookingsCommand(), drillUnscheduleCommand())
	return cmd
}

// addOrder gives a command the flags that say what is walked.
func addOrder(cmd *cobra.Command, o *holdfast.DrillOrder) {
	f := cmd.Flags()
	f.StringVar(&o.Path, "path", "", "the recovery `path`; may be left out where the service has one")
	f.StringVar(&o.Scenario, "scenario", "", "the `scenario` whose RTO and RPO hold (default: the strictest the path covers)")
	f.BoolVar(&o.Dependencies, "with-dependencies", false, "walk the paths of what it waits for as well")
}

// onlyPath fills in the path of a service that has one.
func onlyPath(cmd *cobra.Command, api *client, o *holdfast.DrillOrder) error {
	if o.Path != "" {
		return nil
	}
	var s web.OneService
	if err := api.do(cmd.Context(), "GET", "/services/"+url.PathEscape(o.Service), nil, &s); err != nil {
		return err
	}
	if len(s.Service.Paths) != 1 {
		names := ""
		for _, p := range s.Service.Paths {
			names += " " + clean(p.Name)
		}
		return usageError(cmd, fmt.Errorf("--path: service %s has %d recovery paths:%s", clean(o.Service), len(s.Service.Paths), names))
	}
	o.Path = s.Service.Paths[0].Name
	return nil
}

func drillStartCommand() *cobra.Command {
	var (
		api    client
		output string
		o      holdfast.DrillOrder
		dry    bool
		detach bool
	)
	cmd := &cobra.Command{
		Use:   "start SERVICE",
		Short: "Start a drill and follow it",
		Long: `Start a drill and follow it until it is over. On a terminal people are asked here;
elsewhere, or from another terminal, "holdfast drill step" or the drill's page
answers. An interrupt ends the following, not the drill: "holdfast drill cancel"
ends that.

With --dry-run nothing is run and nothing recorded: it prints what would run on
which agent, who would be asked, how long it should take, and what would refuse.

Ends with 0 where the drill passed, with 3 where it did not; a rehearsal with 3 where
it could not start.`,
		Example: `  holdfast drill start payments --path restore-in-ams
  holdfast drill start payments --path restore-in-ams --dry-run
  holdfast drill start payments --path restore-in-ams --detach -o json`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Service = args[0]
			if err := onlyPath(cmd, &api, &o); err != nil {
				return err
			}
			plan, err := planDrill(cmd, &api, o)
			if err != nil {
				return err
			}
			if dry {
				return dryRun(cmd, plan, output)
			}
			var d holdfast.Drill
			if err := api.do(cmd.Context(), "POST", "/drills", o, &d); err != nil {
				return err
			}
			switch {
			case detach && output == "json":
				return writeJSON(cmd.OutOrStdout(), d)
			case detach:
				_, err := fmt.Fprintln(cmd.OutOrStdout(), clean(d.ID))
				return err
			}
			for _, w := range plan.Warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning:", clean(w))
			}
			return followDrill(cmd, &api, d.ID, output)
		},
	}
	addOrder(cmd, &o)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print what would happen; run and record nothing")
	cmd.Flags().BoolVar(&detach, "detach", false, "print the drill's ID and leave it to itself")
	addOutput(cmd, &output)
	addClient(cmd, &api)
	return cmd
}

func planDrill(cmd *cobra.Command, api *client, o holdfast.DrillOrder) (holdfast.DrillPlan, error) {
	query := url.Values{}
	if o.Scenario != "" {
		query.Set("scenario", o.Scenario)
	}
	if o.Dependencies {
		query.Set("dependencies", "true")
	}
	var r web.Rehearsal
	err := api.do(cmd.Context(), "GET", "/services/"+url.PathEscape(o.Service)+"/paths/"+url.PathEscape(o.Path)+"/drill?"+query.Encode(), nil, &r)
	return r.Plan, err
}

func dryRun(cmd *cobra.Command, plan holdfast.DrillPlan, output string) error {
	var err error
	if output == "json" {
		err = writeJSON(cmd.OutOrStdout(), plan)
	} else {
		err = writePlan(cmd.OutOrStdout(), plan)
	}
	if err == nil && len(plan.Refusals) > 0 {
		return exitError{code: exitBadAnswer}
	}
	return err
}

func drillListCommand() *cobra.Command {
	var (
		api           client
		output        string
		service, path string
		running       bool
	)
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "Show drills under way and over, the latest first",
		Example: "  holdfast drill list --running\n  holdfast drill list --service payments -o json",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list := web.Drills{Drills: []holdfast.Drill{}}
			query := url.Values{"service": {service}, "path": {path}, "limit": {"1000"}}
			if running {
				query.Set("running", "true")
			}
			if err := api.do(cmd.Context(), "GET", "/drills?"+query.Encode(), nil, &list); err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), list)
			}
			return writeDrills(cmd.OutOrStdout(), list)
		},
	}
	cmd.Flags().StringVar(&service, "service", "", "only of this `service`")
	cmd.Flags().StringVar(&path, "path", "", "only of paths of this `name`")
	cmd.Flags().BoolVar(&running, "running", false, "only those under way")
	addOutput(cmd, &output)
	addClient(cmd, &api)
	return cmd
}

func drillShowCommand() *cobra.Command {
	var (
		api    client
		output string
		follow bool
	)
	cmd := &cobra.Command{
		Use:     "show DRILL",
		Short:   "Show a drill step by step: what was expected, what happened, every gap",
		Example: "  holdfast drill show 20260301-3fa94c1e\n  holdfast drill show 20260301-3fa94c1e --follow",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if follow {
				return followDrill(cmd, &api, args[0], output)
			}
			a, err := getDrill(cmd.Context(), &api, args[0])
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), a.Drill)
			}
			return writeDrill(cmd.OutOrStdout(), &a.Drill, a.At)
		},
	}
	cmd.Flags().BoolVar(&follow, "follow", false, "follow it until it is over; ends with 3 where it did not pass")
	addOutput(cmd, &output)
	addClient(cmd, &api)
	return cmd
}

func drillStepCommand() *cobra.Command {
	var (
		api    client
		output string
		done   bool
		a      holdfast.DrillAnswer
	)
	cmd := &cobra.Command{
		Use:   "step DRILL STEP",
		Short: "Say how a step went that people do",
		Long: `Say how a step went that people do: that it was done, or could not be. STEP is its
number or its name. Who and when are kept, and who said so.`,
		Example: `  holdfast drill step 20260301-3fa94c1e names --done --by dana
  holdfast drill step 20260301-3fa94c1e 9 --failed --note "no access to the registrar"`,
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if done == a.Failed {
				return usageError(cmd, errors.New("say --done or --failed"))
			}
			var d holdfast.Drill
			if err := api.do(cmd.Context(), "POST", "/drills/"+url.PathEscape(args[0])+"/steps/"+url.PathEscape(args[1]), a, &d); err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), d)
			}
			for i := range d.Steps {
				if x := &d.Steps[i]; x.Name == args[1] || fmt.Sprint(x.Number) == args[1] {
					_, err := fmt.Fprintln(cmd.OutOrStdout(), stepLine(&d, x, d.Alive))
					return err
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&done, "done", false, "it was done")
	f.BoolVar(&a.Failed, "failed", false, "it could not be done: the drill fails")
	f.StringVar(&a.By, "by", "", "`who` did it (default: whom the token stands for)")
	f.Var(timeFlag{&a.At}, "at", "when it was done (default now)")
	f.StringVar(&a.Note, "note", "", "free `text`")
	f.Var(timeFlag{&a.Point}, "point", "the recovery point, where people restored by themselves")
	addOutput(cmd, &output)
	addClient(cmd, &api)
	return cmd
}

func drillCancelCommand() *cobra.Command {
	var (
		api    client
		output string
		body   web.CancelRequest
	)
	cmd := &cobra.Command{
		Use:     "cancel DRILL",
		Short:   "Abort a drill: what runs is stopped, and it proves nothing",
		Example: `  holdfast drill cancel 20260301-3fa94c1e --reason "incident in production"`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var d holdfast.Drill
			if err := api.do(cmd.Context(), "POST", "/drills/"+url.PathEscape(args[0])+"/cancel", body, &d); err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), d)
			}
			return writeEnd(cmd.OutOrStdout(), &d)
		},
	}
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why, as free `text`")
	addOutput(cmd, &output)
	addClient(cmd, &api)
	return cmd
}

func drillScheduleCommand() *cobra.Command {
	var (
		api    client
		output string
		in     web.BookingInput
	)
	cmd := &cobra.Command{
		Use:   "schedule SERVICE",
		Short: "Book a drill, once or again and again",
		Long: `Book a drill, once or again and again. How often a path must be exercised is policy
(tiers in the catalogue); this is the appointment with the people. One that cannot
start at its time is missed and told on every page; it is not made up for.`,
		Example: `  holdfast drill schedule payments --path restore-in-ams --at 2026-03-01T09:00:00Z
  holdfast drill schedule payments --path restore-in-ams --at 2026-03-01T09:00:00Z --every 90d`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Service = args[0]
			if in.At.IsZero() && in.Every == 0 {
				return usageError(cmd, errors.New("--at: say when, or --every how often"))
			}
			if err := onlyPath(cmd, &api, &in.DrillOrder); err != nil {
				return err
			}
			var b web.Booked
			if err := api.do(cmd.Context(), "POST", "/drills/bookings", in, &b); err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), b)
			}
			for _, w := range b.Warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning:", clean(w))
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "booked %s: %s/%s at %s\n", clean(b.Booking.ID), clean(b.Booking.Service), clean(b.Booking.Path), b.Booking.At.Format(time.RFC3339))
			return err
		},
	}
	addOrder(cmd, &in.DrillOrder)
	cmd.Flags().Var(timeFlag{&in.At}, "at", "when it starts")
	cmd.Flags().Var(durationFlag{&in.Every}, "every", "how often it starts again, like 90d; without --at the first comes after so long")
	addOutput(cmd, &output)
	addClient(cmd, &api)
	return cmd
}

func drillBookingsCommand() *cobra.Command {
	var (
		api    client
		output string
	)
	cmd := &cobra.Command{
		Use:     "bookings",
		Short:   "Show drills that are booked, and those that were missed",
		Example: "  holdfast drill bookings",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list web.Bookings
			if err := api.do(cmd.Context(), "GET", "/drills/bookings", nil, &list); err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), list)
			}
			return writeBookings(cmd.OutOrStdout(), list)
		},
	}
	addOutput(cmd, &output)
	addClient(cmd, &api)
	return cmd
}

func drillUnscheduleCommand() *cobra.Command {
	var api client
	cmd := &cobra.Command{
		Use:     "unschedule BOOKING",
		Short:   "End a booking; a drill it has started goes on",
		Example: "  holdfast drill unschedule 3fa94c1e",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return api.do(cmd.Context(), "DELETE", "/drills/bookings/"+url.PathEscape(args[0]), nil, nil)
		},
	}
	addClient(cmd, &api)
	return cmd
}
