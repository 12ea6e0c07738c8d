package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

func collectorCommand() *cobra.Command {
	cfg := collector.DefaultConfig()
	var life, retention = holdfast.Duration(cfg.CertificateLife), holdfast.Duration(cfg.Retention)
	var logFormat string
	cmd := &cobra.Command{
		Use:   "collector",
		Short: "Run the collector: take reports in, judge every service, show the pages",
		Long: `Run the collector: it takes agents' reports in, keeps them, judges every service
against its business impact analysis, and serves pages, API and metrics.

  holdfast collector --data /var/lib/holdfast --catalog /etc/holdfast/catalog

At its first start it makes its own authority for agents' certificates and prints
a one-time link to log in with. SIGHUP reads catalogue and routes at once, SIGTERM
drains and stops within ten seconds.

The other commands here speak to the running collector over DATA/admin.sock.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.CertificateLife, cfg.Retention = life.Std(), retention.Std()
			log, err := newLogger(cmd.ErrOrStderr(), logFormat)
			if err != nil {
				return usageError(cmd, err)
			}
			return runCollector(cmd.Context(), cfg, log, cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Catalog, "catalog", "", "`folder` of the catalogue")
	f.StringVar(&cfg.Listen, "listen", cfg.Listen, "`address` of pages, API and metrics; other than loopback needs --tls-cert")
	f.StringVar(&cfg.Agents, "agents", cfg.Agents, "`address` agents dial")
	f.StringVar(&cfg.Alerts, "alerts", "", "`file` that says who is told of alerts (an example: deploy/alerts.yaml); read again when it changes")
	f.StringVar(&cfg.CertFile, "tls-cert", "", "certificate `file` of the pages, PEM")
	f.StringVar(&cfg.KeyFile, "tls-key", "", "key `file` of the pages, PEM")
	f.StringVar(&cfg.URL, "public-url", "", "how people reach the pages, where it is not the listening `address`")
	f.StringVar(&cfg.OpenID, "oidc", "", "`file` of the OpenID Connect provider people log in with, YAML")
	f.Var(durationFlag{&life}, "certificate-life", "how long an agent's certificate lives")
	f.Var(durationFlag{&retention}, "retention", "how long posture history is kept")
	f.StringVar(&logFormat, "log-format", "text", "text or json")
	cmd.PersistentFlags().StringVar(&cfg.Data, "data", "/var/lib/holdfast", "`folder` the collector keeps its data in")
	cmd.AddCommand(collectorTokenCommand(&cfg.Data), collectorUserCommand(&cfg.Data),
		collectorBackupCommand(&cfg.Data), collectorRestoreCommand(&cfg.Data))
	return cmd
}

// newLogger logs as text for people or JSON for programs.
func newLogger(w io.Writer, format string) (*slog.Logger, error) {
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, nil)), nil
	}
	return nil, fmt.Errorf("--log-format %q: use text or json", format)
}

func runCollector(ctx context.Context, cfg collector.Config, log *slog.Logger, out io.Writer) error {
	first := firstStart(cfg.Data)
	c, err := collector.New(ctx, cfg, probesByName(), version, log)
	if err != nil {
		return err
	}
	var public []string
	if u, err := url.Parse(cfg.URL); err == nil && cfg.URL != "" {
		public = append(public, u.Hostname())
	}
	pages, err := web.New(c, version, log, public...)
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	reloaded := make(chan struct{})
	inner, stop := context.WithCancel(ctx)
	go func() {
		defer close(reloaded)
		for {
			select {
			case <-inner.Done():
				return
			case <-hangup:
				c.Reload()
			}
		}
	}()
	defer func() { signal.Stop(hangup); stop(); <-reloaded }()
	fmt.Fprintf(out, "collector: pages on %s, agents dial %s\n", c.URL(), c.AgentsAddress())
	if first {
		link, err := c.LoginLink(ctx, collector.AdminRequest{Name: "admin"})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "log in once, within an hour: %s\n", link)
		fmt.Fprintf(out, "then let people in: holdfast collector user add NAME --role admin --data %s\n", cfg.Data)
	}
	return c.Run(ctx, pages)
}

// firstStart reports whether a data folder holds nothing yet.
func firstStart(data string) bool {
	entries, err := os.ReadDir(data)
	return errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0
}

func collectorTokenCommand(data *string) *cobra.Command {
	request := collector.AdminRequest{}
	ttl := holdfast.Duration(time.Hour)
	cmd := &cobra.Command{
		Use:   "token --agent NAME",
		Short: "Make a one-time token for an agent to join with",
		Long: `Make a one-time token for an agent to join with. It carries the fingerprint of
this collector's authority, so the agent knows whom to trust.

  holdfast collector token --agent db1 --site fra --ttl 1h
  holdfast agent --data /var/lib/holdfast-agent --join HOST:8481 --token-file -`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if request.Name == "" {
				return usageError(cmd, errors.New("--agent: name the agent as the catalogue's `on:` does"))
			}
			request.Life = ttl
			return ask(cmd, *data, "/join", request)
		},
	}
	cmd.Flags().StringVar(&request.Name, "agent", "", "`name` of the agent, as the catalogue's on: says it")
	cmd.Flags().StringVar(&request.Site, "site", "", "`site` the agent stands at, shown beside it")
	cmd.Flags().Var(durationFlag{&ttl}, "ttl", "how long the token can be used")
	return cmd
}

func collectorBackupCommand(data *string) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a consistent backup of the running collector",
		Long: `Write a consistent backup of the running collector: everything it keeps, the
authority of its agents included. The file holds that authority's key: keep it as
you keep keys. FILE - writes to standard output.`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "-" {
				return adminError(collector.AskBackup(cmd.Context(), *data, cmd.OutOrStdout()))
			}
			return writeWhole(args[0], func(w io.Writer) error {
				return adminError(collector.AskBackup(cmd.Context(), *data, w))
			})
		},
	}
}

// writeWhole writes a file under another name first, so that a short one never
// has the right name.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part")
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func collectorRestoreCommand(data *string) *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Fill an empty data folder from a backup",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			if err := collector.Restore(cmd.Context(), f, *data, version); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "restored into %s; start: holdfast collector --data %s\n", *data, *data)
			return nil
		},
	}
}
