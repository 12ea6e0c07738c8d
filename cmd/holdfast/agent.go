package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
	"github.com/holdfast-monitor/holdfast/plugins"
)

func agentCommand() *cobra.Command {
	var (
		token  string
		config agentConfig
	)
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run the agent of this host",
		Long: `Run the agent of this host: it runs the checks a collector assigns to it, within
what the host's own configuration allows, and reports what they saw.

The first time it needs a join token, which carries the agent's name:
  on the collector:  holdfast collector token --agent db1
  on this host:      holdfast agent --join COLLECTOR:8481 --token-file FILE

Every key of the configuration file is a flag of the same name, and a flag wins.
By default the probes that come with Holdfast run as long as they neither write
nor read secrets; the others run when --allow names them.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.load(cmd)
			if err != nil {
				return err
			}
			return runAgent(cmd, c, token)
		},
	}
	config.addTo(cmd, agent.Settings())
	cmd.Flags().StringVar(&token, "token", "", "the join `token` itself, for a quick try: other users of the host can see it")
	cmd.MarkFlagsMutuallyExclusive("token", "token-file")
	cmd.AddCommand(agentStatusCommand())
	return cmd
}

func runAgent(cmd *cobra.Command, c agent.Config, token string) error {
	if c.Join == "" {
		return usageError(cmd, errors.New("the agent must know its collector: give --join HOST:PORT, or join: in its configuration"))
	}
	if c.TokenFile != "" && token == "" {
		var err error
		if token, err = readToken(cmd.InOrStdin(), c.TokenFile); err != nil {
			return err
		}
	}
	spareMemory()
	a, err := agent.New(agent.Options{
		Config: c, Token: token, Version: version, FirstParty: plugins.ByPlugin(), Log: agentLog(cmd.ErrOrStderr(), c),
	})
	if err != nil {
		return err
	}
	if c.LogFormat == "text" {
		fmt.Fprintf(cmd.OutOrStdout(), "holdfast agent: data in %s, collector %s; runs %s\n", clean(c.Data), clean(c.Join), clean(allowed(c)))
	}
	return a.Run(cmd.Context())
}

// spareMemory has the garbage collector run often: an agent makes little garbage,
// and shares its host with the work that matters.
func spareMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(64 << 20)
	}
}

// allowed says in words what may run on this host.
func allowed(c agent.Config) string {
	var what []string
	if c.AllowSafe {
		what = append(what, "the probes that neither write nor read secrets")
	}
	what = append(what, c.Allow...)
	if len(what) == 0 {
		return "no probe: allow: is empty and allow_safe: is off"
	}
	return strings.Join(what, ", ")
}

func agentLog(w io.Writer, c agent.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// readToken reads a join token from a file, or from standard input. A file that
// is gone was cleared away after the agent had joined.
func readToken(stdin io.Reader, file string) (string, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("read the join token: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, 4<<10))
	if err != nil {
		return "", fmt.Errorf("read the join token: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// agentConfig collects the flags that are keys of the agent's configuration.
type agentConfig struct {
	file  string
	flags []*settingFlag
}

func (a *agentConfig) addTo(cmd *cobra.Command, settings []agent.Setting) {
	cmd.Flags().StringVar(&a.file, "config", agent.DefaultConfig, "configuration `file`; only root and the agent's own user may write it")
	for _, s := range settings {
		f := &settingFlag{setting: s}
		a.flags = append(a.flags, f)
		cmd.Flags().Var(f, s.Flag(), s.Usage)
	}
}

// load reads the configuration file and puts the flags over it. Without --config
// the file may be missing.
func (a *agentConfig) load(cmd *cobra.Command) (agent.Config, error) {
	c, err := agent.LoadConfig(agent.Default(), a.file)
	if errors.Is(err, fs.ErrNotExist) && !cmd.Flags().Changed("config") {
		err = nil
	}
	if err != nil {
		return c, err
	}
	for _, f := range a.flags {
		if f.values == nil {
			continue
		}
		if err := f.setting.Set(&c, f.values); err != nil {
			return c, usageError(cmd, fmt.Errorf("--%s: %w", f.setting.Flag(), err))
		}
	}
	return c, nil
}

// settingFlag is a key of the configuration as a flag.
type settingFlag struct {
	setting agent.Setting
	values  []string
}

func (f *settingFlag) String() string { return strings.Join(f.values, ",") }
func (f *settingFlag) Type() string   { return "value" }
func (f *settingFlag) Set(v string) error {
	f.values = append(f.values, v)
	var scratch agent.Config
	return f.setting.Set(&scratch, f.values)
}

func agentStatusCommand() *cobra.Command {
	var (
		output string
		config agentConfig
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the agent of this host fares",
		Long: `Show how the agent of this host fares: whom it reports to and under which name,
until when its certificate holds, what waits to be reported, and which checks this
host's own configuration refuses. Only the agent's user and root may ask.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.load(cmd)
			if err != nil {
				return err
			}
			s, err := agent.ReadStatus(cmd.Context(), c.Data)
			if errors.Is(err, agent.ErrNotRunning) {
				return exitf(exitUnreachable, "%w", err)
			}
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), s)
			}
			return writeAgentStatus(cmd.OutOrStdout(), s, time.Now())
		},
	}
	settings := agent.Settings()
	config.addTo(cmd, settings[slices.IndexFunc(settings, func(s agent.Setting) bool { return s.Key == "data" }):][:1])
	addOutput(cmd, &output)
	return cmd
}

func writeAgentStatus(w io.Writer, s agent.Status, now time.Time) error {
	link := "connected"
	if !s.Connected {
		link = "not connected"
		if s.Problem != "" {
			link += ": " + s.Problem
		}
	}
	since := func(t time.Time, never string) string {
		if t.IsZero() {
			return never
		}
		return fmt.Sprintf("%s (%s ago)", t.UTC().Format(time.RFC3339), holdfast.Duration(now.Sub(t).Truncate(time.Second)))
	}
	var t table
	t.row("agent", s.Name+", running since "+since(s.Started, "?"))
	t.row("collector", s.Collector+", "+link)
	t.row("certificate until", s.CertificateUntil.UTC().Format(time.RFC3339))
	t.row("last acknowledged", since(s.LastAcknowledged, "nothing since the start"))
	t.row("spool", fmt.Sprintf("%d reports waiting, %d results given up", s.Spool.Waiting, s.Spool.Dropped))
	if s.Spool.Problem != "" {
		t.row("", "in memory only: "+s.Spool.Problem)
	}
	t.row("checks", fmt.Sprintf("%d assigned, %d refused", s.Checks, len(s.Refused)))
	for _, id := range slices.Sorted(maps.Keys(s.Refused)) {
		t.row("  refused", id+": "+strings.ReplaceAll(s.Refused[id], "\n", "; "))
	}
	for _, p := range s.Plugins {
		t.row("plugin "+p.Name, pluginLine(p, now))
	}
	_, err := t.WriteTo(w)
	return err
}

func pluginLine(p holdfast.PluginHealth, now time.Time) string {
	line := "idle"
	if p.Running {
		line = "running"
	}
	if p.Restarts > 0 {
		line += fmt.Sprintf(", restarted %d times", p.Restarts)
	}
	if p.Problem != "" {
		line += ", " + p.Problem
	}
	if !p.Failed.IsZero() {
		line += fmt.Sprintf(" (%s ago)", holdfast.Duration(now.Sub(p.Failed).Truncate(time.Second)))
	}
	return line
}
