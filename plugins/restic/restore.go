package restic

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

type restoreProbe struct{}

// restoreSettings are the settings of restic.restore.
type restoreSettings struct {
	Source
	scratch.Sampling
}

// memory is what a restore takes here, by measure of restic 0.14 with 20,000 files:
// 180 MiB beside this plugin's own. One of many millions of blobs takes more: its
// catalogue says memory.
const memory = 256 << 20

func (restoreProbe) Describe() probe.Description {
	return probe.Description{
		Name:     "restic.restore",
		Observes: "Whether a restic snapshot really restores, and how long it takes: restores it or a stated sample into scratch and compares every file byte for byte.",
		Settings: probe.Schema[restoreSettings](),
		Cost:     holdfast.Heavy,
		Privileges: holdfast.Privileges{Writes: true, Secrets: true, Tools: tools,
			Note: "reads the repository without a lock; writes restored files into scratch and removes them"},
		Target:  []string{"repository"},
		Paths:   []string{"repository", "path"},
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
	repo, err := open(settings.Source, r)
	if err != nil {
		return probe.Observation{}, err
	}
	place, err := settings.Open(ctx, r, memory, repo.folders()...)
	if err != nil {
		return probe.Observation{}, err
	}
	return probe.Confirm(ctx, test{repository: repo, settings: settings, place: place}.run)
}

// test is one restore test.
type test struct {
	*repository
	settings restoreSettings
	place    *scratch.Place
}

// restoration is what one test restores.
type restoration struct {
	snapshot snapshot
	expect   scratch.Tally
	sample   []node // nil: the whole snapshot
	coverage float64
}

// run restores once.
func (t test) run(ctx context.Context) (probe.Observation, error) {
	o, err := t.describe(ctx)
	if err != nil {
		return o, err
	}
	p, err := t.plan(ctx, &o)
	if err != nil {
		return o, err
	}
	err = t.place.Restore(ctx, p.expect, func(ctx context.Context, dir string) error { return t.restore(ctx, &o, p, dir) })
	return o, err
}

// plan chooses a snapshot and what of it is restored.
func (t test) plan(ctx context.Context, o *probe.Observation) (restoration, error) {
	list, err := t.snapshots(ctx)
	if err != nil {
		return restoration{}, err
	}
	seed := scratch.NewSeed()
	s := list[t.settings.Pick(seed, len(list), o.Facts)]
	o.Facts["snapshot"] = s.ID

	probe.Progress(ctx, "list", 0, 0)
	sample := scratch.NewSample[node](seed, t.settings.TargetBytesMax)
	holds, err := t.contents(ctx, s, func(n node) {
		if n.Type == "file" {
			sample.Offer(n.Path, n.Size, n)
		}
	})
	p := restoration{snapshot: s, expect: holds, coverage: 1}
	switch {
	case err != nil:
		return p, err
	case holds.Files == 0:
		return p, probe.Faulty(holdfast.Empty, "snapshot %s of %s holds no file", s.short(), s.at().Format(time.RFC3339))
	case t.settings.Exceeded(holds.Bytes):
		o.Facts["seed"] = string(seed)
		p.sample, p.expect = sample.Picked()
		if len(p.sample) == 0 {
			return p, probe.Unable(holdfast.TooSmall, "target_bytes_max %v is smaller than every file of snapshot %s", t.settings.TargetBytesMax, s.short())
		}
		p.coverage = float64(p.expect.Bytes) / float64(holds.Bytes)
	}
	return p, nil
}

// restore restores into target, compares, and says what was restored.
func (t test) restore(ctx context.Context, o *probe.Observation, p restoration, target string) error {
	args := []string{"restore", "--target=" + target}
	for _, n := range p.sample {
		args = append(args, "--include="+literal(n.Path))
	}
	probe.Progress(ctx, "restore", 0, p.expect.Bytes)
	started := time.Now()
	out, err := t.exec(ctx, nil, append(args, "--", p.snapshot.ID)...)
	took := time.Since(started)
	if err != nil {
		return err
	}
	complaint := t.judge(out)
	if complaint != nil {
		// restic also ends with a failure where an owner or attribute could not be
		// set. Whether the content came back is for the comparison to say.
		if probe.ReasonOf(complaint) == holdfast.TooSmall || !strings.Contains(string(out.Stderr), "ignoring error for") {
			return complaint
		}
		o.Facts["restore_said"] = headline(said(out.Stderr))
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
	scratch.Report{Started: started, Took: took, Files: came.Files, Bytes: came.Bytes, Coverage: p.coverage, Point: p.snapshot.at()}.Tell(o, tolerated)
	return nil
}

// contents lists a snapshot, calls each for every entry, and counts them.
func (r *repository) contents(ctx context.Context, s snapshot, each func(node)) (scratch.Tally, error) {
	var sum scratch.Tally
	err := r.stream(ctx, func(lines io.Reader) error {
		err := parseLs(lines, func(n node) {
			sum.Add(n.Type, n.Size)
			each(n)
		})
		if err != nil && !errors.Is(err, scratch.ErrTool) {
			return probe.Unable("", "%w", err)
		}
		return err
	}, "ls", "--json", "--", s.ID)
	return sum, err
}

// literal makes a path a pattern that matches only itself.
func literal(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
