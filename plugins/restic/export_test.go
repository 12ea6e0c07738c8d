package restic

import (
	"errors"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Insides that tests outside the package look at.
var (
	ParseSnapshots = parseSnapshots
	ParseStats     = parseStats
	ParseLs        = parseLs
	ParseVersion   = parseVersion
	ParseEnv       = parseEnv
	MajorMinor     = majorMinor
	SubsetArgument = subsetArgument
)

type (
	Snapshot = snapshot
	Size     = size
	Node     = node
	Checked  struct {
		Clean bool
		Packs int64
	}
)

func Point(s Snapshot) holdfast.RecoveryPoint { return s.point() }

func ParseCheck(b []byte) Checked {
	c := parseCheck(b)
	return Checked{c.clean, c.packs}
}

// Judge returns the reason of the fault that standard error and an exit code name,
// or "unable" and the reason of that.
func Judge(stderr []byte, code int) string {
	r := &repository{Source: Source{Repository: "rest:http://nowhere/"}}
	err := r.judge(probe.Output{Stderr: stderr, ExitCode: code})
	var f *probe.Fault
	if errors.As(err, &f) {
		return string(f.Reason)
	}
	return "unable " + string(probe.ReasonOf(err))
}

func (s Source) Validate() error { return s.validate() }
