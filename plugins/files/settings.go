package files

import (
	"fmt"
	"path/filepath"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/folder"
)

type settings struct {
	folder.Settings
	Manifest  string   `json:"manifest,omitempty" jsonschema:"file of SHA-256 sums in the directory, as sha256sum writes it, like SHA256SUMS or {file}.sha256"`
	SizeRatio *float64 `json:"size_ratio,omitempty" jsonschema:"how small the newest may be against the median of those before it; 0.5 by default, 0 for any"`
	ListOnly  bool     `json:"list_only,omitempty" jsonschema:"look at names, times and sizes, and read nothing"`

	sizeRatio float64
}

// decode reads the settings and fills in what they leave open.
func decode(s holdfast.Settings) (settings, error) {
	v, err := probe.Decode[settings](s)
	if err != nil {
		return v, err
	}
	if err := v.Complete(); err != nil {
		return v, err
	}
	if v.Manifest != "" && !filepath.IsLocal(v.Manifest) {
		return v, fmt.Errorf("setting \"manifest\": %q is not in the directory: name a file like SHA256SUMS or {file}.sha256", v.Manifest)
	}
	v.sizeRatio = 0.5
	if v.SizeRatio != nil {
		v.sizeRatio = *v.SizeRatio
	}
	if !(v.sizeRatio >= 0 && v.sizeRatio <= 1) {
		return v, fmt.Errorf("setting \"size_ratio\": %v is not between 0 and 1", v.sizeRatio)
	}
	return v, nil
}
