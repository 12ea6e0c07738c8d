package holdfast

import "time"

// AlertKind says what got worse. Each is worth another answer, so each is an alert
// of its own: a backup that failed, one that is missing, and an RPO that is
// breached are three.
type AlertKind string

// The kinds of alert.
const (
	PointFailed        AlertKind = "recovery-point-failed"  // a copy cannot be used: damaged, locked, wrong password …
	PointMissed        AlertKind = "recovery-point-missed"  // no new recovery point came when one was due
	PointSuspect       AlertKind = "recovery-point-suspect" // one is there, and unlike those before it, or one vanished before its time
	RPODue             AlertKind = "rpo-due"                // about to be breached
	RPOBreached        AlertKind = "rpo-breached"
	RTOBreached        AlertKind = "rto-breached"
	VerificationFailed AlertKind = "verification-failed"
	RestoreFailed      AlertKind = "restore-test-failed"
	RestoreNotRun      AlertKind = "restore-test-not-run" // the test could not be made
	RestoreExpired     AlertKind = "restore-test-expired"
	PathBroken         AlertKind = "path-broken"
	PathStale          AlertKind = "path-stale"
	PathUntested       AlertKind = "path-untested"
	NeedDegraded       AlertKind = "prerequisite-degraded"
	NeedFailed         AlertKind = "prerequisite-failed"
	NeedUnknown        AlertKind = "prerequisite-unknown" // nobody can tell, although its agent reports
	AgentSilent        AlertKind = "agent-silent"
	PlanOverdue        AlertKind = "plan-overdue" // a plan's or a BIA's review
	TrainingOverdue    AlertKind = "training-overdue"
	CertificateEnding  AlertKind = "certificate-ending"
)

// AlertKinds lists every kind.
var AlertKinds = []AlertKind{
	PointFailed, PointMissed, PointSuspect, RPODue, RPOBreached, RTOBreached, VerificationFailed, RestoreFailed, RestoreNotRun, RestoreExpired,
	PathBroken, PathStale, PathUntested, NeedDegraded, NeedFailed, NeedUnknown, AgentSilent, PlanOverdue, TrainingOverdue, CertificateEnding,
}

// Severity is how soon somebody should look.
type Severity string

// The severities, most urgent first.
const (
	Critical Severity = "critical" // a service could not be recovered as agreed now
	Warning  Severity = "warning"  // it soon could not, or the proof has run out
	Info     Severity = "info"
)

// AlertStatus is where an alert is in its life.
type AlertStatus string

// The statuses. A blip that clears while pending is never sent.
const (
	AlertPending  AlertStatus = "pending"
	AlertFiring   AlertStatus = "firing"
	AlertResolved AlertStatus = "resolved"
)

// Alert is one root cause and everything it takes down: one damaged repository is
// one alert, whatever number of services restore from it.
type Alert struct {
	ID       string      `json:"id"` // of kind and cause: the same whenever the same thing happens again
	Kind     AlertKind   `json:"kind"`
	Cause    string      `json:"cause"`           // what is at fault: a check, an agent, a plan, a team, a path
	Check    string      `json:"check,omitempty"` // whose observation shows it
	Agent    string      `json:"agent,omitempty"`
	Host     string      `json:"host,omitempty"`
	Site     string      `json:"site,omitempty"`
	Severity Severity    `json:"severity"`
	Status   AlertStatus `json:"status"`

	What   string `json:"what"`   // one sentence: what happened, to what
	Effect string `json:"effect"` // against the target: "14 min of data at risk, 5 min agreed; takes 3 paths of 2 services down"
	Next   string `json:"next"`   // one next step
	Link   string `json:"link"`   // path of the page that shows it: "/services/payments"

	Tier     int         `json:"tier"` // of the most critical service it concerns
	Owners   []string    `json:"owners"`
	Services []string    `json:"services"`
	Paths    []AlertPath `json:"paths"`

	Since    time.Time `json:"since"`             // when the cause began
	Fired    time.Time `json:"fired,omitzero"`    // when it was first sent, or would have been
	Resolved time.Time `json:"resolved,omitzero"` // when the cause ended
	Changed  time.Time `json:"changed"`           // when anything above last changed

	Ack      *Acknowledgement `json:"ack,omitempty"`      // nil: nobody has it
	Silenced []string         `json:"silenced,omitempty"` // IDs of the silences that keep it quiet
	Quiet    string           `json:"quiet,omitempty"`    // why it is not sent: silence, maintenance, accepted risk, acknowledged; empty: it is
}

// AlertPath is a recovery path an alert concerns, and what becomes of it.
type AlertPath struct {
	Service string `json:"service"`
	Path    string `json:"path"`
	State   State  `json:"state"`
}

// Acknowledgement says that somebody has an alert: nobody else is reminded until
// it ends. An alert that gets worse is sent all the same.
type Acknowledgement struct {
	By    string    `json:"by"`
	Note  string    `json:"note,omitempty"`
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
}

// Silence keeps alerts quiet; it changes no verdict and no score, and is shown
// wherever it applies. What it leaves empty matches everything; one with nothing
// but empty fields is refused.
type Silence struct {
	ID          string    `json:"id"`
	Maintenance bool      `json:"maintenance,omitempty"` // work that was announced, not annoyance
	Service     string    `json:"service,omitempty"`
	Site        string    `json:"site,omitempty"`
	Host        string    `json:"host,omitempty"`
	Agent       string    `json:"agent,omitempty"`
	Owner       string    `json:"owner,omitempty"`
	Kind        AlertKind `json:"kind,omitempty"`
	Cause       string    `json:"cause,omitempty"`
	By          string    `json:"by"`
	Reason      string    `json:"reason"`
	From        time.Time `json:"from"`
	Until       time.Time `json:"until"`
	Ended       time.Time `json:"ended,omitzero"` // ended early by EndedBy
	EndedBy     string    `json:"ended_by,omitempty"`
}

// RouteState is a route of notices and how its receivers do. It holds no secret.
type RouteState struct {
	Name      string          `json:"name"`
	Owners    []string        `json:"owners,omitempty"` // empty: any
	Tiers     []int           `json:"tiers,omitempty"`
	Kinds     []AlertKind     `json:"kinds,omitempty"`
	Remind    Duration        `json:"remind,omitempty"` // how often a firing alert is sent again; 0: never
	Receivers []ReceiverState `json:"receivers"`
}

// ReceiverState is one receiver of a route.
type ReceiverState struct {
	Name      string    `json:"name"`
	Type      string    `json:"type"`               // alertmanager, webhook, mail, chat
	Target    string    `json:"target"`             // where it goes, without credentials
	Delivered time.Time `json:"delivered,omitzero"` // last time it took a notice
	Failed    time.Time `json:"failed,omitzero"`    // last time it did not
	Problem   string    `json:"problem,omitempty"`  // why not
	Waiting   int       `json:"waiting"`            // notices to be tried again
	Dead      int       `json:"dead"`               // notices given up
}

// Delivery is one notice on its way to one receiver.
type Delivery struct {
	ID       string      `json:"id"` // sent along, so that a receiver knows one it has
	Alert    string      `json:"alert"`
	What     string      `json:"what"` // the alert's sentence
	Status   AlertStatus `json:"status"`
	Route    string      `json:"route"`
	Receiver string      `json:"receiver"`
	Made     time.Time   `json:"made"`
	Tries    int         `json:"tries"`
	Next     time.Time   `json:"next,omitzero"` // of the next try; zero: none
	Problem  string      `json:"problem,omitempty"`
	Dead     time.Time   `json:"dead,omitzero"` // when it was given up
}
