package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/postgres/manifest"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

type basebackupProbe struct{ held probe.Held[struct{}] }

// basebackupSettings are the settings of postgres.basebackup.
type basebackupSettings struct {
	Directory string             `json:"directory" jsonschema:"the folder pg_basebackup wrote to, or the one that holds several such folders"`
	Pattern   string             `json:"pattern,omitempty" jsonschema:"which folders in the directory are base backups, as a shell matches names, like base-*; without it the directory itself is one"`
	Settle    *holdfast.Duration `json:"settle,omitempty" jsonschema:"a folder without a manifest changed less than this ago is still being written; 1m by default"`
	NoLog     bool               `json:"log_elsewhere,omitempty" jsonschema:"the backups are taken without their log (--wal-method=none), which an archive keeps"`
	ListOnly  bool               `json:"list_only,omitempty" jsonschema:"read the manifests and nothing more, for a check that runs more often than a backup can be read"`
}

func (*basebackupProbe) Describe() probe.Description {
	return probe.Description{
		Name: "postgres.basebackup",
		Observes: "The base backups of pg_basebackup in a directory, as folders or tar files: when each was consistent, and that every file of the newest " +
			"is as its manifest says.",
		Settings:   probe.Schema[basebackupSettings](),
		Cost:       holdfast.IO,
		Privileges: holdfast.Privileges{Tools: []string{"pg_verifybackup"}, Note: "reads the backups"},
		Target:     []string{"directory", "pattern"},
		Paths:      []string{"directory"},
		Reasons: []holdfast.Reason{holdfast.Empty, holdfast.NoMatch, holdfast.Damaged, holdfast.Missing, holdfast.Unreachable,
			holdfast.Timeout, holdfast.ToolMissing, holdfast.Refused},
	}
}

func (p *basebackupProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[basebackupSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	in := Source{Directory: s.Directory, Pattern: s.Pattern, Settle: s.Settle}
	if err := in.prepare(); err != nil {
		return probe.Observation{}, err
	}
	if err := in.knock(ctx, &p.held); err != nil {
		return probe.Verdict(probe.Observation{}, err)
	}
	return probe.Confirm(ctx, func(ctx context.Context) (probe.Observation, error) { return s.look(ctx, in.settle, r.Tools) })
}

// basebackup is one base backup.
type basebackup struct {
	name, path string
	tar        bool
	manifest   manifest.Manifest
	began      time.Time // as backup_label says; zero: not known
	label      string
	fault      error // why it is none that can be used
}

// consistent is the moment its data is consistent as of: the end of the backup.
// Nothing says when that was but the files themselves, none of which was written
// after it; the newest of them is the latest moment that is sure.
func (b basebackup) consistent() time.Time {
	if b.manifest.Newest.After(b.began) {
		return b.manifest.Newest
	}
	return b.began
}

// look reads what the backups say of themselves and verifies the newest.
func (s basebackupSettings) look(ctx context.Context, settle time.Duration, tools map[string]string) (probe.Observation, error) {
	started := time.Now().UTC()
	backups, err := s.list(ctx, started, settle)
	if err != nil {
		return probe.Observation{}, err
	}
	b := backups[0]
	o := probe.Observation{
		Outcome:        holdfast.OK,
		RecoveryPoints: backupPoints(backups),
		Facts:          map[string]string{"newest": probe.OneLine(b.name), "label": probe.OneLine(b.label), "format": "plain"},
		Measures:       []holdfast.Measure{{Name: "backups", Value: float64(len(backups))}},
	}
	if b.tar {
		o.Facts["format"] = "tar"
	}
	if b.manifest.Files == nil && b.fault == nil {
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeDegraded, holdfast.Missing, probe.OneLine(b.name+": there is no backup_manifest, so nobody can tell whether it is whole")
		return o, nil
	}
	o.Measures = append(o.Measures, holdfast.Measure{Name: "files", Value: float64(len(b.manifest.Files))},
		holdfast.Measure{Name: "bytes", Value: float64(b.manifest.Bytes), Unit: "bytes"})
	if b.fault == nil && !s.ListOnly {
		var hasLog bool
		if b.tar {
			hasLog, b.fault = b.verifyTar(ctx)
		} else {
			hasLog, b.fault = b.broughtLog(), b.verifyPlain(ctx, program(tools, "pg_verifybackup"))
		}
		if b.fault == nil && !hasLog {
			b.fault = s.withoutLog(b, &o)
		}
	}
	if probe.IsFault(b.fault, holdfast.Damaged) || probe.IsFault(b.fault, holdfast.Missing) {
		o.RecoveryPoints = backupPoints(backups[1:])
		o.Verification = &holdfast.Verification{Time: started, Errors: 1}
	}
	if b.fault != nil {
		return o, b.fault
	}
	how := "not read"
	if !s.ListOnly {
		how, o.Verification = "every one as in its manifest", &holdfast.Verification{Time: started, Scope: b.manifest.Scope()}
	}
	o.Summary = probe.OneLine(fmt.Sprintf("%s: consistent as of %s; %d files, %v, %s", b.name, b.consistent().UTC().Format(time.RFC3339),
		len(b.manifest.Files), holdfast.Bytes(b.manifest.Bytes), how))
	return o, nil
}

// withoutLog is the fault of a backup that does not hold the log it cannot be
// started without, where no archive is said to keep it.
func (s basebackupSettings) withoutLog(b basebackup, o *probe.Observation) error {
	if !s.NoLog {
		return probe.Faulty(holdfast.Damaged, "%.200s holds no log, without which it cannot be started: set log_elsewhere where an archive keeps it", b.name)
	}
	o.Facts["log"] = "not in the backup: it needs the archive from its start on"
	return nil
}

// backupPoints returns the recovery points of the usable backups.
func backupPoints(backups []basebackup) []holdfast.RecoveryPoint {
	var all []holdfast.RecoveryPoint
	for _, b := range backups {
		if b.fault == nil && !b.consistent().IsZero() {
			all = append(all, holdfast.RecoveryPoint{Time: b.consistent().UTC(), ID: probe.OneLine(b.name), Bytes: holdfast.Bytes(b.manifest.Bytes), Files: int64(len(b.manifest.Files))})
		}
	}
	return ends(all)
}

// list reads the labels and manifests of the finished backups, the newest first.
func (s basebackupSettings) list(ctx context.Context, now time.Time, settle time.Duration) ([]basebackup, error) {
	paths := []string{s.Directory}
	if s.Pattern != "" {
		entries, err := readFolder(s.Directory)
		if err != nil {
			return nil, fileFault(s.Directory, err)
		}
		paths = nil
		for _, e := range entries {
			if ok, _ := filepath.Match(s.Pattern, e.Name()); ok && e.IsDir() {
				paths = append(paths, filepath.Join(s.Directory, e.Name()))
			}
		}
		if len(paths) == 0 && len(entries) > 0 {
			return nil, probe.Faulty(holdfast.NoMatch, "%s: none of %d names is a folder that matches %s", s.Directory, len(entries), s.Pattern)
		}
	}
	var all []basebackup
	var broken error
	for _, path := range paths {
		b, err := readBasebackup(ctx, path)
		if probe.IsFault(err, holdfast.Empty) {
			broken = err // so is one that has just begun
			continue
		}
		if err != nil {
			return nil, err
		}
		_, changed, err := extent(path)
		if err != nil {
			return nil, fileFault(path, err)
		}
		if b.manifest.Files == nil && b.fault == nil && now.Sub(changed) < settle {
			broken = probe.Faulty(holdfast.Empty, "%s: no base backup is finished", s.Directory)
			continue
		}
		all = append(all, b)
	}
	if len(all) == 0 {
		return nil, cmp.Or(broken, error(probe.Faulty(holdfast.Empty, "%s is empty", s.Directory)))
	}
	slices.SortStableFunc(all, func(a, b basebackup) int { return b.consistent().Compare(a.consistent()) })
	return all, nil
}

// readBasebackup reads a backup's manifest and label. The error is empty where the
// folder holds nothing of one.
func readBasebackup(ctx context.Context, path string) (basebackup, error) {
	b := basebackup{name: filepath.Base(path), path: path}
	isFile := func(name string) bool {
		info, err := os.Stat(filepath.Join(path, name))
		return err == nil && info.Mode().IsRegular()
	}
	base := b.member("base")
	b.tar = base != "" && !isFile("PG_VERSION")
	var err error
	b.manifest, err = manifest.Read(filepath.Join(path, "backup_manifest"))
	var f *probe.Fault
	switch {
	case errors.As(err, &f):
		b.fault = f
		if info, e := os.Stat(filepath.Join(path, "backup_manifest")); e == nil {
			b.began = info.ModTime() // so that it stands where it belongs, though it is no recovery point
		}
	case errors.Is(err, fs.ErrNotExist):
		if !b.tar && !isFile("PG_VERSION") && !isFile("backup_label") && !isFile("backup_manifest.tmp") {
			return b, probe.Faulty(holdfast.Empty, "%s holds no base backup", path)
		}
	case err != nil:
		return b, fileFault(path, err)
	}
	label, err := b.readLabel(ctx, base)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		b.fault = cmp.Or(b.fault, error(probe.Faulty(holdfast.Damaged, "%.200s: backup_label is gone: without it the backup must not be started", b.name)))
	case err != nil:
		return b, err
	default:
		b.parseLabel(label)
	}
	return b, nil
}

// member returns the tar file of a name, however it is packed, or "".
func (b basebackup) member(name string) string {
	for _, suffix := range []string{".tar", ".tar.gz", ".tar.zst", ".tar.lz4"} {
		if info, err := os.Stat(filepath.Join(b.path, name+suffix)); err == nil && info.Mode().IsRegular() {
			return filepath.Join(b.path, name+suffix)
		}
	}
	return ""
}

// parseLabel reads backup_label: when the backup began, and its name.
func (b *basebackup) parseLabel(label []byte) {
	for line := range bytes.Lines(label) {
		key, value, _ := strings.Cut(strings.TrimSpace(string(line)), ": ")
		switch key {
		case "START TIME":
			// The zone is that of the server's log_timezone; one by a name that is not
			// UTC cannot be told for sure, and the manifest's times can.
			if at, err := time.Parse("2006-01-02 15:04:05 MST", value); err == nil && (strings.HasSuffix(value, " UTC") || strings.HasSuffix(value, " GMT")) {
				b.began = at
			}
		case "LABEL":
			b.label = value
		}
	}
}
