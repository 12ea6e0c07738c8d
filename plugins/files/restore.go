package files

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/folder"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
	"github.com/holdfast-monitor/holdfast/plugins/probe/sums"
)

// restores is the probe files.restore.
type restores struct{ held probe.Held[struct{}] }

type restoreSettings struct {
	folder.Settings
	scratch.Options
	Manifest  string   `json:"manifest,omitempty" jsonschema:"file of SHA-256 sums in the directory, as sha256sum writes it, like SHA256SUMS or {file}.sha256"`
	MustExist []string `json:"must_exist,omitempty" jsonschema:"files that must be there afterwards, by their path in the archive; * and ? as in a shell, within one folder"`
}

// memory is what tar takes with what unpacks for it, zstd with its largest window.
const memory = 192 << 20

func (*restores) Describe() probe.Description {
	return probe.Description{
		Name:     "files.restore",
		Observes: "Whether an archive in a directory really restores, and how long it takes: unpacks a tar file into scratch and compares every file byte for byte.",
		Settings: probe.Schema[restoreSettings](),
		Cost:     holdfast.Heavy,
		Privileges: holdfast.Privileges{Writes: true, Tools: []string{"tar"},
			Note: "reads the archive; writes what is in it into scratch and removes it"},
		Target: []string{"directory"},
		Paths:  []string{"directory"},
		Reasons: []holdfast.Reason{holdfast.Assertion, holdfast.Damaged, holdfast.Empty, holdfast.NoMatch, holdfast.Missing,
			holdfast.Unreachable, holdfast.Timeout, holdfast.Refused, holdfast.TooSmall, holdfast.ToolMissing},
	}
}

// decodeRestore reads the settings, and those of them that files.archive has too.
func decodeRestore(given holdfast.Settings) (restoreSettings, settings, error) {
	s, err := probe.Decode[restoreSettings](given)
	if err != nil {
		return s, settings{}, err
	}
	if err := errors.Join(s.Complete(), s.Validate()); err != nil {
		return s, settings{}, err
	}
	if s.Manifest != "" && !filepath.IsLocal(s.Manifest) {
		return s, settings{}, fmt.Errorf("setting \"manifest\": %q is not in the directory: name a file like SHA256SUMS or {file}.sha256", s.Manifest)
	}
	for _, p := range s.MustExist {
		if _, err := path.Match(p, ""); err != nil || !filepath.IsLocal(p) {
			return s, settings{}, fmt.Errorf("setting \"must_exist\": %q is not a path in the archive: write it like etc/fstab", p)
		}
	}
	return s, settings{Settings: s.Settings, Manifest: s.Manifest}, nil
}

func (p *restores) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, base, err := decodeRestore(r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	root, err := base.Open(ctx, &p.held)
	if err != nil {
		return base.verdict(ctx, err)
	}
	defer root.Close()
	place, err := s.Options.Open(ctx, r, memory, s.Directory)
	if err != nil {
		return probe.Observation{}, err
	}
	t := restoreTest{restoreSettings: s, base: base, from: root, tool: r.Tools["tar"], place: place}
	o, err := t.run(ctx)
	if errors.Is(err, sums.ErrManifest) {
		err = probe.Faulty(holdfast.Damaged, "%v", err)
	}
	return probe.Verdict(o, base.Fault(ctx, err))
}

// restoreTest is one restore test.
type restoreTest struct {
	restoreSettings
	base  settings
	from  *os.Root
	tool  string
	place *scratch.Place
}

// run restores once.
func (t restoreTest) run(ctx context.Context) (o probe.Observation, err error) {
	if o, err = t.describe(ctx); err != nil {
		return o, err
	}
	probe.Progress(ctx, "read", 0, 0)
	a, c, err := t.choose(ctx, &o)
	if err != nil {
		return o, err
	}
	switch {
	case c.format.pack != "tar":
		return o, probe.Unable("", "%s is not a tar file, as it is or packed with gzip or zstd, but %s: restore it by the tool that made it", a.Name, c.format)
	case c.opaque != "":
		return o, probe.Unable("", "%s cannot be read here: %s", a.Name, c.opaque)
	case c.members.odd > 0:
		return o, probe.Unable("", "%s holds %d members of a kind that cannot be compared, such as files with holes in tar's old form", a.Name, c.members.odd)
	case c.members.tally.Files == 0:
		return o, probe.Faulty(holdfast.Empty, "%s holds no file", a.Name)
	}
	err = t.place.Restore(ctx, c.members.tally, func(ctx context.Context, dir string) error { return t.restore(ctx, &o, a, c, dir) })
	return o, err
}

// describe starts an observation with the tool's version.
func (t restoreTest) describe(ctx context.Context) (probe.Observation, error) {
	out, err := probe.Run(ctx, probe.Command{Path: t.tool, Args: []string{"--version"}})
	if err != nil {
		return probe.Observation{}, err
	}
	first, _, _ := strings.Cut(string(out.Stdout), "\n")
	version, ok := strings.CutPrefix(first, "tar (GNU tar) ")
	if !ok || len(version) > 40 {
		return probe.Observation{}, probe.Unable(holdfast.ToolMissing, "%s: %.80q is not an answer of GNU tar", t.tool, first)
	}
	return probe.Observation{Outcome: holdfast.OK, Fingerprint: map[string]string{"tool": "tar " + version}, Facts: map[string]string{}}, nil
}

// choose picks an archive and reads it to its end.
func (t restoreTest) choose(ctx context.Context, o *probe.Observation) (folder.File, content, error) {
	l, err := t.base.List(ctx, t.from, time.Now(), t.base.isManifest)
	if err != nil {
		return folder.File{}, content{}, err
	}
	whole, err := t.base.wholeManifest(t.from)
	if errors.Is(err, fs.ErrNotExist) {
		return folder.File{}, content{}, probe.Faulty(holdfast.Missing, "%s: there is no manifest %s", t.Directory, t.Manifest)
	}
	if err != nil {
		return folder.File{}, content{}, err
	}
	if len(l.Files) > 1 {
		l.Files = l.Files[t.Pick(scratch.NewSeed(), len(l.Files), o.Facts):]
	}
	for ; len(l.Files) > 0; l.Files = l.Files[1:] {
		a := l.Files[0]
		want, err := t.base.expected(t.from, whole, a)
		var c content
		if err == nil {
			c, err = t.base.read(ctx, t.from, a, want)
		}
		switch {
		case errors.Is(err, folder.ErrWriting):
			l.Writing++
			continue
		case errors.Is(err, errUnlisted):
			return a, c, probe.Faulty(holdfast.Assertion, "%s is not in the manifest %s", a.Name, t.Manifest)
		case errors.Is(err, errDamaged):
			return a, c, &probe.Fault{Reason: holdfast.Damaged, Text: probe.OneLine(a.Name + " is " + err.Error())}
		}
		o.Facts["archive"], o.Facts["format"] = probe.OneLine(a.Name), c.format.String()
		return a, c, err
	}
	return folder.File{}, content{}, t.base.Nothing(l, "archive")
}

// restore unpacks, compares and measures.
func (t restoreTest) restore(ctx context.Context, o *probe.Observation, a folder.File, c content, target string) error {
	if err := os.Mkdir(target, 0o700); err != nil {
		return probe.Unable("", "scratch: %w", err)
	}
	probe.Progress(ctx, "restore", 0, c.members.tally.Bytes)
	started := time.Now()
	complaint, err := t.unpack(ctx, a, c.format, target)
	took := time.Since(started)
	if err != nil {
		return err
	}
	probe.Progress(ctx, "compare", 0, 0)
	tolerated := t.Tolerated()
	came, err := t.compare(ctx, a, c, target, tolerated)
	switch {
	case complaint != nil && probe.IsFault(err, holdfast.Assertion): // which says why
		return complaint
	case err != nil:
		return err
	case complaint != nil: // an attribute that could not be set is no lost content
		o.Facts["restore_said"] = probe.OneLine(complaint.Text)
	}
	scratch.Report{Started: started, Took: took, Files: came.Files, Bytes: came.OnceBytes, Checks: int64(len(t.MustExist)), Coverage: 1,
		Point: a.Time, From: a.Name}.Tell(o, tolerated)
	return nil
}

// missingHelper is what tar says where the program that unpacks is not installed.
var missingHelper = regexp.MustCompile(`(?m)^tar \(child\): (\S+): Cannot exec`)

// unpack has tar unpack the archive, as a person would. A complaint is what it ended
// badly with; whether the content came back is for the comparison to say.
func (t restoreTest) unpack(ctx context.Context, a folder.File, f format, target string) (*probe.Fault, error) {
	file, err := a.Open(t.from)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	args := []string{"--extract", "--file=-", "--directory=" + target, "--no-same-owner", "--delay-directory-restore"}
	if f.squeeze != "" {
		args = append(args, "--"+f.squeeze)
	}
	out, err := probe.Run(ctx, probe.Command{Path: t.tool, Args: args, Stdin: file})
	if err != nil {
		return nil, err
	}
	said := strings.TrimSpace(string(out.Stderr))
	first, _, _ := strings.Cut(said, "\n")
	switch {
	case out.ExitCode == 0:
		return nil, nil
	case missingHelper.MatchString(said):
		return nil, probe.Unable(holdfast.ToolMissing, "tar needs a program that is not installed: %s", probe.OneLine(first))
	case strings.Contains(said, "No space left on device"), strings.Contains(said, "Disk quota exceeded"):
		return nil, probe.Unable(holdfast.TooSmall, "tar: %s", probe.OneLine(first))
	}
	return &probe.Fault{Reason: holdfast.Damaged, Text: probe.OneLine(a.Name + " does not restore: " + first), Raw: said}, nil
}

// compare holds what was unpacked against the archive, read a second time. It returns
// what came back, without what is tolerated.
func (t restoreTest) compare(ctx context.Context, a folder.File, c content, target string, tolerated *scratch.Tolerated) (came scratch.Tally, err error) {
	comparison, err := scratch.Compare(target, tolerated)
	if err != nil {
		return came, err
	}
	defer comparison.Close()
	err = t.stream(ctx, a, c.format, comparison.Tree)
	if err == nil {
		came, err = counted(comparison, c.members)
	}
	if probe.IsFault(err, holdfast.Assertion) {
		twice := false
		if e := t.stream(ctx, a, c.format, func(archive io.Reader) (e error) { twice, e = namedTwice(ctx, archive); return e }); e != nil {
			return came, e
		}
		if twice {
			return came, probe.Unable("", "%s holds a name twice, as an archive does that was appended to: it cannot be compared", a.Name)
		}
	}
	if err != nil {
		return came, err
	}
	for _, p := range t.MustExist {
		if !comparison.Exists(p) {
			return came, probe.Faulty(holdfast.Assertion, "%s restores, and there is no %.200q in it", a.Name, p)
		}
	}
	return came, nil
}

// counted compares how much was unpacked. Folders are not counted: an archive need
// not list those its files lie in, and may list one twice.
func counted(c *scratch.Comparison, m members) (came scratch.Tally, err error) {
	found, err := c.Found()
	if err != nil {
		return came, err
	}
	want := m.tally
	want.Files, want.OnceBytes = want.Files+m.hardLinks, want.Bytes
	if found.Files != want.Files || found.OnceBytes != want.OnceBytes || found.Links != want.Links {
		return came, probe.Faulty(holdfast.Assertion, "%d files with %d bytes and %d links were restored, the archive lists %d with %d and %d",
			found.Files, found.OnceBytes, found.Links, want.Files, want.OnceBytes, want.Links)
	}
	return c.Less(want), nil
}

// stream has read read the tar in an archive.
func (t restoreTest) stream(ctx context.Context, a folder.File, f format, read func(io.Reader) error) error {
	file, err := a.Open(t.from)
	if err != nil {
		return err
	}
	defer file.Close()
	raw := bufio.NewReaderSize(folder.NewReader(ctx, file), 64<<10)
	head, err := raw.Peek(512)
	if err != nil && err != io.EOF {
		return err
	}
	unpacked, _, err := folder.Unpack(raw, f.squeeze, head)
	if err != nil {
		return err
	}
	defer unpacked.Close()
	return read(unpacked)
}
