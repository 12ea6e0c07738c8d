package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// TestDrillPages: each page says what is due, what runs, what happened; and offers
// what the reader may do.
func TestDrillPages(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	h := handler(t, e)
	for target, wants := range map[string][]string{
		"/drills": {"2 drills run", "payments/restore-in-ams", "7 of 9 steps over; platform-team asked for Point the names at Amsterdam", "Start drill", "every 90d",
			"Passed with a reservation", "pack 5f1c is damaged", `action="/drills/unbook"`},
		"/drills?path=identity/failover": {`id="book" open`, `value="identity/failover"`},
		"/drills/" + liveDrill: {"platform-team is asked to do step 8 of 9: Point the names at Amsterdam.", "It is done", "It could not be done", "Abort this drill",
			"22m to restore, 25m by people", "Done with a reservation", "Authorise cards, without loyalty points"},
		"/drills/" + otherDrill:                        {"Step 2 of 3 is under way", "restore, 62 %", "never measured"},
		"/drills/" + passedDrill:                       {"It passed after 41 min (RTO 1h), with 12 min of data lost (RPO 15m), with 2 gaps.", "late by 4m", "exercise 000001", "ada, dana", "Reached"},
		"/drills/" + failedDrill:                       {"It failed after 41 min", "dataset ledger was not restored", "Not walked"},
		"/drills/new?service=shop&path=restore-in-ams": {"This drill would not start.", "is under way, started by emre"},
		"/drills/new?service=identity&path=failover":   {"7 steps at ams", "Look at what came back and confirm", `action="/drills"`},
		"/services/payments":                           {"/drills/new?path=restore-in-ams&amp;service=payments", "2 drills"},
		"/paths?view=list":                             {"Drill it"},
	} {
		got := text(t, ask(t, h, "operator", "GET", target, ""))
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s does not show %q", target, want)
			}
		}
	}
	for _, role := range []string{"viewer", "auditor"} {
		for _, target := range []string{"/drills", "/drills/" + liveDrill, "/drills/new?service=identity&path=failover"} {
			if got := text(t, ask(t, h, role, "GET", target, "")); strings.Contains(got, `action="/drills`) {
				t.Errorf("%s offers %s a form", target, role)
			}
		}
	}
}

// TestDrillPageEmpty: where nothing was drilled yet, what would gain most is proposed.
func TestDrillPageEmpty(t *testing.T) {
	e := newEstate(t, at(noon))
	e.drills, e.bookings = nil, nil
	for _, service := range []string{"identity", "dns"} {
		e.facts.Record(holdfast.Record{Kind: holdfast.Change, At: noon.Add(-time.Hour), Received: noon.Add(-time.Hour), Service: service, By: "dana", Reason: "new hosts", Substantive: true})
	}
	e.judge()
	got := text(t, ask(t, handler(t, e), "operator", "GET", "/drills", ""))
	for _, want := range []string{"No drill runs; ", "lack an exercise that counts", "Nothing is booked.", "No drill is over yet."} {
		if !strings.Contains(got, want) {
			t.Errorf("the empty page does not show %q", want)
		}
	}
	gains := false
	for _, p := range e.Postures() {
		for _, f := range p.Findings {
			gains = gains || strings.HasSuffix(f.Need, "/exercised") && f.Gain > 0
		}
	}
	if !gains || !strings.Contains(got, "Nothing was drilled yet. These would gain most:") || !strings.Contains(got, `<b class="gain">+`) {
		t.Errorf("no proposal stands on the page; the judgement's gains say %v", gains)
	}
	if strings.Contains(got, `class="asks"`) || strings.Contains(got, `href="#i-drills"/></svg><span class="nm">`) {
		t.Error("the top bar shows a drill although none runs")
	}
}

// TestDrillForms: what people send does what they mean, or says what is wrong.
func TestDrillForms(t *testing.T) {
	e := newEstate(t, at(noon))
	h := handler(t, e)
	post := func(target string, form url.Values) *http.Response {
		return ask(t, h, "operator", "POST", target, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	}
	says := func(resp *http.Response, status int, want string) {
		t.Helper()
		if got := text(t, resp); resp.StatusCode != status || !strings.Contains(got, want) {
			t.Errorf("got %d, want %d and %q in\n%.300s", resp.StatusCode, status, want, got)
		}
	}
	goes := func(resp *http.Response, to string) {
		t.Helper()
		text(t, resp)
		if resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(resp.Header.Get("Location"), to) {
			t.Errorf("got %d to %q, want 303 to %q", resp.StatusCode, resp.Header.Get("Location"), to)
		}
	}
	step := "/drills/" + liveDrill + "/steps/8"
	says(post(step, url.Values{"done": {"yes"}, "at": {"half past nine"}}), 422, "write it like")
	says(post(step, url.Values{"done": {"yes"}, "at": {"2026-06-20T13:00"}}), 422, "lies in the future")
	goes(post(step, url.Values{"done": {"yes"}, "by": {"emre"}, "note": {"low TTL"}}), "/drills/"+liveDrill)
	if d, _ := e.Drill(liveDrill); d.Steps[7].By != "emre" || d.Steps[7].EnteredBy != "the operator" || d.Steps[7].Note != "low TTL" || d.Steps[7].State != holdfast.StepDone {
		t.Errorf("got %+v, want it done by emre", d.Steps[7])
	}
	says(post(step, url.Values{"done": {"no"}}), 422, "nobody is asked for it")
	goes(post("/drills/"+liveDrill+"/cancel", url.Values{"reason": {"wrong day"}}), "/drills/"+liveDrill)
	says(ask(t, h, "viewer", "GET", "/drills/"+liveDrill, ""), 200, "Aborted, by the operator: wrong day")

	goes(post("/drills", url.Values{"service": {"identity"}, "path": {"failover"}}), "/drills/20260620-")
	says(post("/drills", url.Values{"service": {"identity"}, "path": {"failover"}}), 409, "The drill did not start.")
	says(post("/drills/bookings", url.Values{"path": {"identity/failover"}, "at": {"2026-01-01T09:00"}}), 422, "has passed")
	says(post("/drills/bookings", url.Values{"path": {"identity/failover"}, "every": {"soon"}}), 422, "This is not booked yet.")
	goes(post("/drills/bookings", url.Values{"path": {"shop/restore-from-nas"}, "at": {"2026-07-20T09:00"}, "every": {"90d"}}), "/drills#booked")
	goes(post("/drills/unbook", url.Values{"booking": {"0badcafe"}}), "/drills#booked")
	if list := e.DrillBookings(); len(list) != 1 || list[0].Path != "restore-from-nas" || list[0].By != "the operator" {
		t.Errorf("bookings %+v, want the operator's alone", list)
	}
}

// TestDrillsAPI: the list can be narrowed, and a record of a drill cannot be made up.
func TestDrillsAPI(t *testing.T) {
	h := handler(t, newEstate(t, at(noon)))
	for query, want := range map[string]int{"": 4, "?running=true": 2, "?service=shop": 1, "?path=restore-in-ams&running=true": 2, "?service=nobody": 0} {
		var got struct{ Total int }
		if body := text(t, ask(t, h, "viewer", "GET", "/api/v1/drills"+query, "")); json.Unmarshal([]byte(body), &got) != nil || got.Total != want {
			t.Errorf("/drills%s: got %.200s, want %d", query, body, want)
		}
	}
}
