package collector

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// How people and programs come in, as pages, API and the admin socket use it.

// Login exchanges a one-time key for a session, good for SessionLife.
func (c *Collector) Login(ctx context.Context, key, from string) (holdfast.Login, error) {
	return c.access.login(ctx, key, from)
}

// LoginPassword begins a session of a local user.
func (c *Collector) LoginPassword(ctx context.Context, name, password, from string) (holdfast.Login, error) {
	return c.access.loginPassword(ctx, name, password, from)
}

// OpenIDTitle is what the provider is called; "": none is set up.
func (c *Collector) OpenIDTitle() string {
	if c.openid == nil {
		return ""
	}
	return c.openid.Title()
}

// BeginOpenID returns the provider's address to go to, and what the browser has to
// bring back.
func (c *Collector) BeginOpenID(ctx context.Context, to string) (address, kept string, err error) {
	if c.openid == nil {
		return "", "", &holdfast.Refusal{Say: "OpenID Connect is not set up here."}
	}
	return c.openid.Begin(ctx, to)
}

// FinishOpenID takes the provider's answer and begins a session.
func (c *Collector) FinishOpenID(ctx context.Context, kept string, answer url.Values, from string) (login holdfast.Login, to string, err error) {
	if c.openid == nil {
		return login, "", &holdfast.Refusal{Say: "OpenID Connect is not set up here."}
	}
	p, to, err := c.openid.Finish(ctx, kept, answer)
	if err != nil {
		return login, to, err
	}
	// What people attest is signed with their name, so one name is one person.
	switch _, err := c.access.user(ctx, fold(p.Name)); {
	case err == nil:
		return login, to, &holdfast.Refusal{Say: fmt.Sprintf("The provider knows you as %s, and a local user here has that name. Log in with the local password, or have the local user removed.", p.Name)}
	case !errors.Is(err, holdfast.ErrUnknown):
		return login, to, err
	}
	login, err = c.access.begin(ctx, holdfast.Secret{Subject: p.Name, Role: p.Role, Via: holdfast.ViaOpenID, From: from, Person: p.Subject}, p.Life)
	return login, to, err
}

// Session tells whom a browser's session stands for.
func (c *Collector) Session(ctx context.Context, session string) (holdfast.Who, error) {
	return c.access.check(ctx, holdfast.SecretSession, session)
}

// Token tells whom a program's token stands for.
func (c *Collector) Token(ctx context.Context, token string) (holdfast.Who, error) {
	return c.access.check(ctx, holdfast.SecretAPI, token)
}

// Logout ends a session.
func (c *Collector) Logout(ctx context.Context, session string) error {
	return c.access.logout(ctx, session)
}

// AccessChanged returns a channel that gets a value whenever somebody's rights
// have ended or changed, and a function that ends it.
func (c *Collector) AccessChanged() (changed <-chan struct{}, stop func()) {
	return c.access.changed.listen()
}

// Sessions lists what the person a session belongs to is logged in with.
func (c *Collector) Sessions(ctx context.Context, session string) ([]holdfast.Session, error) {
	return c.access.sessions(ctx, session)
}

// EndSessions ends one session of whom session is, by its ID, or all with "".
func (c *Collector) EndSessions(ctx context.Context, session, id string) error {
	return c.access.endSessions(ctx, session, id)
}

// ChangePassword changes the password of whose session it is; the session it
// returns stands for all that end.
func (c *Collector) ChangePassword(ctx context.Context, session, current, password string) (holdfast.Login, error) {
	return c.access.changePassword(ctx, session, current, password)
}

// Users lists the local users by name.
func (c *Collector) Users(ctx context.Context) ([]holdfast.User, error) { return c.access.users(ctx) }

// AddUser adds a local user.
func (c *Collector) AddUser(ctx context.Context, name string, role holdfast.Role, password string) (holdfast.User, error) {
	return c.access.addUser(ctx, name, role, password)
}

// ChangeUser changes a local user; whatever a new password or a disabled user was
// logged in with ends.
func (c *Collector) ChangeUser(ctx context.Context, name string, change holdfast.UserChange) (holdfast.User, error) {
	return c.access.changeUser(ctx, name, change)
}

// RemoveUser removes a local user.
func (c *Collector) RemoveUser(ctx context.Context, name string) error {
	return c.access.removeUser(ctx, name)
}

// Tokens lists the tokens of programs.
func (c *Collector) Tokens(ctx context.Context) ([]holdfast.Token, error) {
	return c.access.tokens(ctx)
}

// AddToken makes a token; it is returned here and never again. Life 0 lasts until
// it is revoked.
func (c *Collector) AddToken(ctx context.Context, w holdfast.Who, life holdfast.Duration, by string) (string, holdfast.Token, error) {
	return c.access.apiToken(ctx, w, life.Std(), by)
}

// RevokeToken ends a token by its ID.
func (c *Collector) RevokeToken(ctx context.Context, id string) error {
	return c.access.revoke(ctx, holdfast.SecretAPI, id)
}

// Badges lists the badges there are.
func (c *Collector) Badges(ctx context.Context) ([]holdfast.Badge, error) {
	return c.access.badges(ctx)
}

// AddBadge makes a badge of a service; its key is returned here and never again.
func (c *Collector) AddBadge(ctx context.Context, service, by string) (string, holdfast.Badge, error) {
	if c.Catalogue().Service(service) == nil {
		return "", holdfast.Badge{}, &holdfast.FieldError{Field: "service", Problem: "there is no such service in the catalogue"}
	}
	return c.access.addBadge(ctx, service, by)
}

// RevokeBadge ends a badge by its ID.
func (c *Collector) RevokeBadge(ctx context.Context, id string) error {
	return c.access.revoke(ctx, holdfast.SecretBadge, id)
}

// Badge tells which service a badge's key shows.
func (c *Collector) Badge(ctx context.Context, key string) (service string, err error) {
	return c.access.badge(ctx, key)
}
