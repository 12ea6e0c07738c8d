package web

import (
	"fmt"
	"math"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// timelineView is a timeline as a picture: score, one strip a scenario whose height
// repeats its state, exposure against the RPO, tests.
type timelineView struct {
	Timeline
	Height  int
	Known   int // days of which anything is known
	Area    string
	Line    string
	Strips  []strip
	Lanes   []lane // labels beside the picture
	Bars    []stripBar
	Limit   int  // y of the RPO; 0: none
	Exposed bool // there is any exposure to draw
	Base    int  // y the bars stand on
	Marks   []testMark
	MarksY  int
	Months  []axisTick
	MonthsY int
	Reads   []string // every day in one line, the oldest first
	Now     string
	Last    int
	Say     string
}

// lane is the label of a strip, at a height in the picture.
type lane struct {
	Text string
	Y    int
}

// strip is a stretch of days in one state.
type strip struct {
	State         holdfast.State
	X, Width      string
	Y, H          int
	first, length int
}

type stripBar struct {
	X, Width string
	Y, H     int
	Over     bool
}

type testMark struct {
	X, Title string
	State    holdfast.State
	Rung     holdfast.Rung
	Failed   bool
}

const (
	scoreHeight    = 62 // of the line of scores, from 100 down to 0
	scoreTop       = 6
	laneHeight     = 19
	exposureHeight = 26
)

// stripHeights repeat the state: what is worse stands taller.
var stripHeights = map[holdfast.State]int{
	holdfast.Proven: 3, holdfast.Stale: 6, holdfast.Degraded: 8, holdfast.Untested: 10, holdfast.Unknown: 11, holdfast.Broken: 14, holdfast.Uncovered: 16,
}

// dayShare is where a day begins, in percent of the width.
func (t *Timeline) dayShare(i int) float64 { return 100 * float64(i) / float64(len(t.Days)) }

// newTimelineView lays a timeline out.
func newTimelineView(t Timeline, scenarios []string) *timelineView {
	v := &timelineView{Timeline: t, Last: len(t.Days) - 1}
	for i := range t.Days {
		d := &t.Days[i]
		if d.State != "" {
			v.Known++
		}
		v.Exposed = v.Exposed || d.Exposure > 0
		v.Reads = append(v.Reads, d.readout(&v.Timeline))
	}
	v.Now = v.Reads[v.Last]
	v.scores()
	y := scoreTop + scoreHeight + 12
	for _, name := range scenarios {
		y += laneHeight
		v.lane(scenarioTitle(name), y, func(d *Day) holdfast.State { return d.Scenarios[name] })
	}
	if v.Exposed {
		y += exposureHeight + 8
		v.exposures(y)
	}
	y += laneHeight
	v.tested(y)
	v.months(y + laneHeight)
	v.Height = y + laneHeight + 4
	v.Say = fmt.Sprintf("%d days of scores and states, of %d of them something is known. Today: %s", len(t.Days), v.Known, v.Now)
	return v
}

// scores draws the line of scores: a step a day, a gap where nothing is known. The
// units are days across and points down; the picture stretches them.
func (v *timelineView) scores() {
	var line, area strings.Builder
	open := -1 // first day of the stretch
	end := func(i int) {
		if open >= 0 {
			fmt.Fprintf(&area, "V100 H%d Z ", open)
		}
		open = -1
	}
	for i := range v.Days {
		score := v.Days[i].Score
		if score == nil {
			end(i)
			continue
		}
		y := 100 - *score
		if open < 0 {
			open = i
			fmt.Fprintf(&line, "M%d %d ", i, y)
			fmt.Fprintf(&area, "M%d 100 ", i)
		}
		fmt.Fprintf(&line, "V%d H%d ", y, i+1)
		fmt.Fprintf(&area, "V%d H%d ", y, i+1)
	}
	end(len(v.Days))
	v.Line, v.Area = strings.TrimSpace(line.String()), strings.TrimSpace(area.String())
}

// lane draws the states of a scenario, days alike in one piece.
func (v *timelineView) lane(text string, y int, state func(*Day) holdfast.State) {
	v.Lanes = append(v.Lanes, lane{text, y})
	var open *strip
	for i := range v.Days {
		s := state(&v.Days[i])
		if open != nil && open.State == s {
			open.length++
			continue
		}
		if open = nil; s.Rank() < 0 {
			continue
		}
		h := stripHeights[s]
		v.Strips = append(v.Strips, strip{State: s, Y: y - h, H: h, first: i, length: 1})
		open = &v.Strips[len(v.Strips)-1]
	}
	for i := range v.Strips {
		s := &v.Strips[i]
		s.X, s.Width = percent(v.dayShare(s.first)), percent(v.dayShare(s.length)-0.1)
	}
}

// exposures draws the exposure of every day: square-root heights, the RPO at half.
func (v *timelineView) exposures(y int) {
	v.Base = y
	v.Lanes = append(v.Lanes, lane{"Data at risk", y})
	most := 2 * v.RPO.Std()
	for i := range v.Days {
		if v.RPO == 0 {
			most = max(most, v.Days[i].Exposure.Std())
		}
	}
	height := func(d time.Duration) int {
		return int(math.Round(exposureHeight * math.Sqrt(min(1, float64(d)/float64(max(most, 1))))))
	}
	if v.RPO > 0 {
		v.Limit = y - height(v.RPO.Std())
	}
	for i := range v.Days {
		if d := &v.Days[i]; d.Exposure > 0 {
			h := max(height(d.Exposure.Std()), 1)
			v.Bars = append(v.Bars, stripBar{percent(v.dayShare(i) + 0.1), percent(v.dayShare(1) - 0.2), y - h, h, v.RPO > 0 && d.Exposure > v.RPO})
		}
	}
}

// tested marks the days with tests: one mark a rung a day, the worst outcome.
func (v *timelineView) tested(y int) {
	v.MarksY = y - 6
	v.Lanes = append(v.Lanes, lane{"Tests", y})
	for i := range v.Days {
		worst := map[holdfast.Rung]*DayTest{}
		for k := range v.Days[i].Tests {
			x := &v.Days[i].Tests[k]
			if w := worst[x.Rung]; w == nil || outcomeState(x.Outcome).Rank() > outcomeState(w.Outcome).Rank() {
				worst[x.Rung] = x
			}
		}
		for k, rung := range []holdfast.Rung{holdfast.Exercised, holdfast.Restored, holdfast.Intact} { // the strongest proof of the day
			if x := worst[rung]; x != nil {
				if k == 2 && x.Outcome == holdfast.OK && (worst[holdfast.Exercised] != nil || worst[holdfast.Restored] != nil) {
					continue
				}
				v.Marks = append(v.Marks, testMark{percent(v.dayShare(i) + v.dayShare(1)/2), x.say(), outcomeState(x.Outcome), rung, x.Outcome == holdfast.Failed})
				break
			}
		}
	}
}

// months names the first day of every month, and today.
func (v *timelineView) months(y int) {
	v.MonthsY = y
	for i := range v.Days {
		if from := v.Days[i].from; from.Day() == 1 && i > 2 && i < v.Last-7 {
			v.Months = append(v.Months, axisTick{percent(v.dayShare(i)), from.Format("2 Jan"), "middle"})
		}
	}
	v.Months = append(v.Months, axisTick{"100%", "today", "end"})
}
