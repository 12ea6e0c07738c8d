package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// sessionCookie is the name of a browser's session cookie.
const sessionCookie = "holdfast_session"

type identityKey struct{}

// identity is whom a request is from.
type identity struct {
	who     holdfast.Who
	session string // of a browser; empty: came with a token
}

func identityOf(ctx context.Context) identity {
	id, _ := ctx.Value(identityKey{}).(identity)
	return id
}

// whoIs returns whom a request that passed authenticated is from.
func whoIs(ctx context.Context) holdfast.Who { return identityOf(ctx).who }

// sessionOf returns the session a request that passed authenticated came with;
// empty: it came with a token.
func sessionOf(ctx context.Context) string { return identityOf(ctx).session }

// identify tells whom a request is from: by an API token in the Authorization
// header, else by a browser's session.
func (s *server) identify(r *http.Request) (identity, error) {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		who, err := s.c.Token(r.Context(), token)
		return identity{who: who}, err
	}
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return identity{}, holdfast.ErrNoAccess
	}
	who, err := s.c.Session(r.Context(), cookie.Value)
	return identity{who, cookie.Value}, err
}

// authenticated lets nobody through who is not known. Programs get a problem,
// people the login page.
func (s *server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := s.identify(r)
		switch {
		case err == nil:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identityKey{}, id)))
		case !errors.Is(err, holdfast.ErrNoAccess):
			s.log.Error("access cannot be checked", "err", err)
			writeProblem(w, http.StatusServiceUnavailable, "access cannot be checked now; the collector's log says why")
		case (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "text/html") && !strings.HasPrefix(r.URL.Path, "/api/"):
			http.Redirect(w, r, "/login?to="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="holdfast"`)
			writeProblem(w, http.StatusUnauthorized, "log in, or send a token: Authorization: Bearer TOKEN")
		}
	})
}

// localOr lets requests from this machine through, others by token.
func (s *server) localOr(next http.Handler) http.Handler {
	inside := s.authenticated(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		ip := net.ParseIP(host)
		if err == nil && ip != nil && ip.IsLoopback() && r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("Forwarded") == "" {
			next.ServeHTTP(w, r)
			return
		}
		inside.ServeHTTP(w, r)
	})
}
