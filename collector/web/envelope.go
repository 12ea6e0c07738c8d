package web

import (
	"math"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

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
		e.Rows = append(e.Rows, newEnvelopeRow(stand(p, s), left, right, now))
	}
	return e
}

func newEnvelopeRow(s standing, left, right scale, now time.Time) envelopeRow {
	r := envelopeRow{
		Name: scenarioTitle(s.Name), Path: clip(s.Path), AskedBy: clip(s.AskedBy), State: s.State,
		Loss: lossBullet(s, now), Back: timeBullet(s),
	}
	r.LossText, r.BackText = lossText(s, now), backText(r.Back, s)
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
func lossText(s standing, now time.Time) string {
	switch {
	case !s.data:
		return "no data to lose"
	case s.Path == "":
		return "all lost"
	case s.blocked:
		return "no way"
	case s.current:
		return "nothing lost"
	case s.Point.IsZero():
		return "loss not known"
	}
	return span(now.Sub(s.Point)) + " lost"
}

func backText(b bullet, s standing) string {
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
