package bolt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"go.etcd.io/bbolt"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// UpdateAgent reads, changes and writes an identity as one step.
func (s *Store) UpdateAgent(ctx context.Context, name string, change func(*holdfast.AgentIdentity) error) (holdfast.AgentIdentity, error) {
	id, err := s.updateAgent(ctx, name, change)
	if err != nil {
		return holdfast.AgentIdentity{}, fmt.Errorf("update agent %q: %w", name, err)
	}
	return id, nil
}

func (s *Store) updateAgent(ctx context.Context, name string, change func(*holdfast.AgentIdentity) error) (holdfast.AgentIdentity, error) {
	if err := checkName("agent", name); err != nil {
		return holdfast.AgentIdentity{}, err
	}
	// Change runs outside the transaction, so that a panic of its own is not taken
	// for damage; the lock keeps others from coming between.
	s.agents.Lock()
	defer s.agents.Unlock()
	id, err := s.agent(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		id, err = holdfast.AgentIdentity{Name: name}, nil
	}
	if err != nil {
		return id, err
	}
	if err := change(&id); err != nil {
		return id, err
	}
	if id.Name != name {
		return id, fmt.Errorf("it was renamed to %q: an identity keeps its name", id.Name)
	}
	return id, s.update(ctx, func(tx *bbolt.Tx) error { return putJSON(tx, bucketAgents, []byte(name), id) })
}

func (s *Store) agent(ctx context.Context, name string) (id holdfast.AgentIdentity, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		id, err = getJSON[holdfast.AgentIdentity](tx, bucketAgents, []byte(name))
		return err
	})
	return id, err
}

// Agent returns one identity.
func (s *Store) Agent(ctx context.Context, name string) (holdfast.AgentIdentity, error) {
	id, err := s.agent(ctx, name)
	if err != nil {
		return holdfast.AgentIdentity{}, fmt.Errorf("agent %q: %w", name, err)
	}
	return id, nil
}

// Agents yields every identity in the order of names.
func (s *Store) Agents(ctx context.Context) iter.Seq2[holdfast.AgentIdentity, error] {
	return mapped(s.scan(ctx, bucketAgents, span{}), fromJSON[holdfast.AgentIdentity](s, bucketAgents))
}

// RemoveAgent deletes an identity.
func (s *Store) RemoveAgent(ctx context.Context, name string) error {
	s.agents.Lock()
	defer s.agents.Unlock()
	err := s.update(ctx, func(tx *bbolt.Tx) error { return remove(tx, bucketAgents, []byte(name)) })
	if err != nil {
		return fmt.Errorf("remove agent %q: %w", name, err)
	}
	return nil
}

func secretKey(kind, hash string) []byte { return append(lengthLed(kind), hash...) }

// The errors of secrets name the kind alone: hashes do not belong in logs.

// PutSecret stores a new secret.
func (s *Store) PutSecret(ctx context.Context, secret holdfast.Secret) error {
	key := secretKey(secret.Kind, secret.Hash)
	err := errors.Join(checkName("secret's kind", secret.Kind), checkName("secret", secret.Hash))
	if err == nil {
		err = s.update(ctx, func(tx *bbolt.Tx) error {
			if _, err := get(tx, bucketSecrets, key); !errors.Is(err, store.ErrNotFound) {
				return errors.Join(err, store.ErrExists)
			}
			return putJSON(tx, bucketSecrets, key, secret)
		})
	}
	if err != nil {
		return fmt.Errorf("put %s secret: %w", secret.Kind, err)
	}
	return nil
}

// UseSecret marks a secret used, once.
func (s *Store) UseSecret(ctx context.Context, kind, hash string, now time.Time) (holdfast.Secret, error) {
	var secret holdfast.Secret
	err := s.update(ctx, func(tx *bbolt.Tx) (err error) {
		key := secretKey(kind, hash)
		secret, err = getJSON[holdfast.Secret](tx, bucketSecrets, key)
		switch {
		case err != nil:
			return err
		case !secret.Used.IsZero():
			return store.ErrUsed
		case !secret.Expires.IsZero() && !now.Before(secret.Expires):
			return store.ErrExpired
		}
		secret.Used = now
		return putJSON(tx, bucketSecrets, key, secret)
	})
	if err != nil {
		return holdfast.Secret{}, fmt.Errorf("use %s secret: %w", kind, err)
	}
	return secret, nil
}

// Secret returns one secret.
func (s *Store) Secret(ctx context.Context, kind, hash string) (holdfast.Secret, error) {
	var secret holdfast.Secret
	err := s.view(ctx, func(tx *bbolt.Tx) (err error) {
		secret, err = getJSON[holdfast.Secret](tx, bucketSecrets, secretKey(kind, hash))
		return err
	})
	if err != nil {
		return holdfast.Secret{}, fmt.Errorf("%s secret: %w", kind, err)
	}
	return secret, nil
}

// Secrets yields every secret of a kind.
func (s *Store) Secrets(ctx context.Context, kind string) iter.Seq2[holdfast.Secret, error] {
	prefix := lengthLed(kind)
	return mapped(s.scan(ctx, bucketSecrets, span{from: prefix, to: after(prefix)}), fromJSON[holdfast.Secret](s, bucketSecrets))
}

// DeleteSecret deletes one secret.
func (s *Store) DeleteSecret(ctx context.Context, kind, hash string) error {
	err := s.update(ctx, func(tx *bbolt.Tx) error { return remove(tx, bucketSecrets, secretKey(kind, hash)) })
	if err != nil {
		return fmt.Errorf("delete %s secret: %w", kind, err)
	}
	return nil
}

// pruneSecrets deletes secrets that ended before an instant.
func (s *Store) pruneSecrets(ctx context.Context, before time.Time) error {
	var ended [][]byte
	for p, err := range s.scan(ctx, bucketSecrets, span{}) {
		if err != nil {
			return err
		}
		var secret holdfast.Secret
		if err := json.Unmarshal(p.content, &secret); err != nil {
			return s.senseless(bucketSecrets, p.key)
		}
		if !secret.Expires.IsZero() && secret.Expires.Before(before) {
			ended = append(ended, p.key)
		}
	}
	if len(ended) == 0 {
		return nil
	}
	return s.update(ctx, func(tx *bbolt.Tx) error {
		for _, key := range ended {
			// Deleted by hand since it was read: gone is what it should be.
			if err := remove(tx, bucketSecrets, key); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		return nil
	})
}
