package holdfast

import (
	"errors"
	"fmt"
	"time"
)

// User is a person whose password the collector keeps. Neither the password nor
// its hash is ever part of it.
type User struct {
	Name      string    `json:"name"`
	Role      Role      `json:"role"`
	Created   time.Time `json:"created"`
	Password  time.Time `json:"password_set"`        // when it was last set
	Disabled  time.Time `json:"disabled,omitzero"`   // zero: may log in
	LastLogin time.Time `json:"last_login,omitzero"` // by password; zero: never
}

// UserChange is what becomes of a user; nil stays as it is.
type UserChange struct {
	Role     *Role   `json:"role,omitempty"`
	Disabled *bool   `json:"disabled,omitempty"`
	Password *string `json:"password,omitempty"`
}

// Login is a session that has just begun.
type Login struct {
	Session string // the secret the browser keeps
	Who     Who
	Ends    time.Time
}

// The ways a session begins.
const (
	ViaLink     = "link"     // a one-time link
	ViaPassword = "password" // of a local user
	ViaOpenID   = "openid"   // OpenID Connect
)

// Session is a browser somebody is logged in with.
type Session struct {
	ID      string    `json:"id"`
	Via     string    `json:"via" enum:"link,password,openid"`
	From    string    `json:"from,omitempty"` // address and browser, as it said itself
	Began   time.Time `json:"began"`
	Seen    time.Time `json:"seen,omitzero"` // last used, to about a minute
	Ends    time.Time `json:"ends"`
	Local   bool      `json:"local,omitempty"`   // of a user whose password is kept here
	Current bool      `json:"current,omitempty"` // the one this was asked with
}

// Token is a program's way in; what it is sent as was shown once and is not kept.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Role    Role      `json:"role"`
	By      string    `json:"by,omitempty"` // who made it; empty: made on the collector's own host
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero"`    // last, to about a minute; zero: never
	Expires time.Time `json:"expires,omitzero"` // zero: lasts until it is revoked
}

// Badge is a picture of one service's state and score that everybody who has its
// address may see.
type Badge struct {
	ID      string    `json:"id"`
	Service string    `json:"service"`
	By      string    `json:"by"`
	Created time.Time `json:"created"`
}

// ErrBusy says that something can be done, but not now: try again soon.
var ErrBusy = errors.New("too much is asked at once; try again in a few seconds")

// ErrUnknown says that there is no such user, session, token or badge.
var ErrUnknown = errors.New("not found")

// FieldError says what is wrong with one field of what was asked. It matches
// ErrInvalid.
type FieldError struct {
	Field   string // as the API writes it
	Problem string
}

// Error names the field first.
func (e *FieldError) Error() string { return fmt.Sprintf("%s: %s", e.Field, e.Problem) }

// Is reports whether target is ErrInvalid.
func (e *FieldError) Is(target error) bool { return target == ErrInvalid }

// Refusal is a login that is refused with words meant for whom it concerns. It
// matches ErrNoAccess.
type Refusal struct{ Say string }

// Error says why.
func (r *Refusal) Error() string { return r.Say }

// Is reports whether target is ErrNoAccess.
func (r *Refusal) Is(target error) bool { return target == ErrNoAccess }
