package borg

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

const (
	// candidates is how many of the newest archives are tried to find four that
	// can be used.
	candidates = 8
	newest     = 4
)

type repositoryProbe struct {
	counts counts
}

func (p *repositoryProbe) Describe() probe.Description {
	return probe.Description{
		Name:     "borg.repository",
		Observes: "Which recovery points a Borg repository holds: an archive counts when its metadata can be opened. Reads no file's data and claims no verification.",
		Settings: probe.Schema[Source](),
		Cost:     holdfast.IO,
		Privileges: holdfast.Privileges{Writes: true, Secrets: true, Tools: tools,
			Note: "reads the repository without a lock and writes nothing into it; writes a view of it (links, and copies of config, index and hints) into scratch"},
		Target:  []string{"repository"},
		Secret:  []string{"passphrase_file", "key_file"},
		Paths:   []string{"repository"},
		Reasons: reasons,
	}
}

func (p *repositoryProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	source, err := probe.Decode[Source](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	repo, err := open(ctx, source, r)
	if err != nil {
		return probe.Observation{}, err
	}
	return repo.confirm(ctx, p.look)
}

func (p *repositoryProbe) look(ctx context.Context, l *look) (probe.Observation, error) {
	o, err := l.describe(ctx)
	if err != nil {
		return o, err
	}
	list, err := l.archives(ctx, &o)
	if err != nil {
		return o, cmp.Or(l.lost(), err)
	}
	usable, holds, broken := p.usable(ctx, l, list)
	if broken != nil && !damaged(broken) {
		return o, broken
	}
	o.RecoveryPoints = points(usable, list)
	o.Measures = []holdfast.Measure{{Name: "archives", Value: float64(len(list))}}
	if holds != nil && len(o.RecoveryPoints) > 0 {
		o.RecoveryPoints[0].Bytes, o.RecoveryPoints[0].Files = holdfast.Bytes(holds.OnceBytes), holds.Files
		o.Measures = append(o.Measures,
			holdfast.Measure{Name: "newest_size", Value: float64(holds.OnceBytes), Unit: "bytes"},
			holdfast.Measure{Name: "newest_files", Value: float64(holds.Files)})
	}
	o.Summary = fmt.Sprintf("newest recovery point %s; archives kept: %d", list[0].at().Format(time.RFC3339), len(list))
	if err := cmp.Or(l.lost(), broken); err != nil {
		return o, err
	}
	return l.reportView(o, time.Now())
}

// lost is the fault of a newest transaction that borg cannot read.
func (l *look) lost() error {
	if l.view == nil || l.view.lost == nil {
		return nil
	}
	return l.view.lost
}

// reportView adds what the repository's own files show, and makes o degraded where
// borg would mend something or somebody holds it for too long.
func (l *look) reportView(o probe.Observation, now time.Time) (probe.Observation, error) {
	if l.view == nil {
		return o, nil
	}
	locks, err := readLocks(l.Repository)
	if err != nil {
		return o, err
	}
	o.Measures = append(o.Measures,
		holdfast.Measure{Name: "repository_size", Value: float64(l.view.bytes), Unit: "bytes"},
		holdfast.Measure{Name: "locks", Value: float64(len(locks))})
	for _, lock := range locks {
		o.Facts["lock"] = probe.Clip(lock.String(), 200)
		if now.Sub(lock.since) > staleLock {
			o.Outcome, o.Reason = holdfast.OutcomeDegraded, holdfast.Locked
			o.Summary = probe.Clip("no backup can begin, the repository is "+lock.String(), 300)
			break
		}
	}
	return l.reportMended(o), nil
}

// reportMended makes o degraded where borg would mend something in silence.
func (l *look) reportMended(o probe.Observation) probe.Observation {
	if l.view == nil {
		return o
	}
	if f := l.view.mended(); f != nil {
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeDegraded, f.Reason, probe.Clip(f.Text, 300)
	}
	return o
}

// points picks the newest four usable archives, and the oldest kept where that is
// usable.
func points(usable map[string]bool, list []archive) []holdfast.RecoveryPoint {
	var picked []holdfast.RecoveryPoint
	for i, a := range list {
		if usable[a.ID] && (len(picked) < newest || i == len(list)-1) {
			picked = append(picked, a.point())
		}
	}
	return picked
}

// usable tells which of the newest archives and the oldest can be opened, and what
// the newest one holds where that was read. The fault says what is damaged; the
// others are usable in spite of it.
func (p *repositoryProbe) usable(ctx context.Context, l *look, list []archive) (map[string]bool, *contents, error) {
	tried := slices.Clone(list[:min(candidates, len(list))])
	if len(list) > candidates {
		tried = append(tried, list[len(list)-1])
	}
	good, broken := l.described(ctx, tried)
	if broken != nil && !damaged(broken) {
		return nil, nil, broken
	}
	for _, a := range tried { // the newest that is good so far
		if !good[a.ID] {
			continue
		}
		holds, err := p.read(ctx, l, a)
		switch {
		case err == nil:
			return good, holds, broken
		case damaged(err):
			delete(good, a.ID)
			return good, nil, cmp.Or(broken, err)
		}
		return nil, nil, err
	}
	return good, nil, broken
}

// counts remembers what archives hold, which never changes.
type counts struct {
	mu    sync.Mutex
	known map[string]contents // by archive ID; guarded by mu
}

func (c *counts) get(id string) (contents, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	holds, ok := c.known[id]
	return holds, ok
}

func (c *counts) put(id string, holds contents) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= 256 {
		clear(c.known)
	}
	c.known[id] = holds
}

// read lists the newest archive, which shows damage in its entries. Over a network
// that is done once for each. It takes at most half of the time left.
func (p *repositoryProbe) read(ctx context.Context, l *look, a archive) (*contents, error) {
	if l.view == nil {
		if holds, ok := p.counts.get(a.ID); ok {
			return &holds, nil
		}
	}
	within, stop := half(ctx)
	defer stop()
	holds, err := l.contents(within, a, func(item) {})
	if err != nil && within.Err() != nil && ctx.Err() == nil && !damaged(err) {
		return nil, nil // too many entries to list in the time there is
	}
	if err != nil {
		return nil, err
	}
	p.counts.put(a.ID, holds)
	return &holds, nil
}

// half returns a context that ends after half of the time ctx has left.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}
