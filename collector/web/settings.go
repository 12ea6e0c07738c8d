package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Inside is how the collector itself is doing.
type Inside interface {
	Facts() holdfast.CollectorFacts
	CatalogueStatus() holdfast.CatalogueStatus
	// Accepted lists the catalogues that were in force, at most limit, the one in
	// force first.
	Accepted(ctx context.Context, limit int) ([]holdfast.AcceptedCatalogue, error)
}

// settingsView answers: who gets in, and how is the collector doing?
type settingsView struct {
	Who      holdfast.Who
	Roles    []holdfast.Role
	Said     string // what was just done
	Form     form   // the one that was sent and is wrong
	Local    bool   // the reader has a password here
	Browser  bool   // the reader has a session, not a token
	Sessions []holdfast.Session
	Admin    *adminView   // nil: not for the reader's role
	Inside   *insideView  // nil: not for the reader's role
	Services []serviceRef // that a badge can be made of
}

// adminView is what admins see to.
type adminView struct {
	Users  []holdfast.User
	Tokens []holdfast.Token
	Badges []badgeRow
}

// badgeRow is a badge and how its service stands.
type badgeRow struct {
	holdfast.Badge
	Title string
	Known bool // the service is in the catalogue
}

// serviceRef names a service in a list to choose from.
type serviceRef struct{ Name, Title string }

// insideView is how the collector is doing.
type insideView struct {
	Facts     holdfast.CollectorFacts
	Catalogue holdfast.CatalogueStatus
	Before    []holdfast.AcceptedCatalogue // the one in force first
	Routes    []holdfast.RouteState
}

// form is one that was sent and could not be done: what was typed, and what is
// wrong, by field. Passwords are never sent back.
type form struct {
	Name     string // of the form
	Values   url.Values
	Problems map[string]string // by field; "" is the form as a whole
}

// Value is what was typed into a field of a form.
func (v settingsView) Value(name, field string) string {
	if v.Form.Name != name {
		return ""
	}
	return clip(v.Form.Values.Get(field))
}

// Problem is what is wrong with a field of a form.
func (v settingsView) Problem(name, field string) string {
	if v.Form.Name != name {
		return ""
	}
	return clip(v.Form.Problems[field])
}

// Wrong reports whether a form came back.
func (v settingsView) Wrong(name string) bool { return v.Form.Name == name }

// said is what the page says after something was done, by the word in its address.
var said = map[string]string{
	"password": "Your password is changed. Everywhere else you are logged out.",
	"session":  "That session has ended.",
	"added":    "The user is added and may log in.",
	"changed":  "The user is changed.",
	"removed":  "The user is removed and logged out everywhere.",
	"token":    "The token is revoked.",
	"badge":    "The badge is revoked: its address shows nothing any more.",
}

// shownCatalogues is how many past catalogues the page lists.
const shownCatalogues = 10

// addSettings adds the page and what its forms do.
func (s *server) addSettings(mux *http.ServeMux) {
	mux.HandleFunc("GET /settings", s.settingsPage)
	mux.HandleFunc("GET /settings/{form...}", s.settingsForm)
	everybody := func(holdfast.Role) bool { return true }
	admins := holdfast.Role.MayAdminister
	for path, f := range map[string]struct {
		may func(holdfast.Role) bool
		do  func(w http.ResponseWriter, r *http.Request) (next string, err error)
	}{
		"password":      {everybody, s.formPassword},
		"sessions/end":  {everybody, s.formEndSession},
		"users":         {admins, s.formAddUser},
		"users/change":  {admins, s.formChangeUser},
		"tokens":        {admins, s.formAddToken},
		"tokens/revoke": {admins, s.formRevokeToken},
		"badges":        {admins, s.formAddBadge},
		"badges/revoke": {admins, s.formRevokeBadge},
	} {
		mux.HandleFunc("POST /settings/"+path, func(w http.ResponseWriter, r *http.Request) { s.settingsDo(w, r, path, f.may, f.do) })
	}
}

// settingsForm answers who reads the address of a form again, where only sending
// does anything: the script of an open page keeps what it shows, people go to the
// settings.
func (s *server) settingsForm(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Fragment") != "" {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	http.Redirect(w, r, "/settings", http.StatusSeeOther)
}

// settingsDo carries a form out: done leads on to the settings, what is wrong
// comes back at its field.
func (s *server) settingsDo(w http.ResponseWriter, r *http.Request, name string, may func(holdfast.Role) bool, do func(http.ResponseWriter, *http.Request) (string, error)) {
	if !may(whoIs(r.Context()).Role) {
		s.show(w, r, http.StatusForbidden, "missing", "Not allowed", "Your role may not do this")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		s.settings(w, r, http.StatusBadRequest, form{Name: name, Problems: map[string]string{"": "This form could not be read. Send it again."}})
		return
	}
	next, err := do(w, r)
	switch {
	case err == nil && next != "":
		http.Redirect(w, r, next, http.StatusSeeOther)
	case err != nil:
		status, problems := s.formProblems(err)
		s.settings(w, r, status, form{name, r.PostForm, problems})
	}
}

// formProblems says what is wrong with a form, by field.
func (s *server) formProblems(err error) (status int, problems map[string]string) {
	if field, ok := errors.AsType[*holdfast.FieldError](err); ok {
		return http.StatusUnprocessableEntity, map[string]string{field.Field: spelled(field.Problem)}
	}
	switch {
	case errors.Is(err, holdfast.ErrUnknown):
		return http.StatusNotFound, map[string]string{"": "This is not there any more: somebody else was quicker."}
	case errors.Is(err, holdfast.ErrBusy):
		return http.StatusServiceUnavailable, map[string]string{"": spelled(holdfast.ErrBusy.Error())}
	}
	s.log.Error("settings not changed", "err", err)
	return http.StatusServiceUnavailable, map[string]string{"": "This cannot be done now; the collector's log says why."}
}

// named is a text and the ID it has on the page.
type named struct{ ID, Text string }

// viaWord is how somebody logged in.
func viaWord(via string) string {
	switch via {
	case holdfast.ViaPassword:
		return "password"
	case holdfast.ViaOpenID:
		return "your organisation’s login"
	}
	return "one-time link"
}

// spelled makes a sentence of a text.
func spelled(text string) string {
	if text == "" {
		return ""
	}
	return strings.TrimSuffix(strings.ToUpper(text[:1])+text[1:], ".") + "."
}

func (s *server) settingsPage(w http.ResponseWriter, r *http.Request) {
	s.settings(w, r, http.StatusOK, form{})
}

// settings shows the page, with the form that came back.
func (s *server) settings(w http.ResponseWriter, r *http.Request, status int, f form) {
	v, err := s.settingsFor(r.Context())
	if err != nil {
		s.log.Error("settings cannot be read", "err", err)
		http.Error(w, "the settings cannot be read now; the collector's log says why", http.StatusServiceUnavailable)
		return
	}
	v.Form = f
	if r.Method == http.MethodGet {
		v.Said = said[r.FormValue("did")]
	}
	s.show(w, r, status, "settings", "Settings", v)
}

// settingsFor reads what a reader may see.
func (s *server) settingsFor(ctx context.Context) (v settingsView, err error) {
	v = settingsView{Who: whoIs(ctx), Roles: holdfast.Roles}
	if session := sessionOf(ctx); session != "" {
		v.Browser = true
		if v.Sessions, err = s.c.Sessions(ctx, session); err != nil {
			return v, err
		}
		v.Sessions = clipped(v.Sessions)
		v.Local = slices.ContainsFunc(v.Sessions, func(one holdfast.Session) bool { return one.Current && one.Local })
	}
	if v.Who.Role.MayInspect() {
		v.Inside = &insideView{Facts: clipped(s.c.Facts()), Catalogue: clipped(s.c.CatalogueStatus())}
		if v.Inside.Before, err = s.c.Accepted(ctx, shownCatalogues); err != nil {
			return v, err
		}
		v.Inside.Before = clipped(v.Inside.Before)
	}
	if !v.Who.Role.MayAdminister() {
		return v, nil
	}
	a := &adminView{}
	v.Admin = a
	if a.Users, err = s.c.Users(ctx); err != nil {
		return v, err
	}
	if a.Tokens, err = s.c.Tokens(ctx); err != nil {
		return v, err
	}
	badges, err := s.c.Badges(ctx)
	if err != nil {
		return v, err
	}
	a.Users, a.Tokens = clipped(a.Users), clipped(a.Tokens)
	k := s.c.Catalogue()
	for _, b := range clipped(badges) {
		row := badgeRow{Badge: b, Title: b.Service}
		if service := k.Service(b.Service); service != nil {
			row.Known, row.Title = true, called(service)
		}
		a.Badges = append(a.Badges, row)
	}
	for i := range k.Services {
		v.Services = append(v.Services, serviceRef{k.Services[i].Name, called(&k.Services[i])})
	}
	return v, nil
}

// called is how a service is called where it is chosen.
func called(service *holdfast.Service) string {
	if service.Title == "" {
		return clip(service.Name)
	}
	return clip(service.Title)
}

func (s *server) formPassword(w http.ResponseWriter, r *http.Request) (string, error) {
	if r.PostFormValue("password") != r.PostFormValue("again") {
		return "", &holdfast.FieldError{Field: "again", Problem: "the two are not the same"}
	}
	login, err := s.changePassword(r.Context(), r.PostFormValue("current"), r.PostFormValue("password"), r.RemoteAddr)
	if err != nil {
		return "", err
	}
	http.SetCookie(w, s.cookie(sessionCookie, login.Session, "/", login.Ends, s.underHTTPS(r.TLS != nil, r.Host)))
	return "/settings?did=password#account", nil
}

// formEndSession ends one session, or with "all" every one, this one included.
func (s *server) formEndSession(w http.ResponseWriter, r *http.Request) (string, error) {
	session, id := sessionOf(r.Context()), r.PostFormValue("id")
	if session == "" || id == "" {
		return "", holdfast.ErrUnknown
	}
	if id == "all" {
		id = ""
	}
	if err := s.c.EndSessions(r.Context(), session, id); err != nil {
		return "", err
	}
	if _, err := s.c.Session(r.Context(), session); err != nil {
		http.SetCookie(w, s.cookie(sessionCookie, "", "/", time.Time{}, s.underHTTPS(r.TLS != nil, r.Host)))
		return "/login", nil
	}
	return "/settings?did=session#sessions", nil
}

func (s *server) formAddUser(_ http.ResponseWriter, r *http.Request) (string, error) {
	u, err := s.c.AddUser(r.Context(), r.PostFormValue("name"), holdfast.Role(r.PostFormValue("role")), r.PostFormValue("password"))
	if err != nil {
		return "", err
	}
	s.noteAccess(r.Context(), "user added", "user", u.Name, "role", u.Role)
	return "/settings?did=added#users", nil
}

// formChangeUser does what the button that was pressed says.
func (s *server) formChangeUser(_ http.ResponseWriter, r *http.Request) (string, error) {
	name := r.PostFormValue("name")
	var change holdfast.UserChange
	switch r.PostFormValue("do") {
	case "remove":
		return "/settings?did=removed#users", s.removeUser(r.Context(), name)
	case "role":
		role := holdfast.Role(r.PostFormValue("role"))
		change.Role = &role
	case "password":
		password := r.PostFormValue("password")
		change.Password = &password
	case "disable", "enable":
		disabled := r.PostFormValue("do") == "disable"
		change.Disabled = &disabled
	default:
		return "", &holdfast.FieldError{Field: "name", Problem: "press one of the buttons"}
	}
	_, err := s.changeUser(r.Context(), name, change)
	return "/settings?did=changed#users", err
}

// secretView shows what is shown once.
type secretView struct {
	What   string // "token" or "badge"
	Name   string
	Secret string
	Ends   time.Time // of a token; zero: not by itself
}

// formAddToken makes a token and shows it, once: there is no page to come back to.
func (s *server) formAddToken(w http.ResponseWriter, r *http.Request) (string, error) {
	var life holdfast.Duration
	if text := strings.TrimSpace(r.PostFormValue("life")); text != "" {
		var err error
		if life, err = holdfast.ParseDuration(text); err != nil {
			return "", &holdfast.FieldError{Field: "life", Problem: "write it like 90d, or leave it empty"}
		}
	}
	secret, t, err := s.addToken(r.Context(), holdfast.Who{Name: strings.TrimSpace(r.PostFormValue("name")), Role: holdfast.Role(r.PostFormValue("role"))}, life)
	if err != nil {
		return "", err
	}
	s.show(w, r, http.StatusCreated, "secret", "New token", secretView{"token", t.Name, secret, t.Expires})
	return "", nil
}

func (s *server) formRevokeToken(_ http.ResponseWriter, r *http.Request) (string, error) {
	return "/settings?did=token#tokens", s.revokeToken(r.Context(), r.PostFormValue("id"))
}

// formAddBadge makes a badge and shows its address, once.
func (s *server) formAddBadge(w http.ResponseWriter, r *http.Request) (string, error) {
	address, b, err := s.addBadge(r.Context(), r.PostFormValue("service"))
	if err != nil {
		return "", err
	}
	s.show(w, r, http.StatusCreated, "secret", "New badge", secretView{"badge", b.Service, address, time.Time{}})
	return "", nil
}

func (s *server) formRevokeBadge(_ http.ResponseWriter, r *http.Request) (string, error) {
	return "/settings?did=badge#badges", s.revokeBadge(r.Context(), r.PostFormValue("id"))
}
