package borg

import (
	"context"
	"path/filepath"

	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Insides that tests outside the package look at.
var (
	ParseList      = parseList
	ParseItems     = parseItems
	ParseIntegrity = parseIntegrity
	ParseVersion   = parseVersion
	SortArchives   = sortArchives
	Literal        = literal
	Exception      = exception
)

type (
	Archive = archive
	Item    = item
)

func (s Source) Validate() error { return s.validate() }

// Once looks once and does not ask borg for its version: the matrix of damage need
// not start it twice as often.
func Once(ctx context.Context, name string, r probe.Request) (probe.Observation, error) {
	var source Source
	var once func(context.Context, *look) (probe.Observation, error)
	switch name {
	case "borg.repository":
		s, err := probe.Decode[Source](r.Settings)
		if err != nil {
			return probe.Observation{}, err
		}
		p := &repositoryProbe{counts: counts{known: map[string]contents{}}}
		source, once = s, p.look
	case "borg.check":
		s, err := probe.Decode[checkSettings](r.Settings)
		if err != nil {
			return probe.Observation{}, err
		}
		source = s.Source
		once = func(ctx context.Context, l *look) (probe.Observation, error) { return l.checked(ctx, s.VerifyData) }
	default:
		s, err := probe.Decode[restoreSettings](r.Settings)
		if err != nil {
			return probe.Observation{}, err
		}
		place, err := s.Open(ctx, r, memory)
		if err != nil {
			return probe.Observation{}, err
		}
		source = s.Source
		once = func(ctx context.Context, l *look) (probe.Observation, error) {
			return test{look: l, settings: s, place: place}.run(ctx)
		}
	}
	repo, err := open(ctx, source, r)
	if err != nil {
		return probe.Observation{}, err
	}
	repo.version = "1.2.4"
	o, _, err := repo.look(ctx, once)
	return probe.Verdict(o, err)
}

// View makes a view and tells what borg would mend in silence, and what is lost.
func View(ctx context.Context, repository, scratch string) (mends []string, lost bool, err error) {
	v, err := newView(ctx, repository, filepath.Join(scratch, "view"))
	if err != nil {
		return nil, false, err
	}
	return v.mends, v.lost != nil, nil
}

// Judge returns the reason of the fault that standard error and an exit code name,
// or "unable" and the reason of that.
func Judge(stderr string, code int) string {
	h := &hearing{}
	_, _ = h.Write([]byte(stderr))
	h.end()
	l := &look{repository: &repository{Source: Source{Repository: "ssh://nowhere/repo"}}}
	err := l.judge(result{probe.Output{ExitCode: code}, h.said})
	if f, ok := err.(*probe.Fault); ok {
		return string(f.Reason)
	}
	return "unable " + string(probe.ReasonOf(err))
}
