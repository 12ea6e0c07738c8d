package web_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

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
	{"GET", "/metrics", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/services/payments", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/services/nothing", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"GET", "/agents", "", [6]int{401, 200, 200, 200, 200, 200}},
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
	{"GET", "/api/v1/agents", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/checks/payments/ledger/offsite", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/checks/payments%2Fledger%2Foffsite", "", [6]int{401, 200, 200, 200, 200, 200}},
	{"GET", "/api/v1/checks/payments/ledger/nothing", "", [6]int{401, 404, 404, 404, 404, 404}},
	{"POST", "/api/v1/checks/run", `{"check":"payments/ledger/offsite"}`, [6]int{401, 403, 204, 204, 403, 204}},
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
	for i, role := range roles {
		h := handler(t, newEstate(t, at(noon)))
		for _, r := range routes {
			resp := ask(t, h, role, r.method, r.target, r.body, "Content-Type", "application/json")
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
