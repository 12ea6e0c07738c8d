package web

import (
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// restoresView is how long restores and exercises took, against the RTO, and what
// every test of a year came to.
type restoresView struct {
	Rows  []restoreRow // newest first
	More  int          // left out of the list
	Dots  []restoreDot
	Limit *axisTick // the RTO, at a height
	Y     int
	Ticks []axisTick
	Say   string
}

type restoreRow struct {
	DayTest
	State holdfast.State
	Link  string
}

type restoreDot struct {
	X       string
	Y       int
	State   holdfast.State
	People  bool // an exercise
	Over    bool
	Title   string
	Label   string // of the newest
	LabelAt string
}

const (
	restoresShown  = 12
	restoreHeight  = 84
	restoreTop     = 10
	restoreHistory = 365 * 24 * time.Hour
)

// newRestoresView draws the tests that took a time, oldest on the left.
func newRestoresView(tests []DayTest, rto time.Duration, now time.Time) *restoresView {
	if len(tests) == 0 {
		return nil
	}
	v := &restoresView{}
	for i := len(tests) - 1; i >= 0; i-- {
		row := restoreRow{DayTest: tests[i], State: outcomeState(tests[i].Outcome)}
		if row.Check != "" {
			row.Link = checkPath(row.Check)
		}
		v.Rows = append(v.Rows, row)
	}
	if len(v.Rows) > restoresShown {
		v.Rows, v.More = v.Rows[:restoresShown], len(v.Rows)-restoresShown
	}
	v.draw(tests, rto, now)
	return v
}

func (v *restoresView) draw(tests []DayTest, rto time.Duration, now time.Time) {
	longest, first, measured := rto, now, 0
	for _, x := range tests {
		if x.Took > 0 {
			longest, measured = max(longest, x.Took.Std()), measured+1
			if x.At.Before(first) {
				first = x.At
			}
		}
	}
	if measured == 0 {
		return
	}
	window := max(now.Sub(first)*21/20, 24*time.Hour)
	y := func(d time.Duration) int {
		return restoreTop + restoreHeight - int(restoreHeight*float64(d)/float64(longest)*0.92)
	}
	if rto > 0 {
		v.Limit, v.Y = &axisTick{Text: "RTO " + span(rto), Anchor: "end"}, y(rto)
	}
	for _, x := range tests {
		if x.Took <= 0 {
			continue
		}
		at := 2 + 94*(1-float64(now.Sub(x.At))/float64(window))
		took := x.Took.Std()
		d := restoreDot{X: percent(at), Y: y(took), State: outcomeState(x.Outcome), People: x.Rung == holdfast.Exercised, Over: rto > 0 && took > rto,
			Title: x.At.UTC().Format("2 Jan 2006") + ": " + x.say()}
		v.Dots = append(v.Dots, d)
	}
	last := &v.Dots[len(v.Dots)-1]
	took := lastTook(tests)
	last.Label, last.LabelAt = span(took), "end"
	v.Ticks = []axisTick{{"2%", now.Add(-window).UTC().Format("2 Jan 2006"), "start"}, {"96%", "now", "end"}}
	v.Say = "The latest took " + spoken(took) + against(took, rto)
}

// lastTook is how long the latest measured test took.
func lastTook(tests []DayTest) time.Duration {
	for i := len(tests) - 1; i >= 0; i-- {
		if tests[i].Took > 0 {
			return tests[i].Took.Std()
		}
	}
	return 0
}
