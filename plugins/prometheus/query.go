package prometheus

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// factsMax is how many series are told one by one.
const factsMax = 50

type query struct{}

func (query) Describe() probe.Description {
	return probe.Description{
		Name:       "prometheus.query",
		Observes:   "What a PromQL instant query gives: a number held against what the path needs, or the time of the newest recovery point.",
		Settings:   probe.Schema[settings](),
		Cost:       holdfast.Cheap,
		Privileges: holdfast.Privileges{Secrets: true, Note: "reads token_file and sends it to url; writes nothing"},
		Target:     []string{"url", "query"},
		Reasons: []holdfast.Reason{holdfast.Assertion, holdfast.Empty, holdfast.Credential, holdfast.CredentialUnreadable,
			holdfast.Unreachable, holdfast.Timeout},
	}
}

func (query) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := decode(r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	answer, content, err := s.ask(ctx)
	if err != nil {
		return probe.Observation{}, err
	}
	got, err := s.read(answer, content)
	if err != nil {
		return probe.Observation{}, err
	}
	o, err := s.judge(got, time.Now())
	if err != nil {
		return probe.Observation{}, err
	}
	got.report(&o, s.Unit)
	return o, nil
}

// judge holds a result against the settings.
func (s settings) judge(r result, now time.Time) (probe.Observation, error) {
	warned := probe.OneLine(strings.Join(r.warnings, "; "))
	switch {
	case len(r.series) == 0 && len(r.warnings) > 0:
		return probe.Observation{}, probe.Unable("", "the query gives nothing, and a warning, so part of the data may be missing: %s", warned)
	case len(r.series) == 0 && s.Absent == "ok":
		return probe.OK("the query gives nothing, as it should"), nil
	case len(r.series) == 0:
		return probe.Failed(holdfast.Empty, "the query gives nothing: no series matches, or its target no longer answers"), nil
	case math.IsNaN(r.series[0].value):
		return probe.Observation{}, probe.Unable("", "the query gives NaN, which is no number%s", of(r.series[0]))
	case s.RecoveryPoint:
		return recoveryPoint(r.series[0], now)
	}
	low, high := r.series[0], r.series[len(r.series)-1]
	switch {
	case s.AtLeast != nil && low.value < *s.AtLeast:
		return probe.Failed(holdfast.Assertion, "%s%s: the path needs at least %s", s.amount(low.value), of(low), s.amount(*s.AtLeast)), nil
	case s.AtMost != nil && high.value > *s.AtMost:
		return probe.Failed(holdfast.Assertion, "%s%s: the path bears at most %s", s.amount(high.value), of(high), s.amount(*s.AtMost)), nil
	case len(r.series) == 1:
		return probe.OK("%s%s", s.amount(low.value), of(low)), nil
	}
	return probe.OK("%d series from %s to %s", len(r.series), s.amount(low.value), s.amount(high.value)), nil
}

// skew is how far a clock may be ahead before a time in the future is called wrong.
const skew = 5 * time.Minute

// recoveryPoint makes a value a point. Of several series it gets the least: what
// is common to all of them is as old as the oldest.
func recoveryPoint(v series, now time.Time) (probe.Observation, error) {
	if v.value <= 0 {
		return probe.Failed(holdfast.Empty, "there is no recovery point yet: the time is %s%s", number(v.value), of(v)), nil
	}
	limit := float64(now.Add(skew).Unix())
	switch {
	case v.value > 500*limit:
		return probe.Observation{}, probe.Unable("", "%s%s is no Unix time in seconds: divide milliseconds by 1000 in the query", number(v.value), of(v))
	case v.value > limit:
		return probe.Observation{}, probe.Unable("", "the recovery point lies in the future%s: %s", of(v), instant(v.value).Format(time.RFC3339))
	}
	at := instant(v.value)
	o := probe.OK("newest recovery point %s%s", at.Format(time.RFC3339), of(v))
	o.RecoveryPoints = []holdfast.RecoveryPoint{{Time: at}}
	return o, nil
}

// instant is a Unix time, to the millisecond.
func instant(seconds float64) time.Time {
	return time.UnixMilli(int64(math.Floor(seconds * 1000))).UTC()
}

// report adds the numbers as measures and facts.
func (r result) report(o *probe.Observation, unit string) {
	o.Measures = []holdfast.Measure{{Name: "series", Value: float64(len(r.series))}}
	o.Facts = map[string]string{}
	if len(r.warnings) > 0 {
		o.Facts["warnings"] = probe.OneLine(strings.Join(r.warnings, "; "))
	}
	if len(r.series) == 0 {
		return
	}
	unit = probe.Clip(probe.OneLine(unit), holdfast.MaxName)
	names, ends := []string{"value"}, r.series[:1]
	if len(r.series) > 1 {
		names, ends = []string{"lowest", "highest"}, []series{r.series[0], r.series[len(r.series)-1]}
	}
	for i, v := range ends {
		if !math.IsInf(v.value, 0) {
			o.Measures = append(o.Measures, holdfast.Measure{Name: names[i], Value: v.value, Unit: unit})
		}
	}
	for _, v := range r.series[:min(factsMax, len(r.series))] {
		if v.name != "" {
			o.Facts[probe.Clip(probe.OneLine(v.name), holdfast.MaxName)] = number(v.value)
		}
	}
}

// amount writes a number with its unit.
func (s settings) amount(v float64) string {
	switch {
	case s.Unit == "bytes" && math.Abs(v) < 1<<62:
		return holdfast.Bytes(v).String()
	case s.Unit == "":
		return number(v)
	}
	return number(v) + " " + s.Unit
}

// number writes digits as people do where there are not too many of them.
func number(v float64) string {
	if a := math.Abs(v); a >= 1e-4 && a < 1e15 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// of names a series in a sentence.
func of(v series) string {
	if v.name == "" {
		return ""
	}
	return fmt.Sprintf(" of %.200s", v.name)
}
