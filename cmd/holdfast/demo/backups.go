package demo

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"
)

// backupEvery is how often each dataset is backed up.
const backupEvery = 20 * time.Second

// jobs run the organisation's backups, one after the other.
type jobs struct {
	estate *estate
	file   *os.File
	log    *slog.Logger

	mu      sync.Mutex      // held while a job runs
	stopped map[string]bool // by dataset; guarded by mu
}

func newJobs(e *estate, file string) (*jobs, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &jobs{estate: e, file: f, log: slog.New(slog.NewTextHandler(f, nil)), stopped: map[string]bool{}}, nil
}

// run backs up every dataset in turn until ctx ends.
func (j *jobs) run(ctx context.Context) {
	defer j.file.Close()
	next := time.NewTicker(backupEvery / time.Duration(len(j.estate.datasets)))
	defer next.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			j.turn(ctx, j.estate.datasets[i%len(j.estate.datasets)])
		}
	}
}

// turn lets the organisation work on a dataset and backs it up.
func (j *jobs) turn(ctx context.Context, d *dataset) {
	j.mu.Lock()
	defer j.mu.Unlock()
	began := time.Now()
	if err := d.work(); err != nil {
		j.log.Error("data not written", "dataset", d.name, "error", err)
	}
	if j.stopped[d.name] {
		return
	}
	switch err := d.backup(ctx); {
	case ctx.Err() != nil:
	case err != nil:
		j.log.Error("backup failed", "dataset", d.name, "error", err)
	default:
		j.log.Info("backed up", "dataset", d.name, "took", time.Since(began).Round(time.Millisecond))
	}
}

// stop stops the backup job of a dataset; the work on its data goes on.
func (j *jobs) stop(d *dataset) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stopped[d.name] = true
	j.log.Warn("the backup job is stopped", "dataset", d.name)
}

// resume lets the job run again. It catches up with four runs, since the gaps
// between the newest four points count.
func (j *jobs) resume(ctx context.Context, d *dataset) {
	j.mu.Lock()
	delete(j.stopped, d.name)
	j.mu.Unlock()
	apart := time.NewTicker(1100 * time.Millisecond) // archives are named by the second
	defer apart.Stop()
	for range 4 {
		j.turn(ctx, d)
		select {
		case <-ctx.Done():
			return
		case <-apart.C:
		}
	}
}
