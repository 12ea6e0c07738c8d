package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
	"github.com/holdfast-monitor/holdfast/collector"
)

// runWorld is a collector and an agent, the real programs, and a real restic
// repository that the agent may restore from and may not check.
type runWorld struct {
	url, token   string
	dir          string // of everything: repository, catalogue, both programs' data
	host, config string // the agent's data folder and configuration
	collector    *victim
	agent        *victim
}

const runCatalogue = `site: here
---
service: shop
tier: 3
site: here
host: h1
bia: {rto: 1h, rpo: 1d, mtpd: 2d, reviewed: 2026-01-01}
data:
  files: {copies: {nightly: {probe: restic.repository, on: dr1, host: h1, medium: disk, every: 1h, with: {repository: %[1]q, password_file: %[2]q}}}}
paths:
  restore:
    covers: [data-corruption]
    at: here
    from: [files/nightly]
    tests:
      intact: {probe: restic.check, on: dr1, every: 7d, with: {repository: %[1]q, password_file: %[2]q}}
      restored: {probe: restic.restore, on: dr1, every: 7d, with: {repository: %[1]q, password_file: %[2]q}}
`

func newRunWorld(t *testing.T) *runWorld { return runWorldOf(t, runCatalogue, "", 48<<20) }

// runWorldOf takes a catalogue whose %[1]q is the repository and %[2]q its password
// file, and further lines of the agent's configuration, whose %[1]s is the folder.
func runWorldOf(t *testing.T, catalog, config string, size int) *runWorld {
	t.Helper()
	dir := t.TempDir()
	repository, password := resticRepository(t, dir, int64(size))
	return startRunWorld(t, dir, fmt.Sprintf(catalog, repository, password),
		"allow: [restic.repository, restic.restore]\n"+strings.ReplaceAll(config, "%[1]s", dir), "")
}

// startRunWorld starts both on a catalogue and the agent's configuration; the agent is
// the program given, "" for these tests.
func startRunWorld(t *testing.T, dir, catalogue, config, program string) *runWorld {
	t.Helper()
	own, folder := filepath.Join(dir, "collector"), filepath.Join(dir, "catalog")
	w := &runWorld{dir: dir, host: filepath.Join(dir, "dr1"), config: filepath.Join(dir, "agent.yaml")}
	if err := errors.Join(os.Mkdir(folder, 0o700), os.Mkdir(w.host, 0o700), os.WriteFile(w.config, []byte(config), 0o600),
		os.WriteFile(filepath.Join(folder, "shop.yaml"), []byte(catalogue), 0o600)); err != nil {
		t.Fatal(err)
	}
	pages, agents := freePort(t), freePort(t)
	w.url = "http://" + pages
	w.collector = newVictim(t, "collector", "--data", own, "--catalog", folder, "--listen", pages, "--agents", agents)
	w.collector.address = pages
	w.collector.start(t)
	w.collector.ready(t)
	ask := func(path string, r collector.AdminRequest) (answer string) {
		eventuallyTrue(t, "an answer on the admin socket", func() (ok bool) {
			var err error
			answer, err = collector.Ask(t.Context(), own, path, r)
			return err == nil
		})
		return answer
	}
	w.token = ask("/token", collector.AdminRequest{Name: "ops", Role: holdfast.Operator})
	if _, err := agent.Join(t.Context(), w.host, agents, ask("/join", collector.AdminRequest{Name: "dr1"})); err != nil {
		t.Fatal(err)
	}
	w.agent = newVictim(t, "agent", "--config", w.config, "--data", w.host, "--join", agents)
	w.agent.program = program
	w.agent.start(t)
	return w
}

// resticRepository makes a repository in a folder, with one snapshot of so many bytes
// that do not compress, in files of at most 64 MiB: files/a, files/a1 and so on.
func resticRepository(t *testing.T, dir string, size int64) (repository, password string) {
	t.Helper()
	if _, err := exec.LookPath("restic"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no restic: apt-get install -y --no-install-recommends restic")
		}
		t.Skip("no restic on this machine")
	}
	repository, password = filepath.Join(dir, "repository"), filepath.Join(dir, "password")
	files := filepath.Join(dir, "files")
	if err := errors.Join(os.Mkdir(files, 0o700), os.WriteFile(password, []byte("secret\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	name := "a"
	for n := 1; size > 0; n++ {
		part := min(size, 64<<20)
		writeNoise(t, filepath.Join(files, name), part)
		name, size = fmt.Sprint("a", n), size-part
	}
	for _, args := range [][]string{{"init"}, {"backup", "--compression=off", files}} {
		cmd := exec.Command("restic", append([]string{"-r", repository, "-p", password, "--no-cache"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("restic %v: %v\n%s", args, err, out)
		}
	}
	return repository, password
}

// writeNoise writes a file that does not compress.
func writeNoise(t *testing.T, file string, size int64) {
	t.Helper()
	f, err := os.Create(file)
	if err == nil {
		_, err = io.CopyN(f, rand.Reader, size)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ask sends a request as an operator.
func (w *runWorld) ask(t *testing.T, method, path, form string, body []byte) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.token)
	if form != "" {
		r.Header.Set("Content-Type", form)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// run asks for a check and returns the answer.
func (w *runWorld) run(t *testing.T, check string) (status int, run holdfast.Run) {
	t.Helper()
	status, text := w.ask(t, "POST", "/api/v1/checks/run", "application/json", fmt.Appendf(nil, `{"check":%q}`, check))
	if status == http.StatusAccepted {
		if err := json.Unmarshal([]byte(text), &run); err != nil {
			t.Fatal(err)
		}
	}
	return status, run
}

// follow watches a run until it is over and returns every state and phase it was in.
func (w *runWorld) follow(t *testing.T, id string, until func(holdfast.Run) bool) (last holdfast.Run, was []string) {
	t.Helper()
	eventuallyTrue(t, "the run", func() bool {
		var answer struct{ Runs []holdfast.Run }
		if _, text := w.ask(t, "GET", "/api/v1/checks/runs", "", nil); json.Unmarshal([]byte(text), &answer) != nil {
			t.Fatalf("runs: %s", text)
		}
		i := slices.IndexFunc(answer.Runs, func(r holdfast.Run) bool { return r.ID == id })
		if i < 0 {
			t.Fatalf("run %s is not remembered: %+v", id, answer.Runs)
		}
		last = answer.Runs[i]
		word := string(last.State)
		if last.Phase != nil {
			word += " " + last.Phase.Name
		}
		if !slices.Contains(was, word) {
			was = append(was, word)
		}
		return until(last)
	})
	return last, was
}

func over(r holdfast.Run) bool { return !r.State.Live() }

// TestRunNow asks a real agent for a real restore, for a check its host forbids, and
// for one when it is gone: each is told as it goes, in the API and on the page.
func TestRunNow(t *testing.T) {
	t.Parallel()
	w := newRunWorld(t)
	const restore, check = "shop/restore/restored", "shop/restore/intact"
	var first holdfast.Run
	eventuallyTrue(t, "the agent to take a request", func() (ok bool) {
		status, run := w.run(t, restore)
		first = run
		return status == http.StatusAccepted && run.State == holdfast.RunSent
	})
	run, was := w.follow(t, first.ID, over)
	if run.State != holdfast.RunDone || run.Outcome != holdfast.OK || run.Started.IsZero() || run.Ended.Before(run.Started) || run.By != "ops" || run.Agent != "dr1" {
		t.Errorf("the restore: got %+v, want it done and ok", run)
	}
	if !slices.ContainsFunc(was, func(s string) bool { return strings.HasPrefix(s, "running") }) {
		t.Errorf("the restore was seen %q, want it seen while it runs", was)
	}
	t.Logf("the restore was seen %q: %s", was, run.Summary)
	eventuallyTrue(t, "the proof on the page", func() bool {
		_, page := w.ask(t, "GET", "/services/shop", "", nil)
		return strings.Contains(page, "asked by ops") && strings.Contains(page, "Took ") // the path was measured
	})

	// The host does not allow it; the page's form answers as the API does.
	status, _ := w.ask(t, "POST", "/run", "application/x-www-form-urlencoded", []byte(url.Values{"check": {check}, "back": {"/services/shop"}}.Encode()))
	if status != http.StatusSeeOther {
		t.Errorf("the form: got %d, want 303", status)
	}
	_, run = w.run(t, check)
	if run, _ = w.follow(t, run.ID, over); run.State != holdfast.RunRefused || !strings.Contains(run.Summary, "does not allow restic.check") {
		t.Errorf("a check the host forbids: got %+v, want it refused and why", run)
	}
	if _, page := w.ask(t, "GET", "/checks/"+check, "", nil); !strings.Contains(page, "by the policy of agent dr1") {
		t.Error("the check's page does not say that the host refused")
	}

	// Killed while it runs: the run is lost to sight.
	_, run = w.run(t, restore)
	w.follow(t, run.ID, func(r holdfast.Run) bool { return r.State == holdfast.RunRunning })
	w.agent.kill()
	if run, _ = w.follow(t, run.ID, over); run.State != holdfast.RunLost || !strings.Contains(run.Summary, "dr1 went away") {
		t.Errorf("the agent was killed: got %+v, want the run lost", run)
	}
	if status, _ := w.run(t, restore); status != http.StatusConflict {
		t.Errorf("nobody to ask: got %d, want 409", status)
	}
	if _, page := w.ask(t, "GET", "/services/shop", "", nil); !strings.Contains(page, "agent is not connected") {
		t.Error("the page does not say that the agent is not connected")
	}
}
