package alert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/discord"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/googlechat"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/slack"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/teams"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/incident/opsgenie"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/incident/pagerduty"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/pushover"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// chatService is a service of the chat library that may be used: one whose host is
// the service's own, since the library dials with its own clients.
type chatService struct {
	make  func() types.Service
	hosts []string // what the host of a service URL may be, the default first; nil: it means something else
	host  string   // where notices go, for people
	// params says a notice in the service's own words, beside the text.
	params func(n Notice) types.Params
}

// chatServices are those of fixed hosts, by the scheme of their service URLs.
//
// Telegram is left out: the library takes an answer it cannot read, and no answer
// at all, for a delivery (telegram.Client.SendMessage in v0.13.2).
var chatServices = map[string]chatService{
	"slack":   {func() types.Service { return &slack.Service{} }, nil, "slack.com", titled},
	"discord": {func() types.Service { return &discord.Service{} }, nil, "discord.com", titled},
	"teams":   {func() types.Service { return &teams.Service{} }, nil, "webhook.office.com", titled}, // the library holds it to that domain
	"googlechat": {func() types.Service { return &googlechat.Service{} }, []string{"chat.googleapis.com"}, "chat.googleapis.com",
		func(Notice) types.Params { return types.Params{} }},
	"pushover": {func() types.Service { return &pushover.Service{} }, nil, "api.pushover.net", titled},
	"pagerduty": {func() types.Service { return &pagerduty.Service{} }, []string{"events.pagerduty.com", "events.eu.pagerduty.com"},
		"events.pagerduty.com", pagerdutyParams},
	"opsgenie": {func() types.Service { return &opsgenie.Service{} }, []string{"api.opsgenie.com", "api.eu.opsgenie.com"},
		"api.opsgenie.com", opsgenieParams},
}

func titled(n Notice) types.Params { return types.Params{"title": unmarked.Replace(Subject(n))} }

// pagerdutyParams keeps one incident per alert and ends it with the alert
// (Events API v2).
func pagerdutyParams(n Notice) types.Params {
	p := types.Params{"dedup_key": "holdfast-" + n.Alert.ID, "action": "trigger", "severity": "info", "source": "holdfast", "client": "Holdfast", "client_url": Link(n)}
	if n.Alert.Cause != "" {
		p["source"] = clip(n.Alert.Cause, 200)
	}
	if n.Alert.Severity == holdfast.Critical || n.Alert.Severity == holdfast.Warning {
		p["severity"] = string(n.Alert.Severity)
	}
	if n.Status == holdfast.AlertResolved {
		p["action"] = "resolve"
	}
	if n.Test {
		p["dedup_key"] = "holdfast-test-" + n.ID
	}
	return p
}

// opsgenieParams keeps one alert per alert. The library cannot close one: that it
// ended comes as another, of the lowest priority.
func opsgenieParams(n Notice) types.Params {
	p := types.Params{"title": clip(Subject(n), 129), "alias": "holdfast-" + n.Alert.ID, "source": "Holdfast", "priority": "P5"}
	switch {
	case n.Test:
		p["alias"] = "holdfast-test-" + n.ID
	case n.Status == holdfast.AlertResolved:
		p["alias"] += "-resolved"
	case n.Alert.Severity == holdfast.Critical:
		p["priority"] = "P1"
	case n.Alert.Severity == holdfast.Warning:
		p["priority"] = "P3"
	}
	return p
}

// chat sends notices to a chat or paging service.
type chat struct {
	url secret // the service URL: it holds the service's credentials
	// busy holds one entry while the library sends: its calls take no context, so
	// one that hangs is left to itself, and the next waits for it.
	busy chan struct{}
}

func newChat(url secret) *chat { return &chat{url: url, busy: make(chan struct{}, 1)} }

// Send hands the notice to the library.
func (s *chat) Send(ctx context.Context, n Notice) error {
	text, err := s.url.read()
	if err != nil {
		return err
	}
	service, at, err := chatURL(text)
	if err != nil {
		return fmt.Errorf("%w: service URL in %s: %w", ErrPermanent, s.url.file, err)
	}
	sender := service.make()
	if err := sender.Initialize(at, silent()); err != nil {
		return fmt.Errorf("%w: service URL in %s: %s", ErrPermanent, s.url.file, masked(err, at))
	}
	ctx, cancel := context.WithTimeout(ctx, 2*deliveryTime)
	defer cancel()
	select {
	case s.busy <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%s: still busy with the notice before: %w", at.Scheme, ctx.Err())
	}
	if d, ok := sender.(*discord.Service); ok {
		d.HTTPClient, d.Sleeper = &single{ctx: ctx}, awake{}
	}
	done := make(chan error, 1)
	go func() { // ends when the library's call does; busy keeps it the only one
		defer func() { <-s.busy }()
		params := service.params(n)
		done <- sender.Send(chatText(n, at.Scheme), &params)
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s: %s", at.Scheme, masked(err, at))
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: no answer: %w", at.Scheme, ctx.Err())
	}
}

// single lets the Discord client ask once: the library would try again for a long
// time, and what tries again here is the outbox.
type single struct {
	ctx  context.Context
	said error // the outcome of the one request; nil: none was made
}

// Do sends the first request.
func (s *single) Do(req *http.Request) (*http.Response, error) {
	if s.said != nil {
		return nil, s.said
	}
	resp, err := http.DefaultClient.Do(req.WithContext(s.ctx))
	if err != nil {
		s.said = plain(err)
		return nil, s.said
	}
	s.said = fmt.Errorf("answered %s", resp.Status)
	return resp, nil
}

// awake does not sleep between tries that are not made.
type awake struct{}

// Sleep returns at once.
func (awake) Sleep(time.Duration) {}

// silent takes the library's own log: errors come back from its calls.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }

// chatText says a notice without what chats act on. Where the service shows no
// title of its own, or a summary alone, the text opens with the subject.
func chatText(n Notice, scheme string) string {
	body := strings.TrimSpace(text(n, unmarked.Replace))
	switch scheme {
	case "googlechat":
		return unmarked.Replace(Subject(n)) + "\n" + body
	case "pagerduty":
		return clip(Subject(n)+". "+n.Alert.Effect, 900)
	case "opsgenie":
		return clip(Text(n), 5000)
	}
	return body
}

// chatURL reads a service URL and refuses those that could lead anywhere.
func chatURL(text string) (chatService, *url.URL, error) {
	at, err := url.Parse(text)
	if err != nil || at.Scheme == "" {
		return chatService{}, nil, errors.New("is no service URL; write it like slack://hook:TOKEN@webhook")
	}
	scheme := strings.ToLower(at.Scheme)
	service, ok := chatServices[scheme]
	known := slices.Sorted(maps.Keys(chatServices))
	switch {
	case scheme == "smtp":
		return chatService{}, nil, errors.New("smtp is mail; use a receiver of type mail")
	case slices.Contains(anyHost, scheme):
		return chatService{}, nil, fmt.Errorf("%s leads to any host, past the check of addresses; use a receiver of type webhook", scheme)
	case strings.HasPrefix(scheme, "telegram"):
		return chatService{}, nil, errors.New("telegram is not supported: a notice that did not arrive could not be told from one that did")
	case !ok && holdfast.Nearest(scheme, known) != "":
		return chatService{}, nil, fmt.Errorf("service %q is not known; did you mean %q?", clip(scheme, 40), holdfast.Nearest(scheme, known))
	case !ok:
		return chatService{}, nil, fmt.Errorf("service %q is not known; known: %s", clip(scheme, 40), strings.Join(known, ", "))
	case service.hosts != nil && !slices.Contains(service.hosts, strings.ToLower(at.Hostname())) && at.Host != "", service.hosts != nil && at.Port() != "" && at.Port() != "443":
		return chatService{}, nil, fmt.Errorf("%s goes to its own host alone: %s", scheme, strings.Join(service.hosts, ", "))
	}
	at.Scheme = scheme
	if service.hosts != nil { // said in full: the library's defaults are not applied everywhere (PagerDuty, v0.13.2)
		at.Host = cmp.Or(at.Hostname(), service.hosts[0]) + ":443"
	}
	return service, at, nil
}

// anyHost are services of the library whose host the service URL names.
var anyHost = []string{
	"generic", "generic+http", "generic+https", "http", "https", "gotify", "ntfy", "matrix", "mattermost", "rocketchat",
	"bark", "zulip", "signal", "lark", "ifttt", "join", "notifiarr", "logger",
}

// masked writes an error of the library on one line, without any part of the
// service URL.
func masked(err error, at *url.URL) string {
	text := plain(err).Error()
	password, _ := at.User.Password()
	parts := []string{at.User.Username(), password, at.Hostname()}
	parts = append(parts, strings.Split(at.Path, "/")...)
	for _, values := range at.Query() {
		parts = append(parts, values...)
	}
	for _, p := range parts {
		for _, piece := range append(strings.FieldsFunc(p, func(r rune) bool { return r == ':' || r == '-' || r == ',' }), p) {
			if len(piece) >= 6 && !strings.HasSuffix(piece, ".com") {
				text = strings.ReplaceAll(text, piece, "***")
			}
		}
	}
	return clip(text, 300)
}
