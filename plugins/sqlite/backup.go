package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/folder"
)

// backupProbe is of class io although it reads a whole database: how fresh a copy is
// must not wait for an hour of reading elsewhere.
type backupProbe struct{ held probe.Held[struct{}] }

type settings struct {
	folder.Settings
	Check      string   `json:"check,omitempty" jsonschema:"full (the default), or quick: leave out that indexes agree with their tables"`
	Assertions []string `json:"assertions,omitempty" jsonschema:"SQL that must each return one row with one true value, like SELECT COUNT(*) > 1000 FROM orders"`
}

const assertionsMax = 100

func (*backupProbe) Describe() probe.Description {
	return probe.Description{
		Name:       "sqlite.backup",
		Observes:   "The SQLite backups in a folder: how old they are, that the newest passes SQLite's own check of integrity, and that the catalogue's assertions hold in it.",
		Settings:   probe.Schema[settings](),
		Cost:       holdfast.IO,
		Privileges: holdfast.Privileges{Tools: []string{"sqlite3"}, Note: "opens the backup read-only and immutable: no lock, no file beside it"},
		Target:     []string{"directory", "pattern"},
		Paths:      []string{"directory"},
		Reasons: []holdfast.Reason{holdfast.Empty, holdfast.NoMatch, holdfast.Damaged, holdfast.Missing, holdfast.Unreachable,
			holdfast.Assertion, holdfast.Timeout, holdfast.Refused, holdfast.ToolMissing},
	}
}

func (p *backupProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[settings](r.Settings)
	if err == nil {
		err = s.complete()
	}
	if err != nil {
		return probe.Observation{}, err
	}
	root, err := s.Open(ctx, &p.held)
	if err != nil {
		return probe.Verdict(probe.Observation{}, s.Fault(ctx, err))
	}
	defer root.Close()
	o, err := s.look(ctx, root, r.Tools["sqlite3"])
	return probe.Verdict(o, s.Fault(ctx, err))
}

// complete checks the settings and fills in what they leave open.
func (s *settings) complete() error {
	if err := s.Complete(); err != nil {
		return err
	}
	switch s.Check = cmp.Or(s.Check, "full"); {
	case s.Check != "full" && s.Check != "quick":
		return fmt.Errorf("setting \"check\": %q is neither full nor quick", s.Check)
	case len(s.Assertions) > assertionsMax:
		return fmt.Errorf("setting \"assertions\": there are %d, at most %d", len(s.Assertions), assertionsMax)
	}
	for i, a := range s.Assertions {
		if strings.TrimSpace(a) == "" {
			return fmt.Errorf("setting \"assertions\": number %d is empty", i+1)
		}
	}
	return nil
}

// look judges the newest finished file.
func (s settings) look(ctx context.Context, root *os.Root, tool string) (probe.Observation, error) {
	start := time.Now()
	l, err := s.List(ctx, root, start, beside)
	if err != nil {
		return probe.Observation{}, err
	}
	for ; len(l.Files) > 0; l.Files = l.Files[1:] {
		newest := l.Files[0]
		o := probe.Observation{RecoveryPoints: points(l.Files)}
		o.Measures = []holdfast.Measure{{Name: "backups", Value: float64(len(l.Files))}, {Name: "newest_bytes", Value: float64(newest.Size), Unit: "bytes"}}
		o.Facts = map[string]string{"newest": probe.OneLine(newest.Name), "dated_by": s.Dated()}
		tables, err := s.judge(ctx, root, newest, database{tool: tool, path: filepath.Join(s.Directory, newest.Name)})
		var bad *probe.Fault
		switch {
		case errors.Is(err, folder.ErrWriting):
			l.Writing++
			continue
		case errors.As(err, &bad):
			o.RecoveryPoints = points(l.Files[1:])
			if bad.Reason == holdfast.Damaged {
				o.Verification = &holdfast.Verification{Time: start.UTC(), Scope: 1, Errors: 1}
			}
			return o, &probe.Fault{Reason: bad.Reason, Text: probe.OneLine(newest.Name + " " + bad.Text), Raw: bad.Raw}
		case err != nil:
			return probe.Observation{}, err
		}
		s.tell(&o, l, tables, start)
		if changes := changesBeside(root, newest.Name); changes != "" {
			o.Outcome, o.Reason = holdfast.OutcomeDegraded, holdfast.Assertion
			o.Summary = probe.OneLine(newest.Name + " was copied from a database in use: " + changes + " beside it has changes that are not in it; use .backup or VACUUM INTO")
		}
		return o, nil
	}
	return probe.Observation{}, s.Nothing(l, "backup")
}

// tell says what is known of the newest backup, which is sound.
func (s settings) tell(o *probe.Observation, l folder.Listing, tables int64, start time.Time) {
	newest := l.Files[0]
	o.Measures = append(o.Measures, holdfast.Measure{Name: "tables", Value: float64(tables)},
		holdfast.Measure{Name: "read_seconds", Value: time.Since(start).Seconds(), Unit: "seconds"})
	checked := "quick_check"
	if s.Check == "full" {
		checked = "integrity_check"
		o.Verification = &holdfast.Verification{Time: start.UTC(), Scope: 1}
	}
	o.Outcome = holdfast.OK
	o.Summary = probe.OneLine(fmt.Sprintf("%s of %s: %s ok, %d tables in %v, %d assertions hold; backups kept: %d", newest.Name,
		newest.Time.UTC().Format(time.RFC3339), checked, tables, holdfast.Bytes(newest.Size), len(s.Assertions), len(l.Files)))
}

// points returns the recovery points: the newest four and the oldest.
func points(files []folder.File) []holdfast.RecoveryPoint {
	all := folder.Points(files)
	for i := range all {
		f := files[i]
		if i == len(all)-1 {
			f = files[len(files)-1]
		}
		all[i].Bytes, all[i].Files = holdfast.Bytes(f.Size), 1
	}
	return all
}

// judge checks one file and returns how many tables it has. The fault's text goes on
// after the file's name.
func (s settings) judge(ctx context.Context, root *os.Root, f folder.File, db database) (tables int64, err error) {
	file, err := f.Open(root)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if err = heading(file, f.Size); err == nil {
		tables, err = db.check(ctx, s.Check == "quick")
	}
	for _, a := range s.Assertions {
		if err == nil {
			err = db.assert(ctx, a)
		}
	}
	if changed := f.Unchanged(file); changed != nil {
		return 0, changed // whatever was found
	}
	return tables, err
}

// sidecars are the files that SQLite puts beside a database in use.
var sidecars = []string{"-wal", "-journal", "-shm"}

// beside reports whether a name is that of a file beside a database.
func beside(name string) bool {
	for _, end := range sidecars {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// changesBeside returns the file beside a database that holds changes to it, "" where
// there is none.
func changesBeside(root *os.Root, name string) string {
	for _, end := range sidecars[:2] {
		if info, err := root.Lstat(name + end); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			return name + end
		}
	}
	return ""
}
