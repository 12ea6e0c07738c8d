package borg

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

type restoreProbe struct{}

// restoreSettings are the settings of borg.restore.
type restoreSettings struct {
	Source
	Archive        string         `json:"archive,omitempty" jsonschema:"which of the archives to restore: latest (the default) or random"`
	Scratch        string         `json:"scratch,omitempty" jsonschema:"absolute folder to restore into, which takes a folder of this test's own; default: the agent's scratch"`
	TargetBytesMax holdfast.Bytes `json:"target_bytes_max,omitempty" jsonschema:"restore at most this much: of a larger archive a sample of whole files"`
}

func (restoreProbe) Describe() probe.Description {
	return probe.Description{
		Name:     "borg.restore",
		Observes: "Whether a Borg archive really restores, and how long it takes: extracts it or a stated sample into scratch and compares every file byte for byte. Attributes beyond owner, mode and time are left out.",
		Settings: probe.Schema[restoreSettings](),
		Cost:     holdfast.Heavy,
		Privileges: holdfast.Privileges{Writes: true, Secrets: true, Tools: tools,
			Note: "reads the repository without a lock and writes nothing into it; writes a view of it and the restored files into scratch and removes them"},
		Target:  []string{"repository"},
		Reasons: append([]holdfast.Reason{holdfast.Assertion}, reasons...),
	}
}

func (restoreProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	settings, err := probe.Decode[restoreSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	switch settings.Archive = cmp.Or(settings.Archive, "latest"); {
	case settings.Archive != "latest" && settings.Archive != "random":
		return probe.Observation{}, fmt.Errorf("setting \"archive\": %q is neither latest nor random", settings.Archive)
	case settings.TargetBytesMax < 0:
		return probe.Observation{}, errors.New(`setting "target_bytes_max": it is negative`)
	}
	repo, err := open(settings.Source, r)
	if err != nil {
		return probe.Observation{}, err
	}
	root, err := scratch.Root(cmp.Or(settings.Scratch, r.Scratch), repo.folders()...)
	if err != nil {
		return probe.Observation{}, err
	}
	return repo.confirm(ctx, func(ctx context.Context, l *look) (probe.Observation, error) {
		return test{look: l, settings: settings, into: root}.run(ctx)
	})
}

// test is one restore test.
type test struct {
	*look
	settings restoreSettings
	into     string // scratch
}

// restoration is what one test restores.
type restoration struct {
	archive  archive
	expect   scratch.Tally
	sample   []item // nil: the whole archive
	coverage float64
}

// run restores once into a workspace of its own, which is gone when it returns.
func (t test) run(ctx context.Context) (o probe.Observation, err error) {
	if o, err = t.describe(ctx); err != nil {
		return o, err
	}
	list, err := t.archives(ctx, &o)
	if err = cmp.Or(t.lost(), err); err != nil {
		return o, err
	}
	p, err := t.plan(ctx, &o, list)
	if err != nil {
		return o, err
	}
	ws, err := scratch.New(t.into, t.check)
	if err != nil {
		return o, probe.Unable("", "scratch: %w", err)
	}
	defer func() {
		if e := ws.Remove(); e != nil { // restored data lying about is worth an alarm of its own
			o, err = probe.Observation{}, probe.Unable("", "empty scratch: %w", e)
		}
	}()
	return t.restore(ctx, o, p, ws.Data())
}

// plan chooses an archive and what of it is restored.
func (t test) plan(ctx context.Context, o *probe.Observation, list []archive) (restoration, error) {
	seed := rand.Text()
	p := restoration{archive: list[0], coverage: 1}
	if t.settings.Archive == "random" {
		p.archive = list[choose(seed, len(list))]
		o.Facts["seed"] = seed
	}
	o.Facts["archive"] = probe.Clip(p.archive.Name, 200)
	o.Facts["archive_id"] = p.archive.ID

	probe.Progress(ctx, "list", 0, 0)
	sample := newSample(seed, t.settings.TargetBytesMax)
	holds, err := t.contents(ctx, p.archive, sample.offer)
	if err != nil {
		return p, err
	}
	if holds.Files == 0 {
		return p, probe.Faulty(holdfast.Empty, "%s holds no file", p.archive)
	}
	p.expect = holds.Tally
	if max := int64(t.settings.TargetBytesMax); max > 0 && holds.OnceBytes > max {
		o.Facts["seed"] = seed
		p.sample, p.expect = sample.picked(), scratch.Tally{}
		for _, it := range p.sample {
			p.expect.Add("file", it.Size)
		}
		p.expect.OnceBytes = p.expect.Bytes
		if p.expect.Files == 0 {
			return p, probe.Unable(holdfast.TooSmall, "target_bytes_max %v is smaller than every file of %s", t.settings.TargetBytesMax, p.archive)
		}
		p.coverage = float64(p.expect.OnceBytes) / float64(holds.OnceBytes)
	}
	return p, nil
}

// restore extracts into target, compares, and says what was restored.
func (t test) restore(ctx context.Context, o probe.Observation, p restoration, target string) (probe.Observation, error) {
	if err := os.Mkdir(target, 0o700); err != nil {
		return o, probe.Unable("", "scratch: %w", err)
	}
	// A flag like immutable would keep what was restored from being removed.
	args := []string{"extract", "--numeric-ids", "--noflags", "--noacls", "--noxattrs", "--", t.in(p.archive)}
	for _, it := range p.sample {
		args = append(args, exactly(it))
	}
	guarded, stop := scratch.Watch(ctx, filepath.Dir(target), p.expect)
	defer stop()
	if err := context.Cause(guarded); err != nil && ctx.Err() == nil {
		return o, err
	}
	probe.Progress(ctx, "restore", 0, p.expect.OnceBytes)
	started := time.Now()
	res, err := t.exec(guarded, "restore", target, nil, args...)
	took := time.Since(started)
	stop()
	if full := context.Cause(guarded); probe.ReasonOf(full) == holdfast.TooSmall {
		return o, full
	}
	if err != nil {
		return o, err
	}
	complaint := t.judge(res)
	if complaint != nil {
		// borg also warns where an owner or time could not be set. Whether the content
		// came back is for the comparison to say.
		if !res.warned() {
			return o, complaint
		}
		o.Facts["restore_said"] = probe.Clip(res.raw(), 200)
	}
	probe.Progress(ctx, "compare", 0, 0)
	if err := t.compare(ctx, p, target); err != nil {
		if damaged(complaint) { // which says why
			return o, complaint
		}
		return o, err
	}
	o.Restoration = &holdfast.Restoration{
		Started:  started.UTC(),
		Duration: holdfast.Duration(took),
		Bytes:    holdfast.Bytes(p.expect.OnceBytes),
		Files:    p.expect.Files,
		Coverage: p.coverage,
		Checks:   p.expect.Files,
		Point:    p.archive.at(),
	}
	o.Summary = fmt.Sprintf("restored %d files, %v, of %s in %v; every byte compared", p.expect.Files, holdfast.Bytes(p.expect.OnceBytes),
		p.archive.at().Format(time.RFC3339), took.Round(time.Millisecond))
	if p.sample != nil {
		o.Summary = fmt.Sprintf("sample, %.3g %% of the bytes: %s", 100*p.coverage, o.Summary)
	}
	return t.reportMended(o), nil
}

// warned reports whether borg ended with a warning: 1, and from 1.4 on 100 to 127.
func (r result) warned() bool { return r.ExitCode == 1 || r.ExitCode >= 100 && r.ExitCode <= 127 }

// exactly is a file of an archive as an operand: a path and what is below it, which of
// a file is nothing. A full match (pf:) borg 1.2 calls never matched.
func exactly(it item) string { return "pp:" + it.Path }
