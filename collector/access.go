package collector

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// loginLife is how long a one-time link can be used.
const loginLife = time.Hour

// access gives out and checks the ways in for people and programs. Only hashes
// are kept.
type access struct {
	secrets store.Secrets
	now     func() time.Time
}

// issue makes a new secret of 256 random bits and returns it; what is stored is
// its hash.
func (a *access) issue(ctx context.Context, kind, prefix string, w holdfast.Who, life time.Duration) (string, error) {
	if w.Name == "" || len(w.Name) > 200 {
		return "", errors.New("name: between 1 and 200 bytes")
	}
	if !slices.Contains(holdfast.Roles, w.Role) {
		return "", fmt.Errorf("role %q: use one of %v", w.Role, holdfast.Roles)
	}
	var raw [32]byte
	rand.Read(raw[:])
	token := prefix + base64.RawURLEncoding.EncodeToString(raw[:])
	s := holdfast.Secret{Hash: tokenHash(token), Kind: kind, Subject: w.Name, Role: w.Role, Created: a.now()}
	if life > 0 {
		s.Expires = s.Created.Add(life)
	}
	if err := a.secrets.PutSecret(ctx, s); err != nil {
		return "", fmt.Errorf("store the hash of a new token: %w", err)
	}
	return token, nil
}

// loginKey makes a one-time key for the login link.
func (a *access) loginKey(ctx context.Context, w holdfast.Who) (string, error) {
	return a.issue(ctx, holdfast.SecretLogin, "hfl_", w, loginLife)
}

// apiToken makes a token for programs; life 0 lasts until it is deleted.
func (a *access) apiToken(ctx context.Context, w holdfast.Who, life time.Duration) (string, error) {
	return a.issue(ctx, holdfast.SecretAPI, "hft_", w, life)
}

// login exchanges a one-time key for a session.
func (a *access) login(ctx context.Context, key string) (session string, w holdfast.Who, err error) {
	s, err := a.secrets.UseSecret(ctx, holdfast.SecretLogin, tokenHash(key), a.now())
	if err != nil {
		return "", holdfast.Who{}, denied(err)
	}
	w = holdfast.Who{Name: s.Subject, Role: s.Role}
	session, err = a.issue(ctx, holdfast.SecretSession, "hfs_", w, holdfast.SessionLife)
	return session, w, err
}

// logout ends a session.
func (a *access) logout(ctx context.Context, session string) error {
	return a.secrets.DeleteSecret(ctx, holdfast.SecretSession, tokenHash(session))
}

// check tells whom a session or an API token stands for.
func (a *access) check(ctx context.Context, kind, token string) (holdfast.Who, error) {
	s, err := a.secrets.Secret(ctx, kind, tokenHash(token))
	if err != nil {
		return holdfast.Who{}, denied(err)
	}
	if !s.Expires.IsZero() && !a.now().Before(s.Expires) {
		return holdfast.Who{}, holdfast.ErrNoAccess
	}
	return holdfast.Who{Name: s.Subject, Role: s.Role}, nil
}

// denied hides which of the reasons holds, and keeps what is a fault of ours.
func denied(err error) error {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrUsed) || errors.Is(err, store.ErrExpired) {
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
