package borg

import (
	"cmp"
	"context"
	"os"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

type restoreProbe struct{}

// restoreSettings are the settings of borg.restore.
type restoreSettings struct {
	Source
	scratch.Sampling
}

// memory is what a restore takes here, by measure of borg 1.2 with 20,000 files: 80 MiB
// beside this plugin's own, and room to spare. A repository of many millions of chunks
// takes more: its catalogue says memory.
const memory = 256 << 20

func (restoreProbe) Describe() probe.Description {
	return probe.Description{
		Name:     "borg.restore",
		Observes: "Whether a Borg archive really restores, and how long it takes: extracts it or a stated sample into scratch and compares every file byte for byte. Attributes beyond owner, mode and time are left out.",
		Settings: probe.Schema[restoreSettings](),
		Cost:     holdfast.Heavy,
		Privileges: holdfast.Privileges{Writes: true, Secrets: true, Tools: tools,
			Note: "reads the repository without a lock and writes nothing into it; writes a view of it and the restored files into scratch and removes them"},
		Target:  []string{"repository"},
		Paths:   []string{"repository"},
		Reasons: append([]holdfast.Reason{holdfast.Assertion}, reasons...),
	}
}

func (restoreProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	settings, err := probe.Decode[restoreSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	if err := settings.Sampling.Validate(); err != nil {
		return probe.Observation{}, err
	}
	repo, err := open(ctx, settings.Source, r)
	if err != nil {
		return probe.Observation{}, err
	}
	place, err := settings.Open(ctx, r, memory, repo.folders()...)
	if err != nil {
		return probe.Observation{}, err
	}
	return repo.confirm(ctx, func(ctx context.Context, l *look) (probe.Observation, error) {
		return test{look: l, settings: settings, place: place}.run(ctx)
	})
}

// test is one restore test.
type test struct {
	*look
	settings restoreSettings
	place    *scratch.Place
}

// restoration is what one test restores.
type restoration struct {
	archive  archive
	expect   scratch.Tally
	sample   []item // nil: the whole archive
	coverage float64
}

// run restores once.
func (t test) run(ctx context.Context) (probe.Observation, error) {
	o, err := t.describe(ctx)
	if err != nil {
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
	err = t.place.Restore(ctx, p.expect, func(ctx context.Context, dir string) error { return t.restore(ctx, &o, p, dir) })
	return o, err
}

// plan chooses an archive and what of it is restored.
func (t test) plan(ctx context.Context, o *probe.Observation, list []archive) (restoration, error) {
	seed := scratch.NewSeed()
	p := restoration{archive: list[t.settings.Pick(seed, len(list), o.Facts)], coverage: 1}
	o.Facts["archive"] = probe.Clip(p.archive.Name, 200)
	o.Facts["archive_id"] = p.archive.ID

	probe.Progress(ctx, "list", 0, 0)
	sample := scratch.NewSample[item](seed, t.settings.TargetBytesMax)
	holds, err := t.contents(ctx, p.archive, func(it item) {
		// A hard link has no content of its own, and a question mark may stand for a
		// byte that is not text, so that the file cannot be named.
		if it.Type == "-" && it.Source == "" && !strings.ContainsAny(it.Path, "?\uFFFD") {
			sample.Offer(it.Path, it.Size, it)
		}
	})
	p.expect = holds.Tally
	switch {
	case err != nil:
		return p, err
	case holds.Files == 0:
		return p, probe.Faulty(holdfast.Empty, "%s holds no file", p.archive)
	case t.settings.Exceeded(holds.OnceBytes):
		o.Facts["seed"] = string(seed)
		p.sample, p.expect = sample.Picked()
		if len(p.sample) == 0 {
			return p, probe.Unable(holdfast.TooSmall, "target_bytes_max %v is smaller than every file of %s", t.settings.TargetBytesMax, p.archive)
		}
		p.coverage = float64(p.expect.OnceBytes) / float64(holds.OnceBytes)
	}
	return p, nil
}

// restore extracts into target, compares, and says what was restored.
func (t test) restore(ctx context.Context, o *probe.Observation, p restoration, target string) error {
	if err := os.Mkdir(target, 0o700); err != nil {
		return probe.Unable("", "scratch: %w", err)
	}
	// A flag like immutable would keep what was restored from being removed.
	args := []string{"extract", "--numeric-ids", "--noflags", "--noacls", "--noxattrs", "--", t.in(p.archive)}
	for _, it := range p.sample {
		args = append(args, exactly(it))
	}
	probe.Progress(ctx, "restore", 0, p.expect.OnceBytes)
	started := time.Now()
	res, err := t.exec(ctx, "restore", target, nil, args...)
	took := time.Since(started)
	if err != nil {
		return err
	}
	complaint := t.judge(res)
	if complaint != nil {
		// borg also warns where an owner or time could not be set. Whether the content
		// came back is for the comparison to say.
		if !res.warned() {
			return complaint
		}
		o.Facts["restore_said"] = probe.Clip(res.raw(), 200)
	}
	probe.Progress(ctx, "compare", 0, 0)
	tolerated := t.settings.Tolerated()
	came, err := t.compare(ctx, p, target, tolerated)
	switch {
	case err != nil && damaged(complaint): // which says why
		return complaint
	case err != nil:
		return err
	}
	scratch.Report{Started: started, Took: took, Files: came.Files, Bytes: came.OnceBytes, Coverage: p.coverage, Point: p.archive.at()}.Tell(o, tolerated)
	*o = t.reportMended(*o)
	return nil
}

// warned reports whether borg ended with a warning: 1, and from 1.4 on 100 to 127.
func (r result) warned() bool { return r.ExitCode == 1 || r.ExitCode >= 100 && r.ExitCode <= 127 }

// exactly is a file of an archive as an operand: a path and what is below it, which of
// a file is nothing. A full match (pf:) borg 1.2 calls never matched.
func exactly(it item) string { return "pp:" + it.Path }
