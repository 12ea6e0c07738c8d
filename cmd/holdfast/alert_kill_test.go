package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
	"github.com/holdfast-monitor/holdfast/collector"
	"github.com/holdfast-monitor/holdfast/collector/alert"
)

// TestKilledBetweenTransitionAndNotice kills a collector, the real program, at a
// random moment after a check of a real agent turned bad, or good again, twenty
// times. A real HTTP receiver keeps the ledger: each check's alert has to come once
// and its end once, however often the process died in between. A notice that comes
// again under its own ID is the same one.
func TestKilledBetweenTransitionAndNotice(t *testing.T) {
	const checks = 10 // each turns bad once and good once: 20 kills
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	w := newAlertWorld(t, checks)
	w.collector.start(t)
	w.collector.ready(t)
	w.agent.start(t)
	for round := range 2 * checks {
		check, want := round%checks, holdfast.AlertFiring
		if round >= checks {
			want = holdfast.AlertResolved
		}
		w.awaitRun(t, check)
		w.turn(check, want == holdfast.AlertFiring)
		w.awaitRun(t, check) // its report is on its way: the transition, then the notice
		<-time.After(time.Duration(random.Int64N(int64(150 * time.Millisecond))))
		w.collector.kill()
		w.collector.start(t)
		eventuallyTrue(t, fmt.Sprintf("round %d: the notice that check %d is %s", round, check, want), func() bool {
			return w.last(check) == want
		})
	}
	w.collector.ready(t)
	w.collector.stop(t)
	w.collector.start(t)
	w.collector.ready(t)
	w.awaitRun(t, 0)
	w.awaitRun(t, 0)
	w.agent.stop(t)
	w.collector.stop(t)
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range checks {
		if got := fmt.Sprint(w.told[i]); got != "[firing resolved]" {
			t.Errorf("check %d: told %s, want once that it fires and once that it ended:\n%s", i, got, strings.Join(w.texts[i], "\n"))
		}
	}
	t.Logf("%d notices came again under their own ID", w.again)
}

// alertWorld is a collector, an agent, the things its checks ask, and the ledger.
type alertWorld struct {
	collector, agent *victim
	dir              string

	mu    sync.Mutex
	bad   map[int]bool                   // guarded by mu: checks whose thing fails
	runs  map[int]int                    // guarded by mu: check → how often it looked
	told  map[int][]holdfast.AlertStatus // guarded by mu: the ledger, by check
	texts map[int][]string               // guarded by mu: what the notices said, by check
	seen  map[string]bool                // guarded by mu: notices by ID
	again int                            // guarded by mu: notices that came again
}

func newAlertWorld(t *testing.T, checks int) *alertWorld {
	w := &alertWorld{dir: t.TempDir(), bad: map[int]bool{}, runs: map[int]int{}, told: map[int][]holdfast.AlertStatus{}, texts: map[int][]string{}, seen: map[string]bool{}}
	server := httptest.NewServer(http.HandlerFunc(w.answer))
	t.Cleanup(server.Close)
	var catalogue strings.Builder
	fmt.Fprintf(&catalogue, "site: here\n---\nservice: shop\ntier: 3\nsite: here\nbia: {rto: 1h, rpo: {none: nothing is kept}, mtpd: 1d, reviewed: 2026-01-01}\npaths:\n  again:\n    covers: [host-loss]\n    needs:\n")
	for i := range checks {
		fmt.Fprintf(&catalogue, "      - {name: c%d, probe: net.http, on: ada, every: 1s, timeout: 900ms, with: {url: \"%s/thing/%d\"}}\n", i, server.URL, i)
	}
	routes := fmt.Sprintf("receivers:\n  ledger: {webhook: {url: %q, secret_file: %q, allow_private: true}}\nroutes:\n  - {name: all, kinds: [prerequisite-failed], to: [ledger]}\nhold_off: {prerequisite-failed: 0s}\n",
		server.URL+"/ledger", filepath.Join(w.dir, "secret"))
	data, folder, host := filepath.Join(w.dir, "collector"), filepath.Join(w.dir, "catalog"), filepath.Join(w.dir, "ada")
	if err := errors.Join(os.Mkdir(folder, 0o700), os.Mkdir(host, 0o700),
		os.WriteFile(filepath.Join(folder, "all.yaml"), []byte(catalogue.String()), 0o600),
		os.WriteFile(filepath.Join(w.dir, "secret"), []byte("sixteen bytes or more"), 0o600),
		os.WriteFile(filepath.Join(w.dir, "routes.yaml"), []byte(routes), 0o600)); err != nil {
		t.Fatal(err)
	}
	pages, agents := freePort(t), freePort(t)
	w.collector = newVictim(t, "collector", "--data", data, "--catalog", folder, "--listen", pages, "--agents", agents, "--alerts", filepath.Join(w.dir, "routes.yaml"))
	w.collector.address = agents
	w.collector.start(t)
	w.collector.ready(t)
	var token string
	eventuallyTrue(t, "a join token", func() (ok bool) {
		var err error
		token, err = collector.Ask(t.Context(), data, "/join", collector.AdminRequest{Name: "ada"})
		return err == nil
	})
	if _, err := agent.Join(t.Context(), host, agents, token); err != nil {
		t.Fatal(err)
	}
	w.collector.kill()
	w.agent = newVictim(t, "agent", "--data", host, "--join", agents)
	return w
}

// answer is what checks ask, and the ledger.
func (w *alertWorld) answer(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.URL.Path == "/ledger" {
		var p alert.Posted
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		w.enter(p)
		return
	}
	var check int
	fmt.Sscanf(r.URL.Path, "/thing/%d", &check)
	w.runs[check]++
	if w.bad[check] {
		rw.WriteHeader(http.StatusServiceUnavailable)
	}
}

// enter enters a notice into the ledger.
func (w *alertWorld) enter(p alert.Posted) {
	if w.seen[p.ID] {
		w.again++
		return
	}
	w.seen[p.ID] = true
	var check int
	fmt.Sscanf(p.Alert.Cause, "shop/again/c%d", &check)
	w.told[check] = append(w.told[check], p.Status)
	w.texts[check] = append(w.texts[check], fmt.Sprintf("%s made %s, since %s: %s", p.Status, p.At.Format(time.RFC3339Nano), p.Alert.Since.Format(time.RFC3339Nano), p.Alert.What))
}

func (w *alertWorld) turn(check int, bad bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad[check] = bad
}

func (w *alertWorld) last(check int) holdfast.AlertStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	if list := w.told[check]; len(list) > 0 {
		return list[len(list)-1]
	}
	return ""
}

// awaitRun waits until a check looks again.
func (w *alertWorld) awaitRun(t *testing.T, check int) {
	t.Helper()
	looked := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.runs[check]
	}
	before := looked()
	eventuallyTrue(t, fmt.Sprintf("check %d to look", check), func() bool { return looked() > before })
}
