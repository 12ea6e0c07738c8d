package host

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	psdisk "github.com/shirou/gopsutil/v3/disk"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// disk is the probe host.disk.
type disk struct{ storage *storage }

type diskSettings struct {
	Path   string `json:"path" jsonschema:"a path on the file system to look at"`
	Free   space  `json:"free,omitzero" jsonschema:"space the path needs free for the agent's user, like 200GiB or 10%"`
	Inodes count  `json:"inodes,omitzero" jsonschema:"inodes the path needs free, like 100000 or 5%; held true on file systems that do not count them"`
}

func (disk) Describe() probe.Description {
	return probe.Description{
		Name:     "host.disk",
		Observes: "Free space and inodes on the file system that holds a path, against what the path needs.",
		Settings: probe.Schema[diskSettings](),
		Cost:     holdfast.Cheap,
		Target:   []string{"path"},
		Reasons:  append(storageReasons(), holdfast.TooSmall),
	}
}

// storageReasons are those every probe of a file system can give.
func storageReasons() []holdfast.Reason {
	return []holdfast.Reason{holdfast.Missing, holdfast.Unreachable, holdfast.Timeout, holdfast.Refused}
}

func (d disk) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[diskSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	if err := absolute(s.Path); err != nil {
		return probe.Observation{}, err
	}
	u, err := d.storage.usage(ctx, s.Path)
	if err != nil {
		return storageFault(s.Path, err)
	}
	return s.observation(u), nil
}

func (s diskSettings) observation(u *psdisk.UsageStat) probe.Observation {
	total := float64(u.Total)
	o := probe.OK("%s: %v free of %v", s.Path, holdfast.Bytes(u.Free), holdfast.Bytes(u.Total))
	o.Measures = []holdfast.Measure{
		{Name: "free_bytes", Value: float64(u.Free), Unit: "bytes"},
		{Name: "total_bytes", Value: total, Unit: "bytes"},
		{Name: "free_ratio", Value: ratio(float64(u.Free), total), Unit: "ratio"},
	}
	o.Facts = map[string]string{"file_system": u.Fstype}
	if u.InodesTotal > 0 {
		o.Measures = append(o.Measures,
			holdfast.Measure{Name: "inodes_free", Value: float64(u.InodesFree)},
			holdfast.Measure{Name: "inodes_free_ratio", Value: ratio(float64(u.InodesFree), float64(u.InodesTotal)), Unit: "ratio"})
	}
	var lacks []string
	if need := s.Free.of(total); float64(u.Free) < need {
		lacks = append(lacks, fmt.Sprintf("%s: %v free, the path needs %v", s.Path, holdfast.Bytes(u.Free), holdfast.Bytes(need)))
	}
	if need := s.Inodes.of(float64(u.InodesTotal)); u.InodesTotal > 0 && float64(u.InodesFree) < need {
		lacks = append(lacks, fmt.Sprintf("%s: %d inodes free, the path needs %.0f", s.Path, u.InodesFree, need))
	}
	return short(o, holdfast.Failed, lacks)
}

// absolute refuses a path whose meaning depends on where the agent was started.
func absolute(path string) error {
	switch {
	case path == "":
		return errors.New("setting \"path\": empty: name an absolute path like /srv")
	case !filepath.IsAbs(path):
		return fmt.Errorf("setting \"path\": %q is relative: name an absolute path like /srv", path)
	}
	return nil
}
