package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

// TestRunNowOnThePage: whoever may sees a button a check; what becomes of it stands
// on the page, step by step, also where nobody could be asked.
func TestRunNowOnThePage(t *testing.T) {
	e := newEstate(t, at(noon))
	h := handler(t, e)
	const check = "payments/restore-in-ams/restored/ledger"
	for role, want := range map[string]bool{"viewer": false, "auditor": false, "operator": true, "manager": true, "admin": true} {
		if got := strings.Contains(text(t, ask(t, h, role, "GET", "/services/payments", "")), "Run restore test now"); got != want {
			t.Errorf("%s sees the button: %v, want %v", role, got, want)
		}
	}
	form := url.Values{"check": {check}, "back": {"/services/payments"}}.Encode()
	resp := ask(t, h, "operator", "POST", "/run", form, "Content-Type", formType)
	if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusSeeOther || got != "/services/payments#runs" {
		t.Fatalf("asked: got %d to %q, want 303 back to the page", resp.StatusCode, got)
	}
	runs := func(of string) string { return words(one(t, page(t, h, of), of, id("runs"))) }
	steps := []struct {
		change func(*holdfast.Run)
		want   string
	}{
		{func(*holdfast.Run) {}, "restore-in-ams/restored/ledger Asked agent dr1 was asked"},
		{func(r *holdfast.Run) { r.State = holdfast.RunWaiting }, "Waits on dr1, until other checks there have ended"},
		{func(r *holdfast.Run) {
			r.State, r.Started, r.Phase = holdfast.RunRunning, noon, &holdfast.Phase{Name: "restore", Done: 3, Total: 4}
		}, "Runs on dr1, restore, 75 %"},
		{func(r *holdfast.Run) {
			r.State, r.Phase, r.Ended, r.Outcome, r.Summary = holdfast.RunDone, nil, noon.Add(90*time.Second), holdfast.OK, "every byte compared"
		}, "Done ok after 1m 30s: every byte compared"},
		{func(r *holdfast.Run) {
			r.State, r.Outcome, r.Summary = holdfast.RunRefused, holdfast.OutcomeUnknown, "this host does not allow restic.restore"
		}, "Refused by the policy of agent dr1: this host does not allow restic.restore"},
		{func(r *holdfast.Run) { r.State, r.Summary = holdfast.RunLost, "agent dr1 went away" }, "Lost sight of agent dr1 went away"},
	}
	for _, s := range steps {
		e.tellRun(check, s.change)
		for _, on := range []string{"/services/payments", "/checks/" + check} {
			if got := runs(on); !strings.Contains(got, s.want) {
				t.Errorf("%s shows %q, want %q", on, got, s.want)
			}
		}
	}
	ask(t, h, "operator", "POST", "/run", "check=wiki/pages/nightly&back=/services/wiki", "Content-Type", formType)
	if got := runs("/services/wiki"); !strings.Contains(got, "Not run agent wiki1 is not connected") && !strings.Contains(got, "is not connected") {
		t.Errorf("nobody to ask: got %q", got)
	}
	for _, back := range []string{"https://evil.example/", "//evil.example", ""} {
		resp := ask(t, h, "operator", "POST", "/run", url.Values{"check": {check}, "back": {back}}.Encode(), "Content-Type", formType)
		if got := resp.Header.Get("Location"); got != "/checks/"+check+"#runs" {
			t.Errorf("back to %q: got %q, want the page of the check", back, got)
		}
	}
}

// TestRecordForms: what is wrong is said at its field, what was typed stays, and
// what is good is entered.
func TestRecordForms(t *testing.T) {
	e := newEstate(t, at(noon))
	h := handler(t, e)
	typed := url.Values{"path": {"restore-in-ams"}, "outcome": {"ok"}, "started": {"yesterday"}, "duration": {"soon"}, "plan": {"site-loss-plan"},
		"version": {"7 <b>"}, "site": {"ams"}, "people": {" ada , bela,"}, "note": {"it rained"}, "by": {"dana"}}
	resp := ask(t, h, "operator", "POST", "/services/payments/record/exercise", typed.Encode(), "Content-Type", formType)
	body := text(t, resp)
	if resp.StatusCode != http.StatusUnprocessableEntity || len(e.records) != 0 {
		t.Fatalf("a bad form: got %d and %d records, want 422 and none", resp.StatusCode, len(e.records))
	}
	for _, want := range []string{`value="yesterday"`, `value="soon"`, `value="7 &lt;b&gt;"`, ">it rained</textarea>", `value="dana"`, `<option value="restore-in-ams" selected>`,
		`id="e-started">Write it like 2006-01-02T15:04, in UTC.`, `id="e-duration">`, `aria-describedby="e-started"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the form does not hold %q", want)
		}
	}
	typed.Set("started", "2026-06-19T08:00")
	typed.Set("duration", "45m")
	typed.Set("people", "")
	typed.Set("version", "7")
	body = text(t, ask(t, h, "operator", "POST", "/services/payments/record/exercise", typed.Encode(), "Content-Type", formType))
	if !strings.Contains(body, `id="e-people">A record of kind exercise must state it.`) {
		t.Error("nobody named: the form does not say so at its field")
	}
	typed.Set("people", "ada, bela")
	typed.Set("point", "2026-06-19T07:50")
	resp = ask(t, h, "operator", "POST", "/services/payments/record/exercise", typed.Encode(), "Content-Type", formType)
	if got := resp.Header.Get("Location"); got != "/services/payments#records" || len(e.records) != 1 {
		t.Fatalf("a good form: got %d to %q and %d records", resp.StatusCode, got, len(e.records))
	}
	began := time.Date(2026, 6, 19, 8, 0, 0, 0, time.UTC)
	want := holdfast.Record{ID: "000001", Kind: holdfast.Exercise, At: noon, Received: noon, Service: "payments", Path: "restore-in-ams", Plan: "site-loss-plan", Version: "7", Site: "ams",
		Outcome: holdfast.OK, Started: began, Duration: holdfast.Duration(45 * time.Minute), Point: began.Add(-10 * time.Minute), People: []string{"ada", "bela"}, Note: "it rained", By: "dana", EnteredBy: "the operator"}
	if diff := cmp.Diff(want, e.records[0]); diff != "" {
		t.Errorf("entered (-want +got):\n%s", diff)
	}
	if got := words(one(t, page(t, h, "/services/payments"), "page", id("records"))); !strings.Contains(got, "exercise restore-in-ams, plan site-loss-plan 7, at ams, passed, took 45m, 10m lost, with ada and bela") {
		t.Errorf("the page's records: %q", got)
	}

	// A finding leads to its form; a manager accepts it, an operator may not.
	body = text(t, ask(t, h, "manager", "GET", "/services/payments/record/acceptance?need=payments/bia", ""))
	if !strings.Contains(body, `<option value="payments/bia" selected>`) {
		t.Error("the need of the address is not chosen")
	}
	for role, want := range map[string]int{"operator": 403, "manager": 303} {
		if got := ask(t, h, role, "POST", "/services/payments/record/acceptance", "need=payments/bia&reason=x&approver=y&until=2026-09-01T00:00", "Content-Type", formType).StatusCode; got != want {
			t.Errorf("%s accepts a risk: got %d, want %d", role, got, want)
		}
	}
	e.broken = fmt.Errorf("disk full")
	resp = ask(t, h, "manager", "POST", "/services/payments/record/change", "reason=moved", "Content-Type", formType)
	if body := text(t, resp); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, ">moved</textarea>") || !strings.Contains(body, "not stored") {
		t.Errorf("the store refuses: got %d, want 503 with what was typed", resp.StatusCode)
	}
}

// TestEveryKindHasItsForm: each form, filled in as it suggests and with what is
// required, makes a record that is taken.
func TestEveryKindHasItsForm(t *testing.T) {
	e := newEstate(t, at(noon))
	h := handler(t, e)
	more := map[holdfast.RecordKind]url.Values{
		holdfast.Exercise:    {"path": {"restore-in-ams"}, "outcome": {"ok"}, "started": {"2026-06-19T08:00"}, "duration": {"45m"}, "plan": {"site-loss-plan"}, "version": {"7"}, "site": {"ams"}, "people": {"ada"}},
		holdfast.Review:      {"plan": {""}},
		holdfast.Training:    {"team": {"payments-team"}, "plan": {"site-loss-plan"}, "people": {"ada"}},
		holdfast.Change:      {"reason": {"moved"}, "substantive": {"yes"}},
		holdfast.Attestation: {"need": {"payments/restore-in-ams/acquirer-contract"}},
		holdfast.Acceptance:  {"need": {"payments/bia"}, "reason": {"x"}, "approver": {"board"}, "until": {"2026-09-01T00:00"}},
		holdfast.Maintenance: {"reason": {"disks"}, "until": {"2026-06-20T18:00"}},
		holdfast.Invocation:  {"path": {"restore-in-ams"}, "outcome": {"ok"}, "started": {"2026-06-19T08:00"}},
	}
	for i, kind := range holdfast.RecordKinds {
		address := "/services/payments/record/" + string(kind)
		body := text(t, ask(t, h, "admin", "GET", address, ""))
		for name := range more[kind] {
			if !strings.Contains(body, `name="`+name+`"`) {
				t.Errorf("%s: the form has no field %s", kind, name)
			}
		}
		if resp := ask(t, h, "admin", "POST", address, more[kind].Encode(), "Content-Type", formType); resp.StatusCode != http.StatusSeeOther || len(e.records) != i+1 {
			t.Errorf("%s: got %d and %d records: %s", kind, resp.StatusCode, len(e.records), text(t, resp))
		}
	}
}

// TestTimeline: the worst of a day, never a mean; the longest gap; every test.
func TestTimeline(t *testing.T) {
	e := newEstate(t, at(noon))
	remember(e)
	h := handler(t, e)
	var got web.ServiceTimeline
	if err := json.Unmarshal([]byte(text(t, ask(t, h, "viewer", "GET", "/api/v1/services/payments/timeline", ""))), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Days) != 90 || got.Days[89].Day != "2026-06-20" || got.Path != "restore-in-ams" || got.RPO != holdfast.Duration(15*time.Minute) {
		t.Fatalf("got %d days to %s, path %s, RPO %s", len(got.Days), got.Days[len(got.Days)-1].Day, got.Path, got.RPO)
	}
	day := func(ago int) web.Day { return got.Days[89-ago] }
	for _, c := range []struct {
		ago     int
		state   holdfast.State
		score   int
		changes int
	}{{85, "", -1, 0}, {80, holdfast.Untested, 52, 1}, {70, holdfast.Untested, 52, 0}, {60, holdfast.Untested, 52, 1}, {59, holdfast.Proven, 96, 0}, {24, holdfast.Degraded, 64, 1}, {22, holdfast.Degraded, 64, 0}, {21, holdfast.Degraded, 64, 1}, {20, holdfast.Proven, 100, 0}} {
		d := day(c.ago)
		score := -1
		if d.Score != nil {
			score = *d.Score
		}
		if d.State != c.state || score != c.score || d.Changes != c.changes {
			t.Errorf("%d days ago: got %q, score %d, %d changes, want %q, %d, %d", c.ago, d.State, score, d.Changes, c.state, c.score, c.changes)
		}
	}
	if got := day(24).Scenarios[holdfast.HostLoss]; got != holdfast.Degraded {
		t.Errorf("host loss 24 days ago: got %s, want degraded", got)
	}
	if got := day(24).Scenarios[holdfast.Ransomware]; got != holdfast.Proven {
		t.Errorf("ransomware 24 days ago: got %s, want proven", got)
	}
	for ago, want := range map[int]time.Duration{10: 4 * time.Minute, 24: 9 * time.Hour, 25: 8 * time.Hour, 70: 0} {
		if got := day(ago).Exposure.Std(); got != want {
			t.Errorf("exposure %d days ago: got %s, want %s", ago, got, want)
		}
	}
	tests := map[string]int{}
	for _, x := range day(24).Tests {
		tests[fmt.Sprintf("%s %s %s", x.Rung, x.Dataset, x.Outcome)]++
	}
	if diff := cmp.Diff(map[string]int{"restored ledger failed": 1, "restored receipts failed": 1, "intact ledger ok": 1, "intact receipts ok": 1}, tests); diff != "" {
		t.Errorf("tests 24 days ago (-want +got):\n%s", diff)
	}
	doc := page(t, h, "/services/payments")
	reads := words(one(t, doc, "page", id("reads")))
	for _, want := range []string{"Wed 27 May. At worst degraded, score 64. Up to 9 h of data at risk, RPO 15 min.", "Restored ledger by restore-in-ams in 5 min: failed.", "Fri 27 Mar. Nothing is known."} {
		if !strings.Contains(reads, want) {
			t.Errorf("the days in words lack %q", want)
		}
	}
	for _, want := range []string{`role="slider"`, `aria-valuemax="89"`, `aria-valuetext="Sat 20 Jun.`} {
		if !strings.Contains(text(t, ask(t, h, "viewer", "GET", "/services/payments", "")), want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	// What cannot be read is left out, the rest stands.
	e.broken = fmt.Errorf("disk failed")
	if resp := ask(t, h, "viewer", "GET", "/services/payments", ""); resp.StatusCode != http.StatusOK || strings.Contains(text(t, resp), `id="timeline"`) {
		t.Errorf("with a history that cannot be read: got %d", resp.StatusCode)
	}
}

// TestCriticalPath: what has to be back before what, who has time to spare, and the
// same in the picture, its words and the API.
func TestCriticalPath(t *testing.T) {
	h := handler(t, newEstate(t, at(noon), troubled(noon)))
	var got web.Recoveries
	if err := json.Unmarshal([]byte(text(t, ask(t, h, "viewer", "GET", "/api/v1/services/payments/recovery", ""))), &got); err != nil {
		t.Fatal(err)
	}
	steps := map[string][]string{}
	for _, r := range got.Scenarios {
		for _, x := range r.Steps {
			steps[r.Scenario] = append(steps[r.Scenario], fmt.Sprintf("%s %s+%s slack %s critical %v waits %v", x.Service, x.Start, x.Length, x.Slack, x.Critical, x.Waits))
		}
	}
	want := []string{"dns 0s+9m slack 0s critical true waits []", "identity 0s+9m slack 0s critical false waits []", "payments 9m+12m slack 0s critical true waits [dns identity]"}
	if diff := cmp.Diff(want, steps[holdfast.SiteLoss]); diff != "" {
		t.Errorf("site loss (-want +got):\n%s", diff)
	}
	if got := steps[holdfast.HostLoss]; len(got) != 1 {
		t.Errorf("host loss: got %q, want the service alone", got)
	}
	doc := words(one(t, page(t, h, "/services/payments"), "page", id("recovery")))
	for _, want := range []string{"21m in all, RTO 1h", "back after 9 min, every delay of it delays the service; by second-server", "from 9 min to 21 min; by restore-in-ams", "It waits for nobody in Host loss, Data corruption"} {
		if !strings.Contains(doc, want) {
			t.Errorf("the picture lacks %q: %s", want, doc)
		}
	}
}

// TestCheckPage: what it saw, what was notable before, what hangs on it.
func TestCheckPage(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	remember(e)
	h := handler(t, e)
	doc := page(t, h, "/checks/shop/catalogue/vault")
	for section, wants := range map[string][]string{
		"latest": {"looked 20 s ago", "3 of 1204 packs fail their checksum", "recovery point", "pack 5f1c"},
		"rests":  {"Web shop", "path restore-in-ams", "repository"},
		"past":   {"recovery point of 20 Jun", "3m after the one before"},
	} {
		got := words(one(t, doc, "page", id(section)))
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s lacks %q: %s", section, want, got)
			}
		}
	}
	if got := words(one(t, page(t, h, "/checks/shop/restore-in-ams/restored"), "page", id("past"))); !strings.Contains(got, "failed, assertion was ok restored in 5m, 12GiB 2 of 4211 files differ") {
		t.Errorf("past of a test: %s", got)
	}
	if got := words(one(t, page(t, h, "/checks/wiki/pages/nightly"), "page", id("latest"))); !strings.Contains(got, "No report has come yet") {
		t.Errorf("a check nobody reported: %s", got)
	}
	for _, service := range []string{"payments", "shop"} { // every evidence leads to its check
		for _, path := range links(t, h, "/services/"+service, "/checks/") {
			if got := ask(t, h, "viewer", "GET", path, "").StatusCode; got != http.StatusOK {
				t.Errorf("%s: got %d", path, got)
			}
		}
	}
}

// links lists the addresses below a prefix that a page leads to.
func links(t *testing.T, h http.Handler, of, prefix string) (list []string) {
	t.Helper()
	body := text(t, ask(t, h, "admin", "GET", of, ""))
	for part := range strings.SplitSeq(body, `href="`) {
		if address, _, ok := strings.Cut(part, `"`); ok && strings.HasPrefix(address, prefix) {
			list = append(list, address)
		}
	}
	if len(list) == 0 {
		t.Errorf("%s leads to nothing below %s", of, prefix)
	}
	return list
}

// TestHostilePast: whatever texts runs, histories and records hold, pages show them
// as text, shortened.
func TestHostilePast(t *testing.T) {
	for name, bad := range hostile {
		t.Run(name, func(t *testing.T) {
			e := newEstate(t, at(noon))
			remember(e)
			if _, err := e.RunCheck(t.Context(), "payments/ledger/offsite", bad); err != nil {
				t.Fatal(err)
			}
			for _, state := range []holdfast.RunState{holdfast.RunRunning, holdfast.RunDone, holdfast.RunLost, holdfast.RunState(bad)} {
				e.tellRun("payments/ledger/offsite", func(r *holdfast.Run) {
					r.State, r.Summary, r.Reason, r.Ended = state, bad, holdfast.Reason(bad), noon
					r.Phase = &holdfast.Phase{Name: bad, Done: 1 << 62, Total: 1}
				})
				for id := range e.past {
					for i := range e.past[id] {
						o := &e.past[id][i]
						o.Summary, o.Raw, o.Reason = bad, bad, holdfast.Reason(bad)
					}
				}
				for i := range e.records {
					r := &e.records[i]
					r.Reason, r.Note, r.By, r.People, r.Approver = bad, bad, bad, []string{bad}, bad
				}
				h := handler(t, e)
				for _, target := range []string{"/services/payments", "/checks/payments/ledger/offsite", "/checks/" + escape(bad), "/services/payments/record/acceptance?need=" + escape(bad) + "&reason=" + escape(bad)} {
					harmless(t, target, text(t, ask(t, h, "manager", "GET", target, "")))
				}
				typed := url.Values{"reason": {bad}, "need": {bad}, "by": {bad}, "until": {bad}, "approver": {bad}}
				if len(bad) < 60<<10 {
					harmless(t, "the form", text(t, ask(t, h, "manager", "POST", "/services/payments/record/acceptance", typed.Encode(), "Content-Type", formType)))
				}
			}
		})
	}
}
