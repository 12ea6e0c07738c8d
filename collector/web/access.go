package web

import (
	"context"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Accounts is who and what is let in, and how one sees to it oneself. Errors match
// holdfast.ErrUnknown (no such thing), holdfast.ErrInvalid (a
// *holdfast.FieldError) or holdfast.ErrBusy.
type Accounts interface {
	// Sessions lists what the person a session belongs to is logged in with;
	// EndSessions ends one of them, or all with "".
	Sessions(ctx context.Context, session string) ([]holdfast.Session, error)
	EndSessions(ctx context.Context, session, id string) error
	// ChangePassword changes the password of whose session it is. All that person's
	// sessions end; the one it returns stands for them.
	ChangePassword(ctx context.Context, session, current, password string) (holdfast.Login, error)

	Users(ctx context.Context) ([]holdfast.User, error)
	AddUser(ctx context.Context, name string, role holdfast.Role, password string) (holdfast.User, error)
	ChangeUser(ctx context.Context, name string, change holdfast.UserChange) (holdfast.User, error)
	RemoveUser(ctx context.Context, name string) error

	// AddToken returns what a program sends; it is never returned again.
	Tokens(ctx context.Context) ([]holdfast.Token, error)
	AddToken(ctx context.Context, w holdfast.Who, life holdfast.Duration, by string) (secret string, t holdfast.Token, err error)
	RevokeToken(ctx context.Context, id string) error

	// AddBadge returns the key in the badge's address; it is never returned again.
	// Badge tells which service a key shows.
	Badges(ctx context.Context) ([]holdfast.Badge, error)
	AddBadge(ctx context.Context, service, by string) (key string, b holdfast.Badge, err error)
	RevokeBadge(ctx context.Context, id string) error
	Badge(ctx context.Context, key string) (service string, err error)
}

// noteAccess logs who let whom in or out.
func (s *server) noteAccess(ctx context.Context, what string, args ...any) {
	s.log.Info(what, append(args, "by", whoIs(ctx).Name)...)
}

// self refuses what would lock oneself out by a slip.
func self(ctx context.Context, name string) error {
	if sessionOf(ctx) != "" && strings.EqualFold(whoIs(ctx).Name, strings.TrimSpace(name)) {
		return &holdfast.FieldError{Field: "name", Problem: "this is yourself: let another admin do it, or the command line on the collector's host"}
	}
	return nil
}

func (s *server) changeUser(ctx context.Context, name string, change holdfast.UserChange) (holdfast.User, error) {
	if err := self(ctx, name); err != nil {
		return holdfast.User{}, err
	}
	u, err := s.c.ChangeUser(ctx, name, change)
	if err == nil {
		s.noteAccess(ctx, "user changed", "user", u.Name, "role", u.Role, "disabled", !u.Disabled.IsZero(), "password", change.Password != nil)
	}
	return u, err
}

func (s *server) removeUser(ctx context.Context, name string) error {
	if err := self(ctx, name); err != nil {
		return err
	}
	err := s.c.RemoveUser(ctx, name)
	if err == nil {
		s.noteAccess(ctx, "user removed", "user", name)
	}
	return err
}

func (s *server) addToken(ctx context.Context, w holdfast.Who, life holdfast.Duration) (string, holdfast.Token, error) {
	secret, t, err := s.c.AddToken(ctx, w, life, whoIs(ctx).Name)
	if err == nil {
		s.noteAccess(ctx, "token made", "token", t.ID, "name", t.Name, "role", t.Role)
	}
	return secret, t, err
}

func (s *server) revokeToken(ctx context.Context, id string) error {
	err := s.c.RevokeToken(ctx, id)
	if err == nil {
		s.noteAccess(ctx, "token revoked", "token", id)
	}
	return err
}

// addBadge makes a badge and returns its address.
func (s *server) addBadge(ctx context.Context, service string) (string, holdfast.Badge, error) {
	key, b, err := s.c.AddBadge(ctx, service, whoIs(ctx).Name)
	if err != nil {
		return "", b, err
	}
	s.noteAccess(ctx, "badge made", "badge", b.ID, "service", b.Service)
	return strings.TrimSuffix(s.c.URL(), "/") + "/badge/" + key + ".svg", b, nil
}

func (s *server) revokeBadge(ctx context.Context, id string) error {
	err := s.c.RevokeBadge(ctx, id)
	if err == nil {
		s.noteAccess(ctx, "badge revoked", "badge", id)
	}
	return err
}
