package agent

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

// How long an agent that starts looks for what the restore tests of an earlier one
// left: its processes die with it, and may take a moment.
const (
	sweepFor   = time.Minute
	sweepEvery = time.Second
)

// sweep removes what restore tests left in the scratch folders that checks name, where
// their owner was killed. (The agent's own scratch is emptied before.)
func (a *Agent) sweep(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, sweepFor)
	defer cancel()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var held probe.Held[bool] // a folder may lie on a file system that does not answer
	faults := map[string]error{}
	for folders := a.scratchFolders(); ; {
		folders = slices.DeleteFunc(folders, func(dir string) bool {
			empty, err := held.Do(ctx, dir, func() (bool, error) { return scratch.Sweep(dir) })
			if faults[dir] == nil || ctx.Err() == nil {
				faults[dir] = err
			}
			return empty
		})
		if len(folders) == 0 {
			return
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
			continue
		}
		break
	}
	for dir, err := range faults {
		if err != nil {
			a.log.Warn("what a killed restore test left stays until the next one", "scratch", dir, "error", err)
		}
	}
}

// scratchFolders lists the folders that checks restore into by their own settings, as
// far as this host allows those checks.
func (a *Agent) scratchFolders() []string {
	var folders []string
	for _, c := range a.checks() {
		d := a.looker.known(c.Probe)
		var with struct {
			Scratch string `json:"scratch"` // scratch.Options
		}
		if d.Privileges.Writes && a.looker.policy.Permit(c, d) == nil && json.Unmarshal([]byte(c.With), &with) == nil && filepath.IsAbs(with.Scratch) {
			folders = append(folders, with.Scratch)
		}
	}
	slices.Sort(folders)
	return slices.Compact(folders)
}
