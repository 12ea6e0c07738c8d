package web_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-monitor/holdfast/collector/web"
)

func TestLogin(t *testing.T) {
	h := handler(t, newEstate(t, at(noon)))
	if got := text(t, ask(t, h, "", "GET", "/login?key=manager&to=/agents", "")); !strings.Contains(got, `name="key" value="manager"`) || !strings.Contains(got, `method="post"`) {
		t.Error("the page of a link holds no form that posts its key")
	}
	form := url.Values{"key": {"manager"}, "to": {"/services/shop?x=1"}}.Encode()
	resp := ask(t, h, "", "POST", "/login", form, "Content-Type", "application/x-www-form-urlencoded")
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/services/shop?x=1" {
		t.Fatalf("got %d to %q, want 303 to where it began", resp.StatusCode, resp.Header.Get("Location"))
	}
	cookie := resp.Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.MaxAge <= 0 {
		t.Errorf("cookie %v: want HttpOnly, SameSite=Lax and an end", cookie)
	}
	session := cookie.Name + "=" + cookie.Value
	if got := ask(t, h, "", "GET", "/", "", "Cookie", session).StatusCode; got != http.StatusOK {
		t.Errorf("with the session: got %d, want 200", got)
	}
	if got := ask(t, h, "", "POST", "/logout", "", "Cookie", session).StatusCode; got != http.StatusSeeOther {
		t.Errorf("log out: got %d, want 303", got)
	}
	if got := ask(t, h, "", "GET", "/", "", "Cookie", session).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("after logging out: got %d, want 401", got)
	}
	people := ask(t, h, "", "GET", "/agents?x=%20y", "", "Accept", "text/html")
	if got := people.Header.Get("Location"); got != "/login?to=%2Fagents%3Fx%3D%2520y" {
		t.Errorf("people without a session go to %q, want the login page", got)
	}
}

func TestRedirectStaysHere(t *testing.T) {
	h := handler(t, newEstate(t, at(noon)))
	for _, to := range []string{"https://evil.example/", "//evil.example/", `/\evil.example`, `\\evil.example`, "javascript:alert(1)", "/%2F/evil.example", "", "evil"} {
		resp := ask(t, h, "", "POST", "/login", url.Values{"key": {"viewer"}, "to": {to}}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
		u, err := url.Parse(resp.Header.Get("Location"))
		if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(resp.Header.Get("Location"), "/") || strings.HasPrefix(resp.Header.Get("Location"), "//") {
			t.Errorf("to %q: redirected to %q", to, resp.Header.Get("Location"))
		}
	}
}

func TestGuessingIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := handler(t, newEstate(t, at(noon)))
		try := func(from, key string) int {
			r := httptest.NewRequest("POST", "/login", strings.NewReader("key="+key))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.RemoteAddr = from
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code
		}
		for i := range 10 {
			if got := try("[2001:db8::1]:9", "wrong"); got != http.StatusForbidden {
				t.Fatalf("try %d: got %d, want 403", i+1, got)
			}
		}
		if got := try("[2001:db8::2]:9", "viewer"); got != http.StatusTooManyRequests {
			t.Errorf("another address of the same network after 10 failures: got %d, want 429", got)
		}
		if got := try("192.0.2.1:9", "viewer"); got != http.StatusSeeOther {
			t.Errorf("somebody else: got %d, want 303", got)
		}
		<-time.After(11 * time.Second) // of the bubble's clock
		if got := try("[2001:db8::1]:9", "viewer"); got != http.StatusSeeOther {
			t.Errorf("after a while: got %d, want 303", got)
		}
	})
}

func TestOtherSitesAreRefused(t *testing.T) {
	h := handler(t, newEstate(t, at(noon)))
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		resp := ask(t, h, "admin", "POST", "/api/v1/checks/run", `{"check":"payments/ledger/offsite"}`, append(header, "Content-Type", "application/json")...)
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%v: got %d, want 403", header, resp.StatusCode)
		}
	}
}

// TestNamesOnLoopback: a name that somebody pointed at 127.0.0.1 opens nothing.
func TestNamesOnLoopback(t *testing.T) {
	h, err := web.New(newEstate(t, at(noon)), "test", testLog(t), "holdfast.example.org")
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{
		"127.0.0.1:8480": 200, "localhost:8480": 200, "[::1]:8480": 200, "holdfast.example.org": 200, "Holdfast.Example.org:443": 200,
		"evil.example:8480": 421, "127.0.0.1.evil.example": 421, "": 421,
	} {
		r := httptest.NewRequest("GET", "/healthz", nil)
		r.Host = host
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8480})))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %q on loopback: got %d, want %d", host, w.Code, want)
		}
	}
	if got := ask(t, h, "", "GET", "http://any.example/healthz", "").StatusCode; got != http.StatusOK {
		t.Errorf("on another address the certificate decides: got %d, want 200", got)
	}
}

// TestMetricsOnLoopback: Prometheus on this machine needs no token, a proxy on
// this machine speaks for others.
func TestMetricsOnLoopback(t *testing.T) {
	h := handler(t, newEstate(t, at(noon)))
	for _, c := range []struct {
		from, forwarded string
		want            int
	}{{"127.0.0.1:9", "", 200}, {"[::1]:9", "", 200}, {"127.0.0.1:9", "203.0.113.5", 401}, {"203.0.113.5:9", "", 401}} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.RemoteAddr = c.from
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("from %s for %q: got %d, want %d", c.from, c.forwarded, w.Code, c.want)
		}
	}
}

// TestEvents: every burst of changes is one notice, at most four a second, and a
// quiet stream is kept open; it ends with its reader.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t, at(noon))
		h := handler(t, e)
		ctx, cancel := context.WithCancel(t.Context())
		near, far := net.Pipe()
		done := make(chan bool)
		go func() {
			defer close(done)
			r := httptest.NewRequestWithContext(ctx, "GET", "/events", nil)
			r.Header.Set("Authorization", "Bearer viewer")
			h.ServeHTTP(&stream{near, http.Header{}}, r)
			near.Close()
		}()
		lines := make(chan string, 1000)
		go func() {
			defer close(lines)
			for s := bufio.NewScanner(far); s.Scan(); {
				if s.Text() != "" {
					lines <- s.Text()
				}
			}
		}()
		for _, want := range []string{"retry: 2000", `data: {"rev":2}`} {
			if got := <-lines; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		for range 100 { // a second of changes
			<-time.After(10 * time.Millisecond)
			e.judge()
		}
		<-time.After(time.Second)
		n := 0
		for last := ""; len(lines) > 0; n++ {
			if last = <-lines; len(lines) == 0 && last != `data: {"rev":102}` {
				t.Errorf("the last notice is %q, want the last revision", last)
			}
		}
		if n < 2 || n > 6 {
			t.Errorf("100 changes in a second gave %d notices, want about 4", n)
		}
		<-time.After(11 * time.Second)
		if got := <-lines; got != `data: {"rev":102}` {
			t.Errorf("quiet stream: got %q, want the revision once more", got)
		}
		cancel()
		<-done
		if len(e.ears) != 0 {
			t.Errorf("%d listeners stay behind", len(e.ears))
		}
		for range lines {
		}
	})
}

// stream is a response that is written straight to a pipe.
type stream struct {
	net.Conn
	header http.Header
}

func (s *stream) Header() http.Header { return s.header }
func (s *stream) WriteHeader(int)     {}
func (s *stream) Flush()              {}
