package collector

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/password"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
)

func testAccess(t *testing.T) (*access, *time.Time) {
	t.Helper()
	s, err := bolt.Open(t.TempDir(), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	a := newAccess(s, func() time.Time { return now }, slog.New(slog.NewTextHandler(t.Output(), nil)))
	a.hasher = password.New(password.Parameters{Memory: 64, Passes: 1, Threads: 1}, 2)
	return a, &now
}

func TestLoginOnce(t *testing.T) {
	a, now := testAccess(t)
	ctx := t.Context()
	key, err := a.loginKey(ctx, holdfast.Who{Name: "ada", Role: holdfast.Manager})
	if err != nil {
		t.Fatal(err)
	}
	var wins atomic.Int32
	var session atomic.Value
	var tries sync.WaitGroup
	for range 50 {
		tries.Go(func() {
			if l, err := a.login(ctx, key, "here"); err == nil && l.Who.Name == "ada" && l.Who.Role == holdfast.Manager {
				wins.Add(1)
				session.Store(l.Session)
			} else if !errors.Is(err, holdfast.ErrNoAccess) {
				t.Errorf("second login: got %v, want ErrNoAccess", err)
			}
		})
	}
	tries.Wait()
	if wins.Load() != 1 {
		t.Fatalf("50 uses of one link: %d got in, want 1", wins.Load())
	}
	token := session.Load().(string)
	if w, err := a.check(ctx, holdfast.SecretSession, token); err != nil || w.Name != "ada" {
		t.Errorf("session: got %v, %v", w, err)
	}
	if _, err := a.check(ctx, holdfast.SecretAPI, token); !errors.Is(err, holdfast.ErrNoAccess) {
		t.Errorf("session used as an API token: got %v, want ErrNoAccess", err)
	}
	*now = now.Add(holdfast.SessionLife)
	if _, err := a.check(ctx, holdfast.SecretSession, token); !errors.Is(err, holdfast.ErrNoAccess) {
		t.Errorf("session at its end: got %v, want ErrNoAccess", err)
	}
}

func TestTokens(t *testing.T) {
	a, now := testAccess(t)
	ctx := t.Context()
	if _, _, err := a.apiToken(ctx, holdfast.Who{Name: "ci", Role: "emperor"}, 0, "ada"); err == nil {
		t.Error("a token of a role that does not exist was made")
	}
	token, _, err := a.apiToken(ctx, holdfast.Who{Name: "ci", Role: holdfast.Viewer}, time.Minute, "ada")
	if err != nil {
		t.Fatal(err)
	}
	if w, err := a.check(ctx, holdfast.SecretAPI, token); err != nil || w.Role != holdfast.Viewer {
		t.Errorf("token: got %v, %v", w, err)
	}
	for _, wrong := range []string{"", "hft_", token + "x", token[:len(token)-1]} {
		if _, err := a.check(ctx, holdfast.SecretAPI, wrong); !errors.Is(err, holdfast.ErrNoAccess) {
			t.Errorf("token %q: got %v, want ErrNoAccess", wrong, err)
		}
	}
	*now = now.Add(time.Minute)
	if _, err := a.check(ctx, holdfast.SecretAPI, token); !errors.Is(err, holdfast.ErrNoAccess) {
		t.Errorf("token at its end: got %v, want ErrNoAccess", err)
	}
	expired, err := a.loginKey(ctx, holdfast.Who{Name: "ada", Role: holdfast.Admin})
	if err != nil {
		t.Fatal(err)
	}
	*now = now.Add(loginLife)
	if _, err := a.login(ctx, expired, "here"); !errors.Is(err, holdfast.ErrNoAccess) {
		t.Errorf("login link at its end: got %v, want ErrNoAccess", err)
	}
}
