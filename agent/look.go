package agent

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// prober runs probes; *Plugins is one. Its methods may be called from several
// goroutines at once.
type prober interface {
	// Describe says what a probe is. An error says that nobody here provides it,
	// or that its plugin does not answer.
	Describe(ctx context.Context, name string) (holdfast.Description, error)
	// Observe runs a check's probe once. It returns soon after ctx is done, with
	// nothing of the probe left running. An error is "could not tell".
	Observe(ctx context.Context, check holdfast.Check, tools map[string]string) (holdfast.Observation, error)
}

// looker runs a check once: the host's policy first, then the probe.
type looker struct {
	policy      *Policy
	probes      prober
	credentials *credentials
	now         func() time.Time
	log         *slog.Logger

	mu        sync.Mutex // guards what follows
	described map[string]holdfast.Description
	refused   map[string]string // check → why
}

func newLooker(policy *Policy, probes prober, firstParty []holdfast.Description, now func() time.Time, log *slog.Logger) *looker {
	var own [32]byte
	rand.Read(own[:]) // never fails
	l := &looker{policy: policy, probes: probes, credentials: newCredentials(own), now: now, log: log,
		described: map[string]holdfast.Description{}, refused: map[string]string{}}
	for _, d := range firstParty {
		l.described[d.Name] = d
	}
	return l
}

// look runs a check and says what it saw; ok is false where the agent stopped
// before there was anything to say. Whatever goes wrong makes an observation too:
// unknown, and why.
func (l *looker) look(ctx context.Context, check holdfast.Check) (o holdfast.Observation, ok bool) {
	at := l.now()
	o, d, err := l.observe(ctx, check)
	if ctx.Err() == context.Canceled {
		return holdfast.Observation{}, false
	}
	if err == nil {
		if o, err = tidy(o); err == nil {
			o.Credential = l.credentials.of(check, d)
		}
	}
	if err != nil {
		o = unable(ctx, check, err)
	}
	o.At, o.Check = at.UTC().Round(0), check.ID
	return o, true
}

// observe runs the check's probe and says what it is; it is nothing where the policy
// forbids it.
func (l *looker) observe(ctx context.Context, check holdfast.Check) (holdfast.Observation, holdfast.Description, error) {
	d, tools, err := l.permit(ctx, check)
	if err != nil {
		return holdfast.Observation{}, holdfast.Description{}, err
	}
	l.log.Debug("check begins", "check", check.ID, "probe", d.Name)
	o, err := l.probes.Observe(ctx, check, tools)
	return o, d, err
}

// permit asks the policy. What it forbids is not even started to be described.
func (l *looker) permit(ctx context.Context, check holdfast.Check) (d holdfast.Description, tools map[string]string, err error) {
	if err := l.policy.PermitName(check.Probe); err != nil {
		return d, nil, l.refuse(check, err)
	}
	l.mu.Lock()
	d, known := l.described[check.Probe]
	l.mu.Unlock()
	if !known {
		if d, err = l.probes.Describe(ctx, check.Probe); err != nil {
			return d, nil, err
		}
		l.mu.Lock()
		l.described[check.Probe] = d
		l.mu.Unlock()
	}
	if err := l.policy.Permit(check, d); err != nil {
		return d, nil, l.refuse(check, err)
	}
	l.mu.Lock()
	delete(l.refused, check.ID)
	l.mu.Unlock()
	return d, l.policy.Tools(d), nil
}

// refuse notes a check the policy forbids, and logs it the first time.
func (l *looker) refuse(check holdfast.Check, why error) error {
	l.mu.Lock()
	_, again := l.refused[check.ID]
	l.refused[check.ID] = why.Error()
	l.mu.Unlock()
	if !again {
		l.log.Warn("check refused by this host's policy", "check", check.ID, "probe", check.Probe, "error", oneLine(why.Error()))
	}
	return probe.Unable(holdfast.Refused, "%w", why)
}

// refusals returns the refused checks among those given, and why each is.
func (l *looker) refusals(checks []holdfast.Check) map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	assigned := make(map[string]bool, len(checks))
	for _, c := range checks {
		assigned[c.ID] = true
	}
	maps.DeleteFunc(l.refused, func(id, _ string) bool { return !assigned[id] })
	return maps.Clone(l.refused)
}

// known returns what is known of a probe; nothing where its plugin was not asked yet.
func (l *looker) known(name string) holdfast.Description {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.described[name]
}

// cost is how heavy a check is: between cheap and heavy as long as its plugin
// has not said.
func (l *looker) cost(check holdfast.Check) holdfast.Cost {
	if d := l.known(check.Probe); slices.Contains([]holdfast.Cost{holdfast.Cheap, holdfast.IO, holdfast.Heavy}, d.Cost) {
		return d.Cost
	}
	return holdfast.IO
}

// unable is the observation of a probe that could not tell.
func unable(ctx context.Context, check holdfast.Check, err error) holdfast.Observation {
	o := holdfast.Observation{Outcome: holdfast.OutcomeUnknown, Reason: probe.ReasonOf(err)}
	o.Summary = cut8(oneLine(err.Error()), holdfast.MaxText)
	if o.Reason == "" && ctx.Err() == context.DeadlineExceeded {
		o.Reason = holdfast.Timeout
	}
	if o.Reason == holdfast.Timeout {
		o.Summary = cut8(fmt.Sprintf("no answer within %s: %s", limitOf(check), o.Summary), holdfast.MaxText)
	}
	return o
}

// The most JSON an observation may be, so that it fits a message of the wire.
const maxObservation = 48 << 10

// tidy shortens texts that are too long and refuses an answer that no probe can
// mean. What the agent adds itself is cleared.
func tidy(o holdfast.Observation) (holdfast.Observation, error) {
	o.Agent, o.Seq, o.Received, o.Offset, o.Credential = "", 0, time.Time{}, 0, ""
	o.Summary = cut8(oneLine(o.Summary), holdfast.MaxText)
	o.Raw = cut8(o.Raw, holdfast.MaxRaw)
	o.Facts = shorten(o.Facts)
	o.Fingerprint = shorten(o.Fingerprint)
	if err := o.Validate(); err != nil {
		return o, fmt.Errorf("the probe's answer makes no sense: %w", err)
	}
	for {
		text, err := json.Marshal(o)
		switch {
		case err != nil:
			return o, fmt.Errorf("the probe's answer makes no sense: %w", err)
		case len(text) <= maxObservation:
			return o, nil
		case o.Raw != "" || len(o.Facts) > 0:
			o.Raw, o.Facts = "", nil // for people only
		default:
			return o, fmt.Errorf("the probe's answer is too large: %s, at most %s", holdfast.Bytes(len(text)), holdfast.Bytes(maxObservation))
		}
	}
}

// shorten returns the facts with no text that is too long.
func shorten(facts map[string]string) map[string]string {
	for _, text := range facts {
		if len(text) > holdfast.MaxText || !utf8.ValidString(text) {
			short := make(map[string]string, len(facts))
			for name, text := range facts {
				short[name] = cut8(text, holdfast.MaxText)
			}
			return short
		}
	}
	return facts
}

// cut8 returns at most limit bytes of s, in whole characters.
func cut8(s string, limit int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= limit {
		return s
	}
	s = s[:limit-len("…")]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}

// oneLine joins the lines of a text.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
