package score_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

// now is the judged instant of most cases.
var now = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

const (
	minute = holdfast.Duration(time.Minute)
	hour   = holdfast.Duration(time.Hour)
	day    = holdfast.Day
	gib    = holdfast.Bytes(1 << 30)
)

func ago(d holdfast.Duration) time.Time { return now.Add(-d.Std()) }

func date(t time.Time) holdfast.Date { return holdfast.Date{Time: t} }

func yes() *bool { return new(true) }
func no() *bool  { return new(false) }

// world is a catalogue and facts that a case bends: a payments service whose every
// scenario is proven, restored in ams from an immutable backup.
type world struct {
	t         *testing.T
	catalogue holdfast.Catalogue
	agents    map[string]bool
	seen      []holdfast.Observation
	records   []holdfast.Record
	changes   []holdfast.TermChange
}

func check(id, probe, on string, every holdfast.Duration) *holdfast.Check {
	return &holdfast.Check{ID: id, Probe: probe, On: on, Every: every, Timeout: every / 2}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	w.catalogue = holdfast.Catalogue{
		Hash:   "sha256:test",
		Policy: holdfast.DefaultPolicy(),
		Sites: []holdfast.Site{
			{Name: "ams", Supplier: "beta"}, {Name: "fra", Supplier: "alpha"},
		},
		Teams: []holdfast.Team{
			{Name: "dba", Members: []holdfast.Member{
				{Name: "ann", Trained: map[string]holdfast.Date{"payments-scp": date(ago(30 * day))}},
				{Name: "bob", Trained: map[string]holdfast.Date{"payments-scp": date(ago(40 * day))}},
			}},
			{Name: "payments-team", Members: []holdfast.Member{{Name: "eve"}}},
		},
		Plans: []holdfast.Plan{{
			Name: "payments-scp", Version: "7", Approver: "cm", Approved: date(ago(20 * day)),
			Kept: []holdfast.KeptCopy{{Site: "ams", Host: "wiki2", Check: check("plan/payments-scp/ams", "files.archive", "dr1", 10*minute)}},
		}},
		Services: []holdfast.Service{payments()},
	}
	w.proveAll()
	return w
}

func payments() holdfast.Service {
	return holdfast.Service{
		Name: "payments", Owner: "payments-team", Tier: 1, Site: "fra", Host: "db1",
		BIA: &holdfast.BIA{RTO: holdfast.Objective{Limit: hour}, RPO: holdfast.Objective{Limit: 15 * minute}, MTPD: 8 * hour, Reviewed: date(ago(30 * day))},
		Datasets: []holdfast.Dataset{{Name: "ledger", Copies: []holdfast.Copy{
			{Name: "primary", Kind: holdfast.Primary, Site: "fra", Host: "db1", Medium: "disk"},
			{Name: "hourly", Kind: holdfast.Backup, Site: "fra", Host: "nas1", Medium: "disk", Check: check("payments/ledger/hourly", "restic.repository", "db1", 5*minute)},
			{Name: "offsite", Kind: holdfast.Backup, Site: "ams", Host: "s3", Medium: "object", Check: check("payments/ledger/offsite", "restic.repository", "dr1", 5*minute)},
		}}},
		Paths: []holdfast.Path{{
			Name: "restore-in-ams", At: "ams",
			Covers: []string{holdfast.DataCorruption, holdfast.HostLoss, holdfast.Ransomware, holdfast.SiteLoss},
			From:   []holdfast.CopyRef{{Dataset: "ledger", Copy: "offsite"}},
			Needs: []holdfast.Need{
				{ID: "payments/restore-in-ams/room", Name: "room", Site: "ams", Host: "dr1", Check: check("payments/restore-in-ams/room", "host.capacity", "dr1", minute)},
				{ID: "payments/restore-in-ams/payments-scp", Name: "payments-scp", Plan: "payments-scp", Site: "ams"},
				{ID: "payments/restore-in-ams/dba", Name: "dba", Team: "dba", Trained: 2, Site: "ams"},
			},
			Tests: []holdfast.Test{
				{Rung: holdfast.Intact, Check: *check("payments/restore-in-ams/intact", "restic.check", "dr1", day)},
				{Rung: holdfast.Restored, Check: *check("payments/restore-in-ams/restored", "restic.restore", "dr1", 7*day)},
			},
		}},
	}
}

// proveAll gives every part of the payments service good evidence.
func (w *world) proveAll() {
	w.see("payments/ledger/hourly", minute, w.points(3*minute, 5*minute), verified(2*day))
	w.see("payments/ledger/offsite", minute, w.points(3*minute, 5*minute), func(o *holdfast.Observation) { o.Immutable = yes() })
	w.see("payments/restore-in-ams/room", minute, func(o *holdfast.Observation) { o.Capacity = &holdfast.Capacity{Free: 500 * gib} })
	w.see("plan/payments-scp/ams", minute)
	w.see("payments/restore-in-ams/intact", 10*hour, verified(10*hour))
	w.see("payments/restore-in-ams/restored", 3*day, restored(3*day, 40*minute, 100*gib))
	w.exercise("payments", "restore-in-ams", 30*day, 50*minute)
}

// see adds an observation made so long ago.
func (w *world) see(id string, at holdfast.Duration, with ...func(*holdfast.Observation)) {
	o := holdfast.Observation{Check: id, At: ago(at), Outcome: holdfast.OK}
	for _, f := range with {
		f(&o)
	}
	w.seen = append(w.seen, o)
}

// unsee drops all observations of a check.
func (w *world) unsee(id string) {
	w.seen = slices.DeleteFunc(w.seen, func(o holdfast.Observation) bool { return o.Check == id })
}

// points are the newest four recovery points, the newest so old, so far apart, and
// an old one as the oldest kept.
func (w *world) points(newest, apart holdfast.Duration) func(*holdfast.Observation) {
	return func(o *holdfast.Observation) {
		for i := range 4 {
			o.RecoveryPoints = append(o.RecoveryPoints, holdfast.RecoveryPoint{Time: ago(newest + holdfast.Duration(i)*apart), Bytes: 100 * gib})
		}
		o.RecoveryPoints = append(o.RecoveryPoints, holdfast.RecoveryPoint{Time: ago(max(20*day, newest+9*apart)), Bytes: 90 * gib})
	}
}

func verified(at holdfast.Duration) func(*holdfast.Observation) {
	return func(o *holdfast.Observation) { o.Verification = &holdfast.Verification{Time: ago(at), Scope: 1} }
}

func restored(at, took holdfast.Duration, bytes holdfast.Bytes) func(*holdfast.Observation) {
	return func(o *holdfast.Observation) {
		o.Restoration = &holdfast.Restoration{Started: ago(at), Duration: took, Bytes: bytes, Coverage: 1, Checks: 9, Point: ago(at + hour)}
	}
}

func failed(reason holdfast.Reason) func(*holdfast.Observation) {
	return func(o *holdfast.Observation) { o.Outcome, o.Reason = holdfast.Failed, reason }
}

func (w *world) exercise(service, path string, at, took holdfast.Duration, with ...func(*holdfast.Record)) {
	r := holdfast.Record{
		At: ago(at), Kind: holdfast.Exercise, Service: service, Path: path, By: "cm", Plan: "payments-scp", Version: "7", Site: "ams",
		Outcome: holdfast.OK, Started: ago(at + took), Duration: took, Point: ago(at + took + 10*minute), Bytes: 100 * gib, People: []string{"ann"},
	}
	for _, f := range with {
		f(&r)
	}
	w.records = append(w.records, r)
}

func (w *world) service(name string) *holdfast.Service { return w.catalogue.Service(name) }
func (w *world) path() *holdfast.Path                  { return &w.service("payments").Paths[0] }

// add puts a further service into the catalogue.
func (w *world) add(s holdfast.Service) *holdfast.Service {
	w.catalogue.Services = append(w.catalogue.Services, s)
	slices.SortFunc(w.catalogue.Services, func(a, b holdfast.Service) int { return strings.Compare(a.Name, b.Name) })
	return w.service(s.Name)
}

func (w *world) facts() *score.Facts {
	f := score.NewFacts()
	for _, o := range w.seen {
		f.Observe(o)
	}
	for _, r := range w.records {
		if !f.Record(r) {
			w.t.Fatalf("record refused: %+v", r)
		}
	}
	for _, c := range w.changes {
		f.Change(c)
	}
	f.Enrolled(w.agents)
	return f
}

func (w *world) judge(name string) holdfast.Posture { return w.judgeAt(name, now) }

func (w *world) judgeAt(name string, at time.Time) holdfast.Posture {
	w.t.Helper()
	p := score.NewModel(&w.catalogue).JudgeService(w.facts(), name, at)
	checkPosture(w.t, p)
	return p
}

// checkPosture checks what holds of every posture: score in its band, points that
// sum to the gap, lists that are never null.
func checkPosture(t testing.TB, p holdfast.Posture) {
	t.Helper()
	if p.State == holdfast.NotJudged {
		if p.Score != nil || p.Cause != nil {
			t.Errorf("%s is not judged but has score %v, cause %v", p.Name, p.Score, p.Cause)
		}
		return
	}
	if p.State.Rank() < 0 || p.Score == nil {
		t.Fatalf("%s: state %q, score %v", p.Name, p.State, p.Score)
	}
	band := holdfast.DefaultPolicy().Bands[p.State]
	if *p.Score < band.Low || *p.Score > band.High {
		t.Errorf("%s: score %d outside the band of %s", p.Name, *p.Score, p.State)
	}
	sum := 0
	for _, f := range p.Findings {
		if f.Points < 0 || f.Gain < 0 || *p.Score+f.Gain > 100 {
			t.Errorf("%s: finding %s has points %d, gain %d at score %d", p.Name, f.Need, f.Points, f.Gain, *p.Score)
		}
		sum += f.Points
	}
	if sum != 100-*p.Score {
		t.Errorf("%s: points sum to %d, gap is %d: %s", p.Name, sum, 100-*p.Score, asJSON(t, p.Findings))
	}
	if (p.Cause == nil) != (p.State == holdfast.Proven) {
		t.Errorf("%s is %s with cause %v", p.Name, p.State, p.Cause)
	}
	if p.Scenarios == nil || p.Paths == nil || p.Findings == nil {
		t.Errorf("%s: a list is null", p.Name)
	}
	for _, path := range p.Paths {
		for _, s := range path.Scenarios {
			if s.Reasons == nil {
				t.Errorf("%s: reasons of %s in %s are null", p.Name, path.Name, s.Name)
			}
		}
	}
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// want compares the state of a service and its scenarios: "state cause; scenario
// state path; …" in the posture's order.
func want(t *testing.T, p holdfast.Posture, lines ...string) {
	t.Helper()
	var got []string
	head := string(p.State)
	if p.Cause != nil {
		head += " " + p.Cause.Need
	}
	got = append(got, head)
	for _, s := range p.Scenarios {
		line := s.Name + ": " + string(s.State)
		if s.Path != "" {
			line += " by " + s.Path
		}
		if s.AskedBy != "" {
			line += ", asked by " + s.AskedBy
		}
		got = append(got, line)
	}
	if len(lines) == 1 {
		got = got[:1]
	}
	if diff := cmp.Diff(lines, got); diff != "" {
		t.Errorf("posture of %s, -want +got:\n%s%s", p.Name, diff, asJSON(t, p))
	}
}

func finding(t *testing.T, p holdfast.Posture, need, code string) holdfast.Finding {
	t.Helper()
	for _, f := range p.Findings {
		if f.Need == need && (code == "" || f.Code == code) {
			return f
		}
	}
	t.Fatalf("no finding %s %s among %s", need, code, asJSON(t, p.Findings))
	return holdfast.Finding{}
}

func hasFinding(p holdfast.Posture, need, code string) bool {
	return slices.ContainsFunc(p.Findings, func(f holdfast.Finding) bool { return f.Need == need && f.Code == code })
}

func contains(t *testing.T, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("got %q, want it to say %q", text, part)
	}
}

func TestAllProven(t *testing.T) {
	w := newWorld(t)
	p := w.judge("payments")
	want(t, p, "proven",
		"host-loss: proven by restore-in-ams", "site-loss: proven by restore-in-ams",
		"data-corruption: proven by restore-in-ams", "ransomware: proven by restore-in-ams")
	if *p.Score != 100 || p.Cause != nil {
		t.Errorf("score %d, cause %v; want 100 and none: %s", *p.Score, p.Cause, asJSON(t, p.Findings))
	}
	if want := ago(3 * minute).Add(15 * time.Minute); p.NextChange == nil || !p.NextChange.Equal(want) {
		t.Errorf("next change %v, want %v: when the newest point reaches the RPO", p.NextChange, want)
	}
	if want := ago(minute).Add(150 * time.Second); !p.SilentAt.Equal(want) {
		t.Errorf("silent at %v, want %v: two intervals and the timeout after the last look at the room", p.SilentAt, want)
	}
	f := finding(t, p, "payments/restore-in-ams/rpo", "rpo-due")
	if f.Verdict != holdfast.Met || f.Points != 0 || !f.Until.Equal(*p.NextChange) {
		t.Errorf("finding %+v; want met, 0 points, until the RPO is reached", f)
	}
}
