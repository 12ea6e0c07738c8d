package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent/discover"
)

// discovery is the command line of discover.
type discovery struct {
	output string
	write  string
	look   discover.Options
	terms  discover.Terms
	big    holdfast.Bytes
	within holdfast.Duration
}

func discoverCommand() *cobra.Command {
	d := discovery{big: 1 << 30, within: holdfast.Duration(time.Minute)}
	cmd := &cobra.Command{
		Use:   "discover",
		Short: "Find databases, backups and data that nothing protects on this host",
		Long: `Look for what is on this host that somebody could lose, and for what protects it:

  databases      PostgreSQL, MariaDB and MySQL, Redis and Valkey, SQLite files of 1 MiB
                 and more; running (by the process table) or not (by their folders)
  repositories   restic, Borg, pgBackRest, Barman, remotes of rclone, folders of dumps,
                 read-only btrfs snapshots
  jobs           systemd timers and cron lines that run a backup tool, with what they
                 save and where to, as far as their command lines and scripts say it
  unprotected    databases and large folders of which no backup was seen here

It reads and changes nothing, runs no program, keeps off network file systems, and
runs at a low priority. Command lines are taken apart and never shown, so no
password in them is. Run it as root to see all: what it could not read it says.

"Seen no backup of it on this host" is what it means: a backup that another host
pulls leaves no trace here.

With --write it makes a starting catalogue for this host in a folder: a service for
each database and for the files that jobs save, with checks of every copy it found,
restore tests where a probe fits, and what nothing protects. It asks for what no
host can say (tier, owner, RPO and RTO) or takes it from flags, and overwrites no file.`,
		Example: `  sudo holdfast discover
  sudo holdfast discover --output json | jq .unprotected
  sudo holdfast discover --root /mnt/image
  sudo holdfast discover --write catalog --site fra --owner dba-team --tier 2 --rpo 1d --rto 8h
  holdfast catalog validate catalog`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd) },
	}
	addOutput(cmd, &d.output)
	f := cmd.Flags()
	f.StringVar(&d.look.Root, "root", "/", "`folder` that holds the tree to look at, like a mounted image; the process table is left out then")
	f.Var(bytesFlag{&d.big}, "big", "a folder of this `size` is data that should be protected")
	f.Var(durationFlag{&d.within}, "within", "`duration` to walk through folders at most")
	f.StringVar(&d.write, "write", "", "`folder` to write a starting catalogue into, made if need be")
	f.StringVar(&d.terms.Site, "site", "main", "`name` of the site this host stands at")
	f.StringVar(&d.terms.Agent, "agent", "", "`name` of the agent that will look (default: the host's name)")
	f.StringVar(&d.terms.Owner, "owner", "", "`team` that owns what is found")
	f.IntVar(&d.terms.Tier, "tier", 0, "how critical it is, `1-4`, 1 the most")
	f.Var(durationFlag{&d.terms.RPO}, "rpo", "how much may be lost at most, a `duration` like 1d")
	f.Var(durationFlag{&d.terms.RTO}, "rto", "how soon it must be back, a `duration` like 8h")
	for _, name := range []string{"rpo", "rto"} {
		f.Lookup(name).DefValue = "" // none: it is asked for
	}
	return cmd
}

func (d *discovery) run(cmd *cobra.Command) error {
	if d.write != "" {
		if err := d.ask(cmd); err != nil {
			return err
		}
	}
	d.look.Big, d.look.Within = d.big, d.within.Std()
	p := newProgress(cmd.ErrOrStderr())
	d.look.Tell = p.tell
	r, err := discover.Look(cmd.Context(), d.look)
	p.end()
	if err != nil {
		return err
	}
	if d.write != "" {
		return d.draft(cmd, r)
	}
	if d.output == "json" {
		return writeJSON(cmd.OutOrStdout(), r)
	}
	return writeDiscovery(cmd.OutOrStdout(), r, time.Now())
}

// ask gets the terms that are missing from the person at the terminal.
func (d *discovery) ask(cmd *cobra.Command) error {
	t := &d.terms
	in, terminal := cmd.InOrStdin().(*os.File)
	var missing []string
	for _, q := range []struct {
		flag, question string
		set            func(string) error
		given          bool
	}{
		{"owner", "Which team owns what is found here?", func(s string) error { t.Owner = s; return d.checkTerms() }, t.Owner != ""},
		{"tier", "How critical is it, 1 (the most) to 4?", func(s string) error { _, err := fmt.Sscanf(s, "%d", &t.Tier); return errors.Join(err, d.checkTerms()) }, t.Tier != 0},
		{"rpo", "How much of it may be lost, at most (RPO), like 1d or 15m?", durationFlag{&t.RPO}.Set, t.RPO != 0},
		{"rto", "How soon must it be back (RTO), like 8h?", durationFlag{&t.RTO}.Set, t.RTO != 0},
	} {
		if q.given {
			continue
		}
		if !terminal || !term.IsTerminal(int(in.Fd())) {
			missing = append(missing, "--"+q.flag)
			continue
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s ", q.question)
		answer, err := readLine(in)
		if err == nil {
			err = q.set(answer)
		}
		if err != nil {
			return usageError(cmd, fmt.Errorf("--%s: %w", q.flag, err))
		}
	}
	if len(missing) > 0 {
		return usageError(cmd, fmt.Errorf("--write needs what no host can say: give %s", strings.Join(missing, ", ")))
	}
	if err := d.checkTerms(); err != nil {
		return usageError(cmd, err)
	}
	return nil
}

// checkTerms holds what was given against what a catalogue takes.
func (d *discovery) checkTerms() error {
	if t := d.terms.Tier; t != 0 && (t < 1 || t > 4) {
		return fmt.Errorf("--tier %d: 1 is the most critical, 4 the least", t)
	}
	for flag, name := range map[string]string{"owner": d.terms.Owner, "site": d.terms.Site, "agent": d.terms.Agent} {
		if name != "" && !discover.IsName(name) {
			return fmt.Errorf("--%s %q: a name has letters, digits, . _ and -, and begins with a letter or digit", flag, name)
		}
	}
	return nil
}

// readLine reads a line of a terminal, a byte at a time: what follows is not ours.
func readLine(in io.Reader) (string, error) {
	var line []byte
	for one := make([]byte, 1); len(line) < 256; {
		if _, err := in.Read(one); err != nil {
			return "", fmt.Errorf("no answer: %w", err)
		}
		if one[0] == '\n' {
			break
		}
		line = append(line, one[0])
	}
	return strings.TrimSpace(string(line)), nil
}
