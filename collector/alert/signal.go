package alert

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// signal is what one service contributes to an alert: that the cause concerns it,
// and how. An alert is made of the signals of all services with its kind and
// cause.
type signal struct {
	kind     holdfast.AlertKind
	cause    string
	service  string
	owner    string
	tier     int
	check    string
	agent    string
	host     string
	site     string
	severity holdfast.Severity
	state    holdfast.State // what it makes of the service: a consumer that stands as badly waits for it
	paths    []holdfast.AlertPath
	checks   int    // agent-silent: checks of this service nobody runs
	on       string // the dependency at fault: heard of only where nothing else explains how it stands
	what     string
	against  string // the target: "agreed: RPO 15m, RTO 1h"
	next     string
	link     string
	since    time.Time // zero: nobody knows
	quiet    string    // why nobody is told; empty: they are
}

// id is of kind and cause, so that the same thing is the same alert whenever it
// happens.
func (s *signal) id() string { return alertID(s.kind, s.cause) }

func alertID(kind holdfast.AlertKind, cause string) string {
	h := sha256.Sum256([]byte(string(kind) + "\x00" + cause))
	return hex.EncodeToString(h[:10])
}

func (s *signal) equal(t *signal) bool {
	return s.kind == t.kind && s.cause == t.cause && s.service == t.service && s.owner == t.owner && s.tier == t.tier &&
		s.check == t.check && s.agent == t.agent && s.host == t.host && s.site == t.site && s.severity == t.severity &&
		s.state == t.state && s.checks == t.checks && s.on == t.on && s.what == t.what && s.against == t.against &&
		s.next == t.next && s.link == t.link && s.since.Equal(t.since) && s.quiet == t.quiet && slices.Equal(s.paths, t.paths)
}

// merge takes in another signal of the same service and cause: the graver one
// speaks, the paths of both count, and it is quiet only if both are.
func (s *signal) merge(t *signal) {
	speaks, other := s, t
	if graver(t, s) {
		speaks, other = t, s
	}
	out := *speaks
	if !speaks.since.IsZero() && !other.since.IsZero() && other.since.Before(speaks.since) {
		out.since = other.since
	}
	out.state = s.state.Worse(t.state)
	out.paths = joinPaths(s.paths, t.paths)
	if s.quiet == "" || t.quiet == "" {
		out.quiet = ""
	}
	*s = out
}

// foreign is 0 for a signal of the service whose check shows it, else 1.
func (s *signal) foreign() int {
	if strings.HasPrefix(s.check, s.service+"/") {
		return 0
	}
	return 1
}

// graver orders what speaks for an alert: severity, state, then words.
func graver(a, b *signal) bool {
	return cmp.Or(cmp.Compare(severityRank(a.severity), severityRank(b.severity)),
		cmp.Compare(b.state.Rank(), a.state.Rank()), cmp.Compare(a.what, b.what)) < 0
}

// severityRank is 0 for the most urgent.
func severityRank(s holdfast.Severity) int {
	return slices.Index([]holdfast.Severity{holdfast.Critical, holdfast.Warning, holdfast.Info}, s)
}

// joinPaths returns the paths of both lists in order, each once, in the worse
// state.
func joinPaths(a, b []holdfast.AlertPath) []holdfast.AlertPath {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y holdfast.AlertPath) int {
		return cmp.Or(cmp.Compare(x.Service, y.Service), cmp.Compare(x.Path, y.Path), cmp.Compare(y.State.Rank(), x.State.Rank()))
	})
	return slices.CompactFunc(all, func(x, y holdfast.AlertPath) bool { return x.Service == y.Service && x.Path == y.Path })
}

// wait is a dependency that holds a service down in some paths.
type wait struct {
	on    string
	state holdfast.State // as which it stands
	paths []holdfast.AlertPath
	quiet string
	owner string
	tier  int
}

func (w *wait) equal(o *wait) bool {
	return w.on == o.on && w.state == o.state && w.quiet == o.quiet && w.owner == o.owner && w.tier == o.tier && slices.Equal(w.paths, o.paths)
}
