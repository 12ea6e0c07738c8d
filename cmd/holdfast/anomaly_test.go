package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const anomalyCatalogue = `site: here
---
service: shop
tier: 4
site: here
host: h1
bia: {rto: 1h, rpo: 1d, mtpd: 2d, reviewed: 2026-01-01}
data:
  files:
    copies:
      nightly: {keep: 30d, probe: restic.repository, on: dr1, host: h1, medium: disk, every: 1h, with: {repository: %[1]q, password_file: %[2]q}}
      offsite: {probe: restic.repository, on: dr1, host: h2, medium: disk, every: 1h, with: {repository: "%[1]s-offsite", password_file: "%[2]s-offsite"}}
paths:
  restore: {covers: [data-corruption], at: here, from: [files/nightly]}
`

// restic runs the tool on one of the world's repositories.
func (w *runWorld) restic(t *testing.T, suffix string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("restic", append([]string{"-r", filepath.Join(w.dir, "repository"+suffix), "-p", filepath.Join(w.dir, "password"), "--no-cache"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("restic %v: %v\n%s", args, err, err.(*exec.ExitError).Stderr)
	}
	return out
}

// look has the agent run a check and waits until it is over.
func (w *runWorld) look(t *testing.T, check string, want holdfast.Outcome) {
	t.Helper()
	var asked holdfast.Run
	eventuallyTrue(t, "the agent to take "+check, func() (ok bool) {
		status, run := w.run(t, check)
		asked = run
		return status == http.StatusAccepted && run.State == holdfast.RunSent
	})
	if run, _ := w.follow(t, asked.ID, over); run.State != holdfast.RunDone || run.Outcome != want {
		t.Fatalf("%s: got %+v, want it %s", check, run, want)
	}
}

// findings waits until the service's posture is as wanted.
func (w *runWorld) findings(t *testing.T, what string, is func(found map[string]holdfast.Finding, p holdfast.Posture) bool) map[string]holdfast.Finding {
	t.Helper()
	var found map[string]holdfast.Finding
	eventuallyTrue(t, what, func() bool {
		var answer struct{ Service holdfast.Posture }
		if status, text := w.ask(t, "GET", "/api/v1/services/shop", "", nil); status != http.StatusOK || json.Unmarshal([]byte(text), &answer) != nil {
			t.Fatalf("the service: got %d %s", status, text)
		}
		found = map[string]holdfast.Finding{}
		for _, f := range answer.Service.Findings {
			found[f.Code] = f
		}
		return is(found, answer.Service)
	})
	return found
}

func has(code string) func(map[string]holdfast.Finding, holdfast.Posture) bool {
	return func(found map[string]holdfast.Finding, _ holdfast.Posture) bool { _, ok := found[code]; return ok }
}

// TestAnomalies does to real repositories what real people do: a backup loses its
// data, snapshots are removed before their time, two copies get one password. The
// tool finds nothing wrong with any of it.
func TestAnomalies(t *testing.T) {
	t.Parallel()
	w := runWorldOf(t, anomalyCatalogue, "", 4<<20)
	const nightly, offsite = "shop/files/nightly", "shop/files/offsite"
	source := filepath.Join(w.dir, "files")
	write := func(name string, size int) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(strings.Repeat("x", size)), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	// Another copy, its password in another file and the same.
	secret(t, w, "password-offsite", "secret")
	w.restic(t, "-offsite", "init")
	w.restic(t, "-offsite", "backup", source)
	w.look(t, offsite, holdfast.OK)
	w.look(t, nightly, holdfast.OK)
	found := w.findings(t, "one credential for two copies", has("shared-credential"))
	if f := found["shared-credential"]; !strings.Contains(f.Reason, "nightly and offsite") || f.Remedy == "" {
		t.Errorf("got %+v, want both copies named, and a remedy", f)
	}
	// Three more backups of the whole, then one of a tenth. The collector starts anew
	// between, and its record stays.
	for i := range 3 {
		write("files/b", 1000+i)
		w.restic(t, "", "backup", source)
		w.look(t, nightly, holdfast.OK)
	}
	found = w.findings(t, "a posture", func(found map[string]holdfast.Finding, p holdfast.Posture) bool {
		copied := p.Data[0].Copy("nightly")
		return copied.Bytes > 4<<20 && copied.Point.After(copied.Oldest)
	})
	for _, code := range []string{"copy-shrunk", "fewer-files", "changed-much", "kept-too-short"} {
		if f, odd := found[code]; odd {
			t.Errorf("nothing is odd yet, got %+v", f)
		}
	}
	w.collector.kill()
	w.collector.start(t)
	w.collector.ready(t)
	write("files/a", 1000) // with b about 2 KiB of 4 MiB
	w.restic(t, "", "backup", source)
	w.look(t, nightly, holdfast.OK)
	found = w.findings(t, "a newest copy that shrank", has("copy-shrunk"))
	if f := found["copy-shrunk"]; !strings.Contains(f.Reason, "holds 2KiB, those before it 4MiB (median)") || f.Since.IsZero() || f.Remedy == "" {
		t.Errorf("got %+v, want both sizes, since when, and a remedy", f)
	}

	// The oldest snapshot goes, 30 days too early.
	var snapshots []struct{ ID string }
	if err := json.Unmarshal(w.restic(t, "", "snapshots", "--json"), &snapshots); err != nil || len(snapshots) != 5 {
		t.Fatalf("got %d snapshots, %v, want 5", len(snapshots), err)
	}
	w.restic(t, "", "forget", snapshots[0].ID)
	w.look(t, nightly, holdfast.OK)
	found = w.findings(t, "a point that vanished before its time", has("kept-too-short"))
	if f := found["kept-too-short"]; f.State != holdfast.Degraded || len(f.Paths) != 1 || f.Since.IsZero() {
		t.Errorf("got %+v, want the path degraded, and since when", f)
	}
	if _, page := w.ask(t, "GET", "/services/shop", "", nil); !strings.Contains(page, "was to be kept until") || !strings.Contains(page, "those before it") {
		t.Error("the service's page does not say what is odd about the copy")
	}
	eventuallyTrue(t, "alerts", func() bool {
		_, text := w.ask(t, "GET", "/api/v1/alerts", "", nil)
		return strings.Count(text, `"kind":"recovery-point-suspect"`)+strings.Count(text, `"kind": "recovery-point-suspect"`) == 2
	})
}

// secret writes a password into a file of the world.
func secret(t *testing.T, w *runWorld, name, text string) string {
	t.Helper()
	file := filepath.Join(w.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
