package collector

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/password"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// kindUser are the documents of local users, by name.
const kindUser = "user"

// localUser is what is kept of one.
type localUser struct {
	holdfast.User
	Hash string `json:"hash"` // of the password, PHC string form
	// Epoch is new whenever everything the user is logged in with has to end: a
	// changed password, a disabled or removed user. Sessions carry the one they
	// began under.
	Epoch string `json:"epoch"`
}

// userName is how users are called: nothing that has to be escaped anywhere, and
// no two names that look alike.
var userName = regexp.MustCompile(`^[a-z0-9][a-z0-9._@+-]{0,99}$`)

// fold is a name as somebody types it, as it is kept.
func fold(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// user returns a local user, or an error that matches holdfast.ErrUnknown.
func (a *access) user(ctx context.Context, name string) (u localUser, err error) {
	if !userName.MatchString(name) {
		return u, fmt.Errorf("user %.100q: %w", name, holdfast.ErrUnknown)
	}
	d, err := a.store.Document(ctx, store.DocumentKey{Kind: kindUser, Name: name})
	if errors.Is(err, store.ErrNotFound) {
		return u, fmt.Errorf("user %s: %w", name, holdfast.ErrUnknown)
	}
	if err != nil {
		return u, fmt.Errorf("user %s: %w", name, err)
	}
	if err := json.Unmarshal(d.Value, &u); err != nil {
		return u, fmt.Errorf("user %s: %w", name, err)
	}
	return u, nil
}

// keep stores a user.
func (a *access) keep(ctx context.Context, u localUser) error {
	value, err := json.Marshal(u)
	if err != nil {
		return err
	}
	err = a.store.PutDocuments(ctx, []store.Document{{DocumentKey: store.DocumentKey{Kind: kindUser, Name: u.Name}, Value: value}})
	if err != nil {
		return fmt.Errorf("store user %s: %w", u.Name, err)
	}
	return nil
}

// users lists the local users by name.
func (a *access) users(ctx context.Context) ([]holdfast.User, error) {
	list := []holdfast.User{}
	for d, err := range a.store.Documents(ctx, kindUser) {
		if err != nil {
			return nil, fmt.Errorf("read users: %w", err)
		}
		var u localUser
		if err := json.Unmarshal(d.Value, &u); err != nil {
			return nil, fmt.Errorf("user %s: %w", d.Name, err)
		}
		list = append(list, u.User)
	}
	return list, nil
}

// addUser adds a local user.
func (a *access) addUser(ctx context.Context, name string, role holdfast.Role, pass string) (holdfast.User, error) {
	name = fold(name)
	if !userName.MatchString(name) {
		return holdfast.User{}, &holdfast.FieldError{Field: "name", Problem: "1 to 100 lower-case letters, digits and . _ @ + -, beginning with a letter or digit"}
	}
	if err := checkRole(role); err != nil {
		return holdfast.User{}, err
	}
	hash, err := a.hash(ctx, "password", pass)
	if err != nil {
		return holdfast.User{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.user(ctx, name); err == nil {
		return holdfast.User{}, &holdfast.FieldError{Field: "name", Problem: "there is a user " + name + " already"}
	} else if !errors.Is(err, holdfast.ErrUnknown) {
		return holdfast.User{}, err
	}
	now := a.now().UTC()
	u := localUser{User: holdfast.User{Name: name, Role: role, Created: now, Password: now}, Hash: hash, Epoch: rand.Text()}
	return u.User, a.keep(ctx, u)
}

// hash makes a password's hash; what is wrong with the password is said of field.
func (a *access) hash(ctx context.Context, field, pass string) (string, error) {
	if err := password.Check(pass); err != nil {
		return "", &holdfast.FieldError{Field: field, Problem: strings.TrimPrefix(err.Error(), "password: ")}
	}
	return a.hasher.Hash(ctx, pass)
}

// changeUser changes a user. Whatever a changed password or a disabled user was
// logged in with ends at once; a changed role holds from the next request on.
func (a *access) changeUser(ctx context.Context, name string, change holdfast.UserChange) (holdfast.User, error) {
	hash := ""
	if change.Role != nil {
		if err := checkRole(*change.Role); err != nil {
			return holdfast.User{}, err
		}
	}
	if change.Password != nil {
		var err error
		if hash, err = a.hash(ctx, "password", *change.Password); err != nil {
			return holdfast.User{}, err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	u, err := a.user(ctx, name)
	if err != nil {
		return holdfast.User{}, err
	}
	_, err = a.changeLocked(ctx, &u, change, hash)
	return u.User, err
}

// changeLocked changes u and stores it; it is called with mu held.
func (a *access) changeLocked(ctx context.Context, u *localUser, change holdfast.UserChange, hash string) (epoch string, err error) {
	now, ends := a.now().UTC(), false
	if change.Role != nil {
		u.Role = *change.Role
	}
	if hash != "" {
		u.Hash, u.User.Password, ends = hash, now, true
	}
	if change.Disabled != nil && *change.Disabled != !u.Disabled.IsZero() {
		u.Disabled, ends = time.Time{}, true
		if *change.Disabled {
			u.Disabled = now
		}
	}
	if ends {
		u.Epoch = rand.Text()
	}
	if err := a.keep(ctx, *u); err != nil {
		return "", err
	}
	defer a.changed.publish()
	if ends {
		return u.Epoch, a.endAll(ctx, u.Name)
	}
	return u.Epoch, nil
}

// removeUser removes a user and ends what the user is logged in with.
func (a *access) removeUser(ctx context.Context, name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.user(ctx, name); err != nil {
		return err
	}
	if err := a.store.PutDocuments(ctx, nil, store.DocumentKey{Kind: kindUser, Name: name}); err != nil {
		return fmt.Errorf("remove user %s: %w", name, err)
	}
	defer a.changed.publish()
	return a.endAll(ctx, name)
}

// loginPassword begins a session by name and password. Whatever is wrong, the
// answer is holdfast.ErrNoAccess and costs the same.
func (a *access) loginPassword(ctx context.Context, name, pass, from string) (holdfast.Login, error) {
	u, old, err := a.verify(ctx, fold(name), pass)
	if err != nil {
		return holdfast.Login{}, err
	}
	login, err := a.begin(ctx, holdfast.Secret{Subject: u.Name, Role: u.Role, Via: holdfast.ViaPassword, From: from, Epoch: u.Epoch}, holdfast.SessionLife)
	if err != nil {
		return holdfast.Login{}, err
	}
	hash := u.Hash
	if old {
		if hash, err = a.hasher.Hash(ctx, pass); err != nil {
			hash = u.Hash // next time
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now, err := a.user(ctx, u.Name)
	if err != nil || now.Epoch != u.Epoch { // changed meanwhile: the session is worth nothing
		return holdfast.Login{}, cmp.Or(denied(err), holdfast.ErrNoAccess)
	}
	now.LastLogin, now.Hash = a.now().UTC(), hash
	if err := a.keep(ctx, now); err != nil {
		a.log.Warn("last login not kept", "user", u.Name, "err", err)
	}
	return login, nil
}

// verify returns the user whose name and password these are, and whether the hash
// should be made anew.
func (a *access) verify(ctx context.Context, name, pass string) (u localUser, old bool, err error) {
	u, err = a.user(ctx, name)
	if err != nil && !errors.Is(err, holdfast.ErrUnknown) {
		return u, false, err
	}
	right, old, err := a.hasher.Verify(ctx, u.Hash, pass) // an empty hash is nobody's
	switch {
	case err != nil:
		return u, false, err
	case !right, !u.Disabled.IsZero():
		return u, false, holdfast.ErrNoAccess
	}
	return u, old, nil
}

// changePassword changes the password of whose session it is. Everything the user
// is logged in with ends; what comes back is a new session in place of this one.
func (a *access) changePassword(ctx context.Context, session, current, pass string) (holdfast.Login, error) {
	s, err := a.secret(ctx, holdfast.SecretSession, session)
	if err != nil {
		return holdfast.Login{}, err
	}
	if s.Epoch == "" {
		return holdfast.Login{}, &holdfast.FieldError{Field: "current", Problem: "no password is kept here for " + s.Subject}
	}
	u, _, err := a.verify(ctx, s.Subject, current)
	if errors.Is(err, holdfast.ErrNoAccess) {
		return holdfast.Login{}, &holdfast.FieldError{Field: "current", Problem: "this is not your password"}
	}
	if err != nil {
		return holdfast.Login{}, err
	}
	hash, err := a.hash(ctx, "password", pass)
	if err != nil {
		return holdfast.Login{}, err
	}
	if s.Epoch, err = a.replaceHash(ctx, u, hash); err != nil {
		return holdfast.Login{}, err
	}
	return a.begin(ctx, s, s.Expires.Sub(a.now()))
}

// replaceHash keeps a new hash for a user that is still the same, and returns the
// new epoch.
func (a *access) replaceHash(ctx context.Context, u localUser, hash string) (epoch string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, err := a.user(ctx, u.Name)
	if err != nil || now.Epoch != u.Epoch {
		return "", cmp.Or(denied(err), holdfast.ErrNoAccess)
	}
	return a.changeLocked(ctx, &now, holdfast.UserChange{}, hash)
}
