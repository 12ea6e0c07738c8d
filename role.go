package holdfast

import "slices"

// Role is what a person or a token may do.
type Role string

// The roles. Everyone with a role may read.
const (
	Viewer   Role = "viewer"
	Operator Role = "operator" // records what was done: exercises, changes, maintenance
	Manager  Role = "manager"  // records what was decided as well: reviews, attestations, accepted risks
	Auditor  Role = "auditor"  // reads everything, changes nothing
	Admin    Role = "admin"
)

// Roles lists every role.
var Roles = []Role{Viewer, Operator, Manager, Auditor, Admin}

// MayRecord reports whether the role may enter a record of the kind.
func (r Role) MayRecord(k RecordKind) bool {
	switch r {
	case Admin, Manager:
		return slices.Contains(RecordKinds, k)
	case Operator:
		return k == Exercise || k == Training || k == Change || k == Maintenance || k == Invocation
	}
	return false
}

// MayRunChecks reports whether the role may ask for a check to run at once.
func (r Role) MayRunChecks() bool { return r == Operator || r == Manager || r == Admin }

// MayDrill reports whether the role may start, answer, stop and book drills.
func (r Role) MayDrill() bool { return r == Operator || r == Manager || r == Admin }

// MayAdminister reports whether the role may let others in: users, tokens, badges.
func (r Role) MayAdminister() bool { return r == Admin }

// MayInspect reports whether the role sees how the collector itself is doing: its
// catalogues, its store, its certificates.
func (r Role) MayInspect() bool { return r == Admin || r == Manager || r == Auditor }

// MayAnswerAlerts reports whether the role may acknowledge and silence alerts, and
// have a notice tried again.
func (r Role) MayAnswerAlerts() bool { return r == Operator || r == Manager || r == Admin }

// MayTestRoutes reports whether the role may send tests to the receivers of alerts.
func (r Role) MayTestRoutes() bool { return r == Operator || r == Admin }
