package collector

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// endAll ends every session of a name and every link not used yet, whichever way
// they came to be.
func (a *access) endAll(ctx context.Context, name string) error {
	for _, kind := range []string{holdfast.SecretLogin, holdfast.SecretSession} {
		for s, err := range a.store.Secrets(ctx, kind) {
			if err != nil {
				return fmt.Errorf("end sessions of %s: %w", name, err)
			}
			if s.Subject != name {
				continue
			}
			if err := a.drop(ctx, kind, s.Hash); err != nil && !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("end sessions of %s: %w", name, err)
			}
		}
	}
	return nil
}

// sessions lists what somebody is logged in with, the newest first.
func (a *access) sessions(ctx context.Context, session string) ([]holdfast.Session, error) {
	own, err := a.secret(ctx, holdfast.SecretSession, session)
	if err != nil {
		return nil, err
	}
	list := []holdfast.Session{}
	for s, err := range a.siblings(ctx, own) {
		if err != nil {
			return nil, fmt.Errorf("read sessions: %w", err)
		}
		seen, err := a.lastUse(ctx, s.Hash)
		if err != nil {
			return nil, err
		}
		list = append(list, holdfast.Session{ID: publicID(s.Hash), Via: s.Via, From: s.From, Began: s.Created, Seen: seen, Ends: s.Expires, Local: s.Epoch != "", Current: s.Hash == own.Hash})
	}
	slices.SortFunc(list, func(x, y holdfast.Session) int { return y.Began.Compare(x.Began) })
	return list, nil
}

// siblings yields the sessions of the same person: same name, and the same local
// user or the same person at the same provider, or neither.
func (a *access) siblings(ctx context.Context, own holdfast.Secret) iter.Seq2[holdfast.Secret, error] {
	return func(yield func(holdfast.Secret, error) bool) {
		for s, err := range a.store.Secrets(ctx, holdfast.SecretSession) {
			if err != nil {
				yield(s, err)
				return
			}
			same := s.Subject == own.Subject && s.Epoch == own.Epoch && s.Person == own.Person && a.now().Before(s.Expires)
			if same && !yield(s, nil) {
				return
			}
		}
	}
}

// endSessions ends one session of whom session is, by its ID, or all with "".
func (a *access) endSessions(ctx context.Context, session, id string) error {
	own, err := a.secret(ctx, holdfast.SecretSession, session)
	if err != nil {
		return err
	}
	found := false
	for s, err := range a.siblings(ctx, own) {
		if err != nil {
			return fmt.Errorf("end sessions: %w", err)
		}
		if id != "" && publicID(s.Hash) != id {
			continue
		}
		if err := a.drop(ctx, holdfast.SecretSession, s.Hash); err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("end sessions: %w", err)
		}
		found = true
	}
	if !found {
		return fmt.Errorf("session %.40q: %w", id, holdfast.ErrUnknown)
	}
	return nil
}
