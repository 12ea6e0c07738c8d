package collector

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/password"
)

const horse = "correct horse battery"

// withAda is access with one user.
func withAda(t *testing.T) (*access, *time.Time) {
	t.Helper()
	a, now := testAccess(t)
	if _, err := a.addUser(t.Context(), " Ada ", holdfast.Manager, horse); err != nil {
		t.Fatal(err)
	}
	return a, now
}

func (a *access) mustLogin(t *testing.T) string {
	t.Helper()
	l, err := a.loginPassword(t.Context(), "ADA", horse, "192.0.2.7, Firefox")
	if err != nil {
		t.Fatal(err)
	}
	return l.Session
}

func TestPasswordLogin(t *testing.T) {
	a, now := withAda(t)
	ctx := t.Context()
	l, err := a.loginPassword(ctx, "Ada", horse, "here")
	if err != nil || l.Who != (holdfast.Who{Name: "ada", Role: holdfast.Manager}) || !l.Ends.Equal(now.Add(holdfast.SessionLife)) {
		t.Fatalf("got %+v, %v", l, err)
	}
	for _, c := range []struct{ name, password string }{
		{"ada", "wrong"}, {"ada", ""}, {"ada", horse + "\x00"}, {"ada", strings.Repeat("x", 1<<20)}, {"eve", horse}, {"", ""}, {"../ada", horse}, {strings.Repeat("x", 1<<20), horse},
	} {
		if l, err := a.loginPassword(ctx, c.name, c.password, "here"); !errors.Is(err, holdfast.ErrNoAccess) || l.Session != "" {
			t.Errorf("%.20q with %.20q: got %+v, %v, want ErrNoAccess", c.name, c.password, l, err)
		}
	}
	users, err := a.users(ctx)
	if err != nil || len(users) != 1 || !users[0].LastLogin.Equal(*now) {
		t.Errorf("users: got %+v, %v", users, err)
	}
	if text, _ := json.Marshal(users); strings.Contains(string(text), "argon2") {
		t.Errorf("the list holds a hash: %s", text)
	}
}

func TestUserNames(t *testing.T) {
	a, _ := withAda(t)
	for name, field := range map[string]string{
		"ada": "name", "Ada": "name", "": "name", "a b": "name", "<b>": "name", "-x": "name", "ädä": "name", "a/b": "name", strings.Repeat("x", 101): "name",
		"ada@acme.example": "", "svc_1+x.y-z": "",
	} {
		_, err := a.addUser(t.Context(), name, holdfast.Viewer, horse)
		wrong, _ := errors.AsType[*holdfast.FieldError](err)
		if (err == nil) != (field == "") || err != nil && (wrong == nil || wrong.Field != field || !errors.Is(err, holdfast.ErrInvalid)) {
			t.Errorf("%q: got %v, want a fault of %q", name, err, field)
		}
	}
	if _, err := a.addUser(t.Context(), "x", "boss", horse); err == nil {
		t.Error("a role that is none was given")
	}
	if _, err := a.addUser(t.Context(), "x", holdfast.Viewer, "short"); err == nil {
		t.Error("a short password was taken")
	}
}

// Whatever takes rights away takes them at once, wherever somebody is logged in,
// and who listens is told.
func TestRightsEndAtOnce(t *testing.T) {
	yes, no, other, auditor := true, false, "another twelve letters", holdfast.Auditor
	for name, c := range map[string]struct {
		change func(a *access, ctx context.Context) error
		role   holdfast.Role // of the sessions afterwards; empty: they have ended
		login  bool          // the old password still opens
	}{
		"a new role": {func(a *access, ctx context.Context) error {
			_, err := a.changeUser(ctx, "ada", holdfast.UserChange{Role: &auditor})
			return err
		}, holdfast.Auditor, true},
		"a new password": {func(a *access, ctx context.Context) error {
			_, err := a.changeUser(ctx, "ada", holdfast.UserChange{Password: &other})
			return err
		}, "", false},
		"disabled": {func(a *access, ctx context.Context) error {
			_, err := a.changeUser(ctx, "ada", holdfast.UserChange{Disabled: &yes})
			return err
		}, "", false},
		"enabled although": {func(a *access, ctx context.Context) error {
			_, err := a.changeUser(ctx, "ada", holdfast.UserChange{Disabled: &no})
			return err
		}, holdfast.Manager, true},
		"removed": {func(a *access, ctx context.Context) error { return a.removeUser(ctx, "ada") }, "", false},
		"removed and made anew": {func(a *access, ctx context.Context) error {
			if err := a.removeUser(ctx, "ada"); err != nil {
				return err
			}
			_, err := a.addUser(ctx, "ada", holdfast.Admin, horse)
			return err
		}, "", true},
		"logged out everywhere": {func(a *access, ctx context.Context) error { return a.endAll(ctx, "ada") }, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := withAda(t)
			ctx := t.Context()
			sessions := []string{a.mustLogin(t), a.mustLogin(t)}
			link, err := a.loginKey(ctx, holdfast.Who{Name: "ada"})
			if err != nil {
				t.Fatal(err)
			}
			byLink, err := a.login(ctx, link, "here")
			if err != nil || byLink.Who.Role != holdfast.Manager {
				t.Fatalf("link of a user: got %+v, %v, want the user's own role", byLink, err)
			}
			unused, err := a.loginKey(ctx, holdfast.Who{Name: "ada"})
			if err != nil {
				t.Fatal(err)
			}
			token, _, err := a.apiToken(ctx, holdfast.Who{Name: "ada", Role: holdfast.Viewer}, 0, "ada")
			if err != nil {
				t.Fatal(err)
			}
			told, stop := a.changed.listen()
			defer stop()
			if err := c.change(a, ctx); err != nil {
				t.Fatal(err)
			}
			select {
			case <-told:
			default:
				t.Error("nobody was told")
			}
			for i, s := range append(sessions, byLink.Session) {
				w, err := a.check(ctx, holdfast.SecretSession, s)
				if c.role == "" && !errors.Is(err, holdfast.ErrNoAccess) || c.role != "" && (err != nil || w.Role != c.role) {
					t.Errorf("session %d afterwards: got %v, %v, want role %q", i, w, err, c.role)
				}
			}
			if _, err := a.login(ctx, unused, "here"); (err == nil) != (c.role != "") {
				t.Errorf("a link made before: got %v", err)
			}
			if _, err := a.loginPassword(ctx, "ada", horse, "here"); (err == nil) != c.login {
				t.Errorf("the old password afterwards: got %v, want it to open: %v", err, c.login)
			}
			if _, err := a.check(ctx, holdfast.SecretAPI, token); err != nil {
				t.Errorf("a program's token that happens to be called so: got %v, want it untouched", err)
			}
		})
	}
}

// Changes and logins at the same time leave nobody in who should be out.
func TestChangeWhileLoggingIn(t *testing.T) {
	a, _ := withAda(t)
	ctx := t.Context()
	var all sync.WaitGroup
	sessions := make(chan string, 100)
	for range 8 {
		all.Go(func() {
			for range 10 {
				if l, err := a.loginPassword(ctx, "ada", horse, "here"); err == nil {
					sessions <- l.Session
				} else if !errors.Is(err, holdfast.ErrNoAccess) && !errors.Is(err, holdfast.ErrBusy) {
					t.Error(err)
				}
			}
		})
	}
	yes := true
	if _, err := a.changeUser(ctx, "ada", holdfast.UserChange{Disabled: &yes}); err != nil {
		t.Error(err)
	}
	all.Wait()
	close(sessions)
	for s := range sessions {
		if _, err := a.check(ctx, holdfast.SecretSession, s); !errors.Is(err, holdfast.ErrNoAccess) {
			t.Fatalf("a session of a disabled user: got %v", err)
		}
	}
	if u, err := a.user(ctx, "ada"); err != nil || u.Disabled.IsZero() {
		t.Errorf("a login took the disabling back: %+v, %v", u.User, err)
	}
}

// A hash made under other parameters is made anew when its owner logs in.
func TestRehash(t *testing.T) {
	a, _ := withAda(t)
	before, _ := a.user(t.Context(), "ada")
	a.hasher = password.New(password.Parameters{Memory: 128, Passes: 1, Threads: 1}, 2)
	session := a.mustLogin(t)
	after, err := a.user(t.Context(), "ada")
	if err != nil || !strings.Contains(after.Hash, "m=128") || !strings.Contains(before.Hash, "m=64") {
		t.Errorf("hash before %q, after %q, %v", before.Hash, after.Hash, err)
	}
	if _, err := a.check(t.Context(), holdfast.SecretSession, session); err != nil {
		t.Errorf("the session does not outlive it: %v", err)
	}
	a.mustLogin(t)
}

func TestOwnPassword(t *testing.T) {
	a, _ := withAda(t)
	ctx := t.Context()
	mine, other := a.mustLogin(t), a.mustLogin(t)
	if _, err := a.changePassword(ctx, mine, "wrong", "another twelve letters"); !strings.Contains(err.Error(), "current: this is not your password") {
		t.Errorf("wrong password: got %v", err)
	}
	if _, err := a.changePassword(ctx, mine, horse, "short"); !strings.Contains(err.Error(), "at least 12") {
		t.Errorf("short password: got %v", err)
	}
	l, err := a.changePassword(ctx, mine, horse, "another twelve letters")
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]bool{l.Session: true, mine: false, other: false} {
		if _, err := a.check(ctx, holdfast.SecretSession, s); (err == nil) != want {
			t.Errorf("session: got %v, want it to open: %v", err, want)
		}
	}
	key, _ := a.loginKey(ctx, holdfast.Who{Name: "guest"})
	guest, err := a.login(ctx, key, "here")
	if err != nil || guest.Who.Role != holdfast.Admin {
		t.Fatalf("link for nobody kept here: got %+v, %v", guest, err)
	}
	if _, err := a.changePassword(ctx, guest.Session, horse, horse); err == nil {
		t.Error("who has no password changed it")
	}
}

// One sees and ends one's own sessions, never another's.
func TestSessions(t *testing.T) {
	a, now := withAda(t)
	ctx := t.Context()
	if _, err := a.addUser(ctx, "bob", holdfast.Viewer, horse); err != nil {
		t.Fatal(err)
	}
	mine := a.mustLogin(t)
	*now = now.Add(2 * time.Minute)
	second := a.mustLogin(t)
	bob, err := a.loginPassword(ctx, "bob", horse, "there")
	if err != nil {
		t.Fatal(err)
	}
	// The same name at a provider is somebody else.
	foreign, err := a.begin(ctx, holdfast.Secret{Subject: "ada", Role: holdfast.Viewer, Via: holdfast.ViaOpenID, Person: "https://idp ada"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.check(ctx, holdfast.SecretSession, second); err != nil {
		t.Fatal(err)
	}
	list, err := a.sessions(ctx, mine)
	if err != nil || len(list) != 2 {
		t.Fatalf("got %+v, %v, want ada's two", list, err)
	}
	if l := list[0]; l.Via != holdfast.ViaPassword || l.From != "192.0.2.7, Firefox" || !l.Seen.Equal(*now) || l.Current || !l.Local || !list[1].Current {
		t.Errorf("got %+v, want the newest first and this one marked", list)
	}
	theirs, err := a.sessions(ctx, bob.Session)
	if err != nil || len(theirs) != 1 {
		t.Fatalf("got %+v, %v", theirs, err)
	}
	if err := a.endSessions(ctx, mine, theirs[0].ID); !errors.Is(err, holdfast.ErrUnknown) {
		t.Errorf("ending another's session: got %v, want ErrUnknown", err)
	}
	if err := a.endSessions(ctx, mine, ""); err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]bool{mine: false, second: false, bob.Session: true, foreign.Session: true} {
		if _, err := a.check(ctx, holdfast.SecretSession, s); (err == nil) != want {
			t.Errorf("after ada logged out everywhere: got %v, want it to open: %v", err, want)
		}
	}
	*now = now.Add(holdfast.SessionLife)
	if err := a.prune(ctx); err != nil {
		t.Fatal(err)
	}
	for s, err := range a.store.Secrets(ctx, holdfast.SecretSession) {
		t.Errorf("a session that ran out is still kept: %+v, %v", s, err)
	}
	for d, err := range a.store.Documents(ctx, kindUse) {
		t.Errorf("the last use of a session that is no more is still kept: %s, %v", d.Name, err)
	}
}

func TestTokensListed(t *testing.T) {
	a, now := withAda(t)
	ctx := t.Context()
	secret, made, err := a.apiToken(ctx, holdfast.Who{Name: "ci", Role: holdfast.Viewer}, 24*time.Hour, "ada")
	if err != nil {
		t.Fatal(err)
	}
	list, err := a.tokens(ctx)
	if err != nil || len(list) != 1 || list[0] != made || !list[0].Used.IsZero() {
		t.Fatalf("got %+v, %v, want %+v", list, err, made)
	}
	if text, _ := json.Marshal(list); strings.Contains(string(text), secret) || strings.Contains(string(text), tokenHash(secret)) {
		t.Errorf("the list holds the secret or its hash: %s", text)
	}
	*now = now.Add(time.Hour)
	if _, err := a.check(ctx, holdfast.SecretAPI, secret); err != nil {
		t.Fatal(err)
	}
	if list, _ = a.tokens(ctx); !list[0].Used.Equal(*now) {
		t.Errorf("last used %v, want %v", list[0].Used, *now)
	}
	if err := a.prune(ctx); err != nil {
		t.Fatal(err)
	}
	if list, _ = a.tokens(ctx); len(list) != 1 || !list[0].Used.Equal(*now) {
		t.Errorf("pruning touched a token in use: %+v", list)
	}
	if err := a.revoke(ctx, holdfast.SecretAPI, made.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.check(ctx, holdfast.SecretAPI, secret); !errors.Is(err, holdfast.ErrNoAccess) {
		t.Errorf("revoked: got %v, want ErrNoAccess", err)
	}
	for _, id := range []string{made.ID, "", "x"} {
		if err := a.revoke(ctx, holdfast.SecretAPI, id); !errors.Is(err, holdfast.ErrUnknown) {
			t.Errorf("revoking %q: got %v, want ErrUnknown", id, err)
		}
	}
}

func TestBadgeKeys(t *testing.T) {
	a, _ := withAda(t)
	ctx := t.Context()
	key, made, err := a.addBadge(ctx, "payments", "ada")
	if err != nil {
		t.Fatal(err)
	}
	if service, err := a.badge(ctx, key); err != nil || service != "payments" {
		t.Errorf("got %q, %v", service, err)
	}
	if _, err := a.check(ctx, holdfast.SecretAPI, key); !errors.Is(err, holdfast.ErrNoAccess) {
		t.Errorf("a badge's key used as a token: got %v", err)
	}
	if err := a.revoke(ctx, holdfast.SecretAPI, made.ID); !errors.Is(err, holdfast.ErrUnknown) {
		t.Errorf("a badge revoked as a token: got %v", err)
	}
	if err := a.revoke(ctx, holdfast.SecretBadge, made.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.badge(ctx, key); !errors.Is(err, holdfast.ErrNoAccess) {
		t.Errorf("revoked: got %v, want ErrNoAccess", err)
	}
}
