package net

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// web is the probe net.http.
type web struct{ dialer *net.Dialer }

type httpSettings struct {
	URL       string            `json:"url" jsonschema:"http or https address to fetch; without a user or password"`
	Status    statuses          `json:"status,omitzero" jsonschema:"status expected, or a list of them; any 2xx by default"`
	Body      string            `json:"body,omitempty" jsonschema:"regular expression (RE2) to be found in the first MiB of the body"`
	CAFile    string            `json:"ca_file,omitempty" jsonschema:"PEM file of the authorities to trust instead of the host's own"`
	Latency   holdfast.Duration `json:"latency,omitempty" jsonschema:"how long the whole answer may take, look-up and redirects included"`
	Redirects int               `json:"redirects,omitempty" jsonschema:"redirects to follow, at most 5 and never to another scheme; none by default"`
}

// Bounds of what is read of an answer.
const (
	bodyMax   = 1 << 20
	headerMax = 64 << 10
)

func (web) Describe() probe.Description {
	return probe.Description{
		Name:     "net.http",
		Observes: "Whether a web address answers with the status and body it should, and in time.",
		Settings: probe.Schema[httpSettings](),
		Cost:     holdfast.Cheap,
		Target:   []string{"url"},
		Reasons:  reachReasons(holdfast.Assertion, holdfast.Damaged),
	}
}

func (p web) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[httpSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	body, err := s.check()
	if err != nil {
		return probe.Observation{}, err
	}
	trusted, err := authorities(s.CAFile)
	if err != nil {
		return probe.Observation{}, err
	}
	client := p.client(trusted, s.Redirects)
	patience, cancel := probe.AnswerTime(ctx)
	defer cancel()
	var lookingUp atomic.Bool // the client does not tell a slow look-up from a slow answer
	traced := httptrace.WithClientTrace(patience, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { lookingUp.Store(true) },
		DNSDone:  func(done httptrace.DNSDoneInfo) { lookingUp.Store(done.Err != nil) },
	})
	request, err := http.NewRequestWithContext(traced, http.MethodGet, s.URL, nil)
	if err != nil {
		return probe.Observation{}, fmt.Errorf("setting \"url\": %w", err)
	}
	request.Header.Set("User-Agent", "holdfast")
	what := shown(request.URL)
	start := time.Now()
	answer, err := client.Do(request)
	if err != nil {
		var failedAt *url.Error // holds the whole address, which may hold a secret
		if errors.As(err, &failedAt) {
			err = failedAt.Err
		}
		if timedOut(err) && lookingUp.Load() {
			return probe.Observation{}, probe.Unable(holdfast.Timeout, "look up the host of %s: %w", what, err)
		}
		if strings.Contains(err.Error(), "readLoopPeekFailLocked") { // net/http has no better name for it
			err = errors.New("it speaks before it is asked, which is not HTTP")
		}
		return fault(ctx, what, err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, bodyMax))
	o := s.observation(what, answer, body, content, time.Since(start))
	if err != nil && s.expects(answer.StatusCode) {
		what = fmt.Sprintf("%s: status %d, and after %d bytes of the body", what, answer.StatusCode, len(content))
		if o, err = fault(ctx, what, err); err != nil {
			return o, err
		}
	}
	addAnswer(&o, answer)
	return o, nil
}

// check reads what the schema cannot say; it returns the expression for the
// body, nil without one.
func (s httpSettings) check() (*regexp.Regexp, error) {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil:
		return nil, errors.New(`setting "url": not an address: write it like https://pay.example/health`)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, fmt.Errorf("setting \"url\": %q is not an http or https address: write it like https://pay.example/health", shown(u))
	case u.User != nil:
		return nil, errors.New(`setting "url": holds a user or password: the catalogue keeps no secrets`)
	case s.Redirects < 0 || s.Redirects > 5:
		return nil, fmt.Errorf("setting \"redirects\": %d is not between 0 and 5", s.Redirects)
	case s.Latency < 0:
		return nil, errors.New(`setting "latency": cannot be below 0`)
	case slices.ContainsFunc(s.Status.list, func(code int) bool { return code < 100 || code > 599 }):
		return nil, fmt.Errorf("setting \"status\": %v has one that is not between 100 and 599", s.Status.list)
	case s.Body == "":
		return nil, nil
	}
	body, err := regexp.Compile(s.Body)
	if err != nil {
		return nil, fmt.Errorf("setting \"body\": %w", err)
	}
	return body, nil
}

// client makes one that is used once: no proxy, no kept connection, no cookie.
func (p web) client(trusted *x509.CertPool, redirects int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            p.dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true,
			DisableCompression:     true, // what is not unpacked cannot blow up
			MaxResponseHeaderBytes: headerMax,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(next *http.Request, before []*http.Request) error {
			switch {
			case redirects == 0:
				return http.ErrUseLastResponse
			case len(before) > redirects:
				return fmt.Errorf("redirected more than %d times, last to %s", redirects, shown(next.URL))
			case next.URL.Scheme != before[0].URL.Scheme:
				return fmt.Errorf("redirected to another scheme: %s", shown(next.URL))
			}
			next.URL.User = nil // a password from the network is not ours to use
			return nil
		},
	}
}

func (s httpSettings) expects(status int) bool {
	if len(s.Status.list) == 0 {
		return status/100 == 2
	}
	return slices.Contains(s.Status.list, status)
}

func (s httpSettings) observation(what string, answer *http.Response, body *regexp.Regexp, content []byte, took time.Duration) probe.Observation {
	o := probe.OK("%s: status %d after %v", what, answer.StatusCode, took.Round(time.Millisecond))
	switch {
	case !s.expects(answer.StatusCode) && len(s.Status.list) == 0:
		o = probe.Failed(holdfast.Assertion, "%s: status %d, want 2xx", what, answer.StatusCode)
	case !s.expects(answer.StatusCode):
		o = probe.Failed(holdfast.Assertion, "%s: status %d, want %v", what, answer.StatusCode, s.Status.list)
	case body != nil && !body.Match(content):
		o = probe.Failed(holdfast.Assertion, "%s: status %d, and nothing in the first %v of the body matches %q", what, answer.StatusCode, holdfast.Bytes(len(content)), s.Body)
	case s.Latency > 0 && took > s.Latency.Std():
		o.Outcome, o.Reason = holdfast.OutcomeDegraded, holdfast.Timeout
		o.Summary = probe.OneLine(fmt.Sprintf("%s: complete after %v, the path needs %v", what, took.Round(time.Millisecond), s.Latency))
	}
	o.Measures = []holdfast.Measure{
		{Name: "latency_seconds", Value: took.Seconds(), Unit: "seconds"},
		{Name: "body_bytes", Value: float64(len(content)), Unit: "bytes"},
	}
	return o
}

// addAnswer notes what the answer was, whatever came of it.
func addAnswer(o *probe.Observation, answer *http.Response) {
	if answer.TLS != nil {
		addSession(o, answer.TLS)
	}
	if o.Facts == nil {
		o.Facts = map[string]string{}
	}
	o.Facts["status"] = fmt.Sprint(answer.StatusCode)
	o.Facts["final_url"] = shown(answer.Request.URL)
	if to, err := answer.Location(); err == nil {
		o.Facts["location"] = shown(to)
	}
}

// shown is an address as it may be shown: what may be a secret is left out.
func shown(u *url.URL) string {
	return probe.OneLine((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
}
