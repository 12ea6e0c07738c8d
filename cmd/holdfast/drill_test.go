package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

const drillCatalogue = `site: here
---
team: crew
members: [{name: ada}, {name: bob}]
---
plan: move
version: 3
---
service: shop
tier: 2
site: here
host: h1
bia: {rto: 1h, rpo: 1d, mtpd: 2d, mbco: the list can be read, reviewed: 2026-01-01}
data:
  files: {copies: {nightly: {probe: restic.repository, on: dr1, host: h1, medium: disk, every: 1h, with: {repository: %[1]q, password_file: %[2]q}}}}
paths:
  restore:
    covers: [data-corruption]
    at: here
    from: [files/nightly]
    needs:
      - {name: room, probe: host.disk, on: dr1, every: 1h, with: {path: /, free: 1KiB}}
      - {plan: move}
      - {team: crew}
    tests:
      restored: {probe: restic.restore, on: dr1, every: 7d, with: {repository: %[1]q, password_file: %[2]q}}
    steps:
      - {name: declare, title: Declare it, who: crew, expect: 10m, before: true}
      - {name: switch, title: Point the names here, who: ada}
    mbco: {probe: host.disk, on: dr1, every: 1d, with: {path: /, free: 1KiB}}
  refused: {covers: [data-corruption], at: here, from: [files/nightly], needs: [{name: forbidden, probe: restic.check, on: dr1, every: 1h, with: {repository: %[1]q, password_file: %[2]q}}, {plan: move}]}
  no-plan: {covers: [data-corruption], at: here, from: [files/nightly]}
`

// slowRestic is restic that holds a restore for as long as a file is there.
const slowRestic = `#!/bin/sh
case " $* " in *" restore "*) while [ -e %q ]; do sleep 0.05; done ;; esac
exec %q "$@"
`

// drillWorld is the real programs and a real repository; a restore can be held.
type drillWorld struct {
	*runWorld
	hold string
}

func newDrillWorld(t *testing.T) *drillWorld {
	t.Helper()
	w := &drillWorld{hold: filepath.Join(t.TempDir(), "hold")}
	restic, err := exec.LookPath("restic")
	if err == nil {
		wrapper := filepath.Join(filepath.Dir(w.hold), "restic")
		if err := os.WriteFile(wrapper, fmt.Appendf(nil, slowRestic, w.hold, restic), 0o755); err != nil {
			t.Fatal(err)
		}
		w.runWorld = runWorldOf(t, drillCatalogue, "tools: {restic: "+wrapper+"}\n", 1<<20)
	} else {
		w.runWorld = newRunWorld(t) // says what is missing
	}
	t.Cleanup(func() { os.Remove(w.hold) })
	w.until(t, "the agent to take a request", func() bool {
		status, _ := w.run(t, "shop/files/nightly")
		return status == http.StatusAccepted
	})
	return w
}

// until waits for something, as long as a slow machine may need.
func (w *drillWorld) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	limit := time.Now().Add(2 * time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		if <-tick.C; time.Now().After(limit) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// drill runs a drill command and returns what it printed and its exit code.
func (w *drillWorld) drill(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	var b bytes.Buffer
	code = run(t.Context(), append([]string{"drill"}, args...), strings.NewReader(""), &b, &b)
	return b.String(), code
}

// start begins a drill and returns its ID.
func (w *drillWorld) start(t *testing.T) string {
	t.Helper()
	out, code := w.drill(t, "start", "shop", "--path", "restore", "--detach", "--url", w.url, "--token", w.token)
	if code != 0 {
		t.Fatalf("start: exit %d: %s", code, out)
	}
	return strings.TrimSpace(out)
}

// is returns a drill as it stands; a collector that is starting is asked again.
func (w *drillWorld) is(t *testing.T, id string) (d holdfast.Drill) {
	t.Helper()
	w.until(t, "drill "+id, func() bool {
		out, code := w.drill(t, "show", id, "-o", "json", "--url", w.url, "--token", w.token)
		if code == exitUnreachable {
			return false
		}
		if code != 0 {
			t.Fatalf("show: exit %d: %s", code, out)
		}
		d = holdfast.Drill{}
		if err := json.Unmarshal([]byte(out), &d); err != nil {
			t.Fatal(err)
		}
		return true
	})
	return d
}

// stands waits until a step is in a state.
func (w *drillWorld) stands(t *testing.T, id, step string, state holdfast.DrillStepState) {
	t.Helper()
	w.until(t, step+" to be "+string(state), func() bool {
		d := w.is(t, id)
		i := slices.IndexFunc(d.Steps, func(x holdfast.DrillStep) bool { return x.Name == step })
		if d.Steps[i].State != state && !d.Running() {
			t.Fatalf("the drill is over and %s is %s: %+v", step, d.Steps[i].State, d.Gaps)
		}
		return d.Steps[i].State == state
	})
}

func (w *drillWorld) over(t *testing.T, id string) (d holdfast.Drill) {
	t.Helper()
	w.until(t, "the end of the drill", func() bool { d = w.is(t, id); return !d.Running() })
	return d
}

func (w *drillWorld) answer(t *testing.T, id, step string, args ...string) {
	t.Helper()
	w.stands(t, id, step, holdfast.StepAsked)
	if out, code := w.drill(t, append([]string{"step", id, step, "--url", w.url, "--token", w.token}, args...)...); code != 0 {
		t.Fatalf("step %s: exit %d: %s", step, code, out)
	}
}

// rung is how the rung exercised of the path stands.
func (w *drillWorld) rung(t *testing.T) (state holdfast.State) {
	t.Helper()
	var p web.OneService
	if _, text := w.ask(t, "GET", "/api/v1/services/shop", "", nil); json.Unmarshal([]byte(text), &p) != nil {
		t.Fatalf("service: %s", text)
	}
	for _, x := range p.Service.Paths {
		if x.Name == "restore" {
			state = x.Rungs[holdfast.Exercised].State
		}
	}
	return state
}

// exercise is the record a drill ended in.
func (w *drillWorld) exercise(t *testing.T, id string) (found []holdfast.Record) {
	t.Helper()
	var list web.Records
	if _, text := w.ask(t, "GET", "/api/v1/records", "", nil); json.Unmarshal([]byte(text), &list) != nil {
		t.Fatalf("records: %s", text)
	}
	for _, r := range list.Records {
		if r.Drill == id {
			found = append(found, r)
		}
	}
	return found
}

const restoreStep = "shop/restore/restored"

// TestDrill walks a path with real programs and a real repository: rehearsed, passed,
// left unanswered, aborted, through a kill of its collector and of its agent, and on
// a repository that is damaged.
func TestDrill(t *testing.T) {
	t.Parallel()
	w := newDrillWorld(t)
	t.Run("rehearsed", w.rehearsed)
	t.Run("passed", w.passed)
	t.Run("unanswered", w.unanswered)
	t.Run("aborted", w.aborted)
	t.Run("booked", w.booked)
	t.Run("collector killed", w.collectorKilled)
	t.Run("agent killed", w.agentKilled)
	t.Run("damaged", w.damaged)
}

func (w *drillWorld) rehearsed(t *testing.T) {
	records, drills := "/api/v1/records", "/api/v1/drills"
	_, before := w.ask(t, "GET", records, "", nil)
	out, code := w.drill(t, "start", "shop", "--path", "restore", "--dry-run", "--url", w.url, "--token", w.token)
	for _, want := range []string{"nothing is run", "RTO 1h, RPO 1d", restoreStep, "agent dr1", "declare", "crew", "10m", "shop/restore/mbco", "would start"} {
		if !strings.Contains(out, want) {
			t.Errorf("the rehearsal does not say %q:\n%s", want, out)
		}
	}
	if code != 0 {
		t.Errorf("the rehearsal ends with %d", code)
	}
	if out, code = w.drill(t, "start", "shop", "--path", "no-plan", "--dry-run", "--url", w.url, "--token", w.token); code != exitBadAnswer || !strings.Contains(out, "would not start") {
		t.Errorf("a path without a plan: exit %d:\n%s", code, out)
	}
	w.run(t, "shop/refused/forbidden")
	w.until(t, "the agent's refusal to be known", func() bool {
		out, _ = w.drill(t, "start", "shop", "--path", "refused", "--dry-run", "--url", w.url, "--token", w.token)
		return strings.Contains(out, "agent dr1 refuses it by its own policy")
	})
	if _, code = w.drill(t, "start", "shop", "--url", w.url, "--token", w.token); code != exitUsage {
		t.Errorf("no path of three named: exit %d, want %d", code, exitUsage)
	}
	if _, after := w.ask(t, "GET", records, "", nil); after != before {
		t.Errorf("records changed: %s", after)
	}
	if _, list := w.ask(t, "GET", drills, "", nil); !strings.Contains(list, `"total":0`) {
		t.Errorf("there are drills: %s", list)
	}
}

// passed walks the path on a terminal, where people are asked.
func (w *drillWorld) passed(t *testing.T) {
	if state := w.rung(t); state != holdfast.Untested {
		t.Errorf("before the drill the rung is %s, want untested", state)
	}
	own, theirs := terminal(t)
	cmd := exec.Command("holdfast", "drill", "start", "shop", "--path", "restore", "--url", w.url, "--token", w.token)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	screen := watch(t, own).shows
	err := cmd.Start()
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() }) // an error means that it has ended
	w.until(t, "the first question", func() bool { return strings.Count(screen(), "done? Enter") == 1 })
	fmt.Fprintln(own, "bob")
	w.until(t, "the second question", func() bool { return strings.Count(screen(), "done? Enter") == 2 })
	fmt.Fprintln(own, "")
	if err := cmd.Wait(); err != nil {
		t.Errorf("a drill that passed ends with %v", err)
	}
	w.until(t, "the end on the screen", func() bool { return strings.Contains(screen(), "passed in ") })
	for _, want := range []string{"declare: done by bob", restoreStep + ": running", "of data lost (RPO 1d)", "exercise "} {
		if !strings.Contains(screen(), want) {
			t.Errorf("the terminal does not show %q:\n%s", want, screen())
		}
	}
	t.Logf("on the terminal:\n%s", screen())
	var list web.Drills
	if _, text := w.ask(t, "GET", "/api/v1/drills", "", nil); json.Unmarshal([]byte(text), &list) != nil || len(list.Drills) != 1 {
		t.Fatalf("drills: %s", text)
	}
	d := list.Drills[0]
	if d.Verdict != holdfast.DrillPassed || d.Point.IsZero() || d.Bytes <= 0 || d.By != "ops" || !slices.Equal(d.People, []string{"bob", "ops"}) {
		t.Errorf("got %+v, want it passed by bob and ops", d)
	}
	if r := w.exercise(t, d.ID); len(r) != 1 || r[0].Outcome != holdfast.OK || r[0].Started != d.Started || r[0].Duration != d.Took {
		t.Errorf("exercise %+v, want one of this drill", r)
	}
	w.until(t, "the rung to be proven", func() bool { return w.rung(t) == holdfast.Proven })
}

func (w *drillWorld) unanswered(t *testing.T) {
	id := w.start(t)
	w.answer(t, id, "declare", "--done", "--by", "ada")
	w.stands(t, id, "switch", holdfast.StepAsked)
	if d := w.is(t, id); d.Verdict != "" {
		t.Errorf("with a step unanswered: got %s", d.Verdict)
	}
	if out, code := w.drill(t, "start", "shop", "--path", "restore", "--url", w.url, "--token", w.token); code != exitFailed || !strings.Contains(out, "is under way") {
		t.Errorf("a second drill of the path: exit %d: %s", code, out)
	}
	w.drill(t, "cancel", id, "--url", w.url, "--token", w.token)
	d := w.over(t, id)
	if d.Verdict != holdfast.DrillAborted || !slices.ContainsFunc(d.Gaps, func(g holdfast.DrillGap) bool { return strings.HasPrefix(g.Text, "switch was not answered") }) {
		t.Errorf("got %s with %+v, want it aborted and the step named", d.Verdict, d.Gaps)
	}
	if r := w.exercise(t, id); len(r) != 1 || r[0].Outcome != holdfast.OutcomeUnknown || w.rung(t) != holdfast.Proven {
		t.Errorf("exercise %+v, rung %s: want no test, and what was proven before", r, w.rung(t))
	}
}

// aborted stops a restore while it runs.
func (w *drillWorld) aborted(t *testing.T) {
	w.held(t)
	id := w.start(t)
	w.answer(t, id, "declare", "--done")
	w.stands(t, id, restoreStep, holdfast.StepRunning)
	if out, code := w.drill(t, "cancel", id, "--reason", "wrong day", "--url", w.url, "--token", w.token); code != 0 || !strings.Contains(out, "aborted in") {
		t.Errorf("cancel: exit %d: %s", code, out)
	}
	if d := w.over(t, id); d.Verdict != holdfast.DrillAborted || d.Stopped != "ops" || d.Reason != "wrong day" {
		t.Errorf("got %+v, want it aborted by ops", d)
	}
	w.until(t, "the restore to be stopped on its host", func() bool {
		_, text := w.ask(t, "GET", "/api/v1/checks/runs?check="+url.QueryEscape(restoreStep), "", nil)
		return strings.Contains(text, `"state":"stopped"`) && strings.Contains(text, "stopped by ops")
	})
	if err := os.Remove(w.hold); err != nil {
		t.Fatal(err)
	}
}

// booked starts a drill by appointment.
func (w *drillWorld) booked(t *testing.T) {
	var out string
	code := exitFailed
	for ahead := 2 * time.Second; code != 0 && ahead < time.Minute; ahead *= 2 { // a slow machine asks when it has passed
		at := time.Now().Add(ahead).UTC().Format(time.RFC3339)
		out, code = w.drill(t, "schedule", "shop", "--path", "restore", "--at", at, "--url", w.url, "--token", w.token)
	}
	if code != 0 || !strings.HasPrefix(out, "booked ") {
		t.Fatalf("schedule: exit %d: %s", code, out)
	}
	booking := strings.TrimSuffix(strings.Fields(out)[1], ":")
	var list web.Drills
	w.until(t, "the booked drill", func() bool {
		_, text := w.ask(t, "GET", "/api/v1/drills?running=true", "", nil)
		return json.Unmarshal([]byte(text), &list) == nil && list.Total == 1
	})
	if d := list.Drills[0]; d.Booking != booking || d.By != "ops" {
		t.Errorf("got %+v, want the drill of booking %s", d, booking)
	}
	if out, code := w.drill(t, "cancel", list.Drills[0].ID, "--url", w.url, "--token", w.token); code != 0 {
		t.Errorf("cancel: exit %d: %s", code, out)
	}
	if out, code := w.drill(t, "bookings", "--url", w.url, "--token", w.token); code != 0 || !strings.HasPrefix(out, "Nothing is booked.") {
		t.Errorf("bookings after it began: exit %d: %s", code, out)
	}
}

// held has restores wait from now on.
func (w *drillWorld) held(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(w.hold, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// collectorKilled kills the collector while a restore runs; the drill goes on.
func (w *drillWorld) collectorKilled(t *testing.T) {
	w.held(t)
	id := w.start(t)
	w.answer(t, id, "declare", "--done")
	w.stands(t, id, restoreStep, holdfast.StepRunning)
	w.collector.kill()
	w.collector.start(t)
	w.collector.ready(t)
	if d := w.is(t, id); d.Verdict != "" {
		t.Errorf("after the kill: got %s, want it under way", d.Verdict)
	}
	if err := os.Remove(w.hold); err != nil {
		t.Fatal(err)
	}
	w.answer(t, id, "switch", "--done", "--by", "ada")
	d := w.over(t, id)
	if d.Verdict != holdfast.DrillPassed || d.Away <= 0 {
		t.Errorf("got %s with %+v, away %s: want it passed, and the time without a collector told", d.Verdict, d.Gaps, d.Away)
	}
	if r := w.exercise(t, id); len(r) != 1 || r[0].Outcome != holdfast.OK {
		t.Errorf("exercise %+v, want one that passed", r)
	}
}

// agentKilled kills the agent while it restores.
func (w *drillWorld) agentKilled(t *testing.T) {
	w.held(t)
	id := w.start(t)
	w.answer(t, id, "declare", "--done")
	w.stands(t, id, restoreStep, holdfast.StepRunning)
	w.agent.kill()
	d := w.over(t, id)
	if d.Verdict != holdfast.DrillFailed || !slices.ContainsFunc(d.Gaps, func(g holdfast.DrillGap) bool {
		return strings.HasPrefix(g.Text, restoreStep+" was lost") && strings.Contains(g.Text, "dr1")
	}) {
		t.Errorf("got %s with %+v, want it failed, the restore lost", d.Verdict, d.Gaps)
	}
	if r := w.exercise(t, id); len(r) != 1 || r[0].Outcome != holdfast.OutcomeUnknown || w.rung(t) != holdfast.Proven {
		t.Errorf("exercise %+v, rung %s: what could not be told is no test", r, w.rung(t))
	}
	if err := os.Remove(w.hold); err != nil {
		t.Fatal(err)
	}
	w.agent.start(t)
	w.until(t, "the agent to be back", func() bool {
		out, _ := w.drill(t, "start", "shop", "--path", "restore", "--dry-run", "--url", w.url, "--token", w.token)
		return !strings.Contains(out, "not connected")
	})
}

// damaged flips bytes of every pack: the restore fails, and so does the drill.
func (w *drillWorld) damaged(t *testing.T) {
	packs, err := filepath.Glob(filepath.Join(w.dir, "repository", "data", "*", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("packs: %v, %v", packs, err)
	}
	for _, pack := range packs {
		text, err := os.ReadFile(pack)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(text); i += 97 {
			text[i] ^= 0x55
		}
		if err := os.Chmod(pack, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(pack, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	id := w.start(t)
	var follow bytes.Buffer
	done := make(chan int, 1)
	go func() {
		done <- run(t.Context(), []string{"drill", "show", id, "--follow", "--url", w.url, "--token", w.token}, strings.NewReader(""), &follow, &follow)
	}()
	w.answer(t, id, "declare", "--done")
	d := w.over(t, id)
	if d.Verdict != holdfast.DrillFailed || !slices.ContainsFunc(d.Gaps, func(g holdfast.DrillGap) bool { return strings.HasPrefix(g.Text, restoreStep+" failed") }) {
		t.Errorf("got %s with %+v, want it failed and the restore named", d.Verdict, d.Gaps)
	}
	if code := <-done; code != exitBadAnswer || !strings.Contains(follow.String(), "gap: "+restoreStep+" failed") {
		t.Errorf("following it ends with %d, want %d and the gap:\n%s", code, exitBadAnswer, follow.String())
	}
	if r := w.exercise(t, id); len(r) != 1 || r[0].Outcome != holdfast.Failed {
		t.Errorf("exercise %+v, want one that failed", r)
	}
	w.until(t, "the rung to be broken", func() bool { return w.rung(t) == holdfast.Broken })
}

// terminal returns both ends of a terminal: what is written to the first is typed on
// the second.
func terminal(t *testing.T) (own, theirs *os.File) {
	t.Helper()
	own, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { own.Close() })
	if err := unix.IoctlSetPointerInt(int(own.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(own.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return own, theirs
}

// screen is what a program wrote on a terminal.
type screen struct {
	mu   sync.Mutex
	text []byte // guarded by mu
}

// watch gathers what comes until the terminal is closed.
func watch(t *testing.T, own *os.File) *screen {
	s := &screen{}
	var reading sync.WaitGroup
	reading.Go(func() {
		b := make([]byte, 4096)
		for {
			n, err := own.Read(b)
			s.mu.Lock()
			s.text = append(s.text, b[:n]...)
			s.mu.Unlock()
			if err != nil { // nobody holds the other end any more
				return
			}
		}
	})
	t.Cleanup(reading.Wait)
	return s
}

func (s *screen) shows() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.text)
}
