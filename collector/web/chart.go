package web

import (
	"fmt"
	"html/template"
	"math"
	"slices"
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

// standing is a scenario with what of its service its figures depend on.
type standing struct {
	*holdfast.ScenarioPosture
	data    bool // there is any
	current bool // the path works on the data itself: its recovery point is now
	blocked bool // the best path cannot be walked, whatever was measured once
}

// stand looks a scenario's surroundings up.
func stand(p *holdfast.Posture, s *holdfast.ScenarioPosture) standing {
	x := standing{ScenarioPosture: s, data: len(p.Data) > 0}
	for i := range p.Paths {
		if p.Paths[i].Name == s.Path {
			x.current = p.Paths[i].Current
		}
	}
	if s.State == holdfast.Broken {
		x.blocked = slices.ContainsFunc(p.Findings, func(f holdfast.Finding) bool {
			return f.State == holdfast.Broken && f.Kind == holdfast.Feasibility && slices.Contains(f.Scenarios, s.Name) && slices.Contains(f.Paths, s.Path)
		})
	}
	return x
}

// lossBullet shows what would be lost in a scenario, against its RPO.
func lossBullet(s standing, now time.Time) bullet {
	b := bullet{Label: "Data lost now"}
	limit := s.RPO.Limit.Std()
	if s.RPO.Stated() {
		b.Of, b.Target = span(limit), true
	}
	switch {
	case !s.data:
		b.Value, b.Target = "no data", false
		b.Say = "No data to lose"
	case s.Path == "":
		b.Value, b.Hatch, b.Bad = "no path", "b", true
		b.Say = "Data lost now: everything, no path covers it"
	case s.blocked:
		b.Value, b.Hatch, b.Bad = "no way", "b", true
		b.Say = "Data lost now: cannot be told, the path cannot be walked"
	case s.current:
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
func timeBullet(s standing) bullet {
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
	case s.blocked:
		b.Value, b.Hatch, b.Bad = "no way", "b", true
		b.Say = "Time back: never as things stand, the path cannot be walked"
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

// lossRank and timeRank order scenarios by how bad their figure is: no path, none
// that can be walked, not known, then the multiple of the target.
func lossRank(s standing, now time.Time) float64 {
	switch {
	case !s.data:
		return -1
	case s.Path == "":
		return math.Inf(1)
	case s.blocked:
		return 1e9
	case s.current:
		return 0
	case s.Point.IsZero():
		return 1e6
	}
	return ratio(now.Sub(s.Point), s.RPO)
}

func timeRank(s standing) float64 {
	t := s.RecoveryTime
	switch {
	case t == nil:
		return math.Inf(1)
	case s.blocked:
		return 1e9
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
