package web_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// doors are the ways into the tests' estate. Keys, sessions and tokens are the
// role they give; a local user's session is USER:NAME. What really opens is tested
// where it is kept, in package collector.
type doors struct {
	out       map[string]bool // sessions that ended
	users     map[string]holdfast.User
	passwords map[string]string // by user
	tokens    []holdfast.Token
	badges    []holdfast.Badge
	badgeKeys map[string]string // key → service
	provider  string            // title of the OpenID Connect provider; empty: none
	openID    error             // what logging in with it answers
	asked     int               // passwords that were tried
	url       string
	said      string // what a catalogue changed
	ears      map[chan struct{}]bool
}

func newDoors() doors {
	return doors{
		out: map[string]bool{}, badgeKeys: map[string]string{}, ears: map[chan struct{}]bool{}, url: "http://127.0.0.1:8480",
		users: map[string]holdfast.User{
			"ada": {Name: "ada", Role: holdfast.Manager, Created: noon.AddDate(0, -2, 0), Password: noon.AddDate(0, -1, 0), LastLogin: noon.AddDate(0, 0, -1)},
			"bob": {Name: "bob", Role: holdfast.Viewer, Created: noon.AddDate(0, -2, 0), Password: noon.AddDate(0, -2, 0), Disabled: noon.AddDate(0, 0, -3)},
		},
		passwords: map[string]string{"ada": "correct horse battery", "bob": "correct horse battery"},
		tokens:    []holdfast.Token{{ID: "00aa11bb22cc33dd", Name: "ci", Role: holdfast.Viewer, By: "ada", Created: noon.AddDate(0, -1, 0), Used: noon.AddDate(0, 0, -1)}},
		badges:    []holdfast.Badge{{ID: "44aa11bb22cc33dd", Service: "payments", By: "ada", Created: noon.AddDate(0, -1, 0)}},
	}
}

func (e *estate) Login(_ context.Context, key, _ string) (holdfast.Login, error) {
	who, err := e.Token(context.Background(), key)
	return holdfast.Login{Session: key, Who: who, Ends: e.now().Add(holdfast.SessionLife)}, err
}

func (e *estate) LoginPassword(_ context.Context, name, password, _ string) (holdfast.Login, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.doors.asked++
	switch name {
	case "busy":
		return holdfast.Login{}, holdfast.ErrBusy
	case "unreadable":
		return holdfast.Login{}, errors.New("the store cannot be read")
	}
	u, ok := e.doors.users[name]
	if !ok || !u.Disabled.IsZero() || e.doors.passwords[name] != password {
		return holdfast.Login{}, holdfast.ErrNoAccess
	}
	return holdfast.Login{Session: "USER:" + name, Who: holdfast.Who{Name: name, Role: u.Role}, Ends: e.now().Add(holdfast.SessionLife)}, nil
}

func (e *estate) Session(ctx context.Context, session string) (holdfast.Who, error) {
	e.mu.Lock()
	ended := e.doors.out[session]
	name, local := strings.CutPrefix(session, "USER:")
	u, known := e.doors.users[name]
	e.mu.Unlock()
	switch {
	case ended, local && (!known || !u.Disabled.IsZero()):
		return holdfast.Who{}, holdfast.ErrNoAccess
	case local:
		return holdfast.Who{Name: u.Name, Role: u.Role}, nil
	}
	return e.Token(ctx, session)
}

func (e *estate) Token(_ context.Context, token string) (holdfast.Who, error) {
	switch {
	case token == "unreadable":
		return holdfast.Who{}, errors.New("the store cannot be read")
	case !slices.Contains(holdfast.Roles, holdfast.Role(token)):
		return holdfast.Who{}, holdfast.ErrNoAccess
	}
	return holdfast.Who{Name: "the " + token, Role: holdfast.Role(token)}, nil
}

func (e *estate) Logout(_ context.Context, session string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.doors.out[session] = true
	e.rights()
	return nil
}

func (e *estate) URL() string         { return e.doors.url }
func (e *estate) OpenIDTitle() string { return e.doors.provider }

func (e *estate) BeginOpenID(_ context.Context, to string) (address, kept string, err error) {
	return "https://login.example.org/auth?state=s", "kept for " + url.QueryEscape(to), e.doors.openID
}

func (e *estate) FinishOpenID(_ context.Context, kept string, answer url.Values, _ string) (holdfast.Login, string, error) {
	to, ours := strings.CutPrefix(kept, "kept for ")
	if !ours || answer.Get("state") != "s" {
		return holdfast.Login{}, "", &holdfast.Refusal{Say: "This login was not begun in this browser."}
	}
	to, _ = url.QueryUnescape(to)
	return holdfast.Login{Session: "manager", Who: holdfast.Who{Name: "mia", Role: holdfast.Manager}, Ends: e.now().Add(5 * time.Minute)}, to, e.doors.openID
}

func (e *estate) AccessChanged() (<-chan struct{}, func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ear := make(chan struct{}, 1)
	e.doors.ears[ear] = true
	return ear, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.doors.ears, ear)
	}
}

// rights tells who listens; it is called with mu held.
func (e *estate) rights() {
	for ear := range e.doors.ears {
		select {
		case ear <- struct{}{}:
		default:
		}
	}
}

func (e *estate) Sessions(_ context.Context, session string) ([]holdfast.Session, error) {
	if session == "" {
		return nil, holdfast.ErrNoAccess
	}
	return []holdfast.Session{
		{ID: "0123456789abcdef", Via: holdfast.ViaPassword, From: "192.0.2.7, Firefox on Linux", Began: e.now().AddDate(0, 0, -1), Seen: e.now(), Ends: e.now().Add(time.Hour), Local: true, Current: true},
		{ID: "fedcba9876543210", Via: holdfast.ViaLink, From: "192.0.2.8, Safari on iPhone", Began: e.now().AddDate(0, 0, -2), Ends: e.now().Add(time.Hour)},
	}, nil
}

func (e *estate) EndSessions(_ context.Context, session, id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if id != "" && id != "0123456789abcdef" && id != "fedcba9876543210" {
		return fmt.Errorf("session %s: %w", id, holdfast.ErrUnknown)
	}
	if id != "fedcba9876543210" {
		e.doors.out[session] = true
		e.rights()
	}
	return nil
}

func (e *estate) ChangePassword(_ context.Context, session, current, password string) (holdfast.Login, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	name := strings.TrimPrefix(session, "USER:")
	switch {
	case cmp.Or(e.doors.passwords[name], "correct horse battery") != current:
		return holdfast.Login{}, &holdfast.FieldError{Field: "current", Problem: "this is not your password"}
	case len(password) < 12:
		return holdfast.Login{}, &holdfast.FieldError{Field: "password", Problem: "at least 12 characters"}
	}
	e.doors.passwords[name] = password
	return holdfast.Login{Session: session, Who: holdfast.Who{Name: name, Role: e.doors.users[name].Role}, Ends: e.now().Add(time.Hour)}, nil
}

func (e *estate) Users(context.Context) ([]holdfast.User, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := []holdfast.User{}
	for _, u := range e.doors.users {
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b holdfast.User) int { return strings.Compare(a.Name, b.Name) })
	return list, e.broken
}

func (e *estate) AddUser(_ context.Context, name string, role holdfast.Role, password string) (holdfast.User, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, known := e.doors.users[name]
	switch {
	case name == "" || strings.ContainsAny(name, " <>\"'"):
		return holdfast.User{}, &holdfast.FieldError{Field: "name", Problem: "1 to 100 lower-case letters"}
	case known:
		return holdfast.User{}, &holdfast.FieldError{Field: "name", Problem: "there is a user " + name + " already"}
	case !slices.Contains(holdfast.Roles, role):
		return holdfast.User{}, &holdfast.FieldError{Field: "role", Problem: "none"}
	case len(password) < 12:
		return holdfast.User{}, &holdfast.FieldError{Field: "password", Problem: "at least 12 characters"}
	}
	u := holdfast.User{Name: name, Role: role, Created: e.now(), Password: e.now()}
	e.doors.users[name], e.doors.passwords[name] = u, password
	return u, e.broken
}

func (e *estate) ChangeUser(_ context.Context, name string, change holdfast.UserChange) (holdfast.User, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	u, known := e.doors.users[name]
	if !known {
		return u, fmt.Errorf("user %s: %w", name, holdfast.ErrUnknown)
	}
	if change.Password != nil {
		if len(*change.Password) < 12 {
			return u, &holdfast.FieldError{Field: "password", Problem: "at least 12 characters"}
		}
		e.doors.passwords[name], u.Password = *change.Password, e.now()
	}
	if change.Role != nil {
		if !slices.Contains(holdfast.Roles, *change.Role) {
			return u, &holdfast.FieldError{Field: "role", Problem: "none"}
		}
		u.Role = *change.Role
	}
	if change.Disabled != nil {
		u.Disabled = time.Time{}
		if *change.Disabled {
			u.Disabled = e.now()
		}
	}
	e.doors.users[name] = u
	e.rights()
	return u, e.broken
}

func (e *estate) RemoveUser(_ context.Context, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.doors.users[name]; !known {
		return fmt.Errorf("user %s: %w", name, holdfast.ErrUnknown)
	}
	delete(e.doors.users, name)
	e.rights()
	return e.broken
}

func (e *estate) Tokens(context.Context) ([]holdfast.Token, error) {
	return slices.Clone(e.doors.tokens), e.broken
}

func (e *estate) AddToken(_ context.Context, w holdfast.Who, life holdfast.Duration, by string) (string, holdfast.Token, error) {
	if w.Name == "" {
		return "", holdfast.Token{}, &holdfast.FieldError{Field: "name", Problem: "between 1 and 200 bytes"}
	}
	t := holdfast.Token{ID: fmt.Sprintf("%016x", len(e.doors.tokens)), Name: w.Name, Role: w.Role, By: by, Created: e.now()}
	if life > 0 {
		t.Expires = e.now().Add(life.Std())
	}
	e.doors.tokens = append(e.doors.tokens, t)
	return "hft_shown-once", t, e.broken
}

func (e *estate) RevokeToken(_ context.Context, id string) error {
	n := len(e.doors.tokens)
	e.doors.tokens = slices.DeleteFunc(e.doors.tokens, func(t holdfast.Token) bool { return t.ID == id })
	if len(e.doors.tokens) == n {
		return fmt.Errorf("token %s: %w", id, holdfast.ErrUnknown)
	}
	return e.broken
}

func (e *estate) Badges(context.Context) ([]holdfast.Badge, error) {
	return slices.Clone(e.doors.badges), e.broken
}

func (e *estate) AddBadge(_ context.Context, service, by string) (string, holdfast.Badge, error) {
	if e.catalogue.Service(service) == nil {
		return "", holdfast.Badge{}, &holdfast.FieldError{Field: "service", Problem: "there is no such service in the catalogue"}
	}
	b := holdfast.Badge{ID: fmt.Sprintf("%016x", len(e.doors.badges)), Service: service, By: by, Created: e.now()}
	e.doors.badges = append(e.doors.badges, b)
	key := "hfb_" + service
	e.doors.badgeKeys[key] = service
	return key, b, e.broken
}

func (e *estate) RevokeBadge(_ context.Context, id string) error {
	n := len(e.doors.badges)
	e.doors.badges = slices.DeleteFunc(e.doors.badges, func(b holdfast.Badge) bool { return b.ID == id })
	if len(e.doors.badges) == n {
		return fmt.Errorf("badge %s: %w", id, holdfast.ErrUnknown)
	}
	return e.broken
}

func (e *estate) Badge(_ context.Context, key string) (string, error) {
	if service, ok := e.doors.badgeKeys[key]; ok {
		return service, nil
	}
	return "", holdfast.ErrNoAccess
}

func (e *estate) Facts() holdfast.CollectorFacts {
	f := holdfast.CollectorFacts{Version: "0.1.0-test", Started: noon.AddDate(0, 0, -9), Store: 48 << 20, Retention: 400 * holdfast.Day, Authority: noon.AddDate(9, 0, 0)}
	if e.doors.provider != "" {
		f.OpenID = &holdfast.ProviderState{Title: e.doors.provider, Issuer: "https://login.example.org", Answered: noon}
	}
	return f
}

func (e *estate) CatalogueStatus() holdfast.CatalogueStatus {
	return holdfast.CatalogueStatus{Hash: strings.Repeat("ab12", 16), Accepted: noon.AddDate(0, 0, -3), Services: len(e.catalogue.Services)}
}

func (e *estate) Accepted(_ context.Context, limit int) ([]holdfast.AcceptedCatalogue, error) {
	list := []holdfast.AcceptedCatalogue{
		{Hash: strings.Repeat("ab12", 16), Accepted: noon.AddDate(0, 0, -3), Summary: "service payments: bia.rpo 30m → 15m\n"},
		{Hash: strings.Repeat("cd34", 16), Accepted: noon.AddDate(0, -1, 0), Summary: cmp.Or(e.doors.said, "first catalogue")},
	}
	return list[:min(limit, len(list))], e.broken
}
