// Command tide is a plugin with one probe: whether a folder holds a young file.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

func main() { probe.Serve(newest{}) }

// newest looks for the newest file of a folder.
type newest struct{}

// settings are what a check says under with:. A key without omitempty is
// required; the jsonschema text explains it to people and editors.
type settings struct {
	Folder string         `json:"folder" jsonschema:"the folder to look in"`
	Size   holdfast.Bytes `json:"size,omitempty" jsonschema:"the least size of a file that counts, like 1MiB"`
}

func (newest) Describe() probe.Description {
	return probe.Description{
		Name:     "tide.newest", // PLUGIN.THING; the program's file must be named tide
		Observes: "The newest file of a folder, as a recovery point.",
		Settings: probe.Schema[settings](),
		Cost:     holdfast.Cheap,
		Reasons:  []holdfast.Reason{holdfast.Missing, holdfast.Empty},
		Target:   []string{"folder"}, // settings that name the thing observed: checks of one thing make one alert
		Paths:    []string{"folder"}, // settings that name data of the host: no restore test ever writes there
	}
}

func (newest) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[settings](r.Settings)
	if err != nil {
		return probe.Observation{}, err // could not tell
	}
	entries, err := os.ReadDir(s.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return probe.Observation{Outcome: holdfast.Failed, Reason: holdfast.Missing, Summary: s.Folder + " is not there"}, nil
	}
	if err != nil {
		return probe.Observation{}, probe.Unable("", "read %s: %w", s.Folder, err)
	}
	var point holdfast.RecoveryPoint
	for _, e := range entries {
		if ctx.Err() != nil {
			return probe.Observation{}, ctx.Err()
		}
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || holdfast.Bytes(info.Size()) < s.Size || info.ModTime().Before(point.Time) {
			continue
		}
		point = holdfast.RecoveryPoint{Time: info.ModTime(), ID: e.Name(), Bytes: holdfast.Bytes(info.Size()), Files: 1}
	}
	if point.Time.IsZero() {
		return probe.Observation{Outcome: holdfast.Failed, Reason: holdfast.Empty, Summary: s.Folder + " holds no file that counts"}, nil
	}
	return probe.Observation{
		Outcome:        holdfast.OK,
		Summary:        fmt.Sprintf("%s of %s", point.ID, point.Time.UTC().Format(time.RFC3339)),
		RecoveryPoints: []holdfast.RecoveryPoint{point},
	}, nil
}
