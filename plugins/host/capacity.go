package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/mem"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// capacity is the probe host.capacity.
type capacity struct{ storage *storage }

type capacitySettings struct {
	Path   string         `json:"path" jsonschema:"where the service's data would be restored"`
	Free   holdfast.Bytes `json:"free,omitempty" jsonschema:"space the path needs there, like 200GiB"`
	Memory holdfast.Bytes `json:"memory,omitempty" jsonschema:"memory the service needs available, like 16GiB"`
	Cores  int            `json:"cores,omitempty" jsonschema:"processor cores the service needs the host to have"`
}

func (capacity) Describe() probe.Description {
	return probe.Description{
		Name:     "host.capacity",
		Observes: "Whether this host could take a service over: space at a path, available memory, cores.",
		Settings: probe.Schema[capacitySettings](),
		Cost:     holdfast.Cheap,
		Target:   []string{"path"},
		Reasons:  append(storageReasons(), holdfast.TooSmall),
	}
}

func (c capacity) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[capacitySettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	if err := absolute(s.Path); err != nil {
		return probe.Observation{}, err
	}
	if s.Free < 0 || s.Memory < 0 || s.Cores < 0 {
		return probe.Observation{}, errors.New("settings: free, memory and cores cannot be below 0")
	}
	memory, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return probe.Observation{}, fmt.Errorf("read memory: %w", err)
	}
	cores, err := cpu.CountsWithContext(ctx, true)
	if err != nil {
		return probe.Observation{}, fmt.Errorf("count cores: %w", err)
	}
	u, err := c.storage.usage(ctx, s.Path)
	if err != nil {
		return storageFault(s.Path, err)
	}
	return s.observation(holdfast.Bytes(u.Free), holdfast.Bytes(memory.Available), cores), nil
}

func (s capacitySettings) observation(free, memory holdfast.Bytes, cores int) probe.Observation {
	o := probe.OK("%v free at %s, %v of memory, %d cores", free, s.Path, memory, cores)
	o.Capacity = &holdfast.Capacity{Needed: s.Free, Free: free}
	o.Measures = []holdfast.Measure{
		{Name: "free_bytes", Value: float64(free), Unit: "bytes"},
		{Name: "memory_available_bytes", Value: float64(memory), Unit: "bytes"},
		{Name: "cores", Value: float64(cores)},
	}
	var lacks []string
	if free < s.Free {
		lacks = append(lacks, fmt.Sprintf("%v free at %s, the path needs %v", free, s.Path, s.Free))
	}
	if memory < s.Memory {
		lacks = append(lacks, fmt.Sprintf("%v of memory available, the path needs %v", memory, s.Memory))
	}
	if cores < s.Cores {
		lacks = append(lacks, fmt.Sprintf("%d cores, the path needs %d", cores, s.Cores))
	}
	return short(o, holdfast.Failed, lacks)
}
