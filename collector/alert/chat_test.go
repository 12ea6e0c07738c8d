package alert_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/alert"
)

// chats is a service URL of every service, the host it must ask, and an answer of
// that service that means it took the message.
var chats = map[string]struct{ url, host, answer string }{
	"slack":      {"slack://hook:WNA3PBYV6-F20DUQND3RQ-Webc4MAvoacrpPakR8phF0zi@webhook", "hooks.slack.com", "ok"},
	"discord":    {"discord://s3cr3tt0k3n-of-discord@123456789012345678", "discord.com", ""},
	"teams":      {"teams://11111111-4444-4444-8444-cccccccccccc@22222222-4444-4444-8444-cccccccccccc/33333333012222222222333333333344/44444444-4444-4444-8444-cccccccccccc/V2ESyij_gAljSoUQHvZoZYzlpAoAXExyOl26dlf1xHEx05?host=example.webhook.office.com", "example.webhook.office.com", "1"},
	"googlechat": {"googlechat://chat.googleapis.com/v1/spaces/AAAAAAAAAAA/messages?key=s3cr3tk3y&token=s3cr3tt0k3n", "chat.googleapis.com", "{}"},
	"pushover":   {"pushover://shoutrrr:s3cr3tt0k3napp1234567890abcdef@s3cr3tus3r1234567890abcdefgh", "api.pushover.net", "{}"},
	"pagerduty":  {"pagerduty:///eb243592faa24ba2a5511afdf565c889", "events.pagerduty.com", "{}"},
	"opsgenie":   {"opsgenie://api.opsgenie.com/eb243592-faa2-4ba2-a551q-1afdf565c889", "api.opsgenie.com", "{}"},
}

// internet leads every connection of the chat library, which dials with the
// default transport, to a server of the test.
type internet struct {
	status int
	answer string

	mu     sync.Mutex
	hosts  []string // guarded by mu
	bodies []string // guarded by mu
}

func (n *internet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	n.mu.Lock()
	n.hosts, n.bodies = append(n.hosts, r.Host), append(n.bodies, string(body))
	n.mu.Unlock()
	w.WriteHeader(n.status)
	io.WriteString(w, n.answer)
}

// switchboard is the default transport of the tests: it leads to where the test at
// hand says, else nowhere special.
type switchboard struct {
	mu sync.Mutex
	to http.RoundTripper // guarded by mu
}

func (s *switchboard) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	to := s.to
	s.mu.Unlock()
	return to.RoundTrip(r)
}

func (s *switchboard) lead(to http.RoundTripper) {
	s.mu.Lock()
	s.to = to
	s.mu.Unlock()
}

// plug puts the switchboard in once: a call that a test leaves behind may still
// read the default transport.
var plug = sync.OnceValues(func() (*switchboard, http.RoundTripper) {
	real := http.DefaultTransport
	s := &switchboard{to: real}
	http.DefaultTransport = s
	return s, real
})

// online puts the handler where the internet is until the test ends; nil: nothing
// answers.
func online(t *testing.T, h http.Handler) {
	t.Helper()
	board, real := plug()
	t.Cleanup(func() { board.lead(real) })
	if h == nil {
		board.lead(&http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("network is unreachable")
		}})
		return
	}
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	board.lead(transport)
}

func TestChatServices(t *testing.T) {
	for _, scheme := range alert.ChatSchemes() {
		c, known := chats[scheme]
		if !known {
			t.Errorf("this test does not know %s", scheme)
			continue
		}
		t.Run(scheme, func(t *testing.T) {
			to := receivers(t, "  c: {chat: {url_file: "+file(t, c.url)+"}}", "c")[0]
			n := damaged(holdfast.AlertFiring)
			n.Alert.What = "@everyone <!channel> `rm` [look](https://evil.example/x) **loud**"
			n.Alert.Effect, n.Alert.Next = n.Alert.What, n.Alert.What

			world := &internet{status: http.StatusOK, answer: c.answer}
			if scheme == "discord" {
				world.status = http.StatusNoContent
			}
			if scheme == "opsgenie" || scheme == "pagerduty" {
				world.status = http.StatusAccepted
			}
			online(t, world)
			send(t, to, n)
			if len(world.hosts) != 1 || strings.TrimSuffix(world.hosts[0], ":443") != c.host {
				t.Errorf("asked %q, want %s once", world.hosts, c.host)
			}
			body := strings.Join(world.bodies, "")
			if !strings.Contains(body, "everyone") || (scheme != "pagerduty" && !strings.Contains(strings.ReplaceAll(body, "%2F", "/"), "holdfast.example.org/services/payments")) {
				t.Errorf("body %s", body)
			}
			if scheme != "pagerduty" && scheme != "opsgenie" { // those show plain text
				for _, active := range []string{"@everyone", "<!", `\u003c!`, "](", "https://evil", "https%3A%2F%2Fevil", "**"} {
					if strings.Contains(body, active) {
						t.Errorf("the message holds %q: %s", active, body)
					}
				}
			}

			for name, h := range map[string]http.Handler{
				"unreachable": nil,
				"refuses":     &internet{status: http.StatusForbidden, answer: "no " + c.url},
				"broken":      &internet{status: http.StatusBadGateway, answer: "<html>"},
			} {
				online(t, h)
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
				err := to.Sender.Send(ctx, n)
				cancel()
				if err == nil {
					t.Errorf("%s: taken for delivered", name)
					continue
				}
				for _, secret := range []string{"s3cr3t", "Webc4MAvoacrpPakR8phF0zi", "V2ESyij", "eb243592"} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("%s: the error holds a secret: %v", name, err)
					}
				}
			}
		})
	}
}

func TestPagerDutyEndsItsIncident(t *testing.T) {
	to := receivers(t, "  c: {chat: {url_file: "+file(t, chats["pagerduty"].url)+"}}", "c")[0]
	world := &internet{status: http.StatusAccepted, answer: "{}"}
	online(t, world)
	send(t, to, damaged(holdfast.AlertFiring))
	send(t, to, damaged(holdfast.AlertResolved))
	for i, want := range []string{`"event_action":"trigger"`, `"event_action":"resolve"`} {
		if b := world.bodies[i]; !strings.Contains(b, want) || !strings.Contains(b, `"dedup_key":"holdfast-a1b2c3"`) {
			t.Errorf("event %d: %s, want %s", i, b, want)
		}
	}
}

// A call of the library that hangs costs its own notice alone, and never more than
// one goroutine.
func TestChatHangs(t *testing.T) {
	to := receivers(t, "  c: {chat: {url_file: "+file(t, chats["teams"].url)+"}}", "c")[0]
	release := make(chan struct{})
	online(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-release
	}))
	defer close(release)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := to.Sender.Send(ctx, damaged(holdfast.AlertFiring)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a deadline", err)
		}
		cancel()
	}
}

func TestChatRefused(t *testing.T) {
	for url, want := range map[string]string{
		"generic://127.0.0.1:8080/":                         "use a receiver of type webhook",
		"generic+https://evil.example/":                     "use a receiver of type webhook",
		"https://hooks.slack.com/services/A/B/C":            "use a receiver of type webhook",
		"gotify://push.example/AAAA":                        "use a receiver of type webhook",
		"ntfy://ntfy.sh/topic":                              "use a receiver of type webhook",
		"matrix://u:p@host":                                 "use a receiver of type webhook",
		"mattermost://host/token":                           "use a receiver of type webhook",
		"rocketchat://host/t/t":                             "use a receiver of type webhook",
		"MatterMost://host/token":                           "use a receiver of type webhook",
		"smtp://u:p@host:25/?from=a@b.c&to=d@e.f":           "use a receiver of type mail",
		"telegram://110201543:AAHdqTcvCH@telegram?chats=@c": "telegram is not supported",
		"slak://x":         `did you mean "slack"?`,
		"carrier://pigeon": "known: discord",
		"not a url":        "is no service URL",
		"pagerduty://127.0.0.1/eb243592faa24ba2a5511afdf565c889":                 "its own host alone",
		"pagerduty://events.pagerduty.com:8443/eb243592faa24ba2a5511afdf565c889": "its own host alone",
		"opsgenie://10.0.0.1/eb243592-faa2-4ba2-a551q-1afdf565c889":              "its own host alone",
		"googlechat://evil.example/v1/spaces/A/messages?key=k&token=t":           "its own host alone",
		"slack://hook:nonsense@webhook":                                          "does not take this service URL",
	} {
		_, err := alert.ParseRoutes("a.yaml", []byte("receivers: {c: {chat: {url_file: "+file(t, url)+"}}}\nroutes: [{name: r, to: [c]}]"))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "a.yaml:1:") {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}
