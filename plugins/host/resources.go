package host

import (
	"context"
	"fmt"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/load"
	"github.com/shirou/gopsutil/v3/mem"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// resources is the probe host.resources.
type resources struct{}

type resourcesSettings struct {
	CPU    percent `json:"cpu,omitempty" jsonschema:"highest share of all cores in use, over half a second, like 90%"`
	Memory percent `json:"memory,omitempty" jsonschema:"highest share of memory that is not available, like 90%"`
	Swap   percent `json:"swap,omitempty" jsonschema:"highest share of swap in use, like 50%"`
	Load   float64 `json:"load,omitempty" jsonschema:"highest 5-minute load average per core, like 1.5"`
}

// cpuSample is how long the cores are watched.
const cpuSample = 500 * time.Millisecond

func (resources) Describe() probe.Description {
	return probe.Description{
		Name:     "host.resources",
		Observes: "How busy the host is: processor, memory, swap and load, against what the path needs.",
		Settings: probe.Schema[resourcesSettings](),
		Cost:     holdfast.Cheap,
		Reasons:  []holdfast.Reason{holdfast.TooSmall, holdfast.Timeout},
	}
}

func (resources) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[resourcesSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	if s.Load < 0 {
		return probe.Observation{}, fmt.Errorf("setting \"load\": %v is below 0", s.Load)
	}
	u, err := readUse(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return probe.Observation{}, probe.Unable(holdfast.Timeout, "watch the processor: %w", ctx.Err())
		}
		return probe.Observation{}, err
	}
	return u.observation(s), nil
}

// use is how much of the host is in use, each 0–1; load is per core.
type use struct {
	cpu, memory, swap, load float64

	memoryAvailable, memoryTotal, swapTotal uint64
	cores                                   int
}

func readUse(ctx context.Context) (use, error) {
	busy, err := cpu.PercentWithContext(ctx, cpuSample, false)
	if err != nil {
		return use{}, fmt.Errorf("read processor use: %w", err)
	}
	if len(busy) == 0 {
		return use{}, fmt.Errorf("read processor use: /proc/stat names no processor")
	}
	memory, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return use{}, fmt.Errorf("read memory: %w", err)
	}
	average, err := load.AvgWithContext(ctx)
	if err != nil {
		return use{}, fmt.Errorf("read load: %w", err)
	}
	cores, err := cpu.CountsWithContext(ctx, true)
	if err != nil {
		return use{}, fmt.Errorf("count cores: %w", err)
	}
	return use{
		cpu:             busy[0] / 100,
		memory:          1 - ratio(float64(memory.Available), float64(memory.Total)),
		swap:            ratio(float64(memory.SwapTotal-memory.SwapFree), float64(memory.SwapTotal)),
		load:            ratio(average.Load5, float64(cores)),
		memoryAvailable: memory.Available,
		memoryTotal:     memory.Total,
		swapTotal:       memory.SwapTotal,
		cores:           cores,
	}, nil
}

func (u use) observation(limit resourcesSettings) probe.Observation {
	o := probe.OK("processor %.0f%%, memory %.0f%%, swap %.0f%%, load %.2f per core", u.cpu*100, u.memory*100, u.swap*100, u.load)
	o.Measures = []holdfast.Measure{
		{Name: "cpu_used_ratio", Value: u.cpu, Unit: "ratio"},
		{Name: "memory_used_ratio", Value: u.memory, Unit: "ratio"},
		{Name: "memory_available_bytes", Value: float64(u.memoryAvailable), Unit: "bytes"},
		{Name: "memory_total_bytes", Value: float64(u.memoryTotal), Unit: "bytes"},
		{Name: "swap_used_ratio", Value: u.swap, Unit: "ratio"},
		{Name: "swap_total_bytes", Value: float64(u.swapTotal), Unit: "bytes"},
		{Name: "load5_per_core", Value: u.load},
		{Name: "cores", Value: float64(u.cores)},
	}
	var lacks []string
	for _, l := range []struct {
		name  string
		is    float64
		limit percent
	}{{"processor", u.cpu, limit.CPU}, {"memory", u.memory, limit.Memory}, {"swap", u.swap, limit.Swap}} {
		if l.limit > 0 && l.is > float64(l.limit) {
			lacks = append(lacks, fmt.Sprintf("%s %v in use, over %v", l.name, percent(l.is), l.limit))
		}
	}
	if limit.Load > 0 && u.load > limit.Load {
		lacks = append(lacks, fmt.Sprintf("load %.2f per core, over %.2f", u.load, limit.Load))
	}
	return short(o, holdfast.OutcomeDegraded, lacks)
}
