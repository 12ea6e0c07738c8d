package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const formType = "application/x-www-form-urlencoded"

func TestAlertsPage(t *testing.T) {
	e := newEstate(t, at(noon))
	h := handler(t, e)
	for target, want := range map[string][]string{
		"/alerts": {"1 alert waits for somebody, and it is critical; 1 acknowledged, 1 kept quiet.", "The copy payments/ledger/offsite is damaged",
			"3 services", "Run restic check", "Does not take notices", "Given up", "kernel update", "every 4h"},
		"/alerts?tab=acknowledged":  {"<b>dana</b>", "booked for tonight", "The restore test of shop"},
		"/alerts?tab=quiet":         {"maintenance by ada until 18:00: kernel update"},
		"/alerts?tab=resolved":      {"Agent dr1 is silent", "Resolved"},
		"/alerts?service=wiki":      {"No alerts.", "Show every service"},
		"/alerts?tab=nonsense":      {"The copy payments/ledger/offsite is damaged"},
		"/alerts?by=cause&name=x/y": {`id="silence" open`, `value="x/y"`},
	} {
		got := text(t, ask(t, h, "operator", "GET", target, ""))
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s lacks %q", target, w)
			}
		}
		if strings.Contains(got, "May become one") {
			t.Errorf("%s shows what is only pending", target)
		}
	}
	for _, role := range []string{"viewer", "auditor"} {
		if got := text(t, ask(t, h, role, "GET", "/alerts", "")); strings.Contains(got, `action="/alerts/`) {
			t.Errorf("%s is offered what it may not do", role)
		}
	}
}

func TestAlertsPageQuiet(t *testing.T) {
	e := newEstate(t, at(noon))
	e.desk = desk{alerts: e.desk.alerts[3:4]}
	got := text(t, ask(t, handler(t, e), "viewer", "GET", "/alerts", ""))
	for _, w := range []string{"<h1>No alerts.</h1>", "No alerts. Quiet since", "Fri 19 Jun 10:00", "Nobody is told of alerts", "Nothing is kept quiet."} {
		if !strings.Contains(got, w) {
			t.Errorf("lacks %q", w)
		}
	}
}

// What the page does is what the API does.
func TestAlertsAreAnswered(t *testing.T) {
	e := newEstate(t, at(noon))
	h := handler(t, e)
	post := func(target string, form url.Values) *http.Response {
		t.Helper()
		return ask(t, h, "operator", "POST", target, form.Encode(), "Content-Type", formType)
	}
	goesTo := func(resp *http.Response, to string) {
		t.Helper()
		if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != to {
			t.Errorf("got %d to %q, want 303 to %s", resp.StatusCode, resp.Header.Get("Location"), to)
		}
	}
	goesTo(post("/alerts/a-firing/acknowledge", url.Values{"note": {" on it "}, "last": {"4h"}}), "/alerts?tab=acknowledged")
	if a, _ := e.Alert("a-firing"); a.Ack == nil || a.Ack.By != "the operator" || a.Ack.Note != "on it" || !a.Ack.Until.Equal(noon.Add(4*time.Hour)) {
		t.Errorf("acknowledgement %+v", a.Ack)
	}
	goesTo(post("/alerts/silences", url.Values{"by": {"host"}, "name": {"db1"}, "reason": {"new disks"}, "last": {"1d"}, "from": {"2026-06-21T08:00"}, "maintenance": {"yes"}}), "/alerts#silences")
	s := e.Silences()[2]
	if s.Host != "db1" || s.Reason != "new disks" || !s.Maintenance || s.By != "the operator" ||
		!s.From.Equal(time.Date(2026, 6, 21, 8, 0, 0, 0, time.UTC)) || !s.Until.Equal(time.Date(2026, 6, 22, 8, 0, 0, 0, time.UTC)) {
		t.Errorf("silence %+v", s)
	}
	goesTo(post("/alerts/silences/"+s.ID+"/end", nil), "/alerts#silences")
	if s = e.Silences()[2]; s.Ended.IsZero() || s.EndedBy != "the operator" {
		t.Errorf("ended silence %+v", s)
	}
	goesTo(post("/alerts/deliveries/n-dead/retry", nil), "/alerts#delivery")

	e.desk.refuse = "desk"
	goesTo(post("/alerts/routes/everything/test", nil), "/alerts#routes")
	got := text(t, ask(t, h, "operator", "GET", "/alerts", ""))
	if !strings.Contains(got, "Did not take the test:</b> <span class=\"why\">answered 503 Service Unavailable") || strings.Count(got, "Took the test.") != 2 || !strings.Contains(got, "by the operator") {
		t.Error("the page does not say what became of the test")
	}
	api := text(t, ask(t, h, "operator", "POST", "/api/v1/routes/everything/test", ""))
	if !strings.Contains(api, `"name":"desk","type":"webhook","target":"https://desk.example.org/hooks/holdfast","problem":"answered 503 Service Unavailable"`) || strings.Count(api, "problem") != 1 {
		t.Errorf("API: %s", api)
	}
}

func TestSilenceForm(t *testing.T) {
	e := newEstate(t, at(noon))
	h := handler(t, e)
	for body, want := range map[string]string{
		"by=host&name=&reason=x&last=1h":                "a silence that names nothing",
		"by=nonsense&name=db1&reason=x&last=1h":         "a silence that names nothing",
		"by=host&name=db1&reason=kept+words&last=never": "until: has passed",
		"by=host&name=db1&reason=x&last=1h&from=soon":   "from: write it like",
	} {
		resp := ask(t, h, "manager", "POST", "/alerts/silences", body, "Content-Type", formType)
		got := text(t, resp)
		if resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(got, want) || !strings.Contains(got, `id="silence" open`) {
			t.Errorf("%s: got %d without %q", body, resp.StatusCode, want)
		}
		if strings.Contains(body, "kept") && !strings.Contains(got, `value="kept words"`) {
			t.Errorf("%s: what was typed is gone", body)
		}
	}
	if n := len(e.Silences()); n != 2 {
		t.Errorf("%d silences, want the 2 there were", n)
	}
}

func TestAlertsAPI(t *testing.T) {
	h := handler(t, newEstate(t, at(noon)))
	for target, want := range map[string]string{
		"/alerts":                                    `"total":5`,
		"/alerts?status=firing":                      `"total":3`,
		"/alerts?status=resolved":                    `"total":1`,
		"/alerts?service=wiki":                       `"total":0`,
		"/alerts?service=shop&status=firing&limit=1": `"next":"`,
		"/deliveries?dead=true":                      `"total":1`,
	} {
		if got := text(t, ask(t, h, "viewer", "GET", "/api/v1"+target, "")); !strings.Contains(got, want) {
			t.Errorf("%s: %.300s, want %s", target, got, want)
		}
	}
	got := text(t, ask(t, h, "viewer", "GET", "/api/v1/alerts?status=firing", ""))
	if i, j := strings.Index(got, `"a-firing"`), strings.Index(got, `"a-acked"`); i < 0 || j < i {
		t.Error("critical alerts do not come first")
	}
}

// Whatever stands in an alert, a silence or a receiver's answer is text.
func TestAlertsHostile(t *testing.T) {
	const evil = "<script>alert(1)</script>\x1b[31m\u202e\"'><img src=x onerror=alert(1)>"
	e := newEstate(t, at(noon))
	for i := range e.desk.alerts {
		a := &e.desk.alerts[i]
		a.What, a.Effect, a.Next, a.Cause, a.Host, a.Quiet, a.Link = evil, evil, evil, evil, evil, evil, "javascript:alert(1)"
		a.Services, a.Owners = []string{evil}, []string{evil}
		a.Paths = []holdfast.AlertPath{{Service: evil, Path: evil, State: holdfast.State(evil)}}
		a.Ack = &holdfast.Acknowledgement{By: evil, Note: evil, Until: noon.Add(time.Hour)}
	}
	for i := range e.desk.silences {
		e.desk.silences[i].Reason, e.desk.silences[i].By, e.desk.silences[i].Host = evil, evil, evil
	}
	e.desk.routes[0].Name, e.desk.routes[0].Receivers[1].Problem, e.desk.deliveries[0].Problem = evil, evil, evil
	h := handler(t, e)
	for _, tab := range []string{"open", "acknowledged", "quiet", "resolved"} {
		got := text(t, ask(t, h, "admin", "GET", "/alerts?tab="+tab+"&service=&by=cause&name="+url.QueryEscape(evil), ""))
		for _, active := range []string{"<script>alert", "<img", "\x1b", "\u202e", `href="javascript`} {
			if strings.Contains(got, active) {
				t.Errorf("%s: the page holds %q", tab, active)
			}
		}
	}
}
