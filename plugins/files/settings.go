package files

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

type settings struct {
	Directory string             `json:"directory" jsonschema:"where the archives lie; folders below it are not searched"`
	Pattern   string             `json:"pattern,omitempty" jsonschema:"which files are archives, as a shell matches names, like *.tar.gz; * by default"`
	Manifest  string             `json:"manifest,omitempty" jsonschema:"file of SHA-256 sums in the directory, as sha256sum writes it, like SHA256SUMS or {file}.sha256"`
	SizeRatio *float64           `json:"size_ratio,omitempty" jsonschema:"how small the newest may be against the median of those before it; 0.5 by default, 0 for any"`
	Settle    *holdfast.Duration `json:"settle,omitempty" jsonschema:"a file changed less than this ago is still being written; 10s by default"`
	NameTime  string             `json:"name_time,omitempty" jsonschema:"where the name says when the backup began, like %Y%m%dT%H%M%S (%Y %m %d %H %M %S) or %s"`
	NameZone  string             `json:"name_zone,omitempty" jsonschema:"time zone of name_time, like Europe/Berlin; UTC by default"`
	ListOnly  bool               `json:"list_only,omitempty" jsonschema:"look at names, times and sizes, and read nothing"`

	sizeRatio float64
	settle    time.Duration
	nameTime  *nameTime // nil: the time of the last change
}

// decode reads the settings and fills in what they leave open.
func decode(s holdfast.Settings) (settings, error) {
	v, err := probe.Decode[settings](s)
	if err != nil {
		return v, err
	}
	if !filepath.IsAbs(v.Directory) {
		return v, fmt.Errorf("setting \"directory\": %q is not an absolute path: write it like /srv/backup", v.Directory)
	}
	if v.Pattern == "" {
		v.Pattern = "*"
	}
	if _, err := filepath.Match(v.Pattern, ""); err != nil || strings.Contains(v.Pattern, "/") {
		return v, fmt.Errorf("setting \"pattern\": %q is not a pattern for a name: write it like *.tar.gz", v.Pattern)
	}
	if v.Manifest != "" && !filepath.IsLocal(v.Manifest) {
		return v, fmt.Errorf("setting \"manifest\": %q is not in the directory: name a file like SHA256SUMS or {file}.sha256", v.Manifest)
	}
	v.sizeRatio, v.settle = 0.5, 10*time.Second
	if v.SizeRatio != nil {
		v.sizeRatio = *v.SizeRatio
	}
	if v.Settle != nil {
		v.settle = v.Settle.Std()
	}
	if !(v.sizeRatio >= 0 && v.sizeRatio <= 1) {
		return v, fmt.Errorf("setting \"size_ratio\": %v is not between 0 and 1", v.sizeRatio)
	}
	if v.settle < 0 {
		return v, errors.New(`setting "settle": cannot be below 0`)
	}
	if v.NameTime != "" {
		if v.nameTime, err = parseNameTime(v.NameTime, v.NameZone); err != nil {
			return v, err
		}
	}
	return v, nil
}
