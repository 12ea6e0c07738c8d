package borg

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

type checkProbe struct{}

// checkSettings are the settings of borg.check.
type checkSettings struct {
	Source
	VerifyData bool `json:"verify_data,omitempty" jsonschema:"open every chunk and check that it is what was backed up; without it only the segments' checksums and the archives' structure are checked, and no share of the data counts as verified"`
}

func (checkProbe) Describe() probe.Description {
	return probe.Description{
		Name:     "borg.check",
		Observes: "Whether a Borg repository is intact: the checksum of every segment, the structure of every archive, and with verify_data the content of every chunk. The repository lies on the agent's host or is mounted there.",
		Settings: probe.Schema[checkSettings](),
		Cost:     holdfast.Heavy,
		Privileges: holdfast.Privileges{Writes: true, Secrets: true, Tools: tools,
			Note: "reads the repository without a lock and writes nothing into it; writes a view of it into scratch"},
		Target:  []string{"repository"},
		Paths:   []string{"repository"},
		Reasons: reasons,
	}
}

func (checkProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	settings, err := probe.Decode[checkSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	if err := settings.validate(); err == nil && !settings.local() {
		return probe.Observation{}, errors.New(`setting "repository": borg check writes into a repository behind ssh and can make a backup fail: run the check with an agent on its host, or use borg.restore`)
	}
	repo, err := open(ctx, settings.Source, r)
	if err != nil {
		return probe.Observation{}, err
	}
	return repo.confirm(ctx, func(ctx context.Context, l *look) (probe.Observation, error) {
		return l.checked(ctx, settings.VerifyData)
	})
}

// What check says (-v) of each of its parts where it found nothing.
var (
	segmentsGood = regexp.MustCompile(`^Finished full repository check, no problems found`)
	chunksGood   = regexp.MustCompile(`verified [0-9]+ chunks with 0 integrity errors`)
	archivesGood = regexp.MustCompile(`^Archive consistency check complete, no problems found`)
)

func (l *look) checked(ctx context.Context, verify bool) (probe.Observation, error) {
	o, err := l.describe(ctx)
	if err != nil {
		return o, err
	}
	list, err := l.archives(ctx, &o)
	if err = cmp.Or(l.lost(), err); err != nil && !damaged(err) { // check counts what is damaged
		return o, err
	}
	o.Measures = []holdfast.Measure{{Name: "archives", Value: float64(len(list))}}
	args, demands := []string{"check", "-v", "--progress"}, []*regexp.Regexp{segmentsGood, archivesGood}
	if verify {
		args, demands = append(args, "--verify-data"), append(demands, chunksGood)
	}
	started := time.Now().UTC()
	res, err := l.call(ctx, append(args, "--", l.repo())...)
	if err == nil {
		err = l.lost()
	} else if !damaged(err) && res.ExitCode == 1 && res.problems() > 0 {
		_, text := res.reason()
		err = &probe.Fault{Reason: holdfast.Damaged, Text: probe.Clip(text, 250), Raw: res.raw()}
	}
	if damaged(err) {
		o.Verification = &holdfast.Verification{Time: started, Errors: max(1, res.problems())}
	}
	if err != nil {
		return o, err
	}
	for _, demand := range demands {
		if !res.says(demand) {
			return o, probe.Unable("", "borg check ended well without saying %q: %s", demand, probe.Clip(res.raw(), 200))
		}
	}
	o.Verification = &holdfast.Verification{Time: started, Errors: int64(len(l.view.mends))}
	o.Summary = "no errors in checksums and structure; no data was verified"
	if verify {
		o.Verification.Scope = 1
		o.Summary = "no errors: every chunk is what was backed up"
	}
	return l.reportMended(o), nil
}

func (r result) says(what *regexp.Regexp) bool {
	for _, m := range r.said {
		if what.MatchString(m.Text) {
			return true
		}
	}
	return false
}

// problems counts what check calls an error, without its own last words.
func (r result) problems() int64 {
	var n int64
	for _, m := range r.said {
		if m.bad() && !closing.MatchString(m.Text) {
			n++
		}
	}
	return n
}

var closing = regexp.MustCompile(`^(Finished|Archive consistency check complete|committed index:|rebuilt index:|Traceback)`)
