package web_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

const exercise = `{"record":"exercise","at":"2026-06-20T09:00:00Z","service":"payments","path":"promote-standby","plan":"site-loss-plan","version":"7","site":"ams",
	"outcome":"ok","started":"2026-06-20T08:00:00Z","duration":"20m","people":["ada","bela"]}`

const acceptance = `{"record":"acceptance","need":"payments/promote-standby/exercised","reason":"short of people","approver":"board","until":"2026-09-01T00:00:00Z"}`

// routes is every route there is, and what each role gets. Roles in order:
// nobody, viewer, operator, manager, auditor, admin.
var routes = []struct {
	method, target, body string
	want                 [6]int
}{
	{"GET", "/healthz", "", [6]int{200, 200, 200, 200, 200, 200}},
	{"GET", "/readyz", "", [6]int{200, 200, 200, 200, 200, 200}},
	{"GET", "/static/style.css", "", [6]int{200, 200, 200, 200, 200, 200}},
	{"GET", "/static/nothing", "", [6]int{404, 404, 404, 404, 404, 404}},
	{"GET", "/login", "", [6]int{200, 200, 200, 200, 200, 200}},
	{"POST", "/login", "", [6]int{403, 403, 403, 403, 403, 403}},
	{"GET", "/login/oidc", "", [6]int{403, 403, 403, 403, 403, 403}},
	{"GET", "/login/oidc/begin", "", [6]int{404, 404, 404, 404, 404, 404}},
	{"GET", "/badge/hfb_nothing.svg", "", [6]int{404, 404, 404, 404, 404, 404}}, // the one picture that needs no login: its address is the key
	{"POST", "/api/v1/session", `{"name":"ada","password":"correct horse battery"}`, [6]int{201, 201, 201, 201, 201, 201}},
	{"POST", "/api/v1/session", `{"name":"ada","password":"wrong"}`, [6]int{401, 401, 401, 401, 401, 401}},
	{"POST", "/api/v1/session", `{"name":"bob","password":"correct horse battery"}`, [6]int{401, 401, 401, 401, 401, 401}}, // disabled
	{"GET", "/api/v1/session", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/sessions", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"DELETE", "/api/v1/session", "", [6]int{401, 204, 204, 204, 204, 204}},
	{"DELETE", "/api/v1/sessions", "", [6]int{401, 204, 204, 204, 204, 204}},
	{"DELETE", "/api/v1/sessions/fedcba9876543210", "", [6]int{401, 404, 404, 404, 404, 404}}, // a token has none
	{"POST", "/api/v1/session/password", `{"current":"x","password":"y"}`, [6]int{401, 422, 422, 422, 422, 422}},
	{"GET", "/api/v1/users", "", [6]int{401, 403, 403, 403, 403, 200}},
	{"POST", "/api/v1/users", `{"name":"carla","role":"viewer","password":"a few words in a row"}`, [6]int{401, 403, 403, 403, 403, 201}},
	{"PATCH", "/api/v1/users/ada", `{"role":"admin"}`, [6]int{401, 403, 403, 403, 403, 200}},
	{"DELETE", "/api/v1/users/ada", "", [6]int{401, 403, 403, 403, 403, 204}},
	{"GET", "/api/v1/tokens", "", [6]int{401, 403, 403, 403, 403, 200}},
	{"POST", "/api/v1/tokens", `{"name":"ci","role":"admin"}`, [6]int{401, 403, 403, 403, 403, 201}},
	{"DELETE", "/api/v1/tokens/00aa11bb22cc33dd", "", [6]int{401, 403, 403, 403, 403, 204}},
	{"GET", "/api/v1/badges", "", [6]int{401, 403, 403, 403, 403, 200}},
	{"POST", "/api/v1/badges", `{"service":"payments"}`, [6]int{401, 403, 403, 403, 403, 201}},
	{"DELETE", "/api/v1/badges/44aa11bb22cc33dd", "", [6]int{401, 403, 403, 403, 403, 204}},
	{"GET", "/api/v1/collector", "", [6]int{401, 403, 403, 200, 200, 200}},
	{"GET", "/api/v1/catalogues", "", [6]int{401, 403, 403, 200, 200, 200}},
	{"GET", "/settings", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/settings/users", "", [6]int{401, 303, 303, 303, 303, 303}},
	{"POST", "/settings/password", "", [6]int{401, 422, 422, 422, 422, 422}},
	{"POST", "/settings/sessions/end", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"POST", "/settings/users", "", [6]int{401, 403, 403, 403, 403, 422}},
	{"POST", "/settings/users/change", "", [6]int{401, 403, 403, 403, 403, 422}},
	{"POST", "/settings/tokens", "", [6]int{401, 403, 403, 403, 403, 422}},
	{"POST", "/settings/tokens/revoke", "", [6]int{401, 403, 403, 403, 403, 404}},
	{"POST", "/settings/badges", "", [6]int{401, 403, 403, 403, 403, 422}},
	{"POST", "/settings/badges/revoke", "", [6]int{401, 403, 403, 403, 403, 404}},
	{"GET", "/metrics", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/services/payments", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/services/nothing", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"GET", "/agents", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/agents/db1", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/agents/nothing", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"GET", "/data", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/paths", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/data.csv", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/data", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/data?format=csv", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/data.csv", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/alerts", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/alerts/silences", "", [6]int{401, 303, 303, 303, 303, 303}},
	{"POST", "/alerts/a-firing/acknowledge", "last=1h", [6]int{401, 403, 303, 303, 403, 303}},
	{"POST", "/alerts/silences", "by=host&name=db1&reason=work&last=1h", [6]int{401, 403, 303, 303, 403, 303}},
	{"POST", "/alerts/silences/s-over/end", "", [6]int{401, 403, 404, 404, 403, 404}},
	{"POST", "/alerts/routes/everything/test", "", [6]int{401, 403, 303, 403, 403, 303}},
	{"POST", "/alerts/deliveries/nothing/retry", "", [6]int{401, 403, 404, 404, 403, 404}},
	{"GET", "/api/v1/alerts", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/alerts/a-firing", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"POST", "/api/v1/alerts/a-firing/acknowledge", `{"until":"2026-06-20T16:00:00Z"}`, [6]int{401, 403, 200, 200, 403, 200}},
	{"GET", "/api/v1/silences", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"POST", "/api/v1/silences", `{"host":"db1","reason":"work","until":"2026-06-20T16:00:00Z"}`, [6]int{401, 403, 201, 201, 403, 201}},
	{"POST", "/api/v1/silences/s-over/end", "", [6]int{401, 403, 404, 404, 403, 404}},
	{"GET", "/api/v1/routes", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"POST", "/api/v1/routes/everything/test", "", [6]int{401, 403, 200, 403, 403, 200}},
	{"GET", "/drills", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/drills/20260620-0badcafe", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/drills/nothing", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"GET", "/drills/new?service=identity&path=failover", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/drills/new?service=nobody", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"GET", "/drills/bookings", "", [6]int{401, 303, 303, 303, 303, 303}},
	{"POST", "/drills", "service=payments&path=restore-in-ams", [6]int{401, 403, 409, 409, 403, 409}}, // one is under way
	{"POST", "/drills/20260620-0badcafe/steps/2", "done=yes", [6]int{401, 403, 422, 422, 403, 422}},
	{"POST", "/drills/nothing/cancel", "", [6]int{401, 403, 404, 404, 403, 404}},
	{"POST", "/drills/bookings", "", [6]int{401, 403, 422, 422, 403, 422}},
	{"POST", "/drills/unbook", "booking=nothing", [6]int{401, 403, 404, 404, 403, 404}},
	{"GET", "/api/v1/drills", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/drills/20260620-0badcafe", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/services/payments/paths/restore-in-ams/drill", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"POST", "/api/v1/drills", `{"service":"payments","path":"restore-in-ams"}`, [6]int{401, 403, 409, 409, 403, 409}}, // one is under way
	{"POST", "/api/v1/drills/20260620-0badcafe/steps/dance", `{}`, [6]int{401, 403, 404, 404, 403, 404}},
	{"POST", "/api/v1/drills/nothing/cancel", `{}`, [6]int{401, 403, 404, 404, 403, 404}},
	{"GET", "/api/v1/drills/bookings", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"POST", "/api/v1/drills/bookings", `{"service":"identity","path":"failover","every":"90d"}`, [6]int{401, 403, 201, 201, 403, 201}},
	{"DELETE", "/api/v1/drills/bookings/nothing", "", [6]int{401, 403, 404, 404, 403, 404}},
	{"GET", "/api/v1/deliveries", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"POST", "/api/v1/deliveries/nothing/retry", "", [6]int{401, 403, 404, 404, 403, 404}},
	{"GET", "/events", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/nothing", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"POST", "/logout", "", [6]int{401, 303, 303, 303, 303, 303}},
	{"GET", "/api/v1/openapi.json", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/status", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/services", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/services/payments", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/services/nothing", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"GET", "/api/v1/services/payments/history", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/services/payments/history?limit=0", "", [6]int{401, 422, 422, 422, 422, 422}},
	{"GET", "/api/v1/services/nothing/history", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"GET", "/api/v1/data?only=problems", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/data?only=nothing", "", [6]int{401, 422, 422, 422, 422, 422}},
	{"GET", "/api/v1/data/unprotected?limit=2", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/data.csv?each=database", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/paths?scenario=site-loss", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/paths?tier=5", "", [6]int{401, 422, 422, 422, 422, 422}},
	{"GET", "/api/v1/needs", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/agents", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/agents/db1", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/agents/nothing", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"GET", "/api/v1/changes?since=2026-06-20T00:00:00Z", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/catalogue", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/scenarios", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/deadlines?within=7d", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/search?q=pay", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/events", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/checks/payments/ledger/offsite", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/checks/payments%2Fledger%2Foffsite", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/checks/payments/ledger/nothing", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"GET", "/checks/payments/ledger/offsite", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/checks/payments/nothing", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"POST", "/run", "check=payments/ledger/offsite&back=/services/payments", [6]int{401, 403, 303, 303, 403, 303}},
	{"POST", "/run", "check=wiki/pages/nightly", [6]int{401, 403, 303, 303, 403, 303}}, // the page says that nobody could be asked
	{"POST", "/run", "check=payments/nothing", [6]int{401, 403, 404, 404, 403, 404}},
	{"GET", "/services/payments/record/exercise", "", [6]int{401, 403, 200, 200, 403, 200}},
	{"GET", "/services/payments/record/acceptance", "", [6]int{401, 403, 403, 200, 403, 200}},
	{"GET", "/services/payments/record/nothing", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"GET", "/services/nothing/record/change", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"POST", "/services/payments/record/change", "reason=moved", [6]int{401, 403, 303, 303, 403, 303}},
	{"POST", "/services/payments/record/change", "", [6]int{401, 403, 422, 422, 403, 422}},
	{"POST", "/services/payments/record/acceptance", "need=payments/bia&reason=x&approver=y&until=2026-09-01T00:00", [6]int{401, 403, 403, 303, 403, 303}},
	{"GET", "/api/v1/services/payments/timeline", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/services/nothing/timeline", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"GET", "/api/v1/services/payments/timeline?days=0", "", [6]int{401, 422, 422, 422, 422, 422}},
	{"GET", "/api/v1/services/payments/recovery", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/services/payments/tests", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/services/payments/records", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/observations/payments/ledger/offsite", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/observations/payments/nothing", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"GET", "/api/v1/checks/runs", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/checks/runs?service=nothing", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"POST", "/api/v1/checks/run", `{"check":"payments/ledger/offsite"}`, [6]int{401, 403, 202, 202, 403, 202}},
	{"POST", "/api/v1/checks/run", `{"check":"payments/nothing"}`, [6]int{401, 403, 404, 404, 403, 404}},
	{"POST", "/api/v1/checks/run", `{"check":"wiki/pages/nightly"}`, [6]int{401, 403, 409, 409, 403, 409}},
	{"GET", "/api/v1/records", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"POST", "/api/v1/records", exercise, [6]int{401, 403, 201, 201, 403, 201}},
	{"POST", "/api/v1/records", acceptance, [6]int{401, 403, 403, 201, 403, 201}},
	{"POST", "/api/v1/records", `{"record":"exercise"}`, [6]int{401, 403, 422, 422, 403, 422}},
	{"DELETE", "/api/v1/records", "", [6]int{401, 405, 405, 405, 405, 405}},
	{"GET", "/api/v1/nothing", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"GET", "/api/nothing", "", [6]int{401, 404, 404, 404, 404, 404}},
}

func TestWhoMay(t *testing.T) {
	roles := []string{"", "viewer", "operator", "manager", "auditor", "admin"}
	gone, leave := context.WithCancel(t.Context())
	leave()
	for i, role := range roles {
		h := handler(t, newEstate(t, at(noon)))
		for _, r := range routes {
			asked := h
			if strings.HasSuffix(r.target, "/events") {
				asked = within(h, gone) // a reader that leaves at once
			}
			form := "application/json"
			if !strings.HasPrefix(r.target, "/api/") {
				form = "application/x-www-form-urlencoded"
			}
			resp := ask(t, asked, role, r.method, r.target, r.body, "Content-Type", form)
			if resp.StatusCode != r.want[i] {
				t.Errorf("%s %s as %q: got %d, want %d: %.200s", r.method, r.target, role, resp.StatusCode, r.want[i], text(t, resp))
				continue
			}
			if resp.Header.Get("Content-Security-Policy") == "" {
				t.Errorf("%s %s: no content security policy", r.method, r.target)
			}
			if strings.HasPrefix(r.target, "/api/") && resp.StatusCode >= 400 && resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s: error of type %s, want application/problem+json", r.method, r.target, resp.Header.Get("Content-Type"))
			}
		}
		for _, token := range []string{"wrong", "viewer2"} {
			if got := ask(t, h, token, "GET", "/api/v1/status", "").StatusCode; got != http.StatusUnauthorized {
				t.Errorf("token %q: got %d, want 401", token, got)
			}
		}
	}
}

// TestPostureIsTheRootsOwn: what the API sends is a posture's own JSON.
func TestPostureIsTheRootsOwn(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	h := handler(t, e)
	var got struct {
		Schema   string            `json:"schema"`
		Sentence string            `json:"sentence"`
		Services []json.RawMessage `json:"services"`
	}
	if err := json.Unmarshal([]byte(text(t, ask(t, h, "viewer", "GET", "/api/v1/status", ""))), &got); err != nil {
		t.Fatal(err)
	}
	if got.Schema != "holdfast.status/v1" || got.Sentence != e.Sentence() || len(got.Services) != len(e.postures) {
		t.Errorf("got schema %q, sentence %q, %d services", got.Schema, got.Sentence, len(got.Services))
	}
	for _, raw := range got.Services {
		var p holdfast.Posture
		if err := json.Unmarshal(raw, &p); err != nil {
			t.Fatal(err)
		}
		want, _ := e.Posture(p.Name)
		if diff := cmp.Diff(decode(t, marshal(t, want)), decode(t, string(raw))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", p.Name, diff)
		}
	}
}

func decode(t *testing.T, s string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestErrorsNameTheField: whoever sends something wrong reads where.
func TestErrorsNameTheField(t *testing.T) {
	h := handler(t, newEstate(t, at(noon)))
	for _, c := range []struct{ target, body, location, message string }{
		{"/records", `{"record":"exercise","serivce":"payments"}`, "body.serivce", "unexpected property"},
		{"/records", strings.Replace(exercise, `"20m"`, `"soon"`, 1), "body.duration", "duration like 15m"},
		{"/records", strings.Replace(exercise, `"20m"`, `20`, 1), "body.duration", "expected string"},
		{"/records", `{"record":"exercise","service":"payments"}`, "body.path", "must state it"},
		{"/records", strings.Replace(exercise, `"ok"`, `"fine"`, 1), "body.outcome", "use ok, degraded or failed"},
		{"/records", strings.Replace(exercise, `2026-06-20T08`, `2027-06-20T08`, 1), "body.started", "future"},
		{"/checks/run", `{}`, "body", "check to be present"},
		{"/checks/run", `{"check":"payments/nothing"}`, "body.check", "there is no check"},
	} {
		resp := ask(t, h, "admin", "POST", "/api/v1"+c.target, c.body, "Content-Type", "application/json")
		var p struct {
			Errors []struct{ Location, Message string } `json:"errors"`
		}
		body := text(t, resp)
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Fatalf("%s: %v: %s", c.body, err, body)
		}
		found := false
		for _, e := range p.Errors {
			found = found || e.Location == c.location && strings.Contains(e.Message, c.message)
		}
		if !found {
			t.Errorf("%s: want %s: …%s…, got %s", c.body, c.location, c.message, body)
		}
	}
	big := ask(t, h, "admin", "POST", "/api/v1/records", `{"record":"change","reason":"`+strings.Repeat("x", 300<<10)+`"}`, "Content-Type", "application/json")
	if big.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of 300 KiB: got %d, want 413", big.StatusCode)
	}
}

// TestRecordSaysWhoEntered: whoever attests may be named, who entered it cannot be
// chosen.
func TestRecordSaysWhoEntered(t *testing.T) {
	e := newEstate(t, at(noon))
	h := handler(t, e)
	for _, c := range []struct{ more, by string }{{`"by":"ada","entered_by":"somebody",`, "ada"}, {"", "the operator"}} {
		resp := ask(t, h, "operator", "POST", "/api/v1/records", "{"+c.more+exercise[1:], "Content-Type", "application/json")
		if resp.StatusCode != http.StatusCreated {
			t.Fatalf("got %d, want 201: %s", resp.StatusCode, text(t, resp))
		}
		if r := e.records[len(e.records)-1]; r.By != c.by || r.EnteredBy != "the operator" {
			t.Errorf("by %q, entered by %q; want %q, %q", r.By, r.EnteredBy, c.by, "the operator")
		}
	}
}

func TestSilentAgentsAreNamed(t *testing.T) {
	e := newEstate(t, at(noon))
	e.agents[0].Connected = false
	var got web.Status
	if err := json.Unmarshal([]byte(text(t, ask(t, handler(t, e), "viewer", "GET", "/api/v1/status", ""))), &got); err != nil {
		t.Fatal(err)
	}
	if want := []string{e.agents[0].Name}; !cmp.Equal(got.SilentAgents, want) {
		t.Errorf("got %v, want %v", got.SilentAgents, want)
	}
}

// ChangesIn is Feed's.
func (e *estate) ChangesIn(_ context.Context, service string, from, until time.Time) iter.Seq2[holdfast.StandingChange, error] {
	return func(yield func(holdfast.StandingChange, error) bool) {
		for _, c := range e.changes {
			if (service == "" || c.Service == service) && !c.At.Before(from) && (until.IsZero() || c.At.Before(until)) && !yield(c, nil) {
				return
			}
		}
		if e.broken != nil {
			yield(holdfast.StandingChange{}, e.broken)
		}
	}
}

// walk follows next from page to page and returns what stands under key, and how
// many pages there were.
func walk(t *testing.T, h http.Handler, target, key string) (all []any, pages int) {
	t.Helper()
	for next := target; next != ""; pages++ {
		if pages > 1000 {
			t.Fatalf("%s has no end", target)
		}
		resp := ask(t, h, "viewer", "GET", next, "")
		body := text(t, resp)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: got %d: %s", next, resp.StatusCode, body)
		}
		v := decode(t, body)
		all = append(all, list(dig(v, key))...)
		cursor, more := dig(v, "next").(string)
		link := resp.Header.Get("Link")
		if more != (link != "") {
			t.Errorf("%s: next is %q, Link is %q", next, cursor, link)
		}
		next = strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
	}
	return all, pages
}

// TestPages: whoever follows the links reads everything once, in the order of the
// whole.
func TestPages(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	e.changes = nil
	for i := range 23 { // several of one instant among them
		e.changes = append(e.changes, holdfast.StandingChange{At: noon.Add(-time.Duration(i/5) * time.Minute), Service: fmt.Sprint("service-", i), To: holdfast.Stale})
	}
	for i := range 23 {
		e.records = append(e.records, holdfast.Record{ID: fmt.Sprintf("%06d", i), At: noon, Kind: holdfast.Change, By: "ada"})
	}
	h := handler(t, e)
	for target, key := range map[string]string{
		"/api/v1/services?": "services", "/api/v1/services?sort=name": "services", "/api/v1/services?state=uncovered&group=owner": "services",
		"/api/v1/agents?": "agents", "/api/v1/changes?": "changes", "/api/v1/records?by=ada": "records", "/api/v1/deadlines?within=1y": "deadlines",
		"/api/v1/changes?since=" + noon.Add(-2*time.Minute).Format(time.RFC3339) + "&until=" + noon.Format(time.RFC3339): "changes",
	} {
		whole, _ := walk(t, h, target+"&limit=1000", key)
		if len(whole) == 0 {
			t.Errorf("%s: nothing", target)
		}
		for _, limit := range []int{1, 2, 3} {
			got, pages := walk(t, h, fmt.Sprint(target, "&limit=", limit), key)
			if diff := cmp.Diff(whole, got); diff != "" {
				t.Errorf("%s in pages of %d (-whole +pages):\n%s", target, limit, diff)
			}
			if want := max(1, (len(whole)+limit-1)/limit); pages != want {
				t.Errorf("%s in pages of %d: %d pages, want %d", target, limit, pages, want)
			}
		}
	}
}

// TestPagesMove: what comes and goes between two pages moves nothing else.
func TestPagesMove(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	h := handler(t, e)
	resp := ask(t, h, "viewer", "GET", "/api/v1/services?sort=name&limit=3", "")
	first := decode(t, text(t, resp))
	e.postures = slices.DeleteFunc(e.postures, func(p holdfast.Posture) bool { return p.Name == dig(list(dig(first, "services"))[2], "name") })
	rest, _ := walk(t, h, "/api/v1/services?sort=name&cursor="+dig(first, "next").(string), "services")
	if got := len(list(dig(first, "services"))) + len(rest); got != len(e.postures)+1 {
		t.Errorf("got %d services, want %d", got, len(e.postures)+1)
	}
	for _, cursor := range []string{"!", "AAAA", base64.RawURLEncoding.EncodeToString([]byte("x/y"))} {
		resp := ask(t, h, "viewer", "GET", "/api/v1/changes?cursor="+cursor, "")
		if got := places(text(t, resp)); resp.StatusCode != http.StatusUnprocessableEntity || !slices.Contains(got, "query.cursor") {
			t.Errorf("cursor %s: got %d naming %q", cursor, resp.StatusCode, got)
		}
	}
}

// TestServicesAreFiltered: API and page filter alike.
func TestServicesAreFiltered(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	h := handler(t, e)
	for _, query := range []string{"", "q=directory", "q=PAY", "state=uncovered", "state=not-judged", "state=not-proven", "tier=1", "owner=payments-team", "site=fra", "site=fra&tier=1&q=a", "q=nothing-is-called-so"} {
		var got []string
		all, _ := walk(t, h, "/api/v1/services?"+query, "services")
		for _, s := range all {
			got = append(got, dig(s, "name").(string))
		}
		var want []string
		for _, rows := range find(page(t, h, "/?"+query), id("rows")) { // none where nothing matches
			for _, a := range find(rows, tag("a")) {
				if name, ok := strings.CutPrefix(attr(a, "href"), "/services/"); ok && !slices.Contains(want, name) {
					want = append(want, name)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-page +API):\n%s", query, diff)
		}
	}
	groups := list(dig(decode(t, text(t, ask(t, h, "viewer", "GET", "/api/v1/services?group=tier&limit=1", ""))), "groups"))
	n := 0.0
	for _, g := range groups {
		n += dig(g, "services").(float64)
	}
	if int(n) != len(e.postures) || len(groups) < 2 {
		t.Errorf("%d groups of %v services, want all %d", len(groups), n, len(e.postures))
	}
}

// TestDeadlines: the soonest of the page is the soonest of the API.
func TestDeadlines(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	h := handler(t, e)
	all, _ := walk(t, h, "/api/v1/deadlines?within=1y", "deadlines")
	near, _ := walk(t, h, "/api/v1/deadlines?within=30d", "deadlines")
	if len(near) == 0 || len(near) >= len(all) {
		t.Fatalf("%d within a month, %d within a year", len(near), len(all))
	}
	last := ""
	for _, d := range all {
		if when := dig(d, "at").(string); when <= last && when < last || when <= noon.Format(time.RFC3339) {
			t.Errorf("%s comes after %s, noon is %s", when, last, noon)
		} else {
			last = when
		}
	}
	of, _ := walk(t, h, "/api/v1/deadlines?within=1y&service=shop", "deadlines")
	for _, d := range of {
		if dig(d, "service") != "shop" {
			t.Errorf("asked for shop, got %v", d)
		}
	}
	resp := ask(t, h, "viewer", "GET", "/api/v1/deadlines?within=soon", "")
	if got := places(text(t, resp)); !slices.Contains(got, "query.within") {
		t.Errorf("got %q, want query.within", got)
	}
}

// TestUnchanged: an answer that says the same is not sent twice, one that says
// something else is.
func TestUnchanged(t *testing.T) {
	now := noon
	e := newEstate(t, func() time.Time { return now }, troubled(noon))
	h := handler(t, e)
	resp := ask(t, h, "viewer", "GET", "/api/v1/services", "")
	whole := text(t, resp)
	tag := resp.Header.Get("ETag")
	now = now.Add(time.Second) // only when it was read differs
	for _, sent := range []string{tag, `"x", ` + tag, "*", strings.TrimPrefix(tag, "W/")} {
		again := ask(t, h, "viewer", "GET", "/api/v1/services", "", "If-None-Match", sent)
		if body := text(t, again); again.StatusCode != http.StatusNotModified || body != "" || again.Header.Get("ETag") != tag {
			t.Errorf("If-None-Match %s: got %d, ETag %s, %d bytes; want 304", sent, again.StatusCode, again.Header.Get("ETag"), len(body))
		}
	}
	other := ask(t, h, "viewer", "GET", "/api/v1/services?tier=1", "", "If-None-Match", tag)
	if other.StatusCode != http.StatusOK || other.Header.Get("ETag") == tag {
		t.Errorf("another question: got %d with ETag %s", other.StatusCode, other.Header.Get("ETag"))
	}
	e.postures[0].Title = "Renamed"
	changed := ask(t, h, "viewer", "GET", "/api/v1/services", "", "If-None-Match", tag)
	if changed.StatusCode != http.StatusOK || text(t, changed) == whole {
		t.Errorf("after a change: got %d, want 200 with it", changed.StatusCode)
	}
	head := ask(t, h, "viewer", "HEAD", "/api/v1/services", "")
	if head.StatusCode != http.StatusOK || head.Header.Get("ETag") == "" {
		t.Errorf("HEAD: got %d with ETag %q", head.StatusCode, head.Header.Get("ETag"))
	}
}
