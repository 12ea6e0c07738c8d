package web

import (
	"fmt"
	"html/template"
	"math"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// The geometry of charts. Positions are shares of the width, so a chart fits any;
// templates only place them.

// tickAt is where the target stands in every bullet, so that targets line up down
// a column; what is over the target has the rest.
const tickAt = 62.5

// bullet is a number over a bar against its target.
type bullet struct {
	Label  string        // "Data lost now"
	Value  template.HTML // ticks where it grows
	Of     string        // the target; empty: none
	Times  string        // "2.8×", where it is over
	Bad    bool          // over the target, or no way at all
	Hatch  string        // "b" no way, "u" never measured; empty: a bar
	Bar    string        // widths in percent
	Over   string
	Target bool
	Say    string // the sentence for who cannot see it
}

// percent writes a share of the width.
func percent(x float64) string { return fmt.Sprintf("%.4g%%", x) }

// filled gives a bullet its bar: value against limit, in whatever unit.
func (b bullet) filled(value, limit time.Duration) bullet {
	if limit <= 0 {
		return b
	}
	r := float64(value) / float64(limit)
	b.Target = true
	b.Bar = percent(min(r, 1) * tickAt)
	if value > limit {
		b.Bad = true
		b.Over = percent(min(r-1, 100/tickAt-1) * tickAt)
		b.Times = times(r)
	}
	return b
}

// times writes how often something holds its target.
func times(r float64) string {
	switch {
	case r < 1.05:
		return "1.0×"
	case r < 9.95:
		return fmt.Sprintf("%.1f×", r)
	case r < 1000:
		return fmt.Sprintf("%.0f×", r)
	}
	return ">999×"
}

// lossBullet shows what would be lost in a scenario, against its RPO. Current is
// whether the path works on the data itself, data whether there is any.
func lossBullet(s *holdfast.ScenarioPosture, data, current bool, now time.Time) bullet {
	b := bullet{Label: "Data lost now"}
	limit := s.RPO.Limit.Std()
	if s.RPO.Stated() {
		b.Of, b.Target = span(limit), true
	}
	switch {
	case !data:
		b.Value, b.Target = "no data", false
		b.Say = "No data to lose"
	case s.Path == "":
		b.Value, b.Hatch, b.Bad = "no path", "b", true
		b.Say = "Data lost now: everything, no path covers it"
	case current:
		b = b.filled(0, limit)
		b.Value, b.Say = "none", "No data lost: the path works on the data itself"
	case s.Point.IsZero():
		b.Value, b.Hatch = "not known", "u"
		b.Say = "Data lost now: not known, no recovery point was ever seen"
	default:
		age := max(0, now.Sub(s.Point))
		b = b.filled(age, limit)
		b.Value = moment(s.Point, now, "age")
		b.Say = "Data lost now: " + spoken(age) + against(age, limit)
	}
	return b
}

// timeBullet shows how long recovery takes in a scenario, against its RTO.
func timeBullet(s *holdfast.ScenarioPosture) bullet {
	b := bullet{Label: "Time back"}
	limit := s.RTO.Limit.Std()
	if s.RTO.Stated() {
		b.Of, b.Target = span(limit), true
	}
	t := s.RecoveryTime
	switch {
	case t == nil:
		b.Value, b.Hatch, b.Bad = "no path", "b", true
		b.Say = "Time back: never, no path covers it"
	case t.Unorderable:
		b.Value, b.Hatch = "no order", "u"
		b.Say = "Time back: cannot be told, services wait for each other"
	case t.AtLeast && t.Total == 0:
		b.Value, b.Hatch = "never run", "u"
		b.Say = "Time back: never measured"
	default:
		b = b.filled(t.Total.Std(), limit)
		b.Value = bulletText(timeText(t))
		b.Say = "Time back: " + spoken(t.Total.Std()) + against(t.Total.Std(), limit)
	}
	return b
}

// lossRank and timeRank order scenarios by how bad their figure is: no path, not
// known, then the multiple of the target.
func lossRank(s *holdfast.ScenarioPosture, data, current bool, now time.Time) float64 {
	switch {
	case !data:
		return -1
	case s.Path == "":
		return math.Inf(1)
	case current:
		return 0
	case s.Point.IsZero():
		return 1e6
	}
	return ratio(now.Sub(s.Point), s.RPO)
}

func timeRank(s *holdfast.ScenarioPosture) float64 {
	t := s.RecoveryTime
	switch {
	case t == nil:
		return math.Inf(1)
	case t.Unorderable, t.AtLeast && t.Total == 0:
		return 1e6
	}
	return ratio(t.Total.Std(), s.RTO)
}

// ratio is how often a value holds its target; without one it is least of all.
func ratio(value time.Duration, target holdfast.Objective) float64 {
	if !target.Stated() {
		return -0.5
	}
	return float64(value) / float64(target.Limit)
}

// timeText writes a recovery time with how it is known.
func timeText(t *holdfast.RecoveryTime) string {
	text := span(t.Total.Std())
	if t.Estimated {
		text = "~" + text
	}
	if t.AtLeast {
		text = "≥ " + text
	}
	return text
}

func against(value, limit time.Duration) string {
	switch {
	case limit <= 0:
		return ", no target"
	case value > limit:
		return fmt.Sprintf(" against a target of %s, %s over", spoken(limit), times(float64(value)/float64(limit)))
	}
	return " against a target of " + spoken(limit)
}

// envelope is what every scenario would cost, on one axis: the disruption in the
// middle, data lost to the left, time until back to the right. Both sides are
// square-root scales: minutes and days fit, and longer stays longer.
type envelope struct {
	Rows  []envelopeRow
	Ticks []axisTick
	MTPD  string // where the maximum tolerable period ends; empty: off the axis
	Of    string // its length
}

type envelopeRow struct {
	Name, Path string
	AskedBy    string
	State      holdfast.State
	Verified   time.Time // newest verified point, where it is older than the newest
	Loss, Back bullet
	Lost       []envelopeBar // bars left of the middle
	Time       []envelopeBar
	RPO, RTO   *axisTick
	LossAt     axisTick // where the text over the bar's end stands
	BackAt     axisTick
	LossText   string
	BackText   string
}

type envelopeBar struct{ Class, X, Width string }

type axisTick struct{ X, Text, Anchor string }

const (
	envelopeMiddle = 38.0
	envelopeLeft   = 34.0 // widths of the two sides
	envelopeRight  = 56.0
)

var axisSteps = []time.Duration{
	10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 24 * time.Hour, 48 * time.Hour, 96 * time.Hour,
	7 * 24 * time.Hour, 14 * 24 * time.Hour, 30 * 24 * time.Hour, 90 * 24 * time.Hour, 365 * 24 * time.Hour,
}

// scale is one side of the axis.
type scale struct {
	max   time.Duration
	width float64 // negative: to the left
}

func (s scale) x(d time.Duration) float64 {
	return envelopeMiddle + s.width*math.Sqrt(min(1, max(0, float64(d)/float64(s.max))))
}

// ticks are the steps that fit, apart enough to be read.
func (s scale) ticks() (list []axisTick) {
	last := envelopeMiddle
	for _, step := range axisSteps {
		if x := s.x(step); step <= s.max && math.Abs(x-last) >= 5.5 {
			list = append(list, axisTick{percent(x), span(step), "middle"})
			last = x
		}
	}
	return list
}

// reach is the longest worth drawing: every target, and values up to four times
// the longest target.
func reach(targets, values []time.Duration) time.Duration {
	var target, value time.Duration
	for _, t := range targets {
		target = max(target, t)
	}
	for _, v := range values {
		value = max(value, v)
	}
	if target > 0 {
		value = min(value, 4*target)
	}
	return max(target, value, time.Minute)
}

// newEnvelope lays out a service's scenarios.
func newEnvelope(p *holdfast.Posture, now time.Time) envelope {
	var e envelope
	var losses, times, rpos, rtos []time.Duration
	var mtpd time.Duration
	for i := range p.Scenarios {
		s := &p.Scenarios[i]
		rpos, rtos = append(rpos, s.RPO.Limit.Std()), append(rtos, s.RTO.Limit.Std())
		if !s.Point.IsZero() {
			losses = append(losses, now.Sub(s.Point))
		}
		if s.RecoveryTime != nil {
			times = append(times, s.RecoveryTime.Total.Std())
		}
		mtpd = max(mtpd, s.MTPD.Std())
	}
	left := scale{reach(rpos, losses), -envelopeLeft}
	right := scale{reach(append(rtos, mtpd), times), envelopeRight}
	e.Ticks = append(left.ticks(), right.ticks()...)
	if mtpd > 0 {
		e.MTPD, e.Of = percent(right.x(mtpd)), span(mtpd)
	}
	for i := range p.Scenarios {
		s := &p.Scenarios[i]
		e.Rows = append(e.Rows, newEnvelopeRow(s, len(p.Data) > 0, isCurrent(p, s.Path), left, right, now))
	}
	return e
}

func newEnvelopeRow(s *holdfast.ScenarioPosture, data, current bool, left, right scale, now time.Time) envelopeRow {
	r := envelopeRow{
		Name: scenarioTitle(s.Name), Path: clip(s.Path), AskedBy: clip(s.AskedBy), State: s.State,
		Loss: lossBullet(s, data, current, now), Back: timeBullet(s),
	}
	r.LossText, r.BackText = lossText(s, data, current, now), backText(r.Back, s)
	if s.Verified.Before(s.Point) {
		r.Verified = s.Verified
	}
	if s.RPO.Stated() {
		r.RPO = &axisTick{percent(left.x(s.RPO.Limit.Std())), "RPO " + span(s.RPO.Limit.Std()), "middle"}
	}
	if s.RTO.Stated() {
		r.RTO = &axisTick{percent(right.x(s.RTO.Limit.Std())), "RTO " + span(s.RTO.Limit.Std()), "middle"}
	}
	r.LossAt = axisTick{percent(envelopeMiddle - 1.5), "", "end"}
	if r.Loss.Hatch == "" && !s.Point.IsZero() {
		age, limit := now.Sub(s.Point), s.RPO.Limit.Std()
		x, t := left.x(age), left.x(limit)
		if limit > 0 && age > limit {
			r.Lost = append(r.Lost, bar("over", x, t))
			r.Lost = append(r.Lost, bar("bar", t, envelopeMiddle))
		} else {
			r.Lost = append(r.Lost, bar("bar", x, envelopeMiddle))
		}
		r.LossAt = label(x)
	}
	r.BackAt = axisTick{percent(envelopeMiddle + 1.5), "", "start"}
	if t := s.RecoveryTime; t != nil && r.Back.Hatch == "" {
		total, limit := t.Total.Std(), s.RTO.Limit.Std()
		wait := right.x(max(0, total-t.Own.Std()))
		x, target := right.x(total), right.x(limit)
		if limit <= 0 || total <= limit {
			target = x
		}
		if wait > envelopeMiddle {
			r.Time = append(r.Time, bar("hatch", envelopeMiddle, wait))
		}
		if target > wait {
			r.Time = append(r.Time, bar("bar", wait, target))
		}
		if x > target {
			r.Time = append(r.Time, bar("over", max(wait, target), x))
		}
		r.BackAt = label(x)
	}
	return r
}

// lossText and backText are the texts over the bars' ends.
func lossText(s *holdfast.ScenarioPosture, data, current bool, now time.Time) string {
	switch {
	case !data:
		return "no data to lose"
	case s.Path == "":
		return "all lost"
	case current:
		return "nothing lost"
	case s.Point.IsZero():
		return "loss not known"
	}
	return span(now.Sub(s.Point)) + " lost"
}

func backText(b bullet, s *holdfast.ScenarioPosture) string {
	if b.Hatch != "" {
		return string(b.Value)
	}
	return "back in " + timeText(s.RecoveryTime)
}

func bar(class string, from, to float64) envelopeBar {
	return envelopeBar{class, percent(from), percent(max(0, to-from))}
}

// label places a text over a bar's end so that it stays on the chart and off the
// middle, where the other side's text may stand.
func label(x float64) axisTick {
	switch {
	case x < 9:
		return axisTick{X: percent(max(x, 0)), Anchor: "start"}
	case x < envelopeMiddle && x > envelopeMiddle-9:
		return axisTick{X: percent(envelopeMiddle - 1.5), Anchor: "end"}
	case x > envelopeMiddle && x < envelopeMiddle+11:
		return axisTick{X: percent(envelopeMiddle + 1.5), Anchor: "start"}
	case x > 90:
		return axisTick{X: percent(min(x, 100)), Anchor: "end"}
	}
	return axisTick{X: percent(x), Anchor: "middle"}
}

// isCurrent reports whether a path's recovery point is now: it works on the data
// itself.
func isCurrent(p *holdfast.Posture, path string) bool {
	for i := range p.Paths {
		if p.Paths[i].Name == path {
			return p.Paths[i].Current
		}
	}
	return false
}
