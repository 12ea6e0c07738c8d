package restic

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

const (
	// staleLock is the age from which restic itself calls a lock stale: its owner
	// renews it every five minutes.
	staleLock = 30 * time.Minute
	// locksRead bounds the calls spent on locks, one for each.
	locksRead = 16
)

// reportLocks makes o degraded where a lock stops backups (an exclusive one) or
// was left behind.
func (r *repository) reportLocks(ctx context.Context, o probe.Observation, now time.Time) (probe.Observation, error) {
	ids, err := r.lockIDs(ctx)
	if err != nil {
		return o, err
	}
	o.Measures = append(o.Measures, holdfast.Measure{Name: "locks", Value: float64(len(ids))})
	for _, id := range ids[:min(locksRead, len(ids))] {
		l, err := r.lock(ctx, id)
		switch {
		case errors.Is(err, errGone):
			continue
		case damaged(err):
			o.Outcome, o.Reason, o.Summary = holdfast.OutcomeDegraded, holdfast.Locked, "a lock cannot be read: "+probe.Clip(err.Error(), 200)
			return o, nil
		case err != nil:
			return o, err
		case l.Exclusive, now.Sub(l.Time) > staleLock:
			kind := "a lock was left behind"
			if l.Exclusive {
				kind = "an exclusive lock is held"
			}
			o.Outcome, o.Reason = holdfast.OutcomeDegraded, holdfast.Locked
			o.Summary = probe.Clip(fmt.Sprintf("%s by %s@%s, process %d, since %s", kind, l.Username, l.Hostname, l.PID, l.Time.UTC().Format(time.RFC3339)), 300)
			return o, nil
		}
	}
	return o, nil
}

// lockIDs lists the locks. In a local repository they are files named by their
// IDs, and restic's 0.4 s to open it are saved.
func (r *repository) lockIDs(ctx context.Context) ([]string, error) {
	if r.local() {
		found, err := os.ReadDir(filepath.Join(r.Repository, "locks"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, probe.Unable("", "list locks: %w", err)
		}
		var ids []string
		for _, f := range found {
			if isID(f.Name()) { // not the temporary name of one being written
				ids = append(ids, f.Name())
			}
		}
		return ids, nil
	}
	out, err := r.call(ctx, "list", "locks")
	if err != nil {
		return nil, err
	}
	ids, err := parseIDs(out.Stdout)
	if err != nil {
		return nil, probe.Unable("", "%w", err)
	}
	return ids, nil
}

// errGone is a lock that its owner removed meanwhile.
var errGone = errors.New("the lock is gone")

func (r *repository) lock(ctx context.Context, id string) (lock, error) {
	out, err := r.call(ctx, "cat", "lock", "--", id)
	if damaged(err) {
		if ids, again := r.lockIDs(ctx); again != nil {
			return lock{}, again
		} else if !slices.Contains(ids, id) {
			return lock{}, errGone
		}
	}
	if err != nil {
		return lock{}, err
	}
	l, err := parseLock(out.Stdout)
	if err != nil {
		return l, probe.Unable("", "%w", err)
	}
	return l, nil
}
