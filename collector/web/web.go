// Package web shows what the collector knows: pages for people, a JSON API for
// programs, metrics for Prometheus. Pages and API read through the same
// [Collector], so a figure is the same wherever it stands.
//
//   - web.go: what is read, the routes; auth.go, limit.go, hosts.go: who may
//   - api.go, apidoc.go: the JSON API and the document that describes it
//   - layout.go, pages.go, events.go, clip.go: what stands around a page, how it is
//     rendered, how it hears of changes
//   - overview.go (with filter.go, deadline.go, hearing.go), wall.go, service.go (with
//     score.go, evidence.go, timeline.go, recovery.go, restores.go), check.go (with
//     runs.go), drills.go and drill.go, record.go (with record_fields.go), agents.go, login.go (with backoff.go), settings.go (with
//     access.go), badge.go: one file a page
//   - data.go (with data_page.go, data_csv.go, unprotected.go), paths.go (with paths_page.go,
//     needs.go, runout.go): pages over the whole estate; memo.go works their rows out
//     once a revision
//   - chart.go, envelope.go, timeline_chart.go, text.go: geometry and words; templates only place them
//   - templates/, static/: served as they are in git, nothing is built
package web

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/time/rate"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Collector is what the pages and the API read and write through. Postures and
// the catalogue it returns are never changed afterwards. Every method may be
// called from many goroutines at once.
type Collector interface {
	Entrance
	Accounts
	Inside
	Feed
	CatalogueKeeper
	Counting
	Hearing
	Discovering
	Alerting
	Sighted
	Targeting
	Runner
	Drilling
	Past

	// Sentence is the estate in one sentence: "6 of 14 services could be recovered
	// within target now, with proof".
	Sentence() string
	// Postures returns every service's posture, by name; Posture one service's.
	Postures() []holdfast.Posture
	Posture(service string) (holdfast.Posture, bool)
	// Catalogue returns the catalogue in force, Notices what is wrong with the
	// collector itself: a refused catalogue, a clock that jumped.
	Catalogue() *holdfast.Catalogue
	Notices() []holdfast.Notice
	Agents() []holdfast.AgentState
	// Observation returns a check's latest, texts and measures included.
	Observation(check string) (holdfast.Observation, bool)
	// Changes returns the newest changes of standing, at most limit, newest first;
	// "" stands for every service.
	Changes(ctx context.Context, service string, limit int) ([]holdfast.StandingChange, error)
	// Records returns what was attested of a service, oldest first; "" is all.
	Records(ctx context.Context, service string) ([]holdfast.Record, error)
	// Record takes a record in; errors that match holdfast.ErrInvalid say what is
	// wrong with it.
	Record(ctx context.Context, r holdfast.Record) (holdfast.Record, error)

	// Revision grows with everything a reader can see; Listen tells of it.
	Revision() uint64
	Listen() (changed <-chan struct{}, stop func())
	Ready() bool
	Now() time.Time

	Metrics() prometheus.Gatherer
}

// server answers everything on the pages' port.
type server struct {
	c       Collector
	log     *slog.Logger
	version string
	pages   *pages
	logins  *limiter
	names   *guesses
	badges  *limiter
	tests   tested
	streams atomic.Int64 // open event streams

	protected  memo[[]ProtectedDataset]
	discovered memo[*holdfast.Discovery]
	walked     memo[*recovery]
}

// New returns the handler of the pages' port. Hosts are the names, besides those
// of loopback, under which the pages may be asked for on a loopback address:
// those of a reverse proxy.
func New(c Collector, version string, log *slog.Logger, hosts ...string) (http.Handler, error) {
	s := &server{c: c, log: log, version: version, logins: newLimiter(), names: newGuesses(), badges: newLimiterOf(rate.Every(badgeEvery), badgesAtOnce)}
	var err error
	if s.pages, err = newPages(c.Now); err != nil {
		return nil, err
	}
	mux, _, err := s.routes()
	if err != nil {
		return nil, err
	}
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, http.StatusForbidden, "this came from another site's page")
	}))
	return securely(hostGuard(hosts, origin.Handler(mux))), nil
}

// routes returns everything there is to ask for: what is open to nobody in
// particular, and inside it what takes a login.
func (s *server) routes() (mux, inside *http.ServeMux, err error) {
	inside = http.NewServeMux()
	s.addPages(inside)
	open, err := s.addAPI(inside)
	if err != nil {
		return nil, nil, err
	}
	mux = http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /static/", s.pages.static)
	mux.HandleFunc("GET /login", s.loginPage)
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("GET /login/oidc/begin", s.beginOpenID)
	mux.HandleFunc("GET /login/oidc", s.finishOpenID)
	mux.HandleFunc("GET /badge/{file}", s.badge)
	metrics := promhttp.HandlerFor(s.c.Metrics(), promhttp.HandlerOpts{Timeout: 30 * time.Second})
	mux.Handle("GET /metrics", s.localOr(metrics))
	for _, pattern := range open {
		mux.Handle(pattern, inside)
	}
	mux.Handle("/", s.authenticated(inside))
	return mux, inside, nil
}

// healthz answers while the process lives.
func (s *server) healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok", "version": s.version})
}

// readyz answers 200 once reports are taken and services judged.
func (s *server) readyz(w http.ResponseWriter, _ *http.Request) {
	if !s.c.Ready() {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready: services have not been judged yet"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // an error means the client is gone
}

// securely sets the headers every answer has: nothing is loaded from elsewhere,
// nothing runs inline, nobody frames the pages, nothing is kept.
func securely(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
