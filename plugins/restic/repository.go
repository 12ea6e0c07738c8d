package restic

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

const (
	// candidates is how many of the newest snapshots are tried to find four that
	// can be used.
	candidates = 8
	newest     = 4
)

type repositoryProbe struct {
	sizes sizes
}

func (p *repositoryProbe) Describe() probe.Description {
	return probe.Description{
		Name:     "restic.repository",
		Observes: "Which recovery points a restic repository holds: a snapshot counts when its root folder can be listed through the index. Reads no data and claims no verification.",
		Settings: probe.Schema[Source](),
		Cost:     holdfast.IO,
		Privileges: holdfast.Privileges{Secrets: true, Tools: tools,
			Note: "reads the repository; takes no lock and writes nothing"},
		Target:  []string{"repository"},
		Secret:  []string{"password_file"},
		Paths:   []string{"repository", "path"},
		Reasons: append([]holdfast.Reason{holdfast.Locked}, reasons...),
	}
}

// reasons are those every probe here can give.
var reasons = []holdfast.Reason{holdfast.Empty, holdfast.NoMatch, holdfast.Damaged, holdfast.Credential, holdfast.CredentialUnreadable,
	holdfast.Missing, holdfast.Unreachable, holdfast.Timeout, holdfast.ToolMissing, holdfast.Refused, holdfast.TooSmall}

func (p *repositoryProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	source, err := probe.Decode[Source](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	repo, err := open(source, r)
	if err != nil {
		return probe.Observation{}, err
	}
	return probe.Confirm(ctx, func(ctx context.Context) (probe.Observation, error) { return p.look(ctx, repo) })
}

func (p *repositoryProbe) look(ctx context.Context, r *repository) (probe.Observation, error) {
	o, err := r.describe(ctx)
	if err != nil {
		return o, err
	}
	list, broken := r.snapshots(ctx)
	if !damaged(broken) && broken != nil {
		return o, broken
	}
	usable, newestSize, err := p.usable(ctx, r, list)
	if err != nil && !damaged(err) {
		return o, err
	}
	broken = cmp.Or(broken, err)
	if id := r.identity(); id != "" {
		o.Fingerprint[holdfast.PartRepository] = id
	}
	o.RecoveryPoints = points(usable, list)
	o.Measures = []holdfast.Measure{{Name: "snapshots", Value: float64(len(list))}}
	if newestSize != nil && len(o.RecoveryPoints) > 0 {
		o.RecoveryPoints[0].Bytes = holdfast.Bytes(max(0, newestSize.Bytes))
		if o.RecoveryPoints[0].Files == 0 { // the backup did not say: folders and links are among them then
			o.RecoveryPoints[0].Files = max(0, newestSize.Entries)
		}
		o.Measures = append(o.Measures,
			holdfast.Measure{Name: "newest_size", Value: float64(newestSize.Bytes), Unit: "bytes"},
			holdfast.Measure{Name: "newest_entries", Value: float64(newestSize.Entries)})
	}
	if broken != nil {
		return o, broken
	}
	o.Summary = fmt.Sprintf("newest recovery point %s; snapshots kept: %d", list[0].at().Format(time.RFC3339), len(list))
	return r.reportLocks(ctx, o, time.Now())
}

func damaged(err error) bool { return probe.IsFault(err, holdfast.Damaged) }

// points picks the newest four usable snapshots, and the oldest kept where that
// is usable.
func points(usable map[string]bool, list []snapshot) []holdfast.RecoveryPoint {
	var picked []holdfast.RecoveryPoint
	for i, s := range list {
		if usable[s.ID] && (len(picked) < newest || i == len(list)-1) {
			picked = append(picked, s.point())
		}
	}
	return picked
}

// usable tells which of the newest snapshots and the oldest can be listed, and
// the newest one's size where it was read. The fault says what is damaged; the
// others are usable in spite of it.
func (p *repositoryProbe) usable(ctx context.Context, r *repository, list []snapshot) (map[string]bool, *size, error) {
	if len(list) == 0 {
		return nil, nil, nil
	}
	tried := slices.Clone(list[:min(candidates, len(list))])
	if len(list) > candidates {
		tried = append(tried, list[len(list)-1])
	}
	good, broken := r.listable(ctx, tried)
	if broken != nil && !damaged(broken) || len(good) == 0 {
		return nil, nil, broken
	}
	var read *size
	for _, s := range tried { // the newest that is good so far
		if !good[s.ID] {
			continue
		}
		n, err := p.readTrees(ctx, r, s)
		switch {
		case err == nil:
			read = n
		case damaged(err):
			delete(good, s.ID)
			broken = cmp.Or(broken, err)
		default:
			return nil, nil, err
		}
		break
	}
	return good, read, broken
}

// listable reads the root trees of the snapshots through the index. One call
// does for all as long as nothing is wrong: find loads every root and looks no
// deeper, as a name that is not there cannot be further down. It answers "[]";
// anything else makes every snapshot be tried alone.
func (r *repository) listable(ctx context.Context, tried []snapshot) (map[string]bool, error) {
	args := []string{"find", "--json"}
	for _, s := range tried {
		args = append(args, "--snapshot="+s.ID)
	}
	out, err := r.call(ctx, append(args, "--", "/holdfast:looks-for-no-file")...)
	good := map[string]bool{}
	switch {
	case err == nil && string(bytes.TrimSpace(out.Stdout)) == "[]" && len(bytes.TrimSpace(out.Stderr)) == 0:
		for _, s := range tried {
			good[s.ID] = true
		}
		return good, nil
	case out.ExitCode > 0: // not even the index could be read
		return nil, err
	case err != nil && !damaged(err):
		return nil, err
	}
	var broken error
	for _, s := range tried {
		err := r.rootTree(ctx, s)
		switch {
		case err == nil:
			good[s.ID] = true
		case !damaged(err):
			return nil, err
		case broken == nil:
			broken = err
		}
	}
	return good, broken
}

// rootTree reads one snapshot's root tree through the index.
func (r *repository) rootTree(ctx context.Context, s snapshot) error {
	out, err := r.call(ctx, "cat", "blob", "--", s.Tree)
	var f *probe.Fault
	switch {
	case errors.As(err, &f):
		return &probe.Fault{Reason: f.Reason, Text: fmt.Sprintf("snapshot %s of %s cannot be listed: %s", s.short(), s.at().Format(time.RFC3339), f.Text), Raw: f.Raw}
	case err != nil:
		return err
	case len(out.Stdout) == 0:
		return probe.Faulty(holdfast.Damaged, "snapshot %s cannot be listed: its root tree is empty", s.short())
	}
	return nil
}

// sizes remembers the sizes of snapshots, which never change.
type sizes struct {
	mu    sync.Mutex
	known map[string]size // by snapshot ID; guarded by mu
}

func (c *sizes) get(id string) (size, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.known[id]
	return s, ok
}

func (c *sizes) put(id string, s size) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= 256 {
		clear(c.known)
	}
	c.known[id] = s
}

// readTrees reads all trees of the newest snapshot, which gives its restored
// size and shows damage below the root. Over a network, where each folder costs
// a request, it is done only where the size is not known otherwise; the root tree
// is read in its place. It takes at most half of the time left.
func (p *repositoryProbe) readTrees(ctx context.Context, r *repository, s snapshot) (*size, error) {
	if !r.local() {
		if n, ok := p.sizes.get(s.ID); ok {
			return &n, r.rootTree(ctx, s)
		}
		if s.Summary != nil && s.Summary.Bytes > 0 {
			return nil, r.rootTree(ctx, s)
		}
	}
	within, stop := half(ctx)
	defer stop()
	n, err := r.stats(within, s)
	if err != nil && within.Err() != nil && ctx.Err() == nil && !damaged(err) {
		return nil, r.rootTree(ctx, s) // too large to walk in the time there is
	}
	if err != nil {
		return nil, err
	}
	p.sizes.put(s.ID, n)
	return &n, nil
}

// half returns a context that ends after half of the time ctx has left.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}

// stats walks one snapshot and returns its size.
func (r *repository) stats(ctx context.Context, s snapshot) (size, error) {
	out, err := r.call(ctx, "stats", "--json", "--", s.ID)
	if err != nil {
		return size{}, err
	}
	n, err := parseStats(out.Stdout)
	if err != nil {
		return size{}, probe.Unable("", "%w", err)
	}
	if n.Snapshots != 1 {
		return size{}, probe.Faulty(holdfast.Damaged, "snapshot %s was listed and cannot be read: %s", s.short(), headline(said(out.Stderr)))
	}
	return n, nil
}
