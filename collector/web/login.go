package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Entrance is how people and programs come in. What does not open is
// holdfast.ErrNoAccess; a *holdfast.Refusal, which matches it, says more. From is
// where a login comes from, for the list of one's own sessions.
type Entrance interface {
	// Login exchanges a one-time key for a session.
	Login(ctx context.Context, key, from string) (holdfast.Login, error)
	// LoginPassword begins a session of a local user. It costs and says the same
	// whether the user exists or not; holdfast.ErrBusy: too many try at once.
	LoginPassword(ctx context.Context, name, password, from string) (holdfast.Login, error)

	// OpenIDTitle is what the OpenID Connect provider is called; "": none is set up.
	OpenIDTitle() string
	// BeginOpenID returns the provider's address to go to, and what the browser has
	// to keep and bring to FinishOpenID with the provider's answer.
	BeginOpenID(ctx context.Context, to string) (address, kept string, err error)
	FinishOpenID(ctx context.Context, kept string, answer url.Values, from string) (login holdfast.Login, to string, err error)

	// Session and Token tell whom one stands for.
	Session(ctx context.Context, session string) (holdfast.Who, error)
	Token(ctx context.Context, token string) (holdfast.Who, error)
	Logout(ctx context.Context, session string) error
	// AccessChanged tells whenever somebody's rights have ended or changed.
	AccessChanged() (changed <-chan struct{}, stop func())

	// URL is how people reach the pages.
	URL() string
}

// openIDCookie keeps a login under way at the provider, in the browser that began
// it.
const openIDCookie = "holdfast_openid"

// loginView is what the login page says.
type loginView struct {
	Key     string // of the link that was followed; empty: there is none
	Name    string // as it was typed
	To      string // where to go afterwards
	Problem string
	OpenID  string // title of the provider; empty: none
}

// Begin is where a login with the provider begins.
func (v loginView) Begin() string { return "/login/oidc/begin?to=" + url.QueryEscape(v.To) }

// loginPage asks for name and password, or shows the button that uses a one-time
// link. Looking at the link does not use it: mail scanners and previews look too.
func (s *server) loginPage(w http.ResponseWriter, r *http.Request) {
	s.showLogin(w, http.StatusOK, loginView{Key: r.FormValue("key"), To: localTarget(r.FormValue("to"))})
}

func (s *server) showLogin(w http.ResponseWriter, status int, v loginView) {
	w.Header().Set("Referrer-Policy", "no-referrer") // the key stands in the address
	v.OpenID = s.c.OpenIDTitle()
	s.render(w, status, "login", frame{Title: "Log in", Body: v})
}

// login exchanges a one-time key, or name and password, for a session.
func (s *server) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	key, name := r.PostFormValue("key"), r.PostFormValue("name")
	v := loginView{To: localTarget(r.PostFormValue("to")), Name: clip(name)}
	var login holdfast.Login
	var err error
	if key != "" {
		login, err = s.loginKey(r.Context(), key, callerOf(r))
	} else {
		login, err = s.loginPassword(r.Context(), name, r.PostFormValue("password"), callerOf(r))
	}
	if err == nil {
		s.enter(w, r, login, v.To)
		return
	}
	var status int
	status, v.Problem = s.whyNot(w.Header(), err)
	if status == http.StatusForbidden {
		v.Problem = "Name or password is wrong."
		if key != "" {
			v.Problem = "This link is not known, was used already, or has run out."
		}
	}
	s.showLogin(w, status, v)
}

// caller is where a login comes from.
type caller struct {
	remote string // address and port
	agent  string // what the browser calls itself
}

func callerOf(r *http.Request) caller { return caller{r.RemoteAddr, r.UserAgent()} }

// tooMany says that a login is not even tried before some time has passed.
type tooMany struct{ wait time.Duration }

// Error says how long.
func (e tooMany) Error() string {
	return fmt.Sprintf("Too many logins have failed. Try again in %s.", span(max(e.wait, time.Second)))
}

// loginKey exchanges a one-time key for a session.
func (s *server) loginKey(ctx context.Context, key string, from caller) (holdfast.Login, error) {
	if s.logins.blocked(from.remote) {
		return holdfast.Login{}, tooMany{failureEvery}
	}
	login, err := s.c.Login(ctx, key, from.String())
	if errors.Is(err, holdfast.ErrNoAccess) {
		s.logins.failed(from.remote)
	}
	return login, err
}

// loginPassword begins a session of a local user, slowly for who guesses: by
// address, and by name wherever the guesses come from.
func (s *server) loginPassword(ctx context.Context, name, password string, from caller) (holdfast.Login, error) {
	if s.logins.blocked(from.remote) {
		return holdfast.Login{}, tooMany{failureEvery}
	}
	if wait := s.names.begin(name, from.remote); wait > 0 {
		return holdfast.Login{}, tooMany{wait}
	}
	login, err := s.c.LoginPassword(ctx, name, password, from.String())
	switch {
	case err == nil:
		s.names.succeeded(name, from.remote)
	case errors.Is(err, holdfast.ErrNoAccess):
		s.logins.failed(from.remote)
		s.log.Warn("login refused", "user", clip(name), "from", from.remote)
	default:
		s.names.untried(name)
	}
	return login, err
}

// whyNot is the status and the words a login is refused with.
func (s *server) whyNot(h http.Header, err error) (status int, say string) {
	if many, ok := errors.AsType[tooMany](err); ok {
		h.Set("Retry-After", fmt.Sprint(int(math.Ceil(max(many.wait, time.Second).Seconds()))))
		return http.StatusTooManyRequests, many.Error()
	}
	switch {
	case errors.Is(err, holdfast.ErrNoAccess):
		return http.StatusForbidden, err.Error()
	case errors.Is(err, holdfast.ErrBusy):
		h.Set("Retry-After", "2")
		return http.StatusServiceUnavailable, "Too many people log in at once. Try again in a few seconds."
	}
	s.log.Error("login", "err", err)
	return http.StatusServiceUnavailable, "You cannot be logged in now; the collector's log says why."
}

// enter gives the browser its session and sends it on.
func (s *server) enter(w http.ResponseWriter, r *http.Request, l holdfast.Login, to string) {
	s.log.Info("logged in", "user", l.Who.Name, "role", l.Who.Role, "from", r.RemoteAddr)
	http.SetCookie(w, s.cookie(sessionCookie, l.Session, "/", l.Ends, s.underHTTPS(r.TLS != nil, r.Host)))
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// cookie is one that no script reads and no other site's form brings along. It
// lasts until ends; the zero time deletes it.
func (s *server) cookie(name, value, path string, ends time.Time, secure bool) *http.Cookie {
	life := -1
	if !ends.IsZero() {
		life = max(1, int(ends.Sub(s.c.Now()).Seconds()))
	}
	return &http.Cookie{Name: name, Value: value, Path: path, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure, MaxAge: life}
}

// underHTTPS reports whether the browser speaks HTTPS: to us, or to the proxy the
// pages are reached by.
func (s *server) underHTTPS(tls bool, host string) bool {
	u, err := url.Parse(s.c.URL())
	return tls || err == nil && u.Scheme == "https" && strings.EqualFold(u.Hostname(), hostName(host))
}

// logout ends the session.
func (s *server) logout(w http.ResponseWriter, r *http.Request) {
	if session := sessionOf(r.Context()); session != "" {
		if err := s.c.Logout(r.Context(), session); err != nil {
			s.log.Warn("session not deleted", "err", err)
		}
	}
	http.SetCookie(w, s.cookie(sessionCookie, "", "/", time.Time{}, s.underHTTPS(r.TLS != nil, r.Host)))
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// beginOpenID sends the browser to the provider.
func (s *server) beginOpenID(w http.ResponseWriter, r *http.Request) {
	to := localTarget(r.FormValue("to"))
	if s.c.OpenIDTitle() == "" {
		s.missingPage(w, r, "OpenID Connect is not set up here")
		return
	}
	address, kept, err := s.c.BeginOpenID(r.Context(), to)
	if err != nil {
		s.log.Error("login with the provider", "err", err)
		s.showLogin(w, http.StatusServiceUnavailable, loginView{To: to, Problem: s.c.OpenIDTitle() + " cannot be reached now. Try again in a minute."})
		return
	}
	http.SetCookie(w, s.cookie(openIDCookie, kept, "/login/oidc", s.c.Now().Add(10*time.Minute), s.underHTTPS(r.TLS != nil, r.Host)))
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// finishOpenID takes the browser back from the provider.
func (s *server) finishOpenID(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, s.cookie(openIDCookie, "", "/login/oidc", time.Time{}, s.underHTTPS(r.TLS != nil, r.Host)))
	if s.logins.blocked(r.RemoteAddr) {
		status, say := s.whyNot(w.Header(), tooMany{failureEvery})
		s.showLogin(w, status, loginView{Problem: say})
		return
	}
	kept := ""
	if c, err := r.Cookie(openIDCookie); err == nil {
		kept = c.Value
	}
	login, to, err := s.c.FinishOpenID(r.Context(), kept, r.URL.Query(), callerOf(r).String())
	if err == nil {
		s.enter(w, r, login, localTarget(to))
		return
	}
	status, say := s.whyNot(w.Header(), err)
	if status == http.StatusForbidden {
		s.logins.failed(r.RemoteAddr)
		s.log.Warn("login with the provider refused", "why", say, "from", r.RemoteAddr)
	}
	s.showLogin(w, status, loginView{To: localTarget(to), Problem: say})
}

// String is where a login comes from, for people: an address and a browser.
func (c caller) String() string {
	return cmp.Or(network(c.remote).Addr().String(), "?") + ", " + browserName(c.agent)
}

// browsers are how programs call themselves; the first that is found is it.
var browsers, systems = [][2]string{
	{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"},
}, [][2]string{{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS", "macOS"}, {"Linux", "Linux"}}

// browserName is a browser's name and system in few words.
func browserName(agent string) string {
	first := func(list [][2]string) string {
		for _, known := range list {
			if strings.Contains(agent, known[0]) {
				return known[1]
			}
		}
		return ""
	}
	name, system := first(browsers), first(systems)
	switch {
	case name == "":
		return "another program"
	case system == "":
		return name
	}
	return name + " on " + system
}

// localTarget keeps a redirect on this server.
func localTarget(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, `\`) {
		return "/"
	}
	return u.RequestURI()
}
