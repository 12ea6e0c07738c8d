package web

import (
	"fmt"
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const (
	ahead       = 30 * 24 * time.Hour // how far a run-out timeline looks
	runOutShown = 6                   // of its list
	dotsStacked = 4                   // a day with more says how many
)

// runOut draws what expires in the next 30 days on one line: a dot an item, the
// day's stacked.
type runOut struct {
	Dots  []runOutDot
	More  []axisTick // days with more than fit, and how many
	Ticks []axisTick
	Say   string
	List  []runOutItem
	Total int
}

type runOutDot struct {
	X     string
	Y     int
	State holdfast.State
}

type runOutItem struct {
	RunsOut
	Service, Called string
	Paths           string // that lean on it
}

// Later counts what the list leaves out.
func (r runOut) Later() int { return r.Total - len(r.List) }

const runOutHeight = 46 // of the drawing, the axis at its foot

// newRunOut gathers what of the paths ends soon. What several paths of a service
// lean on is told once.
func newRunOut(paths []*RecoveryPath, now time.Time) runOut {
	var items []runOutItem
	type key struct {
		service, what string
		at            time.Time
	}
	at := map[key]int{}
	for _, p := range paths {
		for _, r := range p.RunsOut {
			if !r.At.After(now) {
				continue // being judged again
			}
			if r.At.Sub(now) > ahead {
				break
			}
			k := key{p.Service, r.What, r.At}
			if i, there := at[k]; there {
				items[i].Paths += ", " + clip(p.Path)
				continue
			}
			at[k] = len(items)
			items = append(items, runOutItem{r, p.Service, p.Called, clip(p.Path)})
		}
	}
	slices.SortStableFunc(items, func(a, b runOutItem) int { return a.At.Compare(b.At) })
	r := runOut{Total: len(items), Say: "Nothing runs out in the next 30 days"}
	if len(items) > 0 {
		r.Say = fmt.Sprintf("%d run out in the next 30 days, the first in %s: %s, %s", len(items), spoken(items[0].At.Sub(now)), items[0].Called, items[0].What)
	}
	r.draw(items, now)
	r.List = items[:min(len(items), runOutShown)]
	return r
}

// draw places the dots: a column a day, the first at the foot.
func (r *runOut) draw(items []runOutItem, now time.Time) {
	for _, days := range []int{0, 7, 14, 21, 30} {
		text, anchor := fmt.Sprintf("%d d", days), "middle"
		switch days {
		case 0:
			text, anchor = "today", "start"
		case 30:
			anchor = "end"
		}
		r.Ticks = append(r.Ticks, axisTick{percent(dayX(days)), text, anchor})
	}
	perDay := map[int]int{}
	for _, it := range items {
		day := int(it.At.Sub(now) / (24 * time.Hour))
		if perDay[day]++; perDay[day] <= dotsStacked {
			r.Dots = append(r.Dots, runOutDot{percent(dayX(day) + 100.0/62), runOutHeight - 22 - 7*(perDay[day]-1), it.To})
		}
	}
	for day := range 31 {
		if n := perDay[day]; n > dotsStacked {
			r.More = append(r.More, axisTick{percent(dayX(day) + 100.0/62), fmt.Sprint(n), "middle"})
		}
	}
}

// dayX is where a day begins: 31 columns fill the width.
func dayX(day int) float64 { return float64(day) * 100 / 31 }
