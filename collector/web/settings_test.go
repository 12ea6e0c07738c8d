package web_test

import (
	"bufio"
	"context"
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/html"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const typed = "application/x-www-form-urlencoded"

// post sends a form as somebody with a session.
func post(t *testing.T, h http.Handler, session, target string, form url.Values) *http.Response {
	t.Helper()
	return ask(t, h, "", "POST", target, form.Encode(), "Content-Type", typed, "Cookie", "holdfast_session="+session)
}

// Name and password, with and without fault: the page says the same whether the
// user exists or not, and keeps what was typed but the password.
func TestPasswordPage(t *testing.T) {
	e := newEstate(t, at(noon))
	h := handler(t, e)
	pages := map[string]string{}
	for what, form := range map[string]url.Values{
		"wrong password": {"name": {"ada"}, "password": {"secret-wrong"}}, "nobody": {"name": {"eve"}, "password": {"secret-wrong"}},
		"disabled": {"name": {"bob"}, "password": {"correct horse battery"}}, "nothing": {},
	} {
		resp := ask(t, h, "", "POST", "/login", form.Encode(), "Content-Type", typed)
		body := text(t, resp)
		if resp.StatusCode != http.StatusForbidden || len(resp.Cookies()) != 0 || strings.Contains(body, "secret-wrong") || strings.Contains(body, "horse") {
			t.Errorf("%s: got %d, cookies %v", what, resp.StatusCode, resp.Cookies())
		}
		pages[what] = strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(body, `"ada"`, `"X"`), `"eve"`, `"X"`), `"bob"`, `"X"`)
	}
	if pages["wrong password"] != pages["nobody"] || pages["disabled"] != pages["nobody"] {
		t.Error("the page tells whether a user exists")
	}
	resp := ask(t, h, "", "POST", "/login", url.Values{"name": {"ada"}, "password": {"correct horse battery"}, "to": {"/agents"}}.Encode(), "Content-Type", typed)
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/agents" || resp.Cookies()[0].Value != "USER:ada" || resp.Cookies()[0].Secure {
		t.Errorf("got %d to %s with %v", resp.StatusCode, resp.Header.Get("Location"), resp.Cookies())
	}
	e.doors.url = "https://holdfast.example.org"
	form := url.Values{"name": {"ada"}, "password": {"correct horse battery"}}.Encode()
	for target, secure := range map[string]bool{"https://holdfast.example.org/login": true, "http://holdfast.example.org/login": true, "http://127.0.0.1:8480/login": false} {
		resp := ask(t, h, "", "POST", target, form, "Content-Type", typed)
		if c := resp.Cookies(); len(c) != 1 || c[0].Secure != secure || !c[0].HttpOnly || c[0].SameSite != http.SameSiteLaxMode {
			t.Errorf("%s: cookies %v, want Secure %v", target, c, secure)
		}
	}
	if got := ask(t, h, "", "POST", "/login", "name=busy&password=x", "Content-Type", typed); got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("busy: got %d", got.StatusCode)
	}
}

// Guessing one name from many addresses is slow; its owner, at home, does not wait.
func TestGuessingANameIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t, at(noon))
		h := handler(t, e)
		n := 0
		try := func(from, password string) int {
			r := httptest.NewRequest("POST", "/login", strings.NewReader(url.Values{"name": {"Ada "}, "password": {password}}.Encode()))
			r.Header.Set("Content-Type", typed)
			if n++; from == "" {
				from = fmt.Sprintf("203.0.%d.%d:9", n/250, n%250)
			}
			r.RemoteAddr = from
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code
		}
		e.doors.users["Ada "], e.doors.passwords["Ada "] = holdfast.User{Name: "ada", Role: holdfast.Viewer}, "right"
		if got := try("192.0.2.1:9", "right"); got != http.StatusSeeOther {
			t.Fatalf("at home: got %d", got)
		}
		refused := 0
		for range 100 {
			if try("", "wrong") == http.StatusTooManyRequests {
				refused++
			}
		}
		if refused != 94 {
			t.Errorf("of 100 guesses from 100 addresses %d were not even tried, want 94", refused)
		}
		if got := try("198.51.100.1:9", "right"); got != http.StatusTooManyRequests {
			t.Errorf("the right password from elsewhere: got %d, want 429", got)
		}
		if got := try("192.0.2.1:9", "right"); got != http.StatusSeeOther {
			t.Errorf("the owner at home: got %d, want 303", got)
		}
		tried := e.doors.asked
		for range 3600 { // guess for an hour, as fast as it goes
			try("", "wrong")
			<-time.After(time.Second)
		}
		if got := e.doors.asked - tried; got > 30 {
			t.Errorf("%d guesses an hour, want at most 30", got)
		}
		<-time.After(time.Hour + time.Second)
		if got := try("198.51.100.1:9", "right"); got != http.StatusSeeOther {
			t.Errorf("an hour after the last: got %d, want 303", got)
		}
	})
}

func TestOpenIDPages(t *testing.T) {
	e := newEstate(t, at(noon))
	h := handler(t, e)
	if body := text(t, ask(t, h, "", "GET", "/login", "")); strings.Contains(body, "/login/oidc") {
		t.Error("a button without a provider")
	}
	e.doors.provider = "Acme <b>"
	body := text(t, ask(t, h, "", "GET", "/login?to=/agents%3Fx%3D1", ""))
	if !strings.Contains(body, `href="/login/oidc/begin?to=%2Fagents%3Fx%3D1"`) || !strings.Contains(body, "Log in with Acme &lt;b&gt;") {
		t.Errorf("no button: %s", body)
	}
	resp := ask(t, h, "", "GET", "/login/oidc/begin?to=/agents", "")
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "https://login.example.org/auth?state=s" {
		t.Fatalf("got %d to %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	kept := resp.Cookies()[0]
	if !kept.HttpOnly || kept.SameSite != http.SameSiteLaxMode || kept.Path != "/login/oidc" || kept.MaxAge > 600 {
		t.Errorf("cookie %v", kept)
	}
	back := ask(t, h, "", "GET", "/login/oidc?state=s&code=c", "", "Cookie", kept.Name+"="+kept.Value)
	if back.StatusCode != http.StatusSeeOther || back.Header.Get("Location") != "/agents" {
		t.Fatalf("back: got %d to %s: %s", back.StatusCode, back.Header.Get("Location"), text(t, back))
	}
	for _, c := range back.Cookies() {
		if c.Name == kept.Name && c.MaxAge >= 0 || c.Name == "holdfast_session" && (c.Value != "manager" || c.MaxAge != 300) {
			t.Errorf("cookie %v: want the one kept deleted, and a session of five minutes", c)
		}
	}
	for what, c := range map[string]struct {
		target, cookie string
		err            error
		status         int
		say            string
	}{
		"no cookie":     {"/login/oidc?state=s&code=c", "", nil, 403, "not begun in this browser"},
		"other state":   {"/login/oidc?state=x&code=c", "a", nil, 403, "not begun in this browser"},
		"no role":       {"/login/oidc?state=s&code=c", "a", &holdfast.Refusal{Say: "Acme knows you as <i>."}, 403, "Acme knows you as &lt;i&gt;."},
		"provider down": {"/login/oidc/begin", "", fmt.Errorf("connection refused by 10.0.0.5"), 503, "cannot be reached now"},
		"a fault":       {"/login/oidc?state=s&code=c", "a", fmt.Errorf("signature of 10.0.0.5"), 503, "You cannot be logged in now"},
	} {
		e.doors.openID = c.err
		header := []string{}
		if c.cookie != "" {
			header = []string{"Cookie", kept.Name + "=" + kept.Value}
		}
		resp := ask(t, h, "", "GET", c.target, "", header...)
		body := text(t, resp)
		if resp.StatusCode != c.status || !strings.Contains(body, c.say) || strings.Contains(body, "10.0.0.5") {
			t.Errorf("%s: got %d, want %d …%s…: %s", what, resp.StatusCode, c.status, c.say, body)
		}
		for _, cookie := range resp.Cookies() {
			if cookie.Name == "holdfast_session" {
				t.Errorf("%s: a session was given", what)
			}
		}
	}
}

// What each role sees of the settings.
func TestSettingsByRole(t *testing.T) {
	h := handler(t, newEstate(t, at(noon)))
	sections := []string{"account", "sessions", "users", "tokens", "badges", "catalogue", "routes", "collector"}
	for role, want := range map[string]string{
		"viewer": "account sessions", "operator": "account sessions", "manager": "account sessions catalogue routes collector", "auditor": "account sessions catalogue routes collector",
		"admin": "account sessions users tokens badges catalogue routes collector",
	} {
		doc, err := html.Parse(ask(t, h, "", "GET", "/settings", "", "Cookie", "holdfast_session="+role).Body)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range sections {
			if len(find(doc, id(s))) > 0 {
				got = append(got, s)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s sees %v, want %s", role, got, want)
		}
	}
}

// The forms work without script: what is wrong comes back at its field with what
// was typed, what is right leads on.
func TestSettingsForms(t *testing.T) {
	e := newEstate(t, at(noon))
	h := handler(t, e)
	resp := post(t, h, "admin", "/settings/users", url.Values{"name": {"Not A Name"}, "role": {"auditor"}, "password": {"a few words in a row"}})
	body := text(t, resp)
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	field := one(t, one(t, doc, "form", id("f-users")), "name", func(n *html.Node) bool { return attr(n, "name") == "name" })
	if resp.StatusCode != http.StatusUnprocessableEntity || attr(field, "value") != "Not A Name" || attr(field, "aria-invalid") != "true" || words(one(t, doc, "problem", id(attr(field, "aria-describedby")))) == "" {
		t.Errorf("got %d, field %v", resp.StatusCode, field.Attr)
	}
	if strings.Contains(body, "a few words") || !strings.Contains(body, "<option selected>auditor") {
		t.Error("the password came back, or the role did not")
	}
	for _, c := range []struct{ target, form, next string }{
		{"users", "name=carla&role=viewer&password=a+few+words+in+a+row", "/settings?did=added#users"},
		{"users/change", "name=carla&do=role&role=operator&password=", "/settings?did=changed#users"},
		{"users/change", "name=carla&do=password&role=viewer&password=another+few+words", "/settings?did=changed#users"},
		{"users/change", "name=carla&do=disable", "/settings?did=changed#users"},
		{"users/change", "name=carla&do=enable", "/settings?did=changed#users"},
		{"users/change", "name=carla&do=remove", "/settings?did=removed#users"},
		{"tokens/revoke", "id=00aa11bb22cc33dd", "/settings?did=token#tokens"},
		{"badges/revoke", "id=44aa11bb22cc33dd", "/settings?did=badge#badges"},
		{"sessions/end", "id=fedcba9876543210", "/settings?did=session#sessions"},
		{"password", "current=correct+horse+battery&password=another+few+words&again=another+few+words", "/settings?did=password#account"},
		{"sessions/end", "id=all", "/login"},
	} {
		form, _ := url.ParseQuery(c.form)
		resp := post(t, h, "admin", "/settings/"+c.target, form)
		if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != c.next {
			t.Errorf("%s %s: got %d to %q, want %q: %.300s", c.target, c.form, resp.StatusCode, resp.Header.Get("Location"), c.next, text(t, resp))
		}
	}
	if got := ask(t, h, "", "GET", "/settings", "", "Cookie", "holdfast_session=admin").StatusCode; got != http.StatusUnauthorized {
		t.Errorf("after logging out everywhere: got %d, want 401", got)
	}
	for _, c := range []struct{ target, form, say string }{
		{"users/change", "name=nobody&do=remove", "not there any more"},
		{"users/change", "name=ada&do=nonsense", "press one of the buttons"},
		{"users/change", "name=ada&do=password&password=short", "at least 12"},
		{"password", "current=correct+horse+battery&password=another+few+words&again=other", "not the same"},
		{"password", "current=x&password=another+few+words&again=another+few+words", "not your password"},
		{"tokens", "name=x&role=viewer&life=soon", "like 90d"},
		{"badges", "service=nosuch", "no such service"},
	} {
		form, _ := url.ParseQuery(c.form)
		if resp := post(t, h, "USER:ada", "/settings/"+c.target, form); strings.HasPrefix(c.target, "password") {
			if body := text(t, resp); resp.StatusCode < 400 || !strings.Contains(strings.ToLower(body), c.say) {
				t.Errorf("%s %s: got %d: want …%s…", c.target, c.form, resp.StatusCode, c.say)
			}
		} else if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s as a manager: got %d, want 403", c.target, resp.StatusCode)
		}
		e.mu.Lock()
		e.doors.out = map[string]bool{}
		e.mu.Unlock()
		resp := post(t, h, "admin", "/settings/"+c.target, form)
		if body := text(t, resp); resp.StatusCode < 400 || !strings.Contains(strings.ToLower(body), strings.ToLower(c.say)) {
			t.Errorf("%s %s: got %d, want …%s…", c.target, c.form, resp.StatusCode, c.say)
		}
	}
}

// Nobody locks themselves out by a slip.
func TestNotOneself(t *testing.T) {
	e := newEstate(t, at(noon))
	e.doors.users["ada"] = holdfast.User{Name: "ada", Role: holdfast.Admin}
	h := handler(t, e)
	for _, do := range []string{"role", "disable", "remove", "password"} {
		resp := post(t, h, "USER:ada", "/settings/users/change", url.Values{"name": {"ada"}, "do": {do}, "role": {"viewer"}, "password": {"a few words in a row"}})
		if body := text(t, resp); resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, "This is yourself") {
			t.Errorf("%s: got %d, want 422", do, resp.StatusCode)
		}
	}
	for _, method := range []string{"PATCH", "DELETE"} {
		resp := ask(t, h, "", method, "/api/v1/users/ada", `{"role":"viewer"}`, "Content-Type", "application/json", "Cookie", "holdfast_session=USER:ada")
		if resp.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: got %d, want 422", method, resp.StatusCode)
		}
	}
	if u := e.doors.users["ada"]; u.Role != holdfast.Admin || !u.Disabled.IsZero() {
		t.Errorf("got %+v", u)
	}
}

// A secret is shown once: in the answer to the form that made it, which an open
// page does not read again.
func TestSecretOnce(t *testing.T) {
	h := handler(t, newEstate(t, at(noon)))
	for target, c := range map[string]struct{ form, secret string }{
		"/settings/tokens": {"name=ci&role=viewer&life=90d", "hft_shown-once"},
		"/settings/badges": {"service=payments", "http://127.0.0.1:8480/badge/hfb_payments.svg"},
	} {
		form, _ := url.ParseQuery(c.form)
		resp := post(t, h, "admin", target, form)
		if body := text(t, resp); resp.StatusCode != http.StatusCreated || !strings.Contains(body, c.secret) {
			t.Errorf("%s: got %d without the secret", target, resp.StatusCode)
		}
		if got := ask(t, h, "admin", "GET", target, "", "X-Fragment", "main").StatusCode; got != http.StatusNotModified {
			t.Errorf("%s read again by the script: got %d, want 304", target, got)
		}
		if body := text(t, ask(t, h, "admin", "GET", "/settings", "")); strings.Contains(body, c.secret) {
			t.Errorf("%s: the settings show it again", target)
		}
	}
}

// TestBadge: state and score, nothing else, to who has the key.
func TestBadge(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	h := handler(t, e)
	for i := range e.postures {
		p := e.postures[i]
		e.doors.badgeKeys["hfb_"+p.Name] = p.Name
		resp := ask(t, h, "", "GET", "/badge/hfb_"+p.Name+".svg", "")
		body := text(t, resp)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "image/svg+xml; charset=utf-8" || resp.Header.Get("Cache-Control") != "no-cache, max-age=60" {
			t.Fatalf("%s: got %d, %v", p.Name, resp.StatusCode, resp.Header)
		}
		if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "sandbox") || strings.Contains(policy, "self") {
			t.Errorf("policy %q", policy)
		}
		want := strings.ReplaceAll(string(p.State), "-", " ")
		if p.Score != nil {
			want = fmt.Sprintf("%s %d", want, *p.Score)
		}
		if !strings.Contains(body, `role="img" aria-label="Recovery: `+want+`"`) || !strings.Contains(body, ">"+want+"</text>") {
			t.Errorf("%s: badge does not say %q: %s", p.Name, want, body)
		}
		if strings.Contains(strings.ToLower(body), p.Name) || p.Title != "" && strings.Contains(body, p.Title) {
			t.Errorf("%s: the badge names its service: %s", p.Name, body)
		}
		if err := xml.Unmarshal([]byte(body), new(any)); err != nil {
			t.Errorf("%s: not well formed: %v", p.Name, err)
		}
	}
	e.doors.badgeKeys["hfb_gone"] = "a service that is no more"
	unknown := ask(t, h, "", "GET", "/badge/hfb_x.svg", "")
	body := text(t, unknown)
	for _, target := range []string{"/badge/hfb_gone.svg", "/badge/hfb_payments", "/badge/hfb_payments.png", "/badge/.svg"} {
		resp := ask(t, h, "admin", "GET", target, "")
		if got := text(t, resp); resp.StatusCode != http.StatusNotFound || got != body || fmt.Sprint(resp.Header) != fmt.Sprint(unknown.Header) {
			t.Errorf("%s: got %d %q, want what an unknown key gets", target, resp.StatusCode, got)
		}
	}
	limited := 0
	for range 300 {
		if ask(t, h, "", "GET", "/badge/hfb_x.svg", "").StatusCode == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited < 100 {
		t.Errorf("of 300 requests at once %d were too many, want most", limited)
	}
}

// TestHeadersEverywhere: whatever is asked for, by whom and how it ends, the
// answer loads nothing from elsewhere, runs nothing inline, is framed by nobody and
// kept by nobody.
func TestHeadersEverywhere(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, role := range []string{"", "viewer", "admin"} {
		h := handler(t, newEstate(t, at(noon)))
		for _, r := range routes {
			for _, header := range [][]string{{"Content-Type", "application/json"}, {"Content-Type", typed, "Sec-Fetch-Site", "cross-site"}, {"Accept", "text/html"}} {
				reader := h
				if strings.Contains(r.target, "events") { // goes on for as long as its reader
					reader = within(h, gone)
				}
				resp := ask(t, reader, role, r.method, r.target, r.body, header...)
				policy := resp.Header.Get("Content-Security-Policy")
				for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action "} {
					if !strings.Contains(policy, want) {
						t.Errorf("%s %s as %q: policy %q lacks %s", r.method, r.target, role, policy, want)
					}
				}
				if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "http") {
					t.Errorf("%s %s as %q: policy %q lets too much", r.method, r.target, role, policy)
				}
				if resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Referrer-Policy") == "" || resp.Header.Get("Cross-Origin-Opener-Policy") != "same-origin" {
					t.Errorf("%s %s as %q: headers %v", r.method, r.target, role, resp.Header)
				}
				if len(header) > 2 && r.method != "GET" && resp.StatusCode != http.StatusForbidden {
					t.Errorf("%s %s as %q from another site: got %d, want 403", r.method, r.target, role, resp.StatusCode)
				}
			}
		}
	}
}

// TestStreamEndsWithRights: an open event stream ends when its reader's rights do,
// at once, and goes on with others'.
func TestStreamEndsWithRights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t, at(noon))
		h := handler(t, e)
		done := map[string]chan bool{}
		for _, session := range []string{"USER:ada", "viewer"} {
			near, far := net.Pipe()
			ended := make(chan bool)
			done[session] = ended
			go func() {
				defer close(ended)
				r := httptest.NewRequest("GET", "/events", nil)
				r.Header.Set("Cookie", "holdfast_session="+session)
				h.ServeHTTP(&stream{near, http.Header{}}, r.WithContext(t.Context()))
				near.Close()
			}()
			go func() {
				for s := bufio.NewScanner(far); s.Scan(); {
				}
			}()
		}
		synctest.Wait()
		began := time.Now()
		yes := true
		if _, err := e.ChangeUser(t.Context(), "ada", holdfast.UserChange{Disabled: &yes}); err != nil {
			t.Fatal(err)
		}
		<-done["USER:ada"]
		if took := time.Since(began); took > 0 {
			t.Errorf("the stream of a disabled user ended after %s, want at once", took)
		}
		synctest.Wait()
		select {
		case <-done["viewer"]:
			t.Error("somebody else's stream ended")
		default:
		}
		e.Logout(t.Context(), "viewer")
		<-done["viewer"]
	})
}

// TestHostileAccounts: whatever stands in a name, a note or a browser's own words,
// it stays text.
func TestHostileAccounts(t *testing.T) {
	for name, bad := range hostile {
		t.Run(name, func(t *testing.T) {
			e := newEstate(t, at(noon))
			name := bad[:min(100, len(bad))] // no user has a longer one
			e.doors.users = map[string]holdfast.User{name: {Name: name, Role: holdfast.Viewer, Created: noon, Password: noon}}
			e.doors.tokens = []holdfast.Token{{ID: "0", Name: bad, Role: holdfast.Viewer, By: bad, Created: noon}}
			e.doors.badges = []holdfast.Badge{{ID: "0", Service: bad, By: bad, Created: noon}, {ID: "1", Service: "payments", By: bad, Created: noon}}
			e.doors.provider = bad
			e.doors.said = bad
			h := handler(t, e)
			for _, role := range []string{"admin", "auditor"} {
				resp := ask(t, h, "", "GET", "/settings?did="+escape(bad), "", "Cookie", "holdfast_session="+role)
				if resp.StatusCode != http.StatusOK {
					t.Fatalf("got %d", resp.StatusCode)
				}
				harmless(t, "/settings", text(t, resp))
			}
			if len(bad) > 10_000 {
				bad = bad[:10_000]
			}
			for _, target := range []string{"users", "users/change", "tokens", "badges", "password"} {
				form := url.Values{"name": {bad}, "role": {bad}, "life": {bad}, "service": {bad}, "do": {bad}, "current": {bad}, "password": {bad}, "again": {bad}, "id": {bad}}
				harmless(t, target, text(t, post(t, h, "admin", "/settings/"+target, form)))
			}
			harmless(t, "/login", text(t, ask(t, h, "", "POST", "/login", url.Values{"name": {bad}, "password": {bad}, "to": {bad}}.Encode(), "Content-Type", typed)))
		})
	}
}
