package score_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

// The cases of JUDGEMENT.md 8, in its order.

// replicaBeside adds a replica in ams and a path that promotes it, and makes the
// backup a nightly one.
func replicaBeside(t *testing.T) *world {
	w := newWorld(t)
	s := w.service("payments")
	s.Datasets[0].Copies = append(s.Datasets[0].Copies, holdfast.Copy{
		Name: "standby", Kind: holdfast.Replica, Site: "ams", Host: "dr1", Medium: "disk", Check: check("payments/ledger/standby", "postgres.replica", "dr1", minute/4),
	})
	s.Paths = append(s.Paths, holdfast.Path{
		Name: "promote", At: "ams", Covers: []string{holdfast.DataCorruption, holdfast.HostLoss, holdfast.SiteLoss},
		From:  []holdfast.CopyRef{{Dataset: "ledger", Copy: "standby"}},
		Needs: slices.Clone(w.path().Needs[1:]),
		Tests: []holdfast.Test{{Rung: holdfast.Restored, Check: *check("payments/promote/restored", "postgres.promote", "dr1", 7*day)}},
	})
	w.unsee("payments/ledger/offsite")
	w.see("payments/ledger/offsite", minute, w.points(10*hour, day), func(o *holdfast.Observation) { o.Immutable = yes() })
	w.see("payments/ledger/standby", minute/4, func(o *holdfast.Observation) {
		o.Replication = &holdfast.Replication{Lag: 2 * minute, Bytes: 100 * gib, PrimarySeen: true}
	})
	w.see("payments/promote/restored", 2*day, restored(2*day, 5*minute, 100*gib))
	w.exercise("payments", "promote", 20*day, 10*minute)
	return w
}

func TestNightlyBackupBesideReplica(t *testing.T) {
	w := replicaBeside(t)
	p := w.judge("payments")
	want(t, p, "degraded payments/restore-in-ams/rpo",
		"host-loss: proven by promote", "site-loss: proven by promote",
		"data-corruption: degraded by restore-in-ams", "ransomware: degraded by restore-in-ams")
	contains(t, p.Cause.Reason, "lie up to 1d apart")
	for _, path := range p.Paths {
		if path.Name != "promote" {
			continue
		}
		i := slices.IndexFunc(path.Scenarios, func(s holdfast.PathScenario) bool { return s.Name == holdfast.DataCorruption })
		if s := path.Scenarios[i]; s.State != holdfast.Uncovered || !strings.Contains(s.Reasons[0], "replicates the damage") {
			t.Errorf("promote in data-corruption: %+v; want uncovered, saying that a replica replicates the damage", s)
		}
	}
	early := w.judgeAt("payments", ago(10*hour).Add(10*minute.Std())) // ten minutes after a backup, nothing heard yet
	if early.State == holdfast.Proven {
		t.Error("a nightly copy meets an RPO of 15m right after the backup")
	}
	missed := w.judgeAt("payments", ago(10*hour).Add((36 * hour).Std()))
	want(t, missed, "broken payments/restore-in-ams/rpo")
}

func TestReplicaOnlyUncoveredByCorruption(t *testing.T) {
	w := replicaBeside(t)
	s := w.service("payments")
	s.Paths = s.Paths[1:]
	p := w.judge("payments")
	want(t, p, "uncovered payments/data-corruption",
		"host-loss: proven by promote", "site-loss: proven by promote", "data-corruption: uncovered", "ransomware: uncovered")
	contains(t, p.Cause.Reason, "a replica replicates the damage: payments/ledger/standby")
	if f := finding(t, p, "payments/ransomware", "uncovered"); f.Points != 0 || !strings.Contains(f.Reason, "no path covers ransomware") {
		t.Errorf("finding %+v; want listed with 0 points", f)
	}
}

func TestDayOne(t *testing.T) {
	w := newWorld(t)
	all := w.seen
	w.seen, w.records = nil, nil
	w.service("payments").Datasets[0].Copies[2].Immutable = yes()
	want(t, w.judge("payments"), "unknown payments/ledger/offsite")
	for _, o := range all {
		if o.Verification == nil && o.Restoration == nil {
			w.seen = append(w.seen, o)
		}
	}
	p := w.judge("payments")
	want(t, p, "untested payments/restore-in-ams/intact")
	if f := finding(t, p, "payments/restore-in-ams/intact", ""); f.Gain != 0 || !slices.Contains(f.Together, "payments/restore-in-ams/restored") {
		t.Errorf("intact alone gains %d, together with %v; want 0 and the restore named", f.Gain, f.Together)
	}
}

func TestPathWithoutNeeds(t *testing.T) {
	w := newWorld(t)
	s := w.service("payments")
	s.Datasets = nil
	s.Paths[0].From, s.Paths[0].Needs, s.Paths[0].Tests = nil, nil, nil
	w.seen, w.records = nil, nil
	want(t, w.judge("payments"), "unknown payments/restore-in-ams")
}

func TestSilentAfterBreach(t *testing.T) {
	w := newWorld(t)
	w.unsee("payments/ledger/offsite")
	w.see("payments/ledger/offsite", 12*minute, w.points(30*minute, 5*minute), func(o *holdfast.Observation) { o.Immutable = yes() })
	for _, id := range []string{"payments/restore-in-ams/room", "plan/payments-scp/ams"} {
		w.see(id, 11*minute+30e9, func(o *holdfast.Observation) { o.Capacity = &holdfast.Capacity{Free: 500 * gib} })
	}
	live := w.judgeAt("payments", ago(12*minute).Add(minute.Std()))
	want(t, live, "degraded payments/restore-in-ams/rpo")
	p := w.judge("payments") // validity: 2 × 5m + 2m30s, not over yet
	want(t, p, "degraded payments/restore-in-ams/rpo")
	p = w.judgeAt("payments", now.Add(minute.Std())) // now it is; the room is looked at every minute and is silent too
	want(t, p, "unknown payments/ledger/offsite")
	f := finding(t, p, "payments/restore-in-ams/rpo", "rpo-miss")
	if f.Verdict != holdfast.Unmet {
		t.Errorf("the breach reads %s, want unmet", f.Verdict)
	}
}

func TestToolChanged(t *testing.T) {
	w := newWorld(t)
	tool := func(v string) func(*holdfast.Observation) {
		return func(o *holdfast.Observation) { o.Fingerprint = map[string]string{"tool": v, "kernel": v} }
	}
	w.unsee("payments/restore-in-ams/restored")
	w.see("payments/restore-in-ams/restored", 3*day, restored(3*day, 40*minute, 100*gib), tool("restic 0.16.1"))
	w.see("payments/ledger/offsite", minute/2, w.points(3*minute, 5*minute), tool("restic 0.16.4"))
	if p := w.judge("payments"); p.State != holdfast.Proven {
		t.Errorf("a patch level voids the proof: %s", asJSON(t, p))
	}
	w.see("payments/ledger/offsite", minute/4, w.points(3*minute, 5*minute), tool("restic 0.17.0"))
	p := w.judge("payments")
	want(t, p, "stale payments/restore-in-ams/restored")
	contains(t, p.Cause.Reason, "tool changed from restic 0.16 to restic 0.17")
	w.see("payments/restore-in-ams/restored", minute/8, restored(minute/8, 40*minute, 100*gib), tool("restic 0.17.0"))
	want(t, w.judge("payments"), "proven")
}

func TestPartNoLongerNamed(t *testing.T) {
	w := newWorld(t)
	w.see("payments/ledger/offsite", 4*day, w.points(4*day, 5*minute), func(o *holdfast.Observation) {
		o.Fingerprint = map[string]string{"engine": "postgres 15.4"}
	})
	p := w.judge("payments")
	want(t, p, "stale payments/restore-in-ams/intact")
	contains(t, p.Cause.Reason, "no longer named")
}

// TestPartNotYetNamed: the test ran before anybody had looked at the copy. That no
// copy names the tool then is no change.
func TestPartNotYetNamed(t *testing.T) {
	w := newWorld(t)
	w.unsee("payments/ledger/offsite")
	w.unsee("payments/restore-in-ams/intact")
	w.see("payments/restore-in-ams/intact", minute, func(o *holdfast.Observation) {
		o.Verification = &holdfast.Verification{Time: o.At, Scope: 1}
		o.Fingerprint = map[string]string{"tool": "restic 0.16.1"}
	})
	for _, f := range w.judge("payments").Findings {
		if f.Code == "intact-stale" {
			t.Errorf("got %q, want no change before the copy was seen", f.Reason)
		}
	}
}

// identity adds a service that payments depends on, at the same site.
func identity(w *world, tier int, site string) *holdfast.Service {
	w.service("payments").DependsOn = []holdfast.Dependency{{Service: "identity", Kind: holdfast.Required}}
	return w.add(holdfast.Service{
		Name: "identity", Owner: "payments-team", Tier: tier, Site: site, Host: "id1",
		BIA: &holdfast.BIA{RTO: holdfast.Objective{Limit: hour}, RPO: holdfast.Objective{Limit: hour}, MTPD: 8 * hour, Reviewed: date(ago(30 * day))},
		Paths: []holdfast.Path{{
			Name: "failover", At: "ams", Covers: []string{holdfast.DataCorruption, holdfast.HostLoss, holdfast.Ransomware, holdfast.SiteLoss},
			Needs: []holdfast.Need{
				{ID: "identity/failover/login", Name: "login", Site: "ams", Host: "id2", Check: check("identity/failover/login", "net.http", "dr1", minute)},
				{ID: "identity/failover/payments-scp", Name: "payments-scp", Plan: "payments-scp", Site: "ams"},
				{ID: "identity/failover/dba", Name: "dba", Team: "dba", Trained: 1, Site: "ams"},
			},
		}},
	})
}

func TestDependencyLimitsWhereBothAreTakenOut(t *testing.T) {
	w := newWorld(t)
	identity(w, 3, "fra")
	w.see("identity/failover/login", minute, failed(holdfast.Unreachable))
	w.exercise("identity", "failover", 10*day, 5*minute)
	want(t, w.judge("payments"), "broken dependency/identity",
		"host-loss: proven by restore-in-ams", "site-loss: broken by restore-in-ams",
		"data-corruption: proven by restore-in-ams", "ransomware: broken by restore-in-ams")
	want(t, w.judge("identity"), "broken identity/failover/login",
		"host-loss: broken by failover", "data-corruption: broken by failover",
		"site-loss: broken by failover, asked by payments", "ransomware: broken by failover, asked by payments")
	w.service("identity").Site = "ams"
	want(t, w.judge("payments"), "proven",
		"host-loss: proven by restore-in-ams", "site-loss: proven by restore-in-ams",
		"data-corruption: proven by restore-in-ams", "ransomware: proven by restore-in-ams")
}

func TestGrowth(t *testing.T) {
	for _, c := range []struct {
		bytes    holdfast.Bytes
		expected holdfast.Duration
		state    holdfast.State
	}{{200 * gib, 100 * minute, holdfast.Degraded}, {10 * gib, 50 * minute, holdfast.Proven}} {
		w := newWorld(t)
		w.see("payments/ledger/offsite", minute/2, func(o *holdfast.Observation) {
			o.RecoveryPoints = []holdfast.RecoveryPoint{{Time: ago(minute), Bytes: c.bytes}, {Time: ago(6 * minute), Bytes: c.bytes}}
		})
		p := w.judge("payments")
		if p.State != c.state || p.Paths[0].Expected != c.expected || p.Paths[0].Proven != 50*minute {
			t.Errorf("%s now: %s, proven %s, expected %s; want %s, 50m, %s", c.bytes, p.State, p.Paths[0].Proven, p.Paths[0].Expected, c.state, c.expected)
		}
		if c.state == holdfast.Degraded {
			contains(t, finding(t, p, "payments/restore-in-ams/rto", "rto-miss").Reason, "~1h40m")
		}
	}
}

func TestTooLittleRoom(t *testing.T) {
	w := newWorld(t)
	w.see("payments/restore-in-ams/room", minute/2, func(o *holdfast.Observation) { o.Capacity = &holdfast.Capacity{Free: 200 * gib} })
	w.see("payments/ledger/offsite", minute/2, func(o *holdfast.Observation) {
		o.RecoveryPoints = []holdfast.RecoveryPoint{{Time: ago(minute), Bytes: 300 * gib}}
	})
	p := w.judge("payments")
	want(t, p, "broken payments/restore-in-ams/capacity")
	contains(t, p.Cause.Reason, "needs 360GiB at ams, 200GiB free")
}

func TestSecondDatasetNotInPath(t *testing.T) {
	w := newWorld(t)
	s := w.service("payments")
	s.Datasets = append([]holdfast.Dataset{{Name: "cache", Copies: []holdfast.Copy{{Name: "primary", Kind: holdfast.Primary, Site: "fra", Host: "db1"}}}}, s.Datasets...)
	p := w.judge("payments")
	want(t, p, "uncovered payments/host-loss")
	contains(t, p.Cause.Reason, "dataset cache is neither restored nor left")
	s.Paths[0].Leaves = map[string]string{"cache": "warms up by itself"}
	if p = w.judge("payments"); p.State != holdfast.Proven {
		t.Errorf("with the cache left: %s", asJSON(t, p))
	}
}

func TestDrillOnYesterdaysData(t *testing.T) {
	w := newWorld(t)
	w.exercise("payments", "restore-in-ams", 5*day, 50*minute, func(r *holdfast.Record) { r.Point = r.Started.Add(-day.Std()) })
	p := w.judge("payments")
	want(t, p, "degraded payments/restore-in-ams/rpo")
	if r := p.Paths[0].Rungs[holdfast.Exercised]; r.State != holdfast.Proven || !r.At.Equal(ago(5*day)) {
		t.Errorf("exercised reads %+v; want proven by the drill", r)
	}
	contains(t, p.Cause.Reason, "lost 1d")
}

// A drill that could not be walked to its end is no test: whatever stood, stands.
func TestDrillWithoutOutcome(t *testing.T) {
	for name, before := range map[string]func(*holdfast.Record){
		"after one that passed":      func(*holdfast.Record) {},
		"after one that failed":      func(r *holdfast.Record) { r.Outcome = holdfast.Failed },
		"after one that is degraded": func(r *holdfast.Record) { r.Outcome = holdfast.OutcomeDegraded },
	} {
		w := newWorld(t)
		w.exercise("payments", "restore-in-ams", 5*day, 50*minute, before)
		was := asJSON(t, w.judge("payments"))
		w.exercise("payments", "restore-in-ams", day, 5*minute, func(r *holdfast.Record) { r.Outcome, r.Drill = holdfast.OutcomeUnknown, "20260101-0badcafe" })
		if diff := cmp.Diff(was, asJSON(t, w.judge("payments"))); diff != "" {
			t.Errorf("%s (-before +after):\n%s", name, diff)
		}
	}
}

func TestSampleCountsAsIntact(t *testing.T) {
	w := newWorld(t)
	w.unsee("payments/restore-in-ams/intact")
	w.unsee("payments/restore-in-ams/restored")
	w.records = nil
	w.see("payments/restore-in-ams/restored", 3*day, restored(3*day, 2*minute, gib), func(o *holdfast.Observation) { o.Restoration.Coverage = 0.01 })
	p := w.judge("payments")
	if r := p.Paths[0].Rungs; r[holdfast.Intact].State != holdfast.Proven || r[holdfast.Restored].State != holdfast.Untested {
		t.Errorf("rungs %+v; want intact proven, restored untested", r)
	}
}

func TestErrorIsNoTest(t *testing.T) {
	w := newWorld(t)
	w.see("payments/restore-in-ams/restored", hour, func(o *holdfast.Observation) {
		o.Outcome, o.Summary = holdfast.OutcomeUnknown, "scratch disk full"
	})
	p := w.judge("payments")
	if r := p.Paths[0].Rungs[holdfast.Restored]; r.State != holdfast.Proven || !r.At.Equal(ago(3*day)) {
		t.Errorf("restored reads %+v; want proven, of three days ago", r)
	}
	if p := w.judgeAt("payments", ago(3*day).Add((30 * day).Std())); p.Paths[0].Rungs[holdfast.Restored].State != holdfast.Stale {
		t.Error("the rung does not age although the test could not run")
	}
}

func TestFailedExerciseNotRequired(t *testing.T) {
	w := newWorld(t)
	w.service("payments").Tier = 3
	w.exercise("payments", "restore-in-ams", 5*day, 50*minute, func(r *holdfast.Record) {
		r.Outcome, r.Site, r.Plan, r.Version, r.People = holdfast.Failed, "", "", "", nil
	})
	want(t, w.judge("payments"), "broken payments/restore-in-ams/exercised")
}

func TestChainOverRTO(t *testing.T) {
	w := newWorld(t)
	identity(w, 1, "fra")
	w.see("identity/failover/login", minute)
	w.exercise("identity", "failover", 10*day, 40*minute, func(r *holdfast.Record) { r.Bytes = 0 })
	w.records[0].Duration = 45 * minute
	p := w.judge("payments")
	want(t, p, "degraded payments/restore-in-ams/rto",
		"host-loss: proven by restore-in-ams", "site-loss: degraded by restore-in-ams",
		"data-corruption: proven by restore-in-ams", "ransomware: degraded by restore-in-ams")
	rt := p.Scenarios[1].RecoveryTime
	if rt.Total != 85*minute || rt.Own != 45*minute || !slices.Equal(rt.Chain, []string{"identity"}) || rt.AtLeast {
		t.Errorf("recovery time %+v; want 1h25m = 45m + identity's 40m", rt)
	}
	w.path().Without = []string{"identity"}
	want(t, w.judge("payments"), "proven")
}

func TestLastBackupThreeWeeksAgo(t *testing.T) {
	w := newWorld(t)
	w.unsee("payments/ledger/offsite")
	w.see("payments/ledger/offsite", minute, w.points(21*day, 5*minute), func(o *holdfast.Observation) { o.Immutable = yes() })
	p := w.judge("payments")
	want(t, p, "broken payments/restore-in-ams/rpo")
	if f := finding(t, p, "payments/restore-in-ams/rpo", "rpo-beyond"); !f.Since.Equal(ago(21*day - 36*hour)) {
		t.Errorf("beyond bearing since %s; want 36h after the point", f.Since)
	}
}

func TestRestoreOfLongAgo(t *testing.T) {
	w := newWorld(t)
	w.unsee("payments/restore-in-ams/restored")
	w.records = nil
	w.exercise("payments", "restore-in-ams", 70*day, 50*minute)
	w.see("payments/restore-in-ams/restored", 5*365*day, restored(5*365*day, 40*minute, 100*gib))
	want(t, w.judge("payments"), "untested payments/restore-in-ams/restored")
}

func TestPlanReviewLate(t *testing.T) {
	w := newWorld(t)
	w.catalogue.Plans[0].Approved = date(ago(181 * day))
	p := w.judge("payments")
	want(t, p, "stale plan/payments-scp")
	if f := p.Findings[0]; f.Gain != 100-*p.Score || !f.Since.Equal(ago(day)) || !f.Until.Equal(ago(181*day).Add((360 * day).Std())) {
		t.Errorf("finding %+v; want the whole gap as gain, since yesterday, until twice the cadence", f)
	}
	w.records = append(w.records, holdfast.Record{At: ago(hour), Kind: holdfast.Review, Plan: "payments-scp", By: "cm"})
	want(t, w.judge("payments"), "proven")
}

func TestNobodyTrained(t *testing.T) {
	w := newWorld(t)
	for i := range w.catalogue.Teams[0].Members {
		w.catalogue.Teams[0].Members[i].Trained = nil
	}
	want(t, w.judge("payments"), "untested payments/restore-in-ams/dba")
	w.records = append(w.records, holdfast.Record{At: ago(hour), Kind: holdfast.Training, Team: "dba", Plan: "payments-scp", People: []string{"ann", "bob"}, By: "cm"})
	want(t, w.judge("payments"), "proven")
}

func TestMaintenanceAndAcceptanceChangeNothing(t *testing.T) {
	w := newWorld(t)
	w.see("payments/ledger/offsite", minute/2, failed(holdfast.Damaged))
	before := w.judge("payments")
	w.records = append(w.records,
		holdfast.Record{At: ago(hour), Kind: holdfast.Maintenance, Host: "db1", By: "ops", Reason: "disk swap", Until: now.Add(hour.Std())},
		holdfast.Record{At: ago(hour), Kind: holdfast.Acceptance, Need: "payments/ledger/offsite", By: "owner", Approver: "board", Reason: "new bucket on Monday", Until: now.Add(day.Std())})
	p := w.judge("payments")
	if p.State != before.State || *p.Score != *before.Score || p.State != holdfast.Broken {
		t.Errorf("%s %d, before %s %d; want no change", p.State, *p.Score, before.State, *before.Score)
	}
	if len(p.Maintenance) != 1 || !p.Maintenance[0].Until.Equal(now.Add(hour.Std())) {
		t.Errorf("maintenance %+v; want the window", p.Maintenance)
	}
	if len(p.Acceptances) != 1 || !finding(t, p, "payments/ledger/offsite", "copy-failed").Accepted {
		t.Errorf("acceptances %+v; want the finding marked", p.Acceptances)
	}
	if p = w.judgeAt("payments", now.Add(hour.Std())); len(p.Maintenance) != 0 {
		t.Error("the window does not end")
	}
}

func TestClockAheadThenRight(t *testing.T) {
	w := newWorld(t)
	w.unsee("payments/restore-in-ams/room")
	bad := holdfast.Observation{Check: "payments/restore-in-ams/room", Agent: "dr1", Seq: 1, At: now.AddDate(10, 0, 0), Received: ago(2 * minute), Outcome: holdfast.Failed, Reason: holdfast.TooSmall}
	good := holdfast.Observation{Check: "payments/restore-in-ams/room", Agent: "dr1", Seq: 2, At: ago(minute), Received: ago(minute), Outcome: holdfast.OK, Capacity: &holdfast.Capacity{Free: 500 * gib}}
	w.seen = append(w.seen, good, bad)
	want(t, w.judge("payments"), "proven")
	good.Seq = 0 // without a sequence the receipt decides, here too
	bad.Seq = 0
	w.seen = append(w.seen[:len(w.seen)-2], bad, good)
	want(t, w.judge("payments"), "proven")
	good.Received = bad.Received // at the same instant the worse counts
	w.seen = append(w.seen[:len(w.seen)-2], bad, good)
	want(t, w.judge("payments"), "broken payments/restore-in-ams/room")
}

func TestAgentRetired(t *testing.T) {
	w := newWorld(t)
	w.agents = map[string]bool{"db1": true}
	p := w.judge("payments")
	want(t, p, "unknown payments/ledger/offsite")
	contains(t, p.Cause.Reason, "no such agent: dr1")
	w.see("payments/restore-in-ams/room", minute/2, failed(holdfast.TooSmall))
	want(t, w.judge("payments"), "broken payments/restore-in-ams/room")
}

func TestCheckMovedToAnotherAgent(t *testing.T) {
	w := newWorld(t)
	for i := range w.seen {
		w.seen[i].Agent = "dr1"
	}
	for i := range w.seen {
		if strings.HasPrefix(w.seen[i].Check, "payments/ledger/hourly") {
			w.seen[i].Agent = "db1"
		}
	}
	want(t, w.judge("payments"), "proven")
	w.service("payments").Datasets[0].Copies[2].Check.On = "dr2"
	p := w.judge("payments")
	want(t, p, "unknown payments/ledger/offsite")
	contains(t, p.Cause.Reason, "moved to agent dr2")
	if p.Paths[0].Point.IsZero() {
		t.Error("the history is not kept: no recovery point is known")
	}
	w.see("payments/ledger/offsite", minute/2, w.points(3*minute, 5*minute), func(o *holdfast.Observation) { o.Agent = "dr2" })
	want(t, w.judge("payments"), "proven")
}

func TestBadStaysBadUntilTheNewAgentSeesItGood(t *testing.T) {
	w := newWorld(t)
	w.see("payments/ledger/offsite", minute/2, failed(holdfast.Credential), func(o *holdfast.Observation) { o.Agent = "old" })
	want(t, w.judge("payments"), "broken payments/ledger/offsite")
}

func TestDeclaredImmutable(t *testing.T) {
	w := newWorld(t)
	for i := range w.seen {
		w.seen[i].Immutable = nil
	}
	want(t, w.judge("payments"), "uncovered payments/ransomware")
	w.service("payments").Datasets[0].Copies[2].Immutable = yes()
	p := w.judge("payments") // no history: attested at the judged instant
	want(t, p, "proven")
	if f := p.Data[0].Copies[2].Immutable; !f.Value || f.How != "declared" {
		t.Errorf("immutable reads %+v; want declared", f)
	}
	w.records = append(w.records, holdfast.Record{At: ago(180 * day), Kind: holdfast.Attestation, Need: "payments/ledger/offsite/immutable", By: "cm"})
	p = w.judge("payments")
	want(t, p, "stale payments/ledger/offsite/immutable")
	if f := p.Findings[0]; !f.Declared {
		t.Errorf("finding %+v; want it shown as declared", f)
	}
	w.see("payments/ledger/offsite", minute/2, w.points(3*minute, 5*minute), func(o *holdfast.Observation) { o.Immutable = no() })
	want(t, w.judge("payments"), "uncovered payments/ransomware") // a probe that sees otherwise wins at once
}

func TestRing(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"dns", "ldap"} {
		other := map[string]string{"dns": "ldap", "ldap": "dns"}[name]
		s := identity(w, 1, "fra")
		s.Name, s.DependsOn = name, []holdfast.Dependency{{Service: other, Kind: holdfast.Recovery}}
		s.Paths = slices.Clone(s.Paths)
		s.Paths[0].Needs = slices.Clone(s.Paths[0].Needs)
		c := *s.Paths[0].Needs[0].Check
		c.ID = name + "/failover/login"
		s.Paths[0].Needs[0].ID, s.Paths[0].Needs[0].Check = c.ID, &c
		w.see(c.ID, minute)
		w.exercise(name, "failover", 10*day, 5*minute, func(r *holdfast.Record) { r.Bytes = 0 })
	}
	w.service("payments").DependsOn = []holdfast.Dependency{{Service: "dns", Kind: holdfast.Required}}
	p := w.judge("payments")
	if p.State != holdfast.Degraded {
		t.Errorf("payments on a ring: %s", asJSON(t, p))
	}
	contains(t, finding(t, p, "dependency/dns", "dependency").Reason, "dns and ldap wait for each other")
	dns, ldap := w.judge("dns"), w.judge("ldap")
	if dns.State != holdfast.Degraded || ldap.State != holdfast.Degraded || *dns.Score != *ldap.Score {
		t.Errorf("dns %s %d, ldap %s %d; want one degraded unit", dns.State, *dns.Score, ldap.State, *ldap.Score)
	}
	w.see("ldap/failover/login", minute/2, failed(holdfast.Unreachable))
	if dns = w.judge("dns"); dns.State != holdfast.Broken {
		t.Errorf("dns is %s beside a broken ldap; want the unit's worst", dns.State)
	}
	w.unsee("ldap/failover/login")
	w.see("ldap/failover/login", minute)
	w.service("dns").Paths[0].Without = []string{"ldap"}
	for _, name := range []string{"dns", "ldap", "payments"} {
		if p := w.judge(name); p.State != holdfast.Proven {
			t.Errorf("%s is %s once dns starts without ldap: %s", name, p.State, asJSON(t, p.Findings))
		}
	}
}

func TestRansomwareStruck(t *testing.T) {
	w := newWorld(t)
	w.service("payments").BIA.Scenarios = map[string]holdfast.ScenarioTerms{holdfast.Ransomware: {
		Omit: &holdfast.Omission{Owner: "ann", Reason: "air gap next year", Approver: "board", Until: date(now.Add(day.Std()))},
	}}
	p := w.judge("payments")
	want(t, p, "proven", "host-loss: proven by restore-in-ams", "site-loss: proven by restore-in-ams", "data-corruption: proven by restore-in-ams")
	if len(p.Looser) != 1 || p.Looser[0].Term != "scenario ransomware" || p.Looser[0].By != "ann" {
		t.Errorf("looser terms %+v; want the scenario, by ann", p.Looser)
	}
	if got, want := score.CountEstate([]holdfast.Posture{p}).String(), "1 of 1 service could be recovered within target now, with proof; 1 by looser terms"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if p = w.judgeAt("payments", now.Add(day.Std())); len(p.Scenarios) != 4 {
		t.Errorf("%d scenarios once the omission ended, want 4", len(p.Scenarios))
	}
}

func TestSingleCloudIsJudgedOnFourScenarios(t *testing.T) {
	w := newWorld(t)
	w.catalogue.Sites[0].Supplier, w.catalogue.Sites[1].Supplier = "cloud", "cloud"
	want(t, w.judge("payments"), "proven",
		"host-loss: proven by restore-in-ams", "site-loss: proven by restore-in-ams",
		"data-corruption: proven by restore-in-ams", "ransomware: proven by restore-in-ams")
	w.service("payments").BIA.Scenarios = map[string]holdfast.ScenarioTerms{holdfast.SupplierLoss: {}}
	w.path().Covers = append(w.path().Covers, holdfast.SupplierLoss)
	p := w.judge("payments")
	want(t, p, "uncovered payments/supplier-loss")
	contains(t, p.Cause.Reason, "the recovery site ams is lost")
}

func TestCopySilentPastBearing(t *testing.T) {
	w := newWorld(t)
	p := w.judgeAt("payments", now.Add((35 * hour).Std()))
	want(t, p, "unknown payments/ledger/offsite")
	p = w.judgeAt("payments", now.Add((36 * hour).Std()))
	want(t, p, "broken payments/restore-in-ams/rpo")
}
