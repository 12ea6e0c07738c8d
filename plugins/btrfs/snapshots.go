package btrfs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/folder"
)

// entriesMax bounds how much of a folder is looked at.
const entriesMax = 100_000

// snapshots is the probe btrfs.snapshot.
type snapshots struct{ held probe.Held[struct{}] }

type settings struct {
	Directory string `json:"directory" jsonschema:"absolute path of the folder the snapshots lie in; folders below it are not searched"`
	Pattern   string `json:"pattern,omitempty" jsonschema:"which snapshots count, as a shell matches names, like ledger-*; * by default"`
	NameTime  string `json:"name_time,omitempty" jsonschema:"where the name says when the snapshot was taken, like %Y%m%dT%H%M%S (%Y %m %d %H %M %S) or %s"`
	NameZone  string `json:"name_zone,omitempty" jsonschema:"time zone of name_time, like Europe/Berlin; UTC by default"`

	folder folder.Settings
}

func (*snapshots) Describe() probe.Description {
	return probe.Description{
		Name:       "btrfs.snapshot",
		Observes:   "The read-only snapshots in a folder on btrfs as recovery points, and what the last scrub said.",
		Settings:   probe.Schema[settings](),
		Cost:       holdfast.Cheap,
		Privileges: holdfast.Privileges{Tools: []string{"btrfs"}, Note: "the scrub's result is mostly told to root alone"},
		Target:     []string{"directory"},
		Paths:      []string{"directory"},
		Reasons: []holdfast.Reason{holdfast.Damaged, holdfast.Assertion, holdfast.Empty, holdfast.NoMatch, holdfast.Missing,
			holdfast.Unreachable, holdfast.Timeout, holdfast.Refused},
	}
}

func (p *snapshots) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[settings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	s.folder = folder.Settings{Directory: s.Directory, Pattern: s.Pattern, NameTime: s.NameTime, NameZone: s.NameZone}
	if err := s.folder.Complete(); err != nil {
		return probe.Observation{}, err
	}
	root, err := s.folder.Open(ctx, &p.held)
	if err != nil {
		return probe.Verdict(probe.Observation{}, s.folder.Fault(ctx, err))
	}
	defer root.Close()
	o, err := s.look(ctx, root, r.Tools["btrfs"])
	return probe.Verdict(o, s.folder.Fault(ctx, err))
}

// found is what a folder holds.
type found struct {
	all, matching int         // snapshots
	good          []subvolume // read-only ones that match, newest first
	newest        subvolume   // that matches, writable or not
}

func (s settings) look(ctx context.Context, root *os.Root, tool string) (probe.Observation, error) {
	f, err := s.list(ctx, root)
	if err != nil {
		return probe.Observation{}, err
	}
	o := probe.Observation{Outcome: holdfast.OK, Facts: map[string]string{}, Measures: []holdfast.Measure{
		{Name: "snapshots", Value: float64(f.all)},
		{Name: "matching_snapshots", Value: float64(f.matching)},
		{Name: "matching_read_only", Value: float64(len(f.good))},
	}}
	if f.matching > 0 && !f.newest.readOnly {
		no := false
		o.Immutable = &no
		o.Facts["writable"] = probe.OneLine(f.newest.name)
	}
	switch {
	case f.all == 0:
		return o, probe.Faulty(holdfast.Empty, "%s holds no snapshot", s.Directory)
	case f.matching == 0:
		return o, probe.Faulty(holdfast.NoMatch, "%s: none of %d snapshots matches %s", s.Directory, f.all, cmp.Or(s.Pattern, s.NameTime))
	case len(f.good) == 0:
		return o, probe.Faulty(holdfast.Assertion, "%s: all %d snapshots that match are writable", s.Directory, f.matching)
	}
	newest := f.good[0]
	for i, v := range f.good {
		if i < 4 || i == len(f.good)-1 {
			o.RecoveryPoints = append(o.RecoveryPoints, holdfast.RecoveryPoint{Time: v.created.UTC(), ID: probe.OneLine(v.name)})
		}
	}
	o.Facts["newest"] = probe.OneLine(newest.name)
	o.Facts["received"] = cmp.Or(newest.received, "no: taken on this file system")
	o.Summary = probe.OneLine(fmt.Sprintf("%d read-only snapshots, the newest %s of %s", len(f.good), newest.name, newest.created.UTC().Format(time.RFC3339)))
	return s.scrubbed(ctx, o, tool)
}

// list asks for every subvolume of the folder.
func (s settings) list(ctx context.Context, root *os.Root) (found, error) {
	var f found
	directory, err := root.Open(".")
	if err != nil {
		return f, err
	}
	defer directory.Close()
	if ok, err := isBtrfs(directory); err != nil {
		return f, err
	} else if !ok {
		return f, errors.New("it is not on btrfs")
	}
	for n := 0; ; {
		if ctx.Err() != nil {
			return f, ctx.Err()
		}
		entries, err := directory.ReadDir(1024)
		if err == io.EOF {
			break
		}
		if err != nil {
			return f, err
		}
		if n += len(entries); n > entriesMax {
			return f, fmt.Errorf("more than %d entries", entriesMax)
		}
		for _, e := range entries {
			if err := s.add(&f, root, e); err != nil && !errors.Is(err, fs.ErrNotExist) { // deleted meanwhile
				return f, err
			}
		}
	}
	slices.SortFunc(f.good, func(a, b subvolume) int {
		return cmp.Or(b.created.Compare(a.created), strings.Compare(b.name, a.name))
	})
	return f, nil
}

// add counts one entry where it belongs.
func (s settings) add(f *found, root *os.Root, e fs.DirEntry) error {
	if !e.IsDir() {
		return nil
	}
	info, err := e.Info()
	if err != nil || !isSubvolume(info) {
		return err
	}
	file, err := root.Open(e.Name())
	if err != nil {
		return err
	}
	defer file.Close()
	v, err := infoOf(file, e.Name())
	if err != nil || !v.snapshot {
		return err
	}
	f.all++
	if ok, _ := filepath.Match(s.folder.Pattern, v.name); !ok { // the pattern was tried by Complete
		return nil
	}
	taken, ok := s.folder.TimeIn(v.name)
	if s.NameTime != "" && !ok {
		return nil
	}
	if ok && taken.Before(v.created) {
		v.created = taken
	}
	f.matching++
	if v.created.After(f.newest.created) {
		f.newest = v
	}
	if v.readOnly {
		f.good = append(f.good, v)
	}
	return nil
}
