package score_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

// workedExample is the case of DESIGN.md: the restore test is 31 days old, due
// every 30; the plan's review is a day late; no copy is immutable but by promise.
func workedExample(t *testing.T) *world {
	w := newWorld(t)
	w.unsee("payments/restore-in-ams/restored")
	w.records = nil
	w.exercise("payments", "restore-in-ams", 60*day, 50*minute)
	w.see("payments/restore-in-ams/restored", 31*day, restored(31*day, 40*minute, 100*gib))
	w.catalogue.Plans[0].Approved = date(ago(181 * day))
	w.service("payments").Datasets[0].Copies[2].Medium = "disk"
	return w
}

func TestWorkedExample(t *testing.T) {
	p := workedExample(t).judge("payments")
	var rows []string
	for _, f := range p.Findings {
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %d | %d |", f.Need, f.Code, f.State, f.Points, f.Gain))
	}
	design, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range append(rows, fmt.Sprintf("**%s, score %d**", p.State, *p.Score)) {
		if !strings.Contains(string(design), row) {
			t.Errorf("DESIGN.md does not hold the row %s", row)
		}
	}
}

// TestTableOfFindings compares the table of DESIGN.md with the one in code, both
// ways.
func TestTableOfFindings(t *testing.T) {
	design, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(design), "## The table of findings\n")
	if !found {
		t.Fatal("DESIGN.md has no table of findings")
	}
	var got []string
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "| `") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	var want []string
	for _, r := range score.Rules() {
		state := string(r.State)
		switch r.State {
		case "":
			state = "as the dependency's"
		case holdfast.Proven:
			state = "points only"
		}
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s | %d | %s |", r.Code, r.Finding, r.Kind, state, r.Cost, r.Remedy))
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("DESIGN.md against the code, -want +got:\n%s", diff)
	}
}

// TestEveryCodeIsFound makes sure that no row of the table is dead: each code
// comes out of some estate.
func TestEveryCodeIsFound(t *testing.T) {
	found := map[string]bool{}
	random(t, 11, 600, func(t *testing.T, d dice, c *holdfast.Catalogue, seen []holdfast.Observation, records []holdfast.Record) {
		for _, p := range score.NewModel(c).Judge(factsOf(seen, records), now) {
			for _, f := range p.Findings {
				found[f.Code] = true
				if f.Remedy == "" || f.Reason == "" || f.Need == "" {
					t.Errorf("finding without need, reason or remedy: %+v", f)
				}
			}
		}
	})
	for _, code := range score.Codes() {
		if !found[code] && !strings.HasPrefix(code, "declared-") { // those need a history: TestDeclaredImmutable
			t.Errorf("no estate shows %s", code)
		}
	}
}

func TestCauseTakesWhatTheBandDemands(t *testing.T) {
	w := newWorld(t)
	w.catalogue.Plans[0].Approved = date(ago(181 * day))
	p := w.judge("payments")
	if f := p.Findings[0]; *p.Score != 85 || f.Points != 15 {
		t.Errorf("score %d, %d points; want 85 and all 15 that the band of stale demands", *p.Score, f.Points)
	}
	w.catalogue.Policy.Costs["plan-stale"] = 25
	if p = w.judge("payments"); *p.Score != 75 {
		t.Errorf("score %d by a cost of 25, want 75", *p.Score)
	}
	w.catalogue.Policy.Costs["plan-stale"] = 90
	if p = w.judge("payments"); *p.Score != 71 {
		t.Errorf("score %d by a cost of 90, want the band's lowest, 71", *p.Score)
	}
}

// TestMissSteps shows the published steps: the score falls at 1, 1.5, 2 and 4
// times the objective.
func TestMissSteps(t *testing.T) {
	for _, c := range []struct {
		gap   holdfast.Duration
		score int
	}{{15 * minute, 100}, {16 * minute, 70}, {22*minute + 30*minute/60, 67}, {30 * minute, 64}, {60 * minute, 61}} {
		w := newWorld(t)
		w.unsee("payments/ledger/offsite")
		w.see("payments/ledger/offsite", minute, w.points(3*minute, c.gap), func(o *holdfast.Observation) { o.Immutable = yes() })
		if p := w.judge("payments"); *p.Score != c.score {
			t.Errorf("points %s apart: score %d, want %d", c.gap, *p.Score, c.score)
		}
	}
}

func TestLimitsThemselves(t *testing.T) {
	w := newWorld(t)
	w.records[0].Duration, w.records[0].Started = hour, ago(30*day+hour)
	if p := w.judge("payments"); p.State != holdfast.Proven {
		t.Errorf("a duration equal to the RTO: %s, want proven", p.State)
	}
	w = newWorld(t)
	if p := w.judgeAt("payments", ago(3*minute).Add((15*minute).Std()-1)); hasFinding(p, "payments/restore-in-ams/rpo", "rpo-miss") {
		t.Error("exposure just below the RPO is a miss")
	}
	if p := w.judgeAt("payments", ago(3*minute).Add((15 * minute).Std())); !hasFinding(p, "payments/restore-in-ams/rpo", "rpo-miss") {
		t.Error("exposure equal to the RPO is no miss")
	}
	w.service("payments").BIA.MTPD = 50 * minute
	if p := w.judge("payments"); hasFinding(p, "payments/restore-in-ams/rto", "rto-beyond") {
		t.Error("a recovery time equal to the MTPD is beyond bearing")
	}
	w.service("payments").BIA.WRT = minute
	if p := w.judge("payments"); p.State != holdfast.Broken {
		t.Errorf("recovery and work beyond the MTPD: %s, want broken", p.State)
	}
}

func TestSampleDoesNotClearAFailedRestore(t *testing.T) {
	w := newWorld(t)
	w.see("payments/restore-in-ams/restored", 2*day, failed(holdfast.Assertion))
	w.see("payments/restore-in-ams/restored", day, restored(day, minute, gib), func(o *holdfast.Observation) { o.Restoration.Coverage = 0.01 })
	want(t, w.judge("payments"), "broken payments/restore-in-ams/restored")
	w.see("payments/restore-in-ams/restored", hour, restored(hour, 30*minute, 100*gib))
	want(t, w.judge("payments"), "proven")
	w.see("payments/restore-in-ams/intact", 2*hour, failed(holdfast.Damaged))
	want(t, w.judge("payments"), "proven") // the full restore came after it
	w.see("payments/restore-in-ams/intact", minute, failed(holdfast.Damaged))
	want(t, w.judge("payments"), "broken payments/restore-in-ams/intact")
}

func TestRenamedKeepsItsHistory(t *testing.T) {
	w := newWorld(t)
	s := w.service("payments")
	c := &s.Datasets[0].Copies[2]
	c.Name, c.Was, c.Check = "vault", "offsite", check("payments/ledger/vault", "restic.repository", "dr1", 5*minute)
	s.Paths[0].From[0].Copy = "vault"
	want(t, w.judge("payments"), "proven")
	c.Was = ""
	want(t, w.judge("payments"), "uncovered payments/ransomware") // nothing is known of it, its lock neither
}

func TestRoomIsSharedByTier(t *testing.T) {
	w := newWorld(t) // 500 GiB at ams; payments needs 120
	batch := payments()
	batch.Name, batch.Tier = "batch", 2
	batch.Paths[0].Needs = []holdfast.Need{{ID: "batch/restore-in-ams/room", Name: "room", Site: "ams", Ref: "payments/restore-in-ams/room"}}
	batch.Paths[0].Tests = nil
	batch.Datasets[0].Copies = batch.Datasets[0].Copies[:1]
	far := payments().Datasets[0].Copies[2]
	far.Check = check("batch/ledger/offsite", "restic.repository", "dr1", 5*minute)
	batch.Datasets[0].Copies = append(batch.Datasets[0].Copies, far)
	w.add(batch)
	w.see("batch/ledger/offsite", minute, func(o *holdfast.Observation) {
		o.Immutable = yes()
		o.RecoveryPoints = []holdfast.RecoveryPoint{{Time: ago(minute), Bytes: 350 * gib}}
	})
	p := w.judge("batch")
	if f := finding(t, p, "batch/restore-in-ams/capacity", "capacity-short"); !slices.Equal(f.Scenarios, []string{"host-loss", "ransomware", "site-loss"}) {
		t.Errorf("too little room in %v; want in the scenarios that take both out", f.Scenarios)
	}
	if p = w.judge("payments"); p.State != holdfast.Proven {
		t.Errorf("payments is %s; want proven: the higher tier is served first", p.State)
	}
}

func TestTermsLoosened(t *testing.T) {
	w := newWorld(t)
	before := w.catalogue
	before.Services = []holdfast.Service{payments()}
	before.Services[0].BIA.RPO.Limit = 5 * minute
	w.changes = score.TermChanges(&before, &w.catalogue, ago(89*day))
	p := w.judge("payments")
	if len(p.Looser) != 1 || p.Looser[0].Term != "rpo" || p.Looser[0].Was != "5m" || p.Looser[0].Is != "15m" {
		t.Errorf("looser terms %+v; want the RPO from 5m to 15m", p.Looser)
	}
	if p = w.judgeAt("payments", now.Add(day.Std())); len(p.Looser) != 0 {
		t.Errorf("looser terms after 90 days: %+v", p.Looser)
	}
	w.changes = append(w.changes, score.TermChanges(&w.catalogue, &before, ago(day))...)
	if p = w.judge("payments"); len(p.Looser) != 0 {
		t.Errorf("looser terms after it was taken back: %+v", p.Looser)
	}
}

func TestDefinitionChanged(t *testing.T) {
	w := newWorld(t)
	before := w.catalogue
	before.Services = []holdfast.Service{payments()}
	before.Services[0].Datasets[0].Copies[2].Check.With = `{"repository":"s3:old"}`
	w.changes = score.TermChanges(&before, &w.catalogue, ago(day))
	p := w.judge("payments")
	want(t, p, "stale payments/restore-in-ams/restored") // intact was verified since
	contains(t, p.Cause.Reason, "the definition of payments/ledger/offsite changed")
	w.changes = append(w.changes, score.TermChanges(&w.catalogue, &before, ago(hour))...)
	if p = w.judge("payments"); p.Paths[0].Rungs[holdfast.Restored].State != holdfast.Proven {
		t.Error("changed back, and the proof stays void")
	}
}

func TestPlanVersion(t *testing.T) {
	w := newWorld(t)
	w.catalogue.Plans[0].Version = "8"
	p := w.judge("payments")
	want(t, p, "stale payments/restore-in-ams/exercised")
	contains(t, p.Cause.Reason, "plan payments-scp changed from version 7 to 8")
	review := holdfast.Record{At: ago(day), Kind: holdfast.Review, Plan: "payments-scp", Version: "8", Editorial: true, By: "somebody"}
	w.records = append(w.records, review)
	want(t, w.judge("payments"), "stale payments/restore-in-ams/exercised") // not by its approver
	review.By = "cm"
	w.records = append(w.records, review)
	want(t, w.judge("payments"), "proven")
}

func TestObserveTellsWhatIsNew(t *testing.T) {
	w := newWorld(t)
	m := score.NewModel(&w.catalogue)
	f := score.NewFacts()
	f.Advance(now)
	o := holdfast.Observation{Check: "payments/restore-in-ams/room", Agent: "dr1", Seq: 1, At: ago(10 * minute), Outcome: holdfast.OK, Capacity: &holdfast.Capacity{Free: gib}}
	if !m.Observe(f, o) {
		t.Error("the first observation says nothing new")
	}
	o.Seq, o.At = 2, ago(9*minute)
	if f.Observe(o) {
		t.Error("the same facts a minute later are news")
	}
	if rejudge, ok := m.Repeat(f, o.Check, "dr1", 3, ago(8*minute), ago(8*minute)); !ok || rejudge {
		t.Errorf("repeat: rejudge %v, ok %v; want known and nothing new", rejudge, ok)
	}
	if rejudge, ok := m.Repeat(f, o.Check, "dr1", 4, ago(minute), ago(minute)); !ok || !rejudge {
		t.Errorf("repeat after the check ran out: rejudge %v, ok %v; want both", rejudge, ok)
	}
	if _, ok := m.Repeat(f, o.Check, "other", 5, now, now); ok {
		t.Error("another agent repeats what it never saw")
	}
	if allocs := testing.AllocsPerRun(100, func() { f.Repeat(o.Check, "dr1", 4, now, now) }); allocs != 0 {
		t.Errorf("a repeat allocates %v times", allocs)
	}
	if got := f.History(o.Check); len(got) != 2 || !got[0].At.Equal(ago(10*minute)) || !got[1].At.Equal(ago(minute)) {
		t.Errorf("history %+v; want the first and the last of the run", got)
	}
}

func TestRecordDatedAfterItsReceiptIsRefused(t *testing.T) {
	f := score.NewFacts()
	if f.Record(holdfast.Record{At: now, Received: ago(minute), Kind: holdfast.Review, Service: "payments", By: "cm"}) {
		t.Error("taken")
	}
}

func TestNotJudged(t *testing.T) {
	w := newWorld(t)
	w.service("payments").BIA = nil
	p := w.judge("payments")
	if p.State != holdfast.NotJudged || p.Score != nil || p.Cause != nil || p.NextChange != nil || len(p.Findings) != 0 {
		t.Errorf("without a BIA: %s", asJSON(t, p))
	}
	if got, want := score.CountEstate([]holdfast.Posture{p}).String(), "0 of 1 service could be recovered within target now, with proof"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
