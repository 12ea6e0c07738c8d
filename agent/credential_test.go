package agent_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
)

// credentialOf tells the credential of a check's observation.
type credentialOf func(id string, settings map[string]any) string

// credentialsUnder makes an agent's look with a key.
func credentialsUnder(t *testing.T, key string) credentialOf {
	t.Helper()
	d := holdfast.Description{Name: "tape.copy", Secret: []string{"password_file", "key_file"}}
	probes := scripted{observe: func(context.Context) (holdfast.Observation, error) {
		return holdfast.Observation{Outcome: holdfast.OK, Credential: "forged"}, nil
	}}
	look := agent.LookUnder(agent.Config{AllowSafe: true}, &probes, []holdfast.Description{d}, time.Now, []byte(key))
	return func(id string, settings map[string]any) string {
		t.Helper()
		with, err := json.Marshal(settings)
		if err != nil {
			t.Fatal(err)
		}
		o, ok := look(t.Context(), holdfast.Check{ID: id, Probe: d.Name, On: "db1", Every: 1e12, Timeout: 1e12, With: holdfast.Settings(with)})
		if !ok || o.Outcome != holdfast.OK {
			t.Fatalf("got %+v, want an observation", o)
		}
		return o.Credential
	}
}

func TestCredential(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	first, again, other := file("first", "hunter2\n"), file("again", "hunter2"), file("other", "correct horse")
	huge := file("huge", strings.Repeat("x", 64<<10+1))
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	of := credentialsUnder(t, "the collector's key")
	opens := func(of credentialOf, id, file string) string {
		t.Helper()
		return of(id, map[string]any{"password_file": file})
	}

	hash := opens(of, "pay/ledger/near", first)
	if !regexp.MustCompile(`^[0-9a-f]{8}$`).MatchString(hash) {
		t.Fatalf("got %q, want 32 bits", hash)
	}
	if got := opens(credentialsUnder(t, "the collector's key"), "pay/ledger/far", again); got != hash {
		t.Errorf("the same secret in another file, copy and agent: got %q, want %q", got, hash)
	}
	for what, got := range map[string]string{
		"another secret":      opens(of, "pay/ledger/near", other),
		"another dataset":     opens(of, "pay/cache/near", first),
		"another key":         opens(credentialsUnder(t, "another key"), "pay/ledger/near", first),
		"a second part of it": of("pay/ledger/near", map[string]any{"password_file": first, "key_file": other}),
	} {
		if got == "" || got == hash {
			t.Errorf("%s: got %q, want another than %q", what, got, hash)
		}
	}
	for what, got := range map[string]string{
		"no secret named":     of("pay/ledger/near", map[string]any{"repository": "/srv"}),
		"no such file":        opens(of, "pay/ledger/near", filepath.Join(dir, "none")),
		"one of two is there": of("pay/ledger/near", map[string]any{"password_file": first, "key_file": filepath.Join(dir, "none")}),
		"a folder":            opens(of, "pay/ledger/near", dir),
		"a pipe":              opens(of, "pay/ledger/near", fifo),
		"too large":           opens(of, "pay/ledger/near", huge),
		"a relative path":     opens(of, "pay/ledger/near", "first"),
		"no key":              opens(credentialsUnder(t, ""), "pay/ledger/near", first),
	} {
		if got != "" {
			t.Errorf("%s: got %q, want nothing told", what, got)
		}
	}
	file("first", "correct horse")
	if got, want := opens(of, "pay/ledger/near", first), opens(of, "pay/ledger/far", other); got != want {
		t.Errorf("changed in place: got %q, want %q", got, want)
	}
}
