package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// alertmanager pushes alerts to one Alertmanager (API v2). Each peer of a cluster
// is a receiver of its own, as its documentation asks: peers do not pass alerts
// on, they only agree on who notifies.
type alertmanager struct {
	url    string // of /api/v2/alerts
	token  secret
	client *http.Client
}

// An Alertmanager forgets what it does not hear: alerts are said again every
// refresh, and count as ended alertmanagerHold after they were said last.
const (
	refresh          = time.Minute
	alertmanagerHold = 5 * refresh
)

// postedAlert is an alert as the API takes it.
type postedAlert struct {
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
}

// Send posts one alert.
func (s *alertmanager) Send(ctx context.Context, n Notice) error {
	return s.SendAll(ctx, []Notice{n})
}

// SendAll posts alerts.
func (s *alertmanager) SendAll(ctx context.Context, list []Notice) error {
	alerts, now := make([]postedAlert, len(list)), time.Now()
	for i, n := range list {
		alerts[i] = posted(n, now)
	}
	body, err := json.Marshal(alerts)
	if err != nil {
		return fmt.Errorf("%w: encode alerts: %w", ErrPermanent, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPermanent, plain(err))
	}
	req.Header.Set("Content-Type", "application/json")
	if s.token.file != "" {
		token, err := s.token.read()
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return do(s.client, req)
}

// posted is what Alertmanager is told. It knows an alert by its labels, so they
// hold nothing that changes while an alert lives, but for the severity, by which
// it routes: under a former severity an alert ends by itself, since nobody says it
// again. (Posting the others as ended would end them at once, and have people told
// of the end of what they never heard of.)
func posted(n Notice, now time.Time) postedAlert {
	p := postedAlert{StartsAt: n.Alert.Since, EndsAt: now, GeneratorURL: Link(n), Labels: labels(n), Annotations: annotations(n)}
	if p.StartsAt.IsZero() || p.StartsAt.After(now) {
		p.StartsAt = now
	}
	switch {
	case n.Test:
		p.EndsAt = now.Add(refresh)
	case n.Status == holdfast.AlertFiring:
		p.EndsAt = now.Add(alertmanagerHold)
	}
	return p
}

// labels identify an alert. The service is the one whose check shows it: the
// services it takes down come and go and stand in the annotations.
func labels(n Notice) map[string]string {
	a := n.Alert
	m := map[string]string{"alertname": alertName(a.Kind)}
	if n.Test {
		m["alertname"], m["severity"], m["route"] = "HoldfastTest", string(holdfast.Info), n.Route
		return m
	}
	service, _, found := strings.Cut(a.Check, "/")
	if !found || service == "plan" {
		service = ""
	}
	for name, v := range map[string]string{
		"kind": string(a.Kind), "severity": string(a.Severity), "cause": a.Cause, "service": service, "agent": a.Agent, "host": a.Host, "site": a.Site,
	} {
		if v = clip(v, 300); v != "" { // Alertmanager drops empty labels
			m[name] = v
		}
	}
	return m
}

func annotations(n Notice) map[string]string {
	m := map[string]string{"summary": clip(n.Alert.What, maxLine), "description": Text(n)}
	for name, v := range map[string]string{
		"effect": clip(n.Alert.Effect, maxLine), "next_step": clip(n.Alert.Next, maxLine), "link": Link(n),
		"services": names(n.Alert.Services), "owners": names(n.Alert.Owners),
	} {
		if v != "" {
			m[name] = v
		}
	}
	if n.Test {
		m["summary"] = Subject(n)
	}
	return m
}

// alertName writes a kind as Prometheus people name alerts: rpo-breached becomes
// HoldfastRpoBreached.
func alertName(k holdfast.AlertKind) string {
	name := "Holdfast"
	for part := range strings.SplitSeq(string(k), "-") {
		if part != "" {
			name += strings.ToUpper(part[:1]) + part[1:]
		}
	}
	return name
}
