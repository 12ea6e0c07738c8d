package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// mount is the probe host.mount.
type mount struct{ storage *storage }

type mountSettings struct {
	Path string `json:"path" jsonschema:"where a file system must be mounted"`
}

func (mount) Describe() probe.Description {
	return probe.Description{
		Name:     "host.mount",
		Observes: "Whether a file system is mounted at a path and answers.",
		Settings: probe.Schema[mountSettings](),
		Cost:     holdfast.Cheap,
		Target:   []string{"path"},
		Reasons:  storageReasons(),
	}
}

func (m mount) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[mountSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	if err := absolute(s.Path); err != nil {
		return probe.Observation{}, err
	}
	// Asked first, because that is what makes an automounter mount.
	u, err := m.storage.usage(ctx, s.Path)
	if err != nil {
		return storageFault(s.Path, err)
	}
	path, err := filepath.EvalSymlinks(s.Path)
	if err != nil {
		return storageFault(s.Path, err)
	}
	table, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return probe.Observation{}, fmt.Errorf("open mount table: %w", err)
	}
	defer table.Close()
	at, err := mountedAt(table, path)
	if err != nil {
		return probe.Observation{}, fmt.Errorf("read mount table: %w", err)
	}
	if at == nil || at.kind == "autofs" {
		return probe.Failed(holdfast.Missing, "nothing is mounted at %s", s.Path), nil
	}
	o := probe.OK("%s: %s is mounted", s.Path, at.kind)
	o.Measures = []holdfast.Measure{
		{Name: "free_bytes", Value: float64(u.Free), Unit: "bytes"},
		{Name: "total_bytes", Value: float64(u.Total), Unit: "bytes"},
	}
	o.Facts = map[string]string{"file_system": at.kind, "source": at.source, "read_only": strconv.FormatBool(at.readOnly)}
	return o, nil
}

// mounted is one line of the mount table.
type mounted struct {
	kind, source string
	readOnly     bool
}

// mountedAt finds what is mounted at path, the topmost of several, or nil. The
// table is in the form of /proc/self/mountinfo (proc_pid_mountinfo(5)).
func mountedAt(table io.Reader, path string) (*mounted, error) {
	var found *mounted
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		own, super, ok := strings.Cut(lines.Text(), " - ")
		before, after := strings.Fields(own), strings.Fields(super)
		if !ok || len(before) < 6 || len(after) < 3 {
			return nil, errors.New("a line has too few fields: " + strconv.Quote(lines.Text()))
		}
		if unescape(before[4]) != path {
			continue
		}
		found = &mounted{
			kind:     after[0],
			source:   unescape(after[1]),
			readOnly: hasOption(before[5], "ro") || hasOption(after[2], "ro"),
		}
	}
	return found, lines.Err()
}

func hasOption(options, want string) bool {
	return strings.Contains(","+options+",", ","+want+",")
}

// unescape undoes the mount table's octal escapes: \040 is a space.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
