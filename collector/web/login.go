package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// loginView is what the login page says.
type loginView struct {
	Key     string // of the link that was followed; empty: there is none
	To      string // where to go afterwards
	Problem string
}

// loginPage shows the button that uses a one-time link. Looking at the link does
// not use it: mail scanners and previews look too.
func (s *server) loginPage(w http.ResponseWriter, r *http.Request) {
	s.showLogin(w, http.StatusOK, loginView{Key: r.FormValue("key"), To: localTarget(r.FormValue("to"))})
}

func (s *server) showLogin(w http.ResponseWriter, status int, v loginView) {
	w.Header().Set("Referrer-Policy", "no-referrer") // the key stands in the address
	s.render(w, status, "login", frame{Title: "Log in", Body: v})
}

// login exchanges the one-time key for a session.
func (s *server) login(w http.ResponseWriter, r *http.Request) {
	if s.logins.blocked(r.RemoteAddr) {
		w.Header().Set("Retry-After", "10")
		s.showLogin(w, http.StatusTooManyRequests, loginView{Problem: "Too many logins from your address have failed. Wait a minute and try again."})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	to := localTarget(r.PostFormValue("to"))
	session, who, err := s.c.Login(r.Context(), r.PostFormValue("key"))
	switch {
	case errors.Is(err, holdfast.ErrNoAccess):
		s.logins.failed(r.RemoteAddr)
		s.showLogin(w, http.StatusForbidden, loginView{To: to, Problem: "This link is not known, was used already, or has run out."})
		return
	case err != nil:
		s.log.Error("login", "err", err)
		s.showLogin(w, http.StatusServiceUnavailable, loginView{To: to, Problem: "You cannot be logged in now; the collector's log says why."})
		return
	}
	s.log.Info("logged in", "user", who.Name, "role", who.Role)
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: session, Path: "/",
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil,
		MaxAge: int(holdfast.SessionLife.Seconds()),
	})
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// logout ends the session.
func (s *server) logout(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		if err := s.c.Logout(r.Context(), cookie.Value); err != nil {
			s.log.Warn("session not deleted", "err", err)
		}
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// localTarget keeps a redirect on this server.
func localTarget(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, `\`) {
		return "/"
	}
	return u.RequestURI()
}
