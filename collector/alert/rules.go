package alert

import (
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// breaking are the kinds that may mean that a service could not be recovered.
var breaking = map[holdfast.AlertKind]bool{
	holdfast.PointFailed: true, holdfast.VerificationFailed: true, holdfast.RestoreFailed: true, holdfast.RPOBreached: true,
	holdfast.RTOBreached: true, holdfast.NeedFailed: true, holdfast.PathBroken: true,
}

// DefaultHoldOff is how long a kind has to last before it is sent, where a routes
// file says nothing else. What a finished look found, and what a calendar says, is
// sent at once; a prerequisite may blink, and an agent may be restarted.
func DefaultHoldOff(kind holdfast.AlertKind) time.Duration {
	switch kind {
	case holdfast.AgentSilent:
		return 30 * time.Second
	case holdfast.NeedDegraded, holdfast.NeedFailed, holdfast.NeedUnknown, holdfast.PathBroken:
		return 15 * time.Second
	}
	return 0
}

// rule says what becomes of a finding. Findings are taken in the order of step:
// first what checks see, then tests, then what is worked out from both, so that
// what follows from another finding folds into the alert of that one.
type rule struct {
	step  int
	raise func(*derivation, *holdfast.Finding)
}

func orderOf(code string) int { return rules[code].step }

// rules holds a row for every code of package score; a test fails when one is
// missing. Findings that cost points only wake nobody, but for a point that looks
// wrong: who may still save the ones before it must hear of it.
var rules = map[string]rule{
	"copy-failed":   {1, (*derivation).copyFailed},
	"copy-empty":    {1, (*derivation).copyFailed},
	"copy-unknown":  {1, (*derivation).unknown},
	"copy-degraded": {1, byCheck(holdfast.NeedDegraded)},

	"need-failed":     {1, (*derivation).needFailed},
	"need-unknown":    {1, (*derivation).unknown},
	"need-degraded":   {1, byCheck(holdfast.NeedDegraded)},
	"plan-unreadable": {1, byCheck(holdfast.NeedFailed)},
	"plan-unknown":    {1, (*derivation).unknown},
	"expired":         {1, byCheck(holdfast.CertificateEnding)},
	"expiring":        {1, byCheck(holdfast.CertificateEnding)},
	"capacity-short":  {1, byCheck(holdfast.NeedFailed)},

	"test-failed":   {2, (*derivation).testFailed},
	"zero-errors":   {3, (*derivation).errorsFound},
	"test-degraded": {3, byCheck(holdfast.NeedDegraded)},

	"changed-much":   {3, byNeed(holdfast.PointSuspect)},
	"kept-too-short": {3, byNeed(holdfast.PointSuspect)},
	"copy-shrunk":    {3, byNeed(holdfast.PointSuspect)},
	"fewer-files":    {3, byNeed(holdfast.PointSuspect)},

	"rpo-beyond":       {4, (*derivation).rpo},
	"rpo-miss":         {4, (*derivation).rpo},
	"rpo-unknown":      {4, (*derivation).unknowable},
	"rto-beyond":       {4, byNeed(holdfast.RTOBreached)},
	"rto-miss":         {4, byNeed(holdfast.RTOBreached)},
	"rto-unknown":      {4, (*derivation).unknowable},
	"skew-wide":        {4, byNeed(holdfast.NeedFailed)},
	"skew-unknown":     {4, (*derivation).unknowable},
	"capacity-unknown": {4, (*derivation).unknowable},
	"unobserved":       {4, (*derivation).unknowable},
	"cycle":            {4, byNeed(holdfast.NeedDegraded)},
	"dependency":       {4, (*derivation).dependency},
	"uncovered":        {5, (*derivation).uncovered},

	"intact-stale":       {4, (*derivation).standing},
	"intact-untested":    {4, (*derivation).standing},
	"restored-stale":     {4, (*derivation).restoreExpired},
	"restored-untested":  {4, (*derivation).restoreExpired},
	"exercised-stale":    {4, (*derivation).standing},
	"exercised-untested": {4, (*derivation).standing},
	"attest-stale":       {4, (*derivation).standing},
	"attest-untested":    {4, (*derivation).standing},
	"declared-stale":     {4, (*derivation).standing},
	"declared-untested":  {4, (*derivation).standing},

	"plan-stale":        {4, byNeed(holdfast.PlanOverdue)},
	"plan-untested":     {4, byNeed(holdfast.PlanOverdue)},
	"bia-stale":         {4, byNeed(holdfast.PlanOverdue)},
	"bia-untested":      {4, byNeed(holdfast.PlanOverdue)},
	"training-stale":    {4, (*derivation).training},
	"training-untested": {4, (*derivation).training},

	"rpo-due":           {6, nobody}, // said by copies, once the next point is late
	"no-plan":           {6, nobody},
	"no-team":           {6, nobody},
	"three-copies":      {6, nobody},
	"two-media":         {6, nobody},
	"one-offsite":       {6, nobody},
	"one-immutable":     {6, nobody},
	"points-unverified": {6, nobody},
	"shared-credential": {6, nobody},
	"rto-over-mtpd":     {6, nobody},
	"dependency-weaker": {6, nobody},
	"committed-rto":     {6, nobody},
}

func nobody(*derivation, *holdfast.Finding) {}

// byCheck raises an alert of the check that shows it, whoever's path needs it.
func byCheck(kind holdfast.AlertKind) func(*derivation, *holdfast.Finding) {
	return func(d *derivation, f *holdfast.Finding) { d.raise(kind, causeOf(f), f) }
}

// byNeed raises an alert of the need itself.
func byNeed(kind holdfast.AlertKind) func(*derivation, *holdfast.Finding) {
	return func(d *derivation, f *holdfast.Finding) {
		cause := f.Need
		if name, ok := strings.CutPrefix(cause, "dependency/"); ok {
			cause = d.p.Name + "/dependency/" + name
		}
		d.raise(kind, cause, f)
	}
}

func causeOf(f *holdfast.Finding) string {
	if f.Check != "" {
		return f.Check
	}
	return f.Need
}
