package web

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Counting is what stands around every page.
type Counting interface {
	// Standing counts the services by state, those not judged included.
	Standing() map[holdfast.State]int
}

// entry is a page people go to: a line of the menu, a hit of the palette, a key
// after g.
type entry struct {
	Page  string   // names its template, its count, its icon i-PAGE in layout.html
	Path  string   // where it is
	Title string   // how it is called
	Key   string   // typed after g
	Under []string // pages that are reached from it and have no line of their own
}

// menu lists the pages there are, in the order Readiness, Protected data, Recovery
// paths, Drills, Alerts, Agents, Settings. Menu, palette, keys and help are made of it.
var menu = []entry{
	{Page: "overview", Path: "/", Title: "Readiness", Key: "r", Under: []string{"service", "check", "record", "wall"}},
	{Page: "data", Path: "/data", Title: "Protected data", Key: "d"},
	{Page: "paths", Path: "/paths", Title: "Recovery paths", Key: "p"},
	{Page: "drills", Path: "/drills", Title: "Drills", Key: "e", Under: []string{"drill", "drillplan"}},
	{Page: "alerts", Path: "/alerts", Title: "Alerts", Key: "l"},
	{Page: "agents", Path: "/agents", Title: "Agents", Key: "a", Under: []string{"agent"}},
	{Page: "settings", Path: "/settings", Title: "Settings", Key: "s", Under: []string{"secret"}},
}

// frame is what stands around every page.
type frame struct {
	Page     string // names the template, and the menu's entry
	Title    string
	Who      holdfast.Who // nobody: not logged in
	Version  string
	Revision uint64
	Now      time.Time
	Notices  []holdfast.Notice // what is wrong with the collector itself: said on every page
	Bad      int               // services that could not be recovered as agreed: stands in the title
	Counts   map[string]string // beside the menu's entries, by page
	Drilling *runningDrill     // nil: none runs
	Body     any
}

// Menu lists the entries.
func (f *frame) Menu() []entry { return menu }

// In reports whether the page is an entry's, or under it.
func (f *frame) In(e entry) bool { return f.Page == e.Page || slices.Contains(e.Under, f.Page) }

// Up is the entry a page is under; nil: it is one itself, or stands alone.
func (f *frame) Up() *entry {
	for i := range menu {
		if slices.Contains(menu[i].Under, f.Page) {
			return &menu[i]
		}
	}
	return nil
}

// Heading is the title of the browser's tab: it says what is wrong even while
// another tab is in front.
func (f *frame) Heading() string {
	if f.Bad > 0 && f.Who.Name != "" {
		return fmt.Sprintf("(%d) %s · Holdfast", f.Bad, f.Title)
	}
	return f.Title + " · Holdfast"
}

// surround fills in what every page shows of the estate.
func (s *server) surround(f *frame) {
	connected, known := 0, 0
	for _, a := range s.c.Agents() {
		if a.Revoked {
			continue
		}
		known++
		if a.Connected {
			connected++
		}
	}
	standing, services := s.c.Standing(), 0
	for _, n := range standing {
		services += n
	}
	f.Bad = standing[holdfast.Broken] + standing[holdfast.Uncovered] + standing[holdfast.Degraded]
	f.Notices = s.c.Notices()
	running, n := "", 0
	if f.Drilling, n = s.drillUnderWay(); n > 0 {
		running = strconv.Itoa(n)
	}
	f.Counts = map[string]string{
		"alerts":   s.openAlerts(),
		"drills":   running,
		"overview": strconv.Itoa(services),
		"agents":   fmt.Sprintf("%d/%d", connected, known),
	}
}
