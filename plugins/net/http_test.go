package net_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	probes "github.com/holdfast-monitor/holdfast/plugins/net"
)

// website serves what the probe is tried on.
func website(t *testing.T) string {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "status: ready\nversion: 7\n")
	})
	mux.HandleFunc("/agent", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Method, " ", r.UserAgent(), " ", len(r.Cookies()))
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) { <-time.After(20 * time.Millisecond) })
	mux.HandleFunc("/down", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) })
	mux.HandleFunc("/empty", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/hop/{n}", func(w http.ResponseWriter, r *http.Request) {
		if n := r.PathValue("n"); n != "0" {
			http.Redirect(w, r, fmt.Sprintf("/hop/%d?token=secret", n[0]-'1'), http.StatusFound)
			return
		}
		io.WriteString(w, "arrived")
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Query().Get("url"))
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		page := bytes.Repeat([]byte("x"), 64<<10)
		for {
			if _, err := w.Write(page); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/late", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/short", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "cut")
	})
	mux.HandleFunc("/header", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 100<<10))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestHTTP(t *testing.T) {
	site := website(t)
	for _, c := range []struct {
		path    string
		pairs   []any
		outcome holdfast.Outcome
		reason  holdfast.Reason
		words   []string
	}{
		{"/ok", nil, holdfast.OK, "", []string{"status 200"}},
		{"/ok", []any{"body", "ready"}, holdfast.OK, "", nil},
		{"/ok", []any{"body", `(?m)^version: [0-9]+$`}, holdfast.OK, "", nil},
		{"/ok", []any{"body", "broken"}, holdfast.Failed, holdfast.Assertion, []string{"status 200", `matches "broken"`}},
		{"/agent", []any{"body", "^GET holdfast 0$"}, holdfast.OK, "", nil},
		{"/empty", nil, holdfast.OK, "", []string{"status 204"}},
		{"/empty", []any{"status", 200}, holdfast.Failed, holdfast.Assertion, []string{"status 204, want [200]"}},
		{"/down", nil, holdfast.Failed, holdfast.Assertion, []string{"status 503, want 2xx"}},
		{"/down", []any{"status", []int{200, 503}}, holdfast.OK, "", nil},
		{"/slow", []any{"latency", "1ms"}, holdfast.OutcomeDegraded, holdfast.Timeout, []string{"the path needs 1ms"}},
		{"/ok", []any{"latency", "1m"}, holdfast.OK, "", nil},
		{"/hop/1", nil, holdfast.Failed, holdfast.Assertion, []string{"status 302, want 2xx"}},
		{"/hop/1", []any{"status", 302}, holdfast.OK, "", nil},
		{"/hop/1", []any{"redirects", 1, "body", "arrived"}, holdfast.OK, "", nil},
		{"/hop/5", []any{"redirects", 5}, holdfast.OK, "", nil},
		{"/hop/3", []any{"redirects", 2}, holdfast.Failed, holdfast.Assertion, []string{"more than 2 times", "/hop/0"}},
		{"/loop", []any{"redirects", 5}, holdfast.Failed, holdfast.Assertion, []string{"more than 5 times"}},
		{"/to?url=https://127.0.0.1:1/", []any{"redirects", 5}, holdfast.Failed, holdfast.Assertion, []string{"another scheme: https://127.0.0.1:1/"}},
		{"/to?url=file:///etc/passwd", []any{"redirects", 5}, holdfast.Failed, holdfast.Assertion, []string{"another scheme"}},
		{"/endless", nil, holdfast.OK, "", nil},
		{"/endless", []any{"body", "y"}, holdfast.Failed, holdfast.Assertion, []string{"first 1MiB"}},
		{"/short", nil, holdfast.Failed, holdfast.Unreachable, []string{"status 200, and after 3 bytes"}},
		{"/header", nil, holdfast.Failed, holdfast.Assertion, []string{"headers exceeded"}},
	} {
		o := observe(t, "net.http", append(c.pairs, "url", site+c.path)...)
		wantOutcome(t, o, c.outcome, c.reason, c.words...)
	}
}

func TestHTTPFacts(t *testing.T) {
	site := website(t)
	o := observe(t, "net.http", "url", site+"/hop/2?token=secret", "redirects", 5)
	if got, want := o.Facts["final_url"], site+"/hop/0"; got != want {
		t.Errorf("final_url: got %q, want %q", got, want)
	}
	if got := measure(t, o, "body_bytes"); got != float64(len("arrived")) {
		t.Errorf("body_bytes: got %v, want 7", got)
	}
	if got := measure(t, o, "latency_seconds"); got <= 0 {
		t.Errorf("latency_seconds: got %v, want more than 0", got)
	}
	o = observe(t, "net.http", "url", site+"/hop/2")
	if got, want := o.Facts["location"], site+"/hop/1"; got != want || o.Facts["status"] != "302" {
		t.Errorf("facts: got %v, want location %q and status 302", o.Facts, want)
	}
	if strings.Contains(fmt.Sprint(o), "secret") {
		t.Errorf("%v shows a token", o)
	}
}

// TestHTTPSilent: each of these keeps a client that waits politely for ever.
func TestHTTPSilent(t *testing.T) {
	drip := serve(t, func(c net.Conn) {
		c.Read(make([]byte, 4096)) // who speaks first is not HTTP
		io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
			if _, err := io.WriteString(c, "X-Drip: 1\r\n"); err != nil {
				return
			}
		}
	})
	for what, url := range map[string]string{
		"nothing": "http://" + silent(t), "no TLS": "https://" + silent(t),
		"a header line at a time": "http://" + drip, "no body": website(t) + "/late",
	} {
		o := observeBriefly(t, "net.http", "url", url)
		if o.Reason != holdfast.Timeout {
			t.Errorf("%s: got reason %q (%s), want timeout", what, o.Reason, o.Summary)
		}
		wantOutcome(t, o, holdfast.Failed, holdfast.Timeout, "does not answer in time")
	}
}

func TestHTTPBroken(t *testing.T) {
	wantOutcome(t, observe(t, "net.http", "url", "http://"+closed(t)), holdfast.Failed, holdfast.Unreachable, "connection refused")
	chat := serve(t, func(c net.Conn) {
		c.Read(make([]byte, 4096))
		io.WriteString(c, "500 what?\r\n")
	})
	wantOutcome(t, observe(t, "net.http", "url", "http://"+chat), holdfast.Failed, holdfast.Assertion, "malformed HTTP")
	mail := serve(t, func(c net.Conn) { io.WriteString(c, "220 mail.example ESMTP\r\n") })
	wantOutcome(t, observe(t, "net.http", "url", "http://"+mail), holdfast.Failed, holdfast.Assertion) // its words depend on who is first
	hangsUp := serve(t, func(c net.Conn) {
		c.Read(make([]byte, 1))
		c.Close()
	})
	wantOutcome(t, observe(t, "net.http", "url", "http://"+hangsUp), holdfast.Failed, holdfast.Unreachable)
	wantOutcome(t, observe(t, "net.http", "url", strings.Replace(website(t), "http", "https", 1)), holdfast.Failed, holdfast.Assertion, "HTTP response to HTTPS client")
}

func TestHTTPS(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	ca := newAuthority(t, "Test CA", now.Add(1000*hour))
	start := func(name string, until time.Time) string {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, name, now.Add(-10*hour), until)}}
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.URL
	}
	good := start("127.0.0.1", now.Add(hour))
	o := observe(t, "net.http", "url", good, "ca_file", ca.file, "status", 404)
	wantOutcome(t, o, holdfast.OK, "")
	if !o.Expiry.Equal(now.Add(hour)) || o.Facts["protocol"] != "TLS 1.3" {
		t.Errorf("expiry %v and facts %v, want %v and TLS 1.3", o.Expiry, o.Facts, now.Add(hour))
	}
	wantOutcome(t, observe(t, "net.http", "url", good), holdfast.Failed, holdfast.Assertion, "does not trust")
	wantOutcome(t, observe(t, "net.http", "url", start("pay.example", now.Add(hour)), "ca_file", ca.file), holdfast.Failed, holdfast.Assertion, "is for pay.example, not for 127.0.0.1")
	o = observe(t, "net.http", "url", start("127.0.0.1", now.Add(-hour)), "ca_file", ca.file)
	wantOutcome(t, o, holdfast.Failed, holdfast.Assertion, "expired on")
	if !o.Expiry.Equal(now.Add(-hour)) {
		t.Errorf("expiry: got %v, want %v", o.Expiry, now.Add(-hour))
	}
}

// TestHTTPNoProxy checks that a proxy of the environment is not used.
func TestHTTPNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	wantOutcome(t, observe(t, "net.http", "url", website(t)+"/ok"), holdfast.OK, "")
}

// TestHTTPHostile checks that what a server sends cannot spoil what is shown.
func TestHTTPHostile(t *testing.T) {
	hostile := serve(t, func(c net.Conn) {
		c.Read(make([]byte, 4096))
		io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: http://x/\x1b]0;owned\x07"+strings.Repeat("%41", 5000)+"\r\nContent-Length: 0\r\n\r\n")
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o, err := find(t, probes.Probes(), "net.http").Observe(ctx, request(t, "url", "http://"+hostile, "redirects", 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
	if strings.ContainsAny(fmt.Sprint(o), "\x1b\x07") {
		t.Errorf("control characters in %q", fmt.Sprint(o))
	}
}
