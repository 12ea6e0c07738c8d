package web

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const (
	timelineDays = 90
	maxStandings = 5000 // changes of standing that are looked at
	maxObserved  = 2000 // notable observations of one check
	dayOf        = "2006-01-02"
)

// Timeline is a service day by day, the oldest first. Days are of UTC.
type Timeline struct {
	Path string            `json:"path,omitempty" doc:"the recovery path whose exposure is told; empty: none restores a copy"`
	RPO  holdfast.Duration `json:"rpo,omitempty" doc:"of the scenario that path stands for"`
	Cut  bool              `json:"cut,omitempty" doc:"more changed than is looked at: the first days lack some of it"`
	Days []Day             `json:"days"`
}

// Day is what a service was like on one day: the worst of it, never a mean.
type Day struct {
	Day       string                    `json:"day" doc:"2026-06-20"`
	State     holdfast.State            `json:"state,omitempty" doc:"the worst; absent: not known"`
	Score     *int                      `json:"score" doc:"the lowest; null: not judged"`
	Scenarios map[string]holdfast.State `json:"scenarios" doc:"the worst in each"`
	Cause     string                    `json:"cause,omitempty" doc:"of the worst state"`
	Exposure  holdfast.Duration         `json:"exposure,omitempty" doc:"the most data that could have been lost at once; absent: not known"`
	Changes   int                       `json:"changes,omitempty" doc:"of its standing"`
	Tests     []DayTest                 `json:"tests" doc:"what was tested, in order"`

	from, until time.Time
}

// DayTest is a test that was made.
type DayTest struct {
	At      time.Time         `json:"at"`
	Path    string            `json:"path"`
	Dataset string            `json:"dataset,omitempty" doc:"where each dataset has a test of its own"`
	Rung    holdfast.Rung     `json:"rung"`
	Outcome holdfast.Outcome  `json:"outcome" enum:"ok,degraded,failed,unknown"`
	Took    holdfast.Duration `json:"took,omitempty"`
	Check   string            `json:"check,omitempty" doc:"whose observation it is; absent: a record's"`
}

// timeline reads so many days of a service, today the last.
func (s *server) timeline(ctx context.Context, p *holdfast.Posture, days int) (Timeline, error) {
	now, catalogue := s.c.Now(), s.c.Catalogue()
	today := now.UTC().Truncate(24 * time.Hour)
	t := Timeline{Days: make([]Day, days)}
	for i := range t.Days {
		from := today.AddDate(0, 0, i+1-days)
		t.Days[i] = Day{Day: from.Format(dayOf), Scenarios: map[string]holdfast.State{}, Tests: []DayTest{}, from: from, until: from.AddDate(0, 0, 1)}
	}
	t.Days[days-1].until = now
	if err := s.addStandings(ctx, &t, p.Name); err != nil {
		return t, err
	}
	if err := s.addExposure(ctx, &t, p, catalogue); err != nil {
		return t, err
	}
	tests, err := s.testsMade(ctx, p, catalogue, t.Days[0].from)
	for _, x := range tests {
		if d := t.day(x.At); d != nil {
			d.Tests = append(d.Tests, x)
		}
	}
	return t, err
}

// day returns the day of an instant, or nil.
func (t *Timeline) day(at time.Time) *Day {
	i := int(at.Sub(t.Days[0].from) / (24 * time.Hour))
	if at.Before(t.Days[0].from) || i >= len(t.Days) {
		return nil
	}
	return &t.Days[i]
}

// addStandings fills in how the service stood.
func (s *server) addStandings(ctx context.Context, t *Timeline, service string) error {
	until, n := t.Days[len(t.Days)-1].until, 0
	for was, err := range s.c.StandingsIn(ctx, service, t.Days[0].from, time.Time{}) {
		if err != nil {
			return err
		}
		if n++; n > maxStandings {
			t.Cut = true
			break
		}
		if d := t.day(was.At); d != nil {
			d.Changes++
		}
		for i := range t.Days {
			if d := &t.Days[i]; was.At.Before(d.until) && until.After(d.from) {
				d.was(&was)
			}
		}
		until = was.At
	}
	return nil
}

// was takes in that the service stood so for a part of the day.
func (d *Day) was(w *holdfast.PastStanding) {
	if d.State == "" || w.State.Rank() > d.State.Rank() {
		d.State, d.Cause = w.State, w.Cause
	}
	if w.Score != nil && (d.Score == nil || *w.Score < *d.Score) {
		score := *w.Score
		d.Score = &score
	}
	for name, state := range w.Scenarios {
		d.Scenarios[name] = d.Scenarios[name].Worse(state)
	}
}

// exposedPath is the path whose exposure is told: that of the worst scenario that
// restores a copy, with the RPO it is held against.
func exposedPath(p *holdfast.Posture) (path string, rpo holdfast.Duration) {
	for _, s := range ownScenarios(p) {
		if x := stand(p, s); s.Path != "" && x.data && !x.current {
			return s.Path, s.RPO.Limit
		}
	}
	return "", 0
}

// addExposure fills in how much could have been lost: of the copies the path
// restores from the one furthest behind.
func (s *server) addExposure(ctx context.Context, t *Timeline, p *holdfast.Posture, catalogue *holdfast.Catalogue) error {
	t.Path, t.RPO = exposedPath(p)
	service := catalogue.Service(p.Name)
	if service == nil || service.Path(t.Path) == nil {
		return nil
	}
	for _, ref := range service.Path(t.Path).From {
		check := p.Name + "/" + ref.String()
		if catalogue.Check(check) == nil {
			continue // the data itself
		}
		seen, err := s.observed(ctx, check, t.Days[0].from, time.Time{})
		if err != nil {
			return err
		}
		var newest time.Time
		for i := range p.Data {
			if c := p.Data[i].Copy(ref.Copy); c != nil && p.Data[i].Dataset == ref.Dataset {
				newest = c.Point
			}
		}
		t.expose(seen, newest)
	}
	return nil
}

// observed reads the notable observations of a check, newest first.
func (s *server) observed(ctx context.Context, check string, from, until time.Time) (list []holdfast.Observation, err error) {
	for o, err := range s.c.ObservedIn(ctx, check, from, until) {
		if err != nil {
			return nil, fmt.Errorf("read history: %w", err)
		}
		if list = append(list, o); len(list) == maxObserved {
			break
		}
	}
	return list, nil
}

// expose takes in one copy: what was notable of it, newest first, and its newest
// point. A day's exposure is the longest gap that a new point ended on it, or what
// had grown by its end.
func (t *Timeline) expose(seen []holdfast.Observation, newest time.Time) {
	last := newest // the newest point there was before what comes later
	for i := len(t.Days) - 1; i >= 0; i-- {
		d := &t.Days[i]
		if !last.IsZero() && last.Before(d.until) {
			d.exposed(d.until.Sub(last))
		}
		for len(seen) > 0 && !seen[0].Received.Before(d.from) {
			o := seen[0]
			seen = seen[1:]
			if o.Replication != nil && o.Replication.PrimarySeen {
				d.exposed(o.Replication.Lag.Std())
				last = time.Time{} // it moves by itself: what stood in between is not known
			}
			if len(o.RecoveryPoints) == 0 {
				continue
			}
			point, before := o.RecoveryPoints[0].Time, time.Time{}
			if len(o.RecoveryPoints) > 1 {
				before = o.RecoveryPoints[1].Time
			}
			if len(seen) > 0 && len(seen[0].RecoveryPoints) > 0 && !seen[0].RecoveryPoints[0].Time.Before(point) {
				d.exposed(o.Received.Sub(point)) // no new point: something else was notable
				last = point
				continue
			}
			if !before.IsZero() {
				d.exposed(o.Received.Sub(before))
			}
			last = before
		}
	}
}

func (d *Day) exposed(by time.Duration) { d.Exposure = max(d.Exposure, holdfast.Duration(by)) }

// testsMade lists the tests of a service's paths since an instant, oldest first.
func (s *server) testsMade(ctx context.Context, p *holdfast.Posture, catalogue *holdfast.Catalogue, since time.Time) ([]DayTest, error) {
	var list []DayTest
	if service := catalogue.Service(p.Name); service != nil {
		for i := range service.Paths {
			for k := range service.Paths[i].Tests {
				test := &service.Paths[i].Tests[k]
				made, err := s.testsOf(ctx, service.Paths[i].Name, test, since)
				if err != nil {
					return nil, err
				}
				list = append(list, made...)
			}
		}
	}
	records, err := s.c.Records(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	for i := range records {
		if r := &records[i]; (r.Kind == holdfast.Exercise || r.Kind == holdfast.Invocation) && !r.Started.Before(since) {
			list = append(list, DayTest{At: r.Started, Path: r.Path, Rung: holdfast.Exercised, Outcome: r.Outcome, Took: r.Duration})
		}
	}
	slices.SortStableFunc(list, func(a, b DayTest) int { return a.At.Compare(b.At) })
	return list, nil
}

// testsOf lists what one test check saw, the latest included.
func (s *server) testsOf(ctx context.Context, path string, test *holdfast.Test, since time.Time) (list []DayTest, err error) {
	seen, err := s.observed(ctx, test.Check.ID, since, time.Time{})
	if err != nil {
		return nil, err
	}
	if o, ok := s.c.Observation(test.Check.ID); ok {
		seen = append([]holdfast.Observation{o}, seen...)
	}
	known := map[time.Time]bool{}
	for i := range seen {
		o := &seen[i]
		x := DayTest{At: o.At, Path: path, Dataset: test.Dataset, Rung: test.Rung, Outcome: o.Outcome, Check: test.Check.ID}
		switch {
		case o.Restoration != nil:
			x.At, x.Took = o.Restoration.Started, o.Restoration.Duration
		case o.Verification != nil:
			x.At = o.Verification.Time
		}
		if !known[x.At] && !x.At.Before(since) {
			known[x.At] = true
			list = append(list, x)
		}
	}
	return list, nil
}

// readout says a day in one line.
func (d *Day) readout(t *Timeline) string {
	var b strings.Builder
	b.WriteString(d.from.Format("Mon 2 Jan") + ". ")
	switch {
	case d.State == "":
		b.WriteString("Nothing is known")
	case d.Score == nil:
		b.WriteString(stateWord(d.State))
	case d.Changes > 0:
		fmt.Fprintf(&b, "At worst %s, score %d", d.State, *d.Score)
	default:
		fmt.Fprintf(&b, "%s, score %d", stateWord(d.State), *d.Score)
	}
	b.WriteString(".")
	if d.Exposure > 0 {
		b.WriteString(" Up to " + spoken(d.Exposure.Std()) + " of data at risk")
		if t.RPO > 0 && d.Exposure > t.RPO {
			b.WriteString(", RPO " + spoken(t.RPO.Std()))
		}
		b.WriteString(".")
	}
	said := map[string]int{}
	for i := range d.Tests {
		said[d.Tests[i].say()]++
	}
	for i := range d.Tests {
		text := d.Tests[i].say()
		if n := said[text]; n > 1 {
			fmt.Fprintf(&b, " %s, %d×.", strings.TrimSuffix(text, "."), n)
		} else if n == 1 {
			b.WriteString(" " + text)
		}
		delete(said, text)
	}
	return b.String()
}

// say tells of a test: "Restored ledger by restore-in-ams in 6 min: passed."
func (x *DayTest) say() string {
	what := map[holdfast.Rung]string{holdfast.Intact: "Verified", holdfast.Restored: "Restored", holdfast.Exercised: "Exercised"}[x.Rung]
	text := what
	if x.Dataset != "" {
		text += " " + clip(x.Dataset)
	}
	if x.Rung != holdfast.Exercised {
		text += " by"
	}
	text += " " + clip(x.Path)
	if x.Took > 0 {
		text += " in " + spoken(x.Took.Std())
	}
	return text + ": " + outcomeWord(x.Outcome) + "."
}

// outcomeWord is how an outcome of a test is said.
func outcomeWord(o holdfast.Outcome) string {
	switch o {
	case holdfast.OK:
		return "passed"
	case holdfast.OutcomeDegraded:
		return "passed, degraded"
	case holdfast.Failed:
		return "failed"
	}
	return "could not tell"
}
