package web

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// recovering is a service that comes back in a site loss after what it waits for.
func recovering(name string, own, waits time.Duration, chain []string, on ...string) holdfast.Posture {
	score := 100
	s := holdfast.ScenarioPosture{Name: holdfast.SiteLoss, State: holdfast.Proven, Path: "restore", RTO: holdfast.Objective{Limit: holdfast.Duration(time.Hour)},
		RecoveryTime: &holdfast.RecoveryTime{Own: holdfast.Duration(own), Total: holdfast.Duration(own + waits), Chain: chain}}
	for _, name := range on {
		s.Waits = append(s.Waits, holdfast.Dependence{Service: name, Kind: holdfast.Required, State: holdfast.Proven, Lost: true})
	}
	return holdfast.Posture{Name: name, State: holdfast.Proven, Score: &score, Scenarios: []holdfast.ScenarioPosture{s}}
}

func TestStepsHaveTimeToSpare(t *testing.T) {
	m := time.Minute
	all := map[string]holdfast.Posture{}
	for _, p := range []holdfast.Posture{
		recovering("shop", 20*m, 45*m, []string{"dns", "vault", "identity"}, "identity", "queue", "mail", "nobody"),
		recovering("identity", 20*m, 25*m, []string{"dns", "vault"}, "vault", "dns"),
		recovering("vault", 15*m, 10*m, []string{"dns"}, "dns"),
		recovering("dns", 10*m, 0, nil),
		recovering("queue", 5*m, 10*m, []string{"dns"}, "dns"),
		recovering("mail", 30*m, 0, nil),
	} {
		all[p.Name] = p
	}
	shop := all["shop"]
	find := func(name string) (holdfast.Posture, bool) { p, ok := all[name]; return p, ok }
	r := recoveries(&shop, find)[0]
	var got []string
	for _, x := range r.Steps {
		got = append(got, fmt.Sprintf("%s %s-%s spare %s critical %v", x.Service, x.Start, x.end(), x.Slack, x.Critical))
	}
	want := []string{
		"nobody 0s-0s spare 45m critical false", // nothing is known of it
		"dns 0s-10m spare 0s critical true",
		"mail 0s-30m spare 15m critical false",
		"queue 10m-15m spare 30m critical false",
		"vault 10m-25m spare 0s critical true",
		"identity 25m-45m spare 0s critical true",
		"shop 45m-1h5m spare 0s critical true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}

	pictures, alone := gantts([]Recovery{r}, "shop")
	if len(pictures) != 1 || len(alone) != 0 {
		t.Fatalf("got %d pictures, alone in %q", len(pictures), alone)
	}
	g := pictures[0]
	if g.Say != "1h 05m in all, RTO 1h" || g.Over != "5m over" {
		t.Errorf("says %q and %q", g.Say, g.Over)
	}
	last := g.Rows[len(g.Rows)-1]
	if last.Over == "" || last.OverX != g.RTO.X || last.At.X != "84%" {
		t.Errorf("the service: over %q from %s, ends at %s, want its last 5 minutes beyond the RTO at %s", last.Over, last.OverX, last.At.X, g.RTO.X)
	}
	if mail := g.Rows[2]; mail.Spare == nil || mail.Say != "back after 30 min, 15 min to spare" {
		t.Errorf("mail: %+v", mail)
	}
	if n := g.Rows[0]; n.Text != "never measured" || !n.Unknown {
		t.Errorf("what was never measured: %+v", n)
	}
}

// TestStepsOfRings: services that wait for each other end.
func TestStepsOfRings(t *testing.T) {
	a, b := recovering("a", time.Minute, 0, nil, "b"), recovering("b", time.Minute, 0, nil, "a")
	find := func(name string) (holdfast.Posture, bool) {
		return map[string]holdfast.Posture{"a": a, "b": b}[name], true
	}
	if got := len(recoveries(&a, find)[0].Steps); got != 2 {
		t.Errorf("got %d steps, want both once", got)
	}
	a.Scenarios[0].RecoveryTime.Unorderable = true
	if got := len(recoveries(&a, find)[0].Steps); got != 0 {
		t.Errorf("without an order: got %d steps, want none", got)
	}
	a.Scenarios[0].RecoveryTime = nil
	if r := recoveries(&a, find)[0]; len(r.Steps) != 0 || r.Time != nil {
		t.Errorf("uncovered: got %+v", r)
	}
}

// blankTimeline is so many days without anything known, today 12:00 the last.
func blankTimeline(days int) Timeline {
	now := time.Date(2026, 6, 20, 12, 0, 0, 0, time.UTC)
	t := Timeline{Days: make([]Day, days)}
	for i := range t.Days {
		from := now.Truncate(24*time.Hour).AddDate(0, 0, i+1-days)
		t.Days[i] = Day{Day: from.Format(dayOf), Scenarios: map[string]holdfast.State{}, from: from, until: from.AddDate(0, 0, 1)}
	}
	t.Days[days-1].until = now
	return t
}

// TestExposureByDay: the longest gap a new point ended, or what had grown by the
// end of the day; nothing where nothing is known.
func TestExposureByDay(t *testing.T) {
	noon := time.Date(2026, 6, 20, 12, 0, 0, 0, time.UTC)
	point := func(seen, newest, before time.Duration) holdfast.Observation {
		o := holdfast.Observation{Received: noon.Add(-seen), RecoveryPoints: []holdfast.RecoveryPoint{{Time: noon.Add(-newest)}}}
		if before > 0 {
			o.RecoveryPoints = append(o.RecoveryPoints, holdfast.RecoveryPoint{Time: noon.Add(-before)})
		}
		return o
	}
	h := time.Hour
	for _, c := range []struct {
		name   string
		seen   []holdfast.Observation // newest first
		newest time.Duration          // age of the newest point; 0: none
		want   []time.Duration        // of the last days, today the last
	}{
		{"nothing", nil, 0, []time.Duration{0, 0, 0, 0}},
		{"only the posture's point", nil, h, []time.Duration{0, 0, 0, h}},
		{"nightly, one missed", []holdfast.Observation{point(10*h, 10*h, 58*h), point(58*h, 58*h, 82*h)}, 10 * h, []time.Duration{22 * h, 24 * h, 46 * h, 48 * h}},
		{"still missing", []holdfast.Observation{point(58*h, 58*h, 82*h)}, 58 * h, []time.Duration{22 * h, 24 * h, 46 * h, 58 * h}},
		{"another outcome, the same point", []holdfast.Observation{point(2*h, 10*h, 34*h), point(10*h, 10*h, 34*h)}, 10 * h, []time.Duration{0, 0, 22 * h, 24 * h}},
	} {
		tl := blankTimeline(4)
		var newest time.Time
		if c.newest > 0 {
			newest = noon.Add(-c.newest)
		}
		tl.expose(c.seen, newest)
		var got []time.Duration
		for i := range tl.Days {
			got = append(got, tl.Days[i].Exposure.Std())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	tl := blankTimeline(2)
	tl.expose([]holdfast.Observation{{At: noon, Received: noon.Add(-h), Replication: &holdfast.Replication{Lag: holdfast.Duration(90 * time.Second), PrimarySeen: true}}}, noon.Add(-5*time.Second))
	if got := tl.Days[1].Exposure.Std(); got != 90*time.Second || tl.Days[0].Exposure != 0 {
		t.Errorf("a replica: got %s today and %s before, want its lag and nothing", got, tl.Days[0].Exposure)
	}
}

func TestTimelineGeometry(t *testing.T) {
	tl := blankTimeline(10)
	tl.RPO = holdfast.Duration(time.Hour)
	score := func(n int) *int { return &n }
	for i, d := range []struct {
		score *int
		state holdfast.State
	}{{}, {}, {score(90), holdfast.Proven}, {score(90), holdfast.Proven}, {score(15), holdfast.Broken}, {}, {score(100), holdfast.Proven}, {score(100), holdfast.Proven}, {score(100), holdfast.Proven}, {score(75), holdfast.Stale}} {
		tl.Days[i].Score, tl.Days[i].State = d.score, d.state
		if d.state != "" {
			tl.Days[i].Scenarios["site-loss"] = d.state
		}
	}
	tl.Days[7].Exposure, tl.Days[8].Exposure = holdfast.Duration(30*time.Minute), holdfast.Duration(100*time.Hour)
	tl.Days[4].Tests = []DayTest{{Rung: holdfast.Restored, Outcome: holdfast.OK, Path: "p"}, {Rung: holdfast.Restored, Outcome: holdfast.Failed, Path: "p"}, {Rung: holdfast.Intact, Outcome: holdfast.OK, Path: "p"}}
	v := newTimelineView(tl, []string{"site-loss"})
	if want := "M2 10 V10 H3 V10 H4 V85 H5 M6 0 V0 H7 V0 H8 V0 H9 V25 H10"; v.Line != want {
		t.Errorf("line: got %q, want %q: a gap where nothing is known", v.Line, want)
	}
	var strips []string
	for _, s := range v.Strips {
		strips = append(strips, fmt.Sprintf("%s %s %s %d", s.State, s.X, s.Width, s.H))
	}
	if diff := cmp.Diff([]string{"proven 20% 19.9% 3", "broken 40% 9.9% 14", "proven 60% 29.9% 3", "stale 90% 9.9% 6"}, strips); diff != "" {
		t.Errorf("strips (-want +got):\n%s", diff)
	}
	if len(v.Bars) != 2 || v.Bars[0].Over || !v.Bars[1].Over || v.Bars[1].H != exposureHeight || v.Bars[0].Y+v.Bars[0].H != v.Base || v.Limit <= v.Base-exposureHeight || v.Limit >= v.Base {
		t.Errorf("exposure: bars %+v, RPO at %d, base %d", v.Bars, v.Limit, v.Base)
	}
	if len(v.Marks) != 1 || !v.Marks[0].Failed || v.Marks[0].X != "45%" {
		t.Errorf("tests: got %+v, want the failed restore of the fifth day", v.Marks)
	}
	if len(v.Reads) != 10 || v.Reads[0] != "Thu 11 Jun. Nothing is known." || v.Now != v.Reads[9] {
		t.Errorf("words: %q", v.Reads)
	}
	for i := 1; i < len(stripHeights); i++ { // what is worse stands taller
		if stripHeights[holdfast.States[i]] <= stripHeights[holdfast.States[i-1]] {
			t.Errorf("%s stands no taller than %s", holdfast.States[i], holdfast.States[i-1])
		}
	}
}

func TestRestoresGeometry(t *testing.T) {
	now := time.Date(2026, 6, 20, 12, 0, 0, 0, time.UTC)
	if newRestoresView(nil, time.Hour, now) != nil {
		t.Error("without a test there is nothing to draw")
	}
	test := func(ago int, took time.Duration, o holdfast.Outcome, rung holdfast.Rung) DayTest {
		return DayTest{At: now.AddDate(0, 0, -ago), Took: holdfast.Duration(took), Outcome: o, Rung: rung, Path: "p", Check: "s/p/restored"}
	}
	v := newRestoresView([]DayTest{test(100, 30*time.Minute, holdfast.OK, holdfast.Restored), test(50, 0, holdfast.Failed, holdfast.Restored), test(1, 2*time.Hour, holdfast.OK, holdfast.Exercised)}, time.Hour, now)
	if len(v.Rows) != 3 || v.Rows[0].Rung != holdfast.Exercised || v.Rows[0].Link != "/checks/s/p/restored" {
		t.Errorf("rows: %+v", v.Rows)
	}
	if len(v.Dots) != 2 || v.Dots[0].Over || !v.Dots[1].Over || !v.Dots[1].People || v.Dots[0].Y <= v.Dots[1].Y || v.Dots[1].Label != "2h" {
		t.Errorf("dots: %+v", v.Dots)
	}
	if v.Y <= v.Dots[1].Y || v.Y >= v.Dots[0].Y {
		t.Errorf("the RTO stands at %d, want it between the dots at %d and %d", v.Y, v.Dots[1].Y, v.Dots[0].Y)
	}
	if want := "The latest took 2 h against a target of 1 h, 2.0× over"; v.Say != want {
		t.Errorf("says %q, want %q", v.Say, want)
	}
}

func TestSlower(t *testing.T) {
	tests := func(path string, minutes ...int) (list []DayTest) {
		for _, m := range minutes {
			list = append(list, DayTest{Took: holdfast.Duration(time.Duration(m) * time.Minute), Outcome: holdfast.OK, Rung: holdfast.Restored, Path: path})
		}
		return list
	}
	failed := tests("p", 900)
	failed[0].Outcome = holdfast.Failed
	for name, c := range map[string]struct {
		tests []DayTest
		want  string
	}{
		"none":                      {nil, ""},
		"too few before":            {tests("p", 10, 10, 60), ""},
		"as usual":                  {tests("p", 10, 12, 9, 11), ""},
		"slower":                    {tests("p", 10, 12, 9, 14), "slower than its usual 10m"},
		"faster":                    {tests("p", 10, 12, 9, 2), ""},
		"failed ones do not count":  {append(tests("p", 10, 12, 9, 11), failed...), ""},
		"another path's do not":     {append(tests("q", 1, 1, 1, 1), tests("p", 30)...), ""},
		"the slow become the usual": {append(tests("p", 10, 10, 10), tests("p", 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 31)...), ""},
	} {
		if got := slower(c.tests); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
