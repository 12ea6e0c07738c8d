package collector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// useEvery is how exactly the last use of a token or session is known: writing
// every use down would make each read of a page a write.
const useEvery = time.Minute

// kindUse are documents that say when a secret was last used, by its hash.
const kindUse = "use"

func useKey(hash string) store.DocumentKey { return store.DocumentKey{Kind: kindUse, Name: hash} }

// used notes that a secret was used. That it cannot be written keeps nobody out.
func (a *access) used(ctx context.Context, hash string) {
	now := a.now()
	a.usesM.Lock()
	fresh := now.Sub(a.uses[hash]).Abs() < useEvery
	if !fresh {
		a.uses[hash] = now
	}
	a.usesM.Unlock()
	if fresh {
		return
	}
	value, err := json.Marshal(now.UTC())
	if err == nil {
		err = a.store.PutDocuments(ctx, []store.Document{{DocumentKey: useKey(hash), Value: value}})
	}
	if err != nil && ctx.Err() == nil {
		a.log.Warn("last use of a token not kept", "err", err)
	}
}

// lastUse is when a secret was last used; zero: never.
func (a *access) lastUse(ctx context.Context, hash string) (t time.Time, err error) {
	d, err := a.store.Document(ctx, useKey(hash))
	if errors.Is(err, store.ErrNotFound) {
		return t, nil
	}
	if err != nil {
		return t, fmt.Errorf("last use of a token: %w", err)
	}
	return t, json.Unmarshal(d.Value, &t)
}

// forget drops when a secret was last used.
func (a *access) forget(ctx context.Context, hash string) error {
	a.usesM.Lock()
	delete(a.uses, hash)
	a.usesM.Unlock()
	return a.store.PutDocuments(ctx, nil, useKey(hash))
}

// prune deletes links and sessions that have run out, and last uses whose secret
// is gone.
func (a *access) prune(ctx context.Context) error {
	now, live := a.now(), map[string]bool{}
	for _, kind := range []string{holdfast.SecretLogin, holdfast.SecretSession, holdfast.SecretAPI} {
		for s, err := range a.store.Secrets(ctx, kind) {
			if err != nil {
				return err
			}
			if kind == holdfast.SecretAPI || now.Before(s.Expires) {
				live[s.Hash] = true
				continue
			}
			if err := a.store.DeleteSecret(ctx, kind, s.Hash); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
	}
	for d, err := range a.store.Documents(ctx, kindUse) {
		if err != nil {
			return err
		}
		if live[d.Name] {
			continue
		}
		// A secret made since the list was read is found; what it says is kept.
		if _, err := a.store.Secret(ctx, holdfast.SecretSession, d.Name); err == nil {
			continue
		}
		if _, err := a.store.Secret(ctx, holdfast.SecretAPI, d.Name); err == nil {
			continue
		}
		if err := a.forget(ctx, d.Name); err != nil {
			return err
		}
	}
	return nil
}
