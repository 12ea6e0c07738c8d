package postgres

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/postgres/scratchpg"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

// loading is one dump on its way into a scratch cluster.
type loading struct {
	test
	dump      dump
	holds     content
	cluster   *scratchpg.Cluster
	dir       string // of the cluster
	version   string // of the cluster: "15.18"
	tolerated *scratch.Tolerated
}

// restored is the database that a dump of one database goes into.
const restored = "restored"

// clusterDump is what pg_dumpall calls its scripts.
const clusterDump = "PostgreSQL database cluster dump"

var encodingForm = regexp.MustCompile(`^[A-Z0-9_]{1,20}$`)

// several reports whether the dump makes its own databases.
func (l *loading) several() bool {
	return l.holds.database != "" || l.holds.kind == clusterDump
}

// prepare makes what a dump takes for granted: the role postgres, those that the
// settings name, and a database in the encoding of the source.
func (l *loading) prepare(ctx context.Context) error {
	conn, err := l.cluster.Connect(ctx, scratchpg.Superuser, "postgres")
	if err != nil {
		return probe.Unable("", "scratch cluster: %w", err)
	}
	defer conn.Close(ctx)
	l.version, _, _ = strings.Cut(conn.PgConn().ParameterStatus("server_version"), " ")
	here, _ := strconv.Atoi(major(l.version))
	if there, _ := strconv.Atoi(major(l.dump.from)); there > here {
		return probe.Unable(holdfast.ToolMissing, "the dump is of PostgreSQL %d, the newest installed here is %d: a dump does not restore into an older one", there, here)
	}
	if here < 14 {
		return probe.Unable(holdfast.ToolMissing, "a scratch cluster needs PostgreSQL 14 or later, here is %d", here)
	}
	var statements []string
	if l.holds.kind != clusterDump { // which makes its own
		statements = append(statements, "create role postgres superuser login")
	}
	for _, role := range l.Roles {
		if role != "postgres" {
			statements = append(statements, "create role "+pgx.Identifier{role}.Sanitize())
		}
	}
	if !l.several() {
		encoding := l.holds.encoding
		if !encodingForm.MatchString(encoding) {
			encoding = "UTF8"
		}
		statements = append(statements, "create database "+restored+" template template0 locale 'C' encoding '"+encoding+"'")
	}
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return probe.Unable("", "scratch cluster: %s: %w", statement, err)
		}
	}
	return nil
}

// load restores the dump: an archive with pg_restore, SQL with psql.
func (l *loading) load(ctx context.Context) error {
	var out probe.Output
	var err error
	if strings.HasPrefix(l.dump.format, "plain") {
		out, err = l.psql(ctx)
	} else {
		out, err = l.pgRestore(ctx)
	}
	if err != nil {
		return err
	}
	return l.judge(out)
}

// strict reports whether the first error ends the restore.
func (l *loading) strict() bool { return len(l.Tolerate) == 0 }

func (l *loading) pgRestore(ctx context.Context) (probe.Output, error) {
	c := probe.Command{Path: program(l.tools, "pg_restore"), Dir: l.dir, StderrMax: 1 << 20,
		// The socket's own path may be too long for one.
		Args: []string{"--host=/proc/self/cwd", "--port=" + strconv.Itoa(l.cluster.Port), "--username=" + scratchpg.Superuser, "--no-password", "--dbname=" + restored}}
	if l.strict() {
		c.Args = append(c.Args, "--exit-on-error")
	}
	if len(l.Roles) == 0 {
		c.Args = append(c.Args, "--no-owner", "--no-privileges")
	}
	if l.dump.squeeze == "" {
		c.Args = append(c.Args, "--", l.dump.path)
		return probe.Run(ctx, c)
	}
	f, err := openPacked(ctx, l.dump.path)
	if err != nil {
		return probe.Output{}, fileFault(l.dump.path, err)
	}
	defer f.Close()
	c.Stdin = f
	return probe.Run(ctx, c)
}

// psql feeds the script through a pipe: the cluster's owner may not be allowed to
// read the dump.
func (l *loading) psql(ctx context.Context) (probe.Output, error) {
	f, err := openPacked(ctx, l.dump.path)
	if err != nil {
		return probe.Output{}, fileFault(l.dump.path, err)
	}
	defer f.Close()
	from, to, err := os.Pipe()
	if err != nil {
		return probe.Output{}, err
	}
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		defer to.Close()
		_, _ = io.Copy(to, f) // psql's own words say why it stopped to read
	}()
	database, args := restored, []string(nil)
	if l.several() {
		database = "postgres"
	}
	if l.strict() {
		args = append(args, "--set=ON_ERROR_STOP=1")
	}
	out, err := l.cluster.Psql(ctx, program(l.tools, "psql"), database, from, args...)
	from.Close()
	<-fed
	return out, err
}

// judge looks for errors in what the tool said, whatever its exit code.
func (l *loading) judge(out probe.Output) error {
	var counted []string
	for line := range bytes.Lines(out.Stderr) {
		said := strings.TrimSpace(string(line))
		if !strings.Contains(said, "ERROR:") && !strings.Contains(said, "FATAL:") && !strings.Contains(said, ": error: ") {
			continue
		}
		if !l.tolerated.Passes(said) {
			counted = append(counted, said)
		}
	}
	all := string(out.Stderr)
	switch {
	case strings.Contains(all, "No space left on device"):
		return probe.Unable(holdfast.TooSmall, "scratch: no space left on device")
	case strings.Contains(all, "server closed the connection unexpectedly"):
		return probe.Unable("", "the scratch cluster ended: %s", probe.Clip(l.cluster.Log(), 300))
	case out.Truncated:
		return &probe.Fault{Reason: holdfast.Assertion, Text: "the restore gave more errors than are kept", Raw: all}
	case len(counted) > 0:
		return &probe.Fault{Reason: holdfast.Assertion, Raw: all,
			Text: fmt.Sprintf("%s does not restore: %s", probe.Clip(l.dump.name, 100), l.hint(probe.Clip(counted[0], 200)))}
	case out.ExitCode != 0 && (l.strict() || !l.tolerated.Any()):
		return &probe.Fault{Reason: holdfast.Assertion, Raw: all, Text: fmt.Sprintf("the restore ended with exit code %d: %s", out.ExitCode, probe.Clip(all, 200))}
	}
	return nil
}

// hint adds what mends an error that a dump of one database meets most.
func (l *loading) hint(said string) string {
	if strings.Contains(said, "role ") && strings.Contains(said, "does not exist") {
		return said + ": name it in the setting roles"
	}
	return said
}
