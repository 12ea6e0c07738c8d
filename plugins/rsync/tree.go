package rsync

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/folder"
	"github.com/holdfast-monitor/holdfast/plugins/probe/sums"
)

// tree is the probe rsync.tree.
type tree struct{ held probe.Held[struct{}] }

type settings struct {
	Directory   string          `json:"directory" jsonschema:"absolute path of the mirror"`
	Marker      string          `json:"marker,omitempty" jsonschema:"file in the mirror, by its path below directory, that the source writes before each run; its content or else its last change is the recovery point"`
	Manifest    string          `json:"manifest,omitempty" jsonschema:"file of SHA-256 sums in the mirror, by its path below directory, as sha256sum writes it"`
	Source      string          `json:"source,omitempty" jsonschema:"absolute path of the mirrored folder, where this host can read it"`
	SampleFiles *int            `json:"sample_files,omitempty" jsonschema:"how many files to compare each time; 20 by default, at most 100000"`
	SampleBytes *holdfast.Bytes `json:"sample_bytes,omitempty" jsonschema:"how many bytes to compare each time at most; 256MiB by default"`

	files int
	bytes int64
}

func (*tree) Describe() probe.Description {
	return probe.Description{
		Name:     "rsync.tree",
		Observes: "A mirror of a folder: as of when it is, what it holds, and whether a sample of its files is still what it should be.",
		Settings: probe.Schema[settings](),
		Cost:     holdfast.IO,
		Target:   []string{"directory"},
		Paths:    []string{"directory", "source"},
		Reasons: []holdfast.Reason{holdfast.Damaged, holdfast.Assertion, holdfast.Empty, holdfast.Missing, holdfast.Unreachable,
			holdfast.Timeout, holdfast.Refused},
	}
}

func decode(given holdfast.Settings) (settings, error) {
	s, err := probe.Decode[settings](given)
	if err != nil {
		return s, err
	}
	var faults []error
	wrong := func(setting, format string, args ...any) {
		faults = append(faults, fmt.Errorf("setting %q: %w", setting, fmt.Errorf(format, args...)))
	}
	if !filepath.IsAbs(s.Directory) {
		wrong("directory", "%q is not an absolute path: write it like /srv/mirror", s.Directory)
	}
	for _, f := range []struct{ name, path string }{{"marker", s.Marker}, {"manifest", s.Manifest}} {
		if f.path != "" && !filepath.IsLocal(f.path) {
			wrong(f.name, "%q is not in the mirror: write its path below directory", f.path)
		}
	}
	switch {
	case s.Source != "" && !filepath.IsAbs(s.Source):
		wrong("source", "%q is not an absolute path", s.Source)
	case s.Source != "" && s.Manifest != "":
		wrong("source", "compare with the manifest or with the source, not with both")
	}
	s.files, s.bytes = 20, 256<<20
	if s.SampleFiles != nil {
		s.files = *s.SampleFiles
	}
	if s.SampleBytes != nil {
		s.bytes = int64(*s.SampleBytes)
	}
	if s.files < 1 || s.files > 100_000 {
		wrong("sample_files", "%d is not between 1 and 100000", s.files)
	}
	if s.bytes < 1 {
		wrong("sample_bytes", "it must be above 0")
	}
	return s, errors.Join(faults...)
}

func (p *tree) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := decode(r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	dir := folder.Settings{Directory: s.Directory}
	root, err := dir.Open(ctx, &p.held)
	if err != nil {
		return probe.Verdict(probe.Observation{}, dir.Fault(ctx, err))
	}
	defer root.Close()
	// A file that differs may just be replaced: a second look tells.
	return probe.Confirm(ctx, func(ctx context.Context) (probe.Observation, error) {
		o, err := p.look(ctx, s, root)
		if errors.Is(err, sums.ErrManifest) {
			err = probe.Faulty(holdfast.Damaged, "%v", err)
		}
		return o, dir.Fault(ctx, err)
	})
}

// look looks once.
func (p *tree) look(ctx context.Context, s settings, root *os.Root) (probe.Observation, error) {
	began := time.Now()
	probe.Progress(ctx, "list", 0, 0)
	c, err := s.count(ctx, root, began)
	if err != nil {
		return probe.Observation{}, err
	}
	o := c.observation()
	if c.files == 0 {
		return o, probe.Faulty(holdfast.Empty, "%s holds no file", s.Directory)
	}
	at, from, err := s.asOf(root, c, began)
	if err != nil {
		return o, err
	}
	o.Facts["recovery_point_from"] = from
	point := holdfast.RecoveryPoint{Time: at.UTC(), Bytes: holdfast.Bytes(c.bytes), Files: c.files}
	o.RecoveryPoints = []holdfast.RecoveryPoint{point}
	o.Summary = fmt.Sprintf("%d files, %v, as of %s by %s", c.files, point.Bytes, point.Time.Format(time.RFC3339), from)
	d := drift{settings: s, mirror: root, seed: rand.Text(), asOf: at, now: began}
	return d.compare(ctx, &p.held, o, c.bytes)
}

// asOf is when the mirror was taken, and how that is known.
func (s settings) asOf(root *os.Root, c counted, now time.Time) (time.Time, string, error) {
	if s.Marker == "" {
		if c.newest.IsZero() {
			return c.newest, "", probe.Unable("", "every file of %s is dated in the future: name a marker", s.Directory)
		}
		return c.newest, "its newest change", nil
	}
	at, from, err := readMarker(root, s.Marker)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return at, "", probe.Faulty(holdfast.Missing, "%s: there is no marker %s", s.Directory, s.Marker)
	case err != nil:
		return at, "", err
	case at.After(now.Add(skew)):
		return at, "", probe.Unable("", "the marker %s is dated in the future: %s", s.Marker, at.UTC().Format(time.RFC3339))
	}
	return at, from, nil
}

// skew is how far another host's clock may be ahead.
const skew = 5 * time.Minute

// readMarker reads a marker's time.
func readMarker(root *os.Root, name string) (time.Time, string, error) {
	info, err := root.Stat(name)
	if err != nil {
		return time.Time{}, "", err
	}
	if !info.Mode().IsRegular() {
		return time.Time{}, "", fmt.Errorf("marker %s is not a regular file", name)
	}
	f, err := root.Open(name)
	if err != nil {
		return time.Time{}, "", err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return time.Time{}, "", err
	}
	word, _, _ := strings.Cut(strings.TrimSpace(string(head)), "\n")
	if seconds, err := strconv.ParseInt(word, 10, 64); err == nil && seconds > 0 && seconds < 1<<36 {
		return time.Unix(seconds, 0), "the time in " + name, nil
	}
	if at, err := time.Parse(time.RFC3339, word); err == nil {
		return at, "the time in " + name, nil
	}
	return info.ModTime(), "the last change of " + name, nil
}
