package files

import (
	"context"
	"errors"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/sums"
)

// archives is the probe files.archive.
type archives struct{ held probe.Held[struct{}] }

// Describe says what the probe is. It is of class io although it reads whole
// archives: heavy checks wait for each other, and how fresh a copy is must not
// wait for an hour of reading elsewhere. A large archive needs a longer timeout.
func (*archives) Describe() probe.Description {
	return probe.Description{
		Name:     "files.archive",
		Observes: "The newest archive in a directory: its age and size, its SHA-256, and that it can be read to its end.",
		Settings: probe.Schema[settings](),
		Cost:     holdfast.IO,
		Target:   []string{"directory"},
		Paths:    []string{"directory"},
		Reasons: []holdfast.Reason{holdfast.Empty, holdfast.NoMatch, holdfast.Damaged, holdfast.Missing, holdfast.Unreachable,
			holdfast.TooSmall, holdfast.Assertion, holdfast.Timeout, holdfast.Refused},
	}
}

func (p *archives) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := decode(r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	root, err := s.Open(ctx, &p.held)
	if err != nil {
		return s.verdict(ctx, err)
	}
	defer root.Close()
	o, err := s.look(ctx, root)
	if err != nil {
		return s.verdict(ctx, err)
	}
	return o, nil
}

// verdict says what an error means: the copy is broken, which is an observation, or
// nobody can tell, which is an error.
func (s settings) verdict(ctx context.Context, err error) (probe.Observation, error) {
	if errors.Is(err, sums.ErrManifest) {
		return probe.Failed(holdfast.Damaged, "%v", err), nil
	}
	return probe.Verdict(probe.Observation{}, s.Fault(ctx, err))
}
