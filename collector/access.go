package collector

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/password"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// loginLife is how long a one-time link can be used.
const loginLife = time.Hour

// keys is what access needs of the store.
type keys interface {
	store.Secrets
	store.Documents
}

// access gives out and checks the ways in for people and programs. Only hashes
// are kept.
type access struct {
	store   keys
	now     func() time.Time
	log     *slog.Logger
	hasher  *password.Hasher
	changed *topic // somebody's rights ended or are others now

	mu    sync.Mutex // held while users change: reading one and writing it back is one step
	usesM sync.Mutex
	uses  map[string]time.Time // guarded by usesM: by hash of a secret, when its last use was written
}

func newAccess(s keys, now func() time.Time, log *slog.Logger) *access {
	return &access{
		store: s, now: now, log: log, changed: newTopic(), uses: map[string]time.Time{},
		hasher: password.New(password.Default, max(2, runtime.GOMAXPROCS(0))),
	}
}

// issue makes a new secret of 256 random bits and returns it; what is stored of it
// is its hash, with what s says.
func (a *access) issue(ctx context.Context, prefix string, s holdfast.Secret, life time.Duration) (string, holdfast.Secret, error) {
	if s.Subject == "" || len(s.Subject) > 200 {
		return "", s, &holdfast.FieldError{Field: "name", Problem: "between 1 and 200 bytes"}
	}
	if err := checkRole(s.Role); err != nil && s.Kind != holdfast.SecretBadge {
		return "", s, err
	}
	var raw [32]byte
	rand.Read(raw[:])
	token := prefix + base64.RawURLEncoding.EncodeToString(raw[:])
	s.Hash, s.Created = tokenHash(token), a.now()
	if life > 0 {
		s.Expires = s.Created.Add(life)
	}
	if err := a.store.PutSecret(ctx, s); err != nil {
		return "", s, fmt.Errorf("store the hash of a new token: %w", err)
	}
	return token, s, nil
}

func checkRole(r holdfast.Role) error {
	if !slices.Contains(holdfast.Roles, r) {
		return &holdfast.FieldError{Field: "role", Problem: fmt.Sprintf("%q is none; use one of %v", r, holdfast.Roles)}
	}
	return nil
}

// loginKey makes a one-time key for the login link. The link of a local user gives
// that user's own role.
func (a *access) loginKey(ctx context.Context, w holdfast.Who) (string, error) {
	s := holdfast.Secret{Kind: holdfast.SecretLogin, Subject: w.Name, Role: w.Role}
	u, err := a.user(ctx, w.Name)
	switch {
	case err == nil && !u.Disabled.IsZero():
		return "", fmt.Errorf("user %s is disabled: holdfast collector user enable %s", u.Name, u.Name)
	case err == nil && w.Role != "" && w.Role != u.Role:
		return "", fmt.Errorf("user %s is %s: leave the role out, or change it: holdfast collector user role %s %s", u.Name, u.Role, u.Name, w.Role)
	case err == nil:
		s.Role, s.Epoch = u.Role, u.Epoch
	case !errors.Is(err, holdfast.ErrUnknown):
		return "", err
	case w.Role == "":
		s.Role = holdfast.Admin
	}
	key, _, err := a.issue(ctx, "hfl_", s, loginLife)
	return key, err
}

// login exchanges a one-time key for a session.
func (a *access) login(ctx context.Context, key, from string) (holdfast.Login, error) {
	s, err := a.store.UseSecret(ctx, holdfast.SecretLogin, tokenHash(key), a.now())
	if err != nil {
		return holdfast.Login{}, denied(err)
	}
	if _, err := a.stands(ctx, s); err != nil {
		return holdfast.Login{}, err // the user it was made for is another by now
	}
	return a.begin(ctx, holdfast.Secret{Subject: s.Subject, Role: s.Role, Via: holdfast.ViaLink, From: from, Epoch: s.Epoch}, holdfast.SessionLife)
}

// begin begins a session.
func (a *access) begin(ctx context.Context, s holdfast.Secret, life time.Duration) (holdfast.Login, error) {
	s.Kind = holdfast.SecretSession
	session, s, err := a.issue(ctx, "hfs_", s, life)
	if err != nil {
		return holdfast.Login{}, err
	}
	return holdfast.Login{Session: session, Who: holdfast.Who{Name: s.Subject, Role: s.Role}, Ends: s.Expires}, nil
}

// logout ends a session.
func (a *access) logout(ctx context.Context, session string) error {
	return a.drop(ctx, holdfast.SecretSession, tokenHash(session))
}

// check tells whom a session or an API token stands for.
func (a *access) check(ctx context.Context, kind, token string) (holdfast.Who, error) {
	s, err := a.secret(ctx, kind, token)
	if err != nil {
		return holdfast.Who{}, err
	}
	a.used(ctx, s.Hash)
	return holdfast.Who{Name: s.Subject, Role: s.Role}, nil
}

// secret returns what is kept of a token that opens, with the role it gives now.
func (a *access) secret(ctx context.Context, kind, token string) (holdfast.Secret, error) {
	s, err := a.store.Secret(ctx, kind, tokenHash(token))
	if err != nil {
		return s, denied(err)
	}
	if !s.Expires.IsZero() && !a.now().Before(s.Expires) {
		return s, holdfast.ErrNoAccess
	}
	return a.stands(ctx, s)
}

// stands looks up whether the local user a secret belongs to is still the same:
// same password, not disabled, not removed and made anew. The role is that of now.
func (a *access) stands(ctx context.Context, s holdfast.Secret) (holdfast.Secret, error) {
	if s.Epoch == "" {
		return s, nil
	}
	u, err := a.user(ctx, s.Subject)
	if err != nil {
		return s, denied(err)
	}
	if u.Epoch != s.Epoch || !u.Disabled.IsZero() {
		return s, holdfast.ErrNoAccess
	}
	s.Role = u.Role
	return s, nil
}

// drop deletes a secret and when it was last used, and tells who listens.
func (a *access) drop(ctx context.Context, kind, hash string) error {
	if err := a.store.DeleteSecret(ctx, kind, hash); err != nil {
		return err
	}
	defer a.changed.publish()
	return a.forget(ctx, hash)
}

// denied hides which of the reasons holds, and keeps what is a fault of ours.
func denied(err error) error {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, holdfast.ErrUnknown) || errors.Is(err, store.ErrUsed) || errors.Is(err, store.ErrExpired) {
		return holdfast.ErrNoAccess
	}
	return err
}

// tokenHash is what is stored of a token. A token holds 256 random bits, so a
// plain hash cannot be searched for, and looking a hash up tells a timing
// attacker nothing about the token.
func tokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// publicID names a secret where it is listed: the beginning of its hash.
func publicID(hash string) string { return hash[:16] }
