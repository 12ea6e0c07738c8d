package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// SessionRequest is the body of POST /api/v1/session.
type SessionRequest struct {
	Name     string `json:"name" minLength:"1" maxLength:"200" doc:"of a user whose password the collector keeps"`
	Password string `json:"password" minLength:"1" maxLength:"4096"`
}

// SessionAnswer is the answer of GET and POST /api/v1/session.
type SessionAnswer struct {
	Name string        `json:"name"`
	Role holdfast.Role `json:"role"`
	Ends time.Time     `json:"ends,omitzero" doc:"when the session begun ends"`
}

// Sessions is the answer of GET /api/v1/sessions.
type Sessions struct {
	Sessions []holdfast.Session `json:"sessions" doc:"one's own, newest first"`
}

// PasswordRequest is the body of POST /api/v1/session/password.
type PasswordRequest struct {
	Current  string `json:"current" maxLength:"4096" doc:"the password until now"`
	Password string `json:"password" maxLength:"4096" doc:"the new one: at least 12 characters"`
}

func (s *server) addSessionAPI(a *api) {
	const tag = "Session"
	register(a, operation{Route: "POST /session", ID: "begin-session", Tag: tag, Open: true, Status: http.StatusCreated,
		Summary:     "Log in with name and password",
		Description: "The session is in the cookie and nowhere else. Programs that run for long use a token instead.",
		Errors:      []int{http.StatusUnauthorized, http.StatusTooManyRequests}, MaxBody: 16 << 10,
		Example: SessionRequest{Name: "ada", Password: "correct horse battery"}}, s.apiBeginSession)
	register(a, operation{Route: "GET /session", ID: "get-session", Tag: tag,
		Summary: "Whom this session or token stands for", Description: "Its name and role: what it may do, the other operations say."}, s.apiSession)
	register(a, operation{Route: "DELETE /session", ID: "end-session", Tag: tag,
		Summary: "Log out", Description: "A token goes on until it is revoked."}, s.apiEndSession)
	register(a, operation{Route: "POST /session/password", ID: "change-password", Tag: tag, MaxBody: 16 << 10,
		Summary:     "Change one's own password",
		Description: "Every session of the user ends; a new one is in the cookie.",
		Example:     PasswordRequest{Current: "correct horse battery", Password: "another twelve letters"}}, s.apiChangePassword)
	register(a, operation{Route: "GET /sessions", ID: "list-sessions", Tag: tag,
		Summary: "What one is logged in with", Description: "A token has no sessions: none are listed."}, s.apiSessions)
	register(a, operation{Route: "DELETE /sessions", ID: "end-sessions", Tag: tag,
		Summary: "Log out everywhere", Description: "This session ends too. A token has no sessions: nothing ends."}, s.apiEndSessions)
	register(a, operation{Route: "DELETE /sessions/{id}", ID: "end-one-session", Tag: tag,
		Summary: "End one of one's own sessions", Description: "The browser that holds it is logged out at its next request."}, s.apiEndOneSession)
}

// cookieAnswer sets the session's cookie.
type cookieAnswer[T any] struct {
	SetCookie http.Cookie `header:"Set-Cookie" doc:"the session: HttpOnly, SameSite=Lax, Secure under HTTPS"`
	Body      T
}

// cookieOnly sets the session's cookie and has no body.
type cookieOnly struct {
	SetCookie http.Cookie `header:"Set-Cookie" doc:"the session's cookie, ended or new"`
}

// Origin is where a request comes from.
type Origin struct {
	caller
	secure bool // the browser speaks HTTPS
}

// Resolve is called by huma.
func (o *Origin) Resolve(ctx huma.Context) []error {
	o.caller = caller{ctx.RemoteAddr(), ctx.Header("User-Agent")}
	o.secure = ctx.TLS() != nil
	return nil
}

func (s *server) apiBeginSession(ctx context.Context, in *struct {
	Origin
	Host string `header:"Host" hidden:"true"`
	Body SessionRequest
}) (*cookieAnswer[SessionAnswer], error) {
	login, err := s.loginPassword(ctx, in.Body.Name, in.Body.Password, in.caller)
	if err != nil {
		h := http.Header{}
		status, say := s.whyNot(h, err)
		if status == http.StatusForbidden {
			h.Set("WWW-Authenticate", `Bearer realm="holdfast"`)
			return nil, huma.ErrorWithHeaders(refuse(http.StatusUnauthorized, "body", "name or password is wrong"), h)
		}
		return nil, huma.ErrorWithHeaders(huma.NewError(status, say), h)
	}
	return &cookieAnswer[SessionAnswer]{
		*s.cookie(sessionCookie, login.Session, "/", login.Ends, s.underHTTPS(in.secure, in.Host)),
		SessionAnswer{login.Who.Name, login.Who.Role, login.Ends},
	}, nil
}

func (s *server) apiSession(ctx context.Context, _ *struct{}) (*answer[SessionAnswer], error) {
	who := whoIs(ctx)
	a := SessionAnswer{Name: who.Name, Role: who.Role}
	if session := sessionOf(ctx); session != "" {
		list, err := s.c.Sessions(ctx, session)
		if err != nil {
			return nil, err
		}
		for _, one := range list {
			if one.Current {
				a.Ends = one.Ends
			}
		}
	}
	return &answer[SessionAnswer]{a}, nil
}

func (s *server) apiEndSession(ctx context.Context, in *struct{ Origin }) (*cookieOnly, error) {
	if session := sessionOf(ctx); session != "" {
		if err := s.c.Logout(ctx, session); err != nil {
			return nil, err
		}
	}
	return s.noCookie(in.secure), nil
}

// noCookie takes the session's cookie back.
func (s *server) noCookie(secure bool) *cookieOnly {
	return &cookieOnly{*s.cookie(sessionCookie, "", "/", time.Time{}, secure)}
}

func (s *server) apiChangePassword(ctx context.Context, in *struct {
	Origin
	Body PasswordRequest
}) (*cookieOnly, error) {
	login, err := s.changePassword(ctx, in.Body.Current, in.Body.Password, in.remote)
	if err != nil {
		return nil, accessProblem("password", "body", err)
	}
	return &cookieOnly{*s.cookie(sessionCookie, login.Session, "/", login.Ends, in.secure)}, nil
}

// changePassword changes the password of who is logged in; guessing the present
// one is as slow as anywhere.
func (s *server) changePassword(ctx context.Context, current, password, remote string) (holdfast.Login, error) {
	session := sessionOf(ctx)
	if session == "" {
		return holdfast.Login{}, &holdfast.FieldError{Field: "current", Problem: "a token has no password"}
	}
	if s.logins.blocked(remote) {
		return holdfast.Login{}, &holdfast.FieldError{Field: "current", Problem: tooMany{failureEvery}.Error()}
	}
	login, err := s.c.ChangePassword(ctx, session, current, password)
	if wrong, ok := errors.AsType[*holdfast.FieldError](err); ok && wrong.Field == "current" {
		s.logins.failed(remote)
	}
	return login, err
}

func (s *server) apiSessions(ctx context.Context, _ *struct{}) (*answer[Sessions], error) {
	session := sessionOf(ctx)
	if session == "" {
		return &answer[Sessions]{Sessions{[]holdfast.Session{}}}, nil
	}
	list, err := s.c.Sessions(ctx, session)
	if err != nil {
		return nil, err
	}
	return &answer[Sessions]{Sessions{list}}, nil
}

func (s *server) apiEndSessions(ctx context.Context, in *struct{ Origin }) (*cookieOnly, error) {
	if session := sessionOf(ctx); session != "" {
		if err := s.c.EndSessions(ctx, session, ""); err != nil {
			return nil, err
		}
	}
	return s.noCookie(in.secure), nil
}

func (s *server) apiEndOneSession(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"64" example:"fedcba9876543210" doc:"as the list names it"`
}) (*struct{}, error) {
	session := sessionOf(ctx)
	if session == "" {
		return nil, notFound("path.id", "session", in.ID)
	}
	if err := s.c.EndSessions(ctx, session, in.ID); err != nil {
		return nil, accessProblem("session", "path.id", err)
	}
	return nil, nil
}

// accessProblem is the problem an error about users, sessions, tokens and badges
// is answered with. Others are ours and come back as they are.
func accessProblem(thing, place string, err error) error {
	switch {
	case errors.Is(err, holdfast.ErrUnknown):
		return refuse(http.StatusNotFound, place, "there is no such %s", thing)
	case errors.Is(err, holdfast.ErrBusy):
		return refuse(http.StatusServiceUnavailable, "server", "%s", holdfast.ErrBusy)
	case errors.Is(err, holdfast.ErrInvalid):
		return invalid(thing, err)
	}
	return err
}
