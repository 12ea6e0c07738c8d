package files

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
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
	Manifest  string   `json:"manifest,omitempty" jsonschema:"file of SHA-256 sums in the directory, as sha256sum writes it, like SHA256SUMS or {file}.sha256"`
	Archive   string   `json:"archive,omitempty" jsonschema:"which archive to restore: latest (the default) or random"`
	MustExist []string `json:"must_exist,omitempty" jsonschema:"files that must be there afterwards, by their path in the archive; * and ? as in a shell, within one folder"`
	Scratch   string   `json:"scratch,omitempty" jsonschema:"absolute folder to restore into, which takes a folder of this test's own; default: the agent's scratch"`
}

func (*restores) Describe() probe.Description {
	return probe.Description{
		Name:     "files.restore",
		Observes: "Whether an archive in a directory really restores, and how long it takes: unpacks a tar file into scratch and compares every file byte for byte.",
		Settings: probe.Schema[restoreSettings](),
		Cost:     holdfast.Heavy,
		Privileges: holdfast.Privileges{Writes: true, Tools: []string{"tar"},
			Note: "reads the archive; writes what is in it into scratch and removes it"},
		Target: []string{"directory"},
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
	if err := s.Complete(); err != nil {
		return s, settings{}, err
	}
	if s.Archive = cmp.Or(s.Archive, "latest"); s.Archive != "latest" && s.Archive != "random" {
		return s, settings{}, fmt.Errorf("setting \"archive\": %q is neither latest nor random", s.Archive)
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
	into, err := scratch.Root(cmp.Or(s.Scratch, r.Scratch), s.Directory)
	if err != nil {
		return probe.Observation{}, err
	}
	t := restoreTest{restoreSettings: s, base: base, from: root, tool: r.Tools["tar"], check: r.Check, scratch: into}
	o, err := t.run(ctx)
	if errors.Is(err, sums.ErrManifest) {
		err = probe.Faulty(holdfast.Damaged, "%v", err)
	}
	return probe.Verdict(o, base.Fault(ctx, err))
}

// restoreTest is one restore test.
type restoreTest struct {
	restoreSettings
	base                 settings
	from                 *os.Root
	tool, check, scratch string
}

// run restores once into a workspace of its own, which is gone when it returns.
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
	ws, err := scratch.New(t.scratch, t.check)
	if err != nil {
		return o, probe.Unable("", "scratch: %w", err)
	}
	defer func() {
		if e := ws.Remove(); e != nil { // restored data lying about is worth an alarm of its own
			o, err = probe.Observation{}, probe.Unable("", "empty scratch: %w", e)
		}
	}()
	return t.restore(ctx, o, a, c, ws.Data())
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
	if t.Archive == "random" && len(l.Files) > 1 {
		seed := rand.Text()
		o.Facts["seed"] = seed
		l.Files = l.Files[pick(seed, len(l.Files)):]
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
func (t restoreTest) restore(ctx context.Context, o probe.Observation, a folder.File, c content, target string) (probe.Observation, error) {
	if err := os.Mkdir(target, 0o700); err != nil {
		return o, probe.Unable("", "scratch: %w", err)
	}
	expect := c.members.tally
	guarded, stop := scratch.Watch(ctx, filepath.Dir(target), expect)
	defer stop()
	if err := context.Cause(guarded); err != nil && ctx.Err() == nil {
		return o, err
	}
	probe.Progress(ctx, "restore", 0, expect.Bytes)
	started := time.Now()
	complaint, err := t.unpack(guarded, a, c.format, target)
	took := time.Since(started)
	stop()
	if full := context.Cause(guarded); probe.ReasonOf(full) == holdfast.TooSmall {
		return o, full
	}
	if err != nil {
		return o, err
	}
	probe.Progress(ctx, "compare", 0, 0)
	if err := t.compare(ctx, a, c, target); err != nil {
		if complaint != nil && probe.IsFault(err, holdfast.Assertion) { // which says why
			return o, complaint
		}
		return o, err
	}
	if complaint != nil { // an attribute that could not be set is no lost content
		o.Facts["restore_said"] = probe.OneLine(complaint.Text)
	}
	files := expect.Files + c.members.hardLinks
	o.Restoration = &holdfast.Restoration{Started: started.UTC(), Duration: holdfast.Duration(took), Bytes: holdfast.Bytes(expect.Bytes), Files: files,
		Coverage: 1, Checks: files + int64(len(t.MustExist)), Point: a.Time.UTC()}
	o.Summary = probe.OneLine(fmt.Sprintf("restored %d files, %v, of %s from %s in %v; every byte compared", files, holdfast.Bytes(expect.Bytes),
		a.Time.UTC().Format(time.RFC3339), a.Name, took.Round(time.Millisecond)))
	return o, nil
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

// compare holds what was unpacked against the archive, read a second time.
func (t restoreTest) compare(ctx context.Context, a folder.File, c content, target string) error {
	if err := scratch.LetIn(target); err != nil {
		return probe.Unable("", "read what was restored: %w", err)
	}
	root, err := os.OpenRoot(target)
	if err != nil {
		return probe.Unable("", "read what was restored: %w", err)
	}
	defer root.Close()
	err = t.stream(ctx, a, c.format, func(archive io.Reader) error { return scratch.SameTree(root, archive) })
	if err == nil {
		err = t.counted(c.members, target)
	}
	if probe.IsFault(err, holdfast.Assertion) {
		twice := false
		if e := t.stream(ctx, a, c.format, func(archive io.Reader) (e error) { twice, e = namedTwice(ctx, archive); return e }); e != nil {
			return e
		}
		if twice {
			return probe.Unable("", "%s holds a name twice, as an archive does that was appended to: it cannot be compared", a.Name)
		}
	}
	if err != nil {
		return err
	}
	for _, p := range t.MustExist {
		if found, err := fs.Glob(root.FS(), path.Clean(p)); err != nil || len(found) == 0 {
			return probe.Faulty(holdfast.Assertion, "%s restores, and there is no %.200q in it", a.Name, p)
		}
	}
	return nil
}

// counted compares how much was unpacked. Folders are not counted: an archive need
// not list those its files lie in, and may list one twice.
func (t restoreTest) counted(m members, target string) error {
	found, err := scratch.Count(target)
	if err != nil {
		return probe.Unable("", "count what was restored: %w", err)
	}
	want := m.tally
	if found.Files != want.Files+m.hardLinks || found.OnceBytes != want.Bytes || found.Links != want.Links {
		return probe.Faulty(holdfast.Assertion, "%d files with %d bytes and %d links were restored, the archive lists %d with %d and %d",
			found.Files, found.OnceBytes, found.Links, want.Files+m.hardLinks, want.Bytes, want.Links)
	}
	return nil
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
