package mariadb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/folder"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

type restoreProbe struct{ held probe.Held[struct{}] }

// restoreSettings are the settings of mariadb.restore.
type restoreSettings struct {
	Source
	scratch.Options
	Database   string         `json:"database,omitempty" jsonschema:"the database to restore into where the dump does not name its own, and which assertions ask; default: the one the dump names"`
	Assertions []string       `json:"assertions,omitempty" jsonschema:"SQL that must each return one row with one true value, like SELECT COUNT(*) > 1000 FROM orders"`
	BytesMax   holdfast.Bytes `json:"bytes_max,omitempty" jsonschema:"how much the restored server may take on disk; default: reckoned from the dump"`
}

// memory is what a scratch server takes: a buffer pool of 128 MiB, its processes'
// own, and a packet of a dump as large as its longest row.
const memory = 512 << 20

const assertionsMax = 100

func (*restoreProbe) Describe() probe.Description {
	return probe.Description{
		Name:     "mariadb.restore",
		Observes: "Whether a dump of MariaDB really restores, and how long it takes: loads it into a server of its own, reads every row back and asks the catalogue's assertions.",
		Settings: probe.Schema[restoreSettings](),
		Cost:     holdfast.Heavy,
		Privileges: holdfast.Privileges{Writes: true, Tools: serverTools,
			Note: "starts a server in scratch, on a socket alone, and removes it; mariadbd is in /usr/sbin: name it under tools: in the agent's configuration. An agent that is root runs the server as the user " + account},
		Target:  []string{"directory", "pattern"},
		Paths:   []string{"directory"},
		Reasons: append([]holdfast.Reason{holdfast.Assertion, holdfast.TooSmall, holdfast.ToolMissing}, dumpReasons...),
	}
}

func (p *restoreProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[restoreSettings](r.Settings)
	if err == nil {
		err = s.complete()
	}
	if err != nil {
		return probe.Observation{}, err
	}
	place, err := s.Options.Open(ctx, r, memory, s.Directory)
	if err != nil {
		return probe.Observation{}, err
	}
	if err := present(r.Tools); err != nil {
		return probe.Observation{}, err
	}
	root, err := s.Settings.Open(ctx, &p.held)
	if err != nil {
		return probe.Verdict(probe.Observation{}, s.Fault(ctx, err))
	}
	defer root.Close()
	t := test{settings: s, dumps: root, place: place, tools: r.Tools}
	return probe.Verdict(t.run(ctx))
}

func (s *restoreSettings) complete() error {
	if err := errors.Join(s.Source.complete(), s.Validate()); err != nil {
		return err
	}
	switch {
	case s.BytesMax < 0:
		return errors.New(`setting "bytes_max": it is negative`)
	case len(s.Assertions) > assertionsMax:
		return fmt.Errorf("setting \"assertions\": there are %d, at most %d", len(s.Assertions), assertionsMax)
	case strings.ContainsAny(s.Database, "\x00\n") || len(s.Database) > 64 || strings.HasPrefix(s.Database, "-"):
		return fmt.Errorf("setting \"database\": %.80q is not a database's name", s.Database)
	}
	for i, a := range s.Assertions {
		if strings.TrimSpace(a) == "" {
			return fmt.Errorf("setting \"assertions\": number %d is empty", i+1)
		}
	}
	return nil
}

// test is one restore test.
type test struct {
	settings restoreSettings
	dumps    *os.Root
	place    *scratch.Place
	tools    map[string]string
}

// run restores once. Its server is gone when it returns.
func (t test) run(ctx context.Context) (o probe.Observation, err error) {
	o.Facts = map[string]string{}
	probe.Progress(ctx, "read", 0, 0)
	d, err := t.choose(ctx, o.Facts)
	if err != nil {
		return o, t.settings.Fault(ctx, err)
	}
	o.Facts["dump"], o.Facts["written_by"] = probe.OneLine(d.Name), probe.OneLine(d.written)
	expect := scratch.Tally{Bytes: int64(cmp.Or(t.settings.BytesMax, room(d)))}
	err = t.place.Restore(ctx, expect, func(ctx context.Context, dir string) error { return t.restore(ctx, &o, d, dir) })
	return o, err
}

// room is what a restored dump is expected to take: rows and indexes twice the
// dump's text, and what an empty server and its undo logs hold.
func room(d dump) holdfast.Bytes { return holdfast.Bytes(2*d.bytes + 256<<20) }

// choose picks a dump and reads it to its end: one that is cut off is known to be
// damaged without a server.
func (t test) choose(ctx context.Context, facts map[string]string) (dump, error) {
	l, err := t.settings.List(ctx, t.dumps, time.Now(), nil)
	if err != nil {
		return dump{}, err
	}
	if len(l.Files) > 1 {
		l.Files = l.Files[t.settings.Pick(scratch.NewSeed(), len(l.Files), facts):]
	}
	for _, f := range l.Files {
		d, err := read(ctx, t.dumps, f)
		if !errors.Is(err, folder.ErrWriting) {
			if at, why := t.settings.earlier(d.Time, d.ended); why != "" {
				d.Time = at
			}
			return d, err
		}
		l.Writing++
	}
	return dump{}, t.settings.Nothing(l, "dump")
}

// restore measures from an empty folder to a restored server that answers again.
func (t test) restore(ctx context.Context, o *probe.Observation, d dump, dir string) error {
	started := time.Now()
	probe.Progress(ctx, "start", 0, 0)
	db, err := create(ctx, t.tools, dir)
	if err != nil {
		return err
	}
	database := cmp.Or(t.settings.Database, d.database, append(d.databases, "restored")[0])
	tolerated := t.settings.Tolerated()
	if err := t.load(ctx, db, d, database, tolerated); err != nil {
		return err
	}
	// Started anew, so that what was loaded is known to be on disk; and without its
	// accounts, which the dump may have replaced.
	s, err := db.start(ctx, "--skip-grant-tables", "--read-only")
	if err != nil {
		return err
	}
	defer s.kill()
	took := time.Since(started)
	probe.Progress(ctx, "compare", 0, 0)
	tables, rows, err := s.count(ctx)
	switch {
	case err != nil:
		return err
	case tables < d.tables && !tolerated.Any():
		return probe.Faulty(holdfast.Assertion, "%d tables were restored, the dump makes %d", tables, d.tables)
	}
	for i, a := range t.settings.Assertions {
		probe.Progress(ctx, "assert", int64(i), int64(len(t.settings.Assertions)))
		if err := s.assert(ctx, database, a); err != nil {
			return err
		}
	}
	version, err := s.client().rows(ctx, "SELECT VERSION() AS version")
	if err != nil {
		return unable(err)
	}
	if err := s.shutdown(ctx); err != nil {
		return err
	}
	o.Outcome = holdfast.OK
	o.Restoration = &holdfast.Restoration{
		Started: started.UTC(), Duration: holdfast.Duration(took), Bytes: holdfast.Bytes(d.bytes), Files: 1, Coverage: 1,
		Checks: tables + int64(len(t.settings.Assertions)), Point: d.Time.UTC(),
	}
	o.Measures = []holdfast.Measure{{Name: "tables", Value: float64(tables)}, {Name: "rows", Value: float64(rows)}}
	o.Fingerprint = map[string]string{"engine": engine(version[0]["version"])}
	o.Summary = fmt.Sprintf("restored %d tables, %d rows, %v, of %s in %v; %d assertions hold", tables, rows, holdfast.Bytes(d.bytes),
		d.Time.UTC().Format(time.RFC3339), took.Round(time.Millisecond), len(t.settings.Assertions))
	tolerated.Tell(o)
	return nil
}

// load sends the dump through the client, which stops at the first error, or goes on
// where some are tolerated.
func (t test) load(ctx context.Context, db *datadir, d dump, into string, tolerated *scratch.Tolerated) error {
	s, err := db.start(ctx)
	if err != nil {
		return err
	}
	defer s.kill()
	if _, err := s.client().rows(ctx, "CREATE DATABASE IF NOT EXISTS "+quoted(into)); err != nil {
		return unable(err)
	}
	file, err := d.Open(t.dumps)
	if err != nil {
		return probe.Unable("", "%s: %w", d.Name, err)
	}
	defer file.Close()
	from := folder.NewReader(ctx, file)
	probe.Progress(ctx, "restore", 0, d.bytes)
	args := []string{"--database=" + into}
	if len(t.settings.Tolerate) > 0 {
		args = append(args, "--force")
	}
	var out probe.Output
	err = unpack(from, func(unpacked io.Reader, _ bool) (err error) {
		out, err = s.client().run(ctx, &counted{ctx: ctx, from: unpacked, total: d.bytes}, args...)
		return err
	})
	switch {
	case err != nil:
		return err
	case from.Fault != nil:
		return probe.Unable("", "read %s: %w", d.Name, from.Fault)
	}
	if err := s.refused(d, out, tolerated); err != nil {
		return err
	}
	return s.shutdown(ctx)
}

// refused says which error of the client's counts, if any.
func (s *server) refused(d dump, out probe.Output, tolerated *scratch.Tolerated) error {
	errs := errorsOf(out)
	if out.ExitCode != 0 && len(errs) == 0 {
		errs = []clientError{whatever(out)}
	}
	for _, e := range errs {
		switch {
		case fullDisk(e.text):
			return probe.Unable(holdfast.TooSmall, "restore: %s", e.text)
		case e.number == "2013" || e.number == "2006" || e.number == "2002": // the scratch server is gone: it says why
			s.kill()
			return s.complain("mariadbd", s.out.Stderr)
		case !tolerated.Passes(e.text):
			return &probe.Fault{Reason: holdfast.Damaged, Text: probe.OneLine(d.Name + " does not restore: " + e.text), Raw: string(out.Stderr)}
		}
	}
	if out.Truncated {
		return &probe.Fault{Reason: holdfast.Damaged, Text: probe.OneLine(d.Name + " gives more errors than are kept"), Raw: string(out.Stderr)}
	}
	return nil
}

// counted tells how much of a dump was sent.
type counted struct {
	ctx         context.Context
	from        io.Reader
	sent, total int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	if c.sent>>22 != (c.sent+int64(n))>>22 {
		probe.Progress(c.ctx, "restore", c.sent+int64(n), c.total)
	}
	c.sent += int64(n)
	return n, err
}

// count reads every row of every table that is not the server's own.
func (s *server) count(ctx context.Context) (tables, rows int64, err error) {
	answer, err := s.query(ctx, "SELECT table_schema AS s, table_name AS t FROM information_schema.tables WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')"+
		" AND table_schema NOT IN ('"+strings.Join(serverOwn, "', '")+"')")
	if err != nil {
		return 0, 0, err
	}
	list, err := table(answer)
	if err != nil {
		return 0, 0, err
	}
	for _, row := range list {
		counted, err := s.query(ctx, "SELECT COUNT(*) FROM "+quoted(row["s"])+"."+quoted(row["t"]), "--skip-column-names")
		if err != nil {
			return 0, 0, err
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(counted)), 10, 64)
		if err != nil {
			return 0, 0, probe.Unable("", "count rows: %w", err)
		}
		tables, rows = tables+1, rows+n
	}
	return tables, rows, nil
}

// query asks the scratch server, without the patience of a check that is cheap. An
// error in the statement is an assertion that does not hold.
func (s *server) query(ctx context.Context, statement string, more ...string) ([]byte, error) {
	out, err := s.client().run(ctx, strings.NewReader(statement), more...)
	if err != nil {
		return nil, err
	}
	if out.ExitCode != 0 {
		_, text := errorOf(out)
		return nil, probe.Faulty(holdfast.Assertion, "%.200s: %s", statement, text)
	}
	return out.Stdout, nil
}

// assert asks one assertion: one row, one value, true as MariaDB means it (a number
// other than 0).
func (s *server) assert(ctx context.Context, database, statement string) error {
	answer, err := s.query(ctx, statement, "--database="+database, "--skip-column-names")
	if err != nil {
		return err
	}
	value := strings.TrimSuffix(string(answer), "\n")
	if rows := strings.Count(string(answer), "\n"); rows != 1 || strings.Contains(value, "\t") {
		return probe.Faulty(holdfast.Assertion, "%.200s: it returned %d rows, want one row with one value", statement, rows)
	}
	if n, err := strconv.ParseFloat(value, 64); err != nil || n == 0 {
		return probe.Faulty(holdfast.Assertion, "%.200s: got %.80s, want true", statement, value)
	}
	return nil
}

// quoted writes a name as SQL does.
func quoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// unable makes a fault of the scratch server what it is: no fault of the dump.
func unable(err error) error {
	var f *probe.Fault
	switch {
	case !errors.As(err, &f):
		return err
	case f.Reason == holdfast.Timeout:
		return probe.Unable(holdfast.Timeout, "scratch server: %s", f.Text)
	}
	return probe.Unable("", "scratch server: %s", f.Text)
}
