package restic

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
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
	Snapshot       string         `json:"snapshot,omitempty" jsonschema:"which snapshot to restore: latest (the default) or random"`
	Scratch        string         `json:"scratch,omitempty" jsonschema:"absolute folder to restore into, which takes a folder of this test's own; default: the agent's scratch"`
	TargetBytesMax holdfast.Bytes `json:"target_bytes_max,omitempty" jsonschema:"restore at most this much: of a larger snapshot a sample of whole files"`
}

func (restoreProbe) Describe() probe.Description {
	return probe.Description{
		Name:     "restic.restore",
		Observes: "Whether a restic snapshot really restores, and how long it takes: restores it or a stated sample into scratch and compares every file byte for byte.",
		Settings: probe.Schema[restoreSettings](),
		Cost:     holdfast.Heavy,
		Privileges: holdfast.Privileges{Writes: true, Secrets: true, Tools: tools,
			Note: "reads the repository without a lock; writes restored files into scratch and removes them"},
		Target:  []string{"repository"},
		Reasons: append([]holdfast.Reason{holdfast.Assertion}, reasons...),
	}
}

func (restoreProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	settings, err := probe.Decode[restoreSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	switch settings.Snapshot = cmp.Or(settings.Snapshot, "latest"); {
	case settings.Snapshot != "latest" && settings.Snapshot != "random":
		return probe.Observation{}, fmt.Errorf("setting \"snapshot\": %q is neither latest nor random", settings.Snapshot)
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
	t := test{repository: repo, settings: settings, scratch: root, check: r.Check}
	return probe.Confirm(ctx, t.run)
}

// test is one restore test.
type test struct {
	*repository
	settings restoreSettings
	scratch  string
	check    string
}

// run restores once into a workspace of its own, which is gone when it returns.
func (t test) run(ctx context.Context) (o probe.Observation, err error) {
	if o, err = t.describe(ctx); err != nil {
		return o, err
	}
	list, err := t.snapshots(ctx)
	if err != nil {
		return o, err
	}
	seed := rand.Text()
	s := list[0]
	if t.settings.Snapshot == "random" {
		s = list[choose(seed, len(list))]
		o.Facts["seed"] = seed
	}
	o.Facts["snapshot"] = s.ID

	probe.Progress(ctx, "list", 0, 0)
	sample := newSample(seed, t.settings.TargetBytesMax)
	holds, err := t.contents(ctx, s, sample.offer)
	if err != nil {
		return o, err
	}
	if holds.Files == 0 {
		return o, probe.Faulty(holdfast.Empty, "snapshot %s of %s holds no file", s.short(), s.at().Format(time.RFC3339))
	}
	plan := restoration{snapshot: s, expect: holds, coverage: 1}
	if max := int64(t.settings.TargetBytesMax); max > 0 && holds.Bytes > max {
		o.Facts["seed"] = seed
		plan.sample = sample.picked()
		if plan.expect = plan.sampleTally(); plan.expect.Files == 0 {
			return o, probe.Unable(holdfast.TooSmall, "target_bytes_max %v is smaller than every file of snapshot %s", t.settings.TargetBytesMax, s.short())
		}
		plan.coverage = float64(plan.expect.Bytes) / float64(holds.Bytes)
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
	return t.restore(ctx, o, plan, ws.Data())
}

// restoration is what one test restores.
type restoration struct {
	snapshot snapshot
	expect   scratch.Tally
	sample   []node // nil: the whole snapshot
	coverage float64
}

func (p restoration) sampleTally() scratch.Tally {
	var sum scratch.Tally
	for _, n := range p.sample {
		sum.Files, sum.Bytes = sum.Files+1, sum.Bytes+n.Size
	}
	return sum
}

func (t test) restore(ctx context.Context, o probe.Observation, p restoration, target string) (probe.Observation, error) {
	args := []string{"restore", "--target=" + target}
	for _, n := range p.sample {
		args = append(args, "--include="+literal(n.Path))
	}
	guarded, stop := scratch.Watch(ctx, filepath.Dir(target), p.expect)
	defer stop()
	if err := context.Cause(guarded); err != nil && ctx.Err() == nil {
		return o, err
	}
	probe.Progress(ctx, "restore", 0, p.expect.Bytes)
	started := time.Now()
	out, err := t.exec(guarded, nil, append(args, "--", p.snapshot.ID)...)
	took := time.Since(started)
	stop()
	if full := context.Cause(guarded); probe.ReasonOf(full) == holdfast.TooSmall {
		return o, full
	}
	if err != nil {
		return o, err
	}
	complaint := t.judge(out)
	if complaint != nil {
		// restic also ends with a failure where an owner or attribute could not be
		// set. Whether the content came back is for the comparison to say.
		if probe.ReasonOf(complaint) == holdfast.TooSmall || !strings.Contains(string(out.Stderr), "ignoring error for") {
			return o, complaint
		}
		o.Facts["restore_said"] = headline(said(out.Stderr))
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
		Bytes:    holdfast.Bytes(p.expect.Bytes),
		Files:    p.expect.Files,
		Coverage: p.coverage,
		Checks:   p.expect.Files,
		Point:    p.snapshot.at(),
	}
	o.Summary = fmt.Sprintf("restored %d files, %v, of %s in %v; every byte compared", p.expect.Files, holdfast.Bytes(p.expect.Bytes),
		p.snapshot.at().Format(time.RFC3339), took.Round(time.Millisecond))
	if p.sample != nil {
		o.Summary = fmt.Sprintf("sample, %.3g %% of the bytes: %s", 100*p.coverage, o.Summary)
	}
	return o, nil
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

// choose picks one of n by a seed, so that a person can pick the same again.
func choose(seed string, n int) int {
	return int(hashOf(seed, "snapshot") % uint64(n))
}

// literal makes a path a pattern that matches only itself.
func literal(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
