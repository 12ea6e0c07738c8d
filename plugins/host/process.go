package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	psprocess "github.com/shirou/gopsutil/v3/process"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// process is the probe host.process.
type process struct{}

type processSettings struct {
	Name  string `json:"name" jsonschema:"name of the program, as ps -C and pgrep -x know it"`
	Count int    `json:"count,omitempty" jsonschema:"how many must run at least; 1 by default"`
}

func (process) Describe() probe.Description {
	return probe.Description{
		Name:     "host.process",
		Observes: "Whether enough processes of a name run; ended ones that nobody has collected do not count.",
		Settings: probe.Schema[processSettings](),
		Cost:     holdfast.Cheap,
		Target:   []string{"name"},
		Reasons:  []holdfast.Reason{holdfast.Missing, holdfast.TooSmall, holdfast.Refused, holdfast.Timeout},
	}
}

func (process) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[processSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	if s.Name == "" || s.Count < 0 {
		return probe.Observation{}, errors.New("settings: name must be given, and count cannot be below 0")
	}
	found, err := running(ctx, s.Name)
	if err != nil {
		return probe.Observation{}, err
	}
	return s.observation(found), nil
}

// group is the processes of one name.
type group struct {
	count  int
	memory uint64    // resident, bytes; shared pages count in each process
	oldest time.Time // start of the oldest
}

// running counts the living processes of a name. One that ends while it is
// looked at does not run.
func running(ctx context.Context, name string) (group, error) {
	all, err := psprocess.ProcessesWithContext(ctx)
	if err != nil {
		return group{}, fmt.Errorf("list processes: %w", err)
	}
	if !slices.ContainsFunc(all, func(p *psprocess.Process) bool { return p.Pid == 1 }) {
		return group{}, probe.Unable(holdfast.Refused, "list processes: /proc shows only our own (hidepid): add the agent's user to the group that may see all")
	}
	var g group
	for _, p := range all {
		if ctx.Err() != nil {
			return group{}, probe.Unable(holdfast.Timeout, "list processes: %w", ctx.Err())
		}
		if is, err := p.NameWithContext(ctx); err != nil || is != name {
			continue
		}
		status, err := p.StatusWithContext(ctx)
		if err != nil || slices.Contains(status, psprocess.Zombie) {
			continue
		}
		g.count++
		if m, err := p.MemoryInfoWithContext(ctx); err == nil {
			g.memory += m.RSS
		}
		if ms, err := p.CreateTimeWithContext(ctx); err == nil {
			if start := time.UnixMilli(ms); g.oldest.IsZero() || start.Before(g.oldest) {
				g.oldest = start
			}
		}
	}
	return g, nil
}

func (s processSettings) observation(g group) probe.Observation {
	need := max(s.Count, 1)
	o := probe.OK("%d of %q running", g.count, s.Name)
	switch {
	case g.count == 0:
		o = probe.Failed(holdfast.Missing, "no %q is running", s.Name)
	case g.count < need:
		o = probe.Failed(holdfast.TooSmall, "%d of %q running, the path needs %d", g.count, s.Name, need)
	}
	o.Measures = []holdfast.Measure{
		{Name: "processes", Value: float64(g.count)},
		{Name: "resident_bytes", Value: float64(g.memory), Unit: "bytes"},
	}
	if !g.oldest.IsZero() {
		o.Facts = map[string]string{"oldest_started": g.oldest.UTC().Format(time.RFC3339)}
	}
	return o
}
