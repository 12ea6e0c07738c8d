package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// alertsView answers: what has got worse, does someone have it, and what is next?
type alertsView struct {
	Sentence string
	Tab      string
	Tabs     []alertTab
	Service  string // shown alone; empty: every one
	Groups   []alertRow
	Quiet    time.Time // since when nothing is open; zero: something is, or was not yet
	Silences []silenceRow
	Form     silenceForm
	Routes   []routeRow
	Notices  []holdfast.Delivery // those given up first
	More     int                 // notices that are not shown
	Answer   bool                // the reader may acknowledge and silence
	Test     bool                // the reader may test routes
	Kinds    []holdfast.AlertKind
}

type alertTab struct {
	Key, Title string
	Count      int
	Link       string
}

// alertRow is an alert with what its silhouette shows.
type alertRow struct {
	holdfast.Alert
	State holdfast.State
	Word  string
	Lasts []ending // for how long it may be acknowledged
	Hush  string   // link to the form that keeps it quiet
	Rest  int      // paths that are not listed
	Ask   bool     // the reader may acknowledge it
}

type silenceRow struct {
	holdfast.Silence
	What  string
	Ends  bool // it holds, or will
	Holds bool
}

// silenceForm is what the form of silences holds: prefilled from an alert, or as it
// was sent with what is wrong.
type silenceForm struct {
	By, Name, Reason, From string
	Maintenance, Open      bool
	Lasts                  []ending
	Last                   string
	Problems               []string
}

// ending is one length of time a form offers.
type ending struct{ Value, Title string }

type routeRow struct {
	holdfast.RouteState
	Matches string
	Test    *routeTested
	Rows    []receiverRow
}

type receiverRow struct {
	holdfast.ReceiverState
	State  holdfast.State // of the silhouette
	Tested bool           // it was part of the last test
	Why    string         // it did not take the test; empty: it did
}

// routeTested is the last test of a route since the start.
type routeTested struct {
	At        time.Time
	By        string
	Receivers map[string]string // problem by receiver; empty: it took it
}

// tested remembers the last test of each route.
type tested struct {
	mu sync.Mutex
	of map[string]routeTested // guarded by mu; by route
}

const (
	tabOpen     = "open"
	tabAcked    = "acknowledged"
	tabQuiet    = "quiet"
	tabResolved = "resolved"
	maxAlerts   = 200 // of a tab
	maxNotices  = 50
	maxPaths    = 12 // of an alert
)

var ackLasts = []ending{{"1h", "1 hour"}, {"4h", "4 hours"}, {"1d", "1 day"}, {"3d", "3 days"}, {"1w", "1 week"}}

var silenceLasts = []ending{{"1h", "1 hour"}, {"4h", "4 hours"}, {"8h", "8 hours"}, {"1d", "1 day"}, {"3d", "3 days"}, {"1w", "1 week"}, {"30d", "30 days"}}

// silencedBy are the fields by which a silence says what it keeps quiet.
var silencedBy = []string{"service", "site", "host", "agent", "owner", "kind", "cause"}

func (s *server) addAlertsPages(mux *http.ServeMux) {
	mux.HandleFunc("GET /alerts", s.alertsPage)
	mux.HandleFunc("POST /alerts/{id}/acknowledge", s.answering(holdfast.Role.MayAnswerAlerts, s.acknowledge))
	mux.HandleFunc("POST /alerts/silences", s.answering(holdfast.Role.MayAnswerAlerts, s.silence))
	mux.HandleFunc("POST /alerts/silences/{id}/end", s.answering(holdfast.Role.MayAnswerAlerts, s.endSilence))
	mux.HandleFunc("POST /alerts/routes/{name}/test", s.answering(holdfast.Role.MayTestRoutes, s.postTest))
	mux.HandleFunc("POST /alerts/deliveries/{id}/retry", s.answering(holdfast.Role.MayAnswerAlerts, s.retry))
	// An open page reads its own address again: after a form that was refused it is
	// the form's.
	mux.HandleFunc("GET /alerts/silences", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/alerts", http.StatusSeeOther) })
}

// answering lets those roles through that may.
func (s *server) answering(may func(holdfast.Role) bool, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who := whoIs(r.Context())
		if !may(who.Role) {
			s.show(w, r, http.StatusForbidden, "missing", "Not allowed", fmt.Sprintf("Role %s may not do this", who.Role))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		if err := r.ParseForm(); err != nil {
			s.show(w, r, http.StatusBadRequest, "missing", "Not read", "What was sent cannot be read")
			return
		}
		next(w, r)
	}
}

func (s *server) alertsPage(w http.ResponseWriter, r *http.Request) {
	if s.unchanged(w, r) {
		return
	}
	q := r.URL.Query()
	form := silenceForm{By: q.Get("by"), Name: q.Get("name"), Last: "4h"}
	form.Open = slices.Contains(silencedBy, form.By)
	s.showAlerts(w, r, http.StatusOK, form)
}

func (s *server) showAlerts(w http.ResponseWriter, r *http.Request, status int, form silenceForm) {
	q := r.URL.Query()
	form.Lasts = silenceLasts
	who := whoIs(r.Context())
	v := alertsView{Tab: tabOf(q.Get("tab")), Service: q.Get("service"), Form: form, Kinds: holdfast.AlertKinds,
		Answer: who.Role.MayAnswerAlerts(), Test: who.Role.MayTestRoutes()}
	s.fillAlerts(&v)
	now := s.c.Now()
	for _, x := range clipped(s.c.Silences()) {
		row := silenceRow{Silence: x, What: silenceWhat(&x), Ends: x.Ended.IsZero() && x.Until.After(now)}
		row.Holds = row.Ends && !x.From.After(now)
		v.Silences = append(v.Silences, row)
	}
	slices.SortStableFunc(v.Silences, func(a, b silenceRow) int { return rank(b.Ends) - rank(a.Ends) })
	for _, x := range clipped(s.c.Routes()) {
		v.Routes = append(v.Routes, newRouteRow(&x, s.tests.last(x.Name)))
	}
	v.Notices = s.c.Deliveries()
	slices.SortStableFunc(v.Notices, func(a, b holdfast.Delivery) int { return rank(!b.Dead.IsZero()) - rank(!a.Dead.IsZero()) })
	if v.More = len(v.Notices) - maxNotices; v.More > 0 {
		v.Notices = v.Notices[:maxNotices]
	}
	v.Notices = clipped(v.Notices)
	s.show(w, r, status, "alerts", "Alerts", v)
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

func tabOf(s string) string {
	if slices.Contains([]string{tabOpen, tabAcked, tabQuiet, tabResolved}, s) {
		return s
	}
	return tabOpen
}

// tab is where an alert stands on the page; those that only may become one stand
// nowhere.
func (s *server) tab(a *holdfast.Alert) string {
	switch {
	case a.Status == holdfast.AlertResolved:
		return tabResolved
	case a.Status != holdfast.AlertFiring:
		return ""
	case a.Ack != nil && a.Ack.Until.After(s.c.Now()):
		return tabAcked
	case a.Quiet != "" || len(a.Silenced) > 0:
		return tabQuiet
	}
	return tabOpen
}

// fillAlerts sorts the alerts into their tabs and says the sentence.
func (s *server) fillAlerts(v *alertsView) {
	count := map[string]int{}
	all := s.c.Alerts()
	slices.SortFunc(all, func(a, b holdfast.Alert) int { return strings.Compare(alertOrder(&a), alertOrder(&b)) })
	var last time.Time
	urgent := 0
	for i := range all {
		a := &all[i]
		tab := s.tab(a)
		if a.Resolved.After(last) {
			last = a.Resolved
		}
		if tab == "" || v.Service != "" && !slices.Contains(a.Services, v.Service) {
			continue
		}
		count[tab]++
		if tab == tabOpen && a.Severity == holdfast.Critical {
			urgent++
		}
		if tab == v.Tab && len(v.Groups) < maxAlerts {
			shown := clipped(*a)
			row := newAlertRow(&shown, tab)
			row.Ask = v.Answer && tab != tabResolved
			v.Groups = append(v.Groups, row)
		}
	}
	for _, t := range []alertTab{{Key: tabOpen, Title: "Open"}, {Key: tabAcked, Title: "Acknowledged"}, {Key: tabQuiet, Title: "Silenced and accepted"}, {Key: tabResolved, Title: "Resolved"}} {
		q := url.Values{}
		if t.Key != tabOpen {
			q.Set("tab", t.Key)
		}
		if v.Service != "" {
			q.Set("service", v.Service)
		}
		t.Count, t.Link = count[t.Key], "/alerts"
		if len(q) > 0 {
			t.Link += "?" + q.Encode()
		}
		v.Tabs = append(v.Tabs, t)
	}
	if count[tabOpen]+count[tabAcked]+count[tabQuiet] == 0 {
		v.Quiet = last
	}
	v.Sentence = alertSentence(count[tabOpen], urgent, count[tabAcked], count[tabQuiet])
}

// openAlerts counts what waits for somebody, for the menu.
func (s *server) openAlerts() string {
	n := 0
	all := s.c.Alerts()
	for i := range all {
		if s.tab(&all[i]) == tabOpen {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// alertSentence says how alerts stand, so that it could be read aloud.
func alertSentence(open, urgent, acked, quiet int) string {
	if open+acked+quiet == 0 {
		return "No alerts."
	}
	s := "No alert waits for somebody"
	switch {
	case open == 1:
		s = "1 alert waits for somebody"
	case open > 1:
		s = fmt.Sprintf("%d alerts wait for somebody", open)
	}
	switch {
	case urgent == 1 && open == 1:
		s += ", and it is critical"
	case urgent > 0:
		s += fmt.Sprintf(", %d of them critical", urgent)
	}
	var rest []string
	if acked > 0 {
		rest = append(rest, fmt.Sprintf("%d acknowledged", acked))
	}
	if quiet > 0 {
		rest = append(rest, fmt.Sprintf("%d kept quiet", quiet))
	}
	if len(rest) > 0 {
		s += "; " + strings.Join(rest, ", ")
	}
	return s + "."
}

func newAlertRow(a *holdfast.Alert, tab string) alertRow {
	row := alertRow{Alert: *a, Lasts: ackLasts, Hush: "/alerts?" + url.Values{"by": {"cause"}, "name": {a.Cause}}.Encode() + "#silence"}
	switch {
	case tab == tabResolved:
		row.State, row.Word = holdfast.Proven, "Resolved"
	case a.Severity == holdfast.Critical:
		row.State, row.Word = holdfast.Broken, "Critical"
	case a.Severity == holdfast.Warning:
		row.State, row.Word = holdfast.Degraded, "Warning"
	default:
		row.State, row.Word = holdfast.Stale, "Info"
	}
	if row.Rest = len(a.Paths) - maxPaths; row.Rest > 0 {
		row.Paths = a.Paths[:maxPaths]
	}
	return row
}

// silenceWhat says what a silence keeps quiet.
func silenceWhat(s *holdfast.Silence) string {
	var parts []string
	for i, v := range []string{s.Service, s.Site, s.Host, s.Agent, s.Owner, string(s.Kind), s.Cause} {
		if v != "" {
			parts = append(parts, silencedBy[i]+" "+clip(v))
		}
	}
	return strings.Join(parts, ", ")
}

func newRouteRow(r *holdfast.RouteState, test *routeTested) routeRow {
	row := routeRow{RouteState: *r, Matches: routeMatches(r), Test: test}
	for _, x := range r.Receivers {
		rc := receiverRow{ReceiverState: x, State: holdfast.Proven}
		switch {
		case x.Dead > 0, x.Waiting > 0 && x.Problem != "":
			rc.State = holdfast.Broken
		case x.Delivered.IsZero():
			rc.State = holdfast.Untested
		}
		if test != nil {
			rc.Why, rc.Tested = test.Receivers[x.Name]
		}
		row.Rows = append(row.Rows, rc)
	}
	return row
}

func routeMatches(r *holdfast.RouteState) string {
	var parts []string
	if len(r.Tiers) > 0 {
		parts = append(parts, "tier "+strings.Trim(strings.ReplaceAll(fmt.Sprint(r.Tiers), " ", ", "), "[]"))
	}
	if len(r.Owners) > 0 {
		parts = append(parts, "of "+strings.Join(r.Owners, ", "))
	}
	for i, k := range r.Kinds {
		if i == 0 {
			parts = append(parts, string(k))
			continue
		}
		parts[len(parts)-1] += ", " + string(k)
	}
	if len(parts) == 0 {
		return "every alert"
	}
	return strings.Join(parts, " · ")
}

// until reads how long something is to last.
func (s *server) until(r *http.Request) time.Time {
	d, err := holdfast.ParseDuration(r.PostForm.Get("last"))
	if err != nil || d <= 0 {
		return time.Time{}
	}
	return s.c.Now().Add(d.Std())
}

func (s *server) acknowledge(w http.ResponseWriter, r *http.Request) {
	_, err := s.c.Acknowledge(r.Context(), r.PathValue("id"), strings.TrimSpace(r.PostForm.Get("note")), s.until(r), whoIs(r.Context()))
	s.done(w, r, err, "/alerts?tab="+tabAcked)
}

func (s *server) endSilence(w http.ResponseWriter, r *http.Request) {
	_, err := s.c.EndSilence(r.Context(), r.PathValue("id"), whoIs(r.Context()))
	s.done(w, r, err, "/alerts#silences")
}

func (s *server) retry(w http.ResponseWriter, r *http.Request) {
	s.done(w, r, s.c.RetryDelivery(r.Context(), r.PathValue("id")), "/alerts#delivery")
}

func (s *server) postTest(w http.ResponseWriter, r *http.Request) {
	test, err := s.testRoute(r.Context(), r.PathValue("name"))
	if err == nil {
		t := routeTested{At: s.c.Now(), By: whoIs(r.Context()).Name, Receivers: map[string]string{}}
		for _, x := range test.Receivers {
			t.Receivers[x.Name] = x.Problem
		}
		s.tests.keep(test.Route, t)
	}
	s.done(w, r, err, "/alerts#routes")
}

// done goes on to a page, or says why not.
func (s *server) done(w http.ResponseWriter, r *http.Request, err error, to string) {
	switch {
	case errors.Is(err, holdfast.ErrInvalid):
		s.show(w, r, http.StatusNotFound, "missing", "Not done", "This cannot be done any more: "+clip(strings.TrimPrefix(err.Error(), holdfast.ErrInvalid.Error()+" ")))
	case err != nil:
		s.log.Error("alert not answered", "path", r.URL.Path, "err", err)
		s.show(w, r, http.StatusServiceUnavailable, "missing", "Not done", "This cannot be stored now; the collector's log says why. Try again")
	default:
		http.Redirect(w, r, to, http.StatusSeeOther)
	}
}

// silence takes the form of silences.
func (s *server) silence(w http.ResponseWriter, r *http.Request) {
	f := r.PostForm
	form := silenceForm{By: f.Get("by"), Name: strings.TrimSpace(f.Get("name")), Reason: strings.TrimSpace(f.Get("reason")), From: f.Get("from"),
		Maintenance: f.Get("maintenance") != "", Last: f.Get("last"), Open: true}
	x := holdfast.Silence{Maintenance: form.Maintenance, Reason: form.Reason}
	switch form.By {
	case "service":
		x.Service = form.Name
	case "site":
		x.Site = form.Name
	case "host":
		x.Host = form.Name
	case "agent":
		x.Agent = form.Name
	case "owner":
		x.Owner = form.Name
	case "kind":
		x.Kind = holdfast.AlertKind(form.Name)
	case "cause":
		x.Cause = form.Name
	}
	from := s.c.Now()
	if form.From != "" {
		var err error
		if from, err = time.Parse("2006-01-02T15:04", form.From); err != nil {
			form.Problems = append(form.Problems, "from: write it like 2026-11-22T18:00, in UTC")
		}
		x.From = from
	}
	if d, err := holdfast.ParseDuration(form.Last); err == nil && d > 0 {
		x.Until = from.Add(d.Std())
	}
	var err error
	if len(form.Problems) == 0 {
		_, err = s.c.AddSilence(r.Context(), x, whoIs(r.Context()))
	}
	if errors.Is(err, holdfast.ErrInvalid) {
		text := strings.TrimPrefix(err.Error(), holdfast.ErrInvalid.Error()+" silence: ")
		form.Problems = strings.Split(text, "\n")
		err = nil
	}
	if len(form.Problems) > 0 {
		s.showAlerts(w, r, http.StatusUnprocessableEntity, form)
		return
	}
	s.done(w, r, err, "/alerts#silences")
}

func (t *tested) keep(route string, r routeTested) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[string]routeTested{}
	}
	t.of[route] = r
}

func (t *tested) last(route string) *routeTested {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r, ok := t.of[route]; ok {
		return &r
	}
	return nil
}
