// Package holdfast holds the words of Holdfast: what an organisation delivers,
// what it agreed to survive, what was seen of that on its hosts, and the posture
// that follows. It imports the standard library only, and every other package
// speaks in its types.
//
// # The nouns
//
// A [Service] is something the organisation delivers. It has an owner, a tier
// (1 most critical … 4), a business impact analysis ([BIA]), datasets,
// recovery paths and dependencies. A [Dataset] is data it must not lose; its
// copies ([Copy]) stand at a [Site], a place things can be lost together.
// A [Scenario] is a disruption to survive. A [Path] is how the service comes
// back in some scenarios: which copies it restores from, where, and its needs
// ([Need]): a copy, a resource check, a [Plan], trained people (a [Team]),
// a credential that opens.
//
// A [Check] is a probe placed on an agent with settings and an interval. What
// the probe saw is an [Observation]: facts with units, never a judgement against
// an objective. What a person attests is a [Record]: an exercise, a review,
// a training. A [Posture] is the judgement of a service at one instant: its
// state, score, findings and deadlines.
//
// # The way of one observation
//
// A plugin probes a host and answers with facts; the agent spools and reports
// them over mutual TLS; the collector stores them, acknowledges after they are
// durable, and judges anew every service they concern. Probes observe, the
// collector judges: a changed BIA re-judges the same facts, and a plugin never
// sees a recovery point objective.
//
// The terms are those of ISO 22301, NIST SP 800-34, ITIL 4 and CMMI-SVC SCON.
package holdfast
