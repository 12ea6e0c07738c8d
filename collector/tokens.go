package collector

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// apiToken makes a token for programs; life 0 lasts until it is revoked.
func (a *access) apiToken(ctx context.Context, w holdfast.Who, life time.Duration, by string) (string, holdfast.Token, error) {
	if life < 0 {
		return "", holdfast.Token{}, &holdfast.FieldError{Field: "life", Problem: "how long it lasts, like 90d; 0 or nothing: until it is revoked"}
	}
	token, s, err := a.issue(ctx, "hft_", holdfast.Secret{Kind: holdfast.SecretAPI, Subject: w.Name, Role: w.Role, By: by}, life)
	return token, listedToken(s), err
}

func listedToken(s holdfast.Secret) holdfast.Token {
	if s.Hash == "" {
		return holdfast.Token{}
	}
	return holdfast.Token{ID: publicID(s.Hash), Name: s.Subject, Role: s.Role, By: s.By, Created: s.Created, Expires: s.Expires}
}

// tokens lists the tokens of programs, by name.
func (a *access) tokens(ctx context.Context) ([]holdfast.Token, error) {
	list := []holdfast.Token{}
	for s, err := range a.store.Secrets(ctx, holdfast.SecretAPI) {
		if err != nil {
			return nil, fmt.Errorf("read tokens: %w", err)
		}
		t := listedToken(s)
		if t.Used, err = a.lastUse(ctx, s.Hash); err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	slices.SortStableFunc(list, func(x, y holdfast.Token) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), x.Created.Compare(y.Created))
	})
	return list, nil
}

// revoke deletes the secret of a kind that a list names so.
func (a *access) revoke(ctx context.Context, kind, id string) error {
	for s, err := range a.store.Secrets(ctx, kind) {
		if err != nil {
			return fmt.Errorf("revoke %s: %w", kind, err)
		}
		if publicID(s.Hash) == id {
			return a.drop(ctx, kind, s.Hash)
		}
	}
	return fmt.Errorf("%s %.40q: %w", kind, id, holdfast.ErrUnknown)
}

// addBadge makes a badge's key.
func (a *access) addBadge(ctx context.Context, service, by string) (string, holdfast.Badge, error) {
	key, s, err := a.issue(ctx, "hfb_", holdfast.Secret{Kind: holdfast.SecretBadge, Subject: service, By: by}, 0)
	if err != nil {
		return "", holdfast.Badge{}, err
	}
	return key, listedBadge(s), nil
}

func listedBadge(s holdfast.Secret) holdfast.Badge {
	return holdfast.Badge{ID: publicID(s.Hash), Service: s.Subject, By: s.By, Created: s.Created}
}

// badges lists the badges there are, by service.
func (a *access) badges(ctx context.Context) ([]holdfast.Badge, error) {
	list := []holdfast.Badge{}
	for s, err := range a.store.Secrets(ctx, holdfast.SecretBadge) {
		if err != nil {
			return nil, fmt.Errorf("read badges: %w", err)
		}
		list = append(list, listedBadge(s))
	}
	slices.SortStableFunc(list, func(x, y holdfast.Badge) int {
		return cmp.Or(strings.Compare(x.Service, y.Service), x.Created.Compare(y.Created))
	})
	return list, nil
}

// badge tells which service a badge's key shows.
func (a *access) badge(ctx context.Context, key string) (string, error) {
	s, err := a.secret(ctx, holdfast.SecretBadge, key)
	return s.Subject, err
}
