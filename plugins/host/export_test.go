package host

import (
	"context"
	"io/fs"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// ClockObservation judges a kernel clock no test may bring about: the machine has
// one clock for everybody.
func ClockObservation(limit holdfast.Duration, t unix.Timex) probe.Observation {
	return clockSettings{Offset: limit}.observation(t)
}

// Packages names the package set below a root.
func Packages(ctx context.Context, root fs.FS) (string, error) {
	p, err := readPackages(ctx, root)
	return p.String(), err
}

// OSName names the system below a root.
var OSName = osName
