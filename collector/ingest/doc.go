// Package ingest is the collector's end of every agent: it makes certificates and
// takes reports.
//
// # Identity
//
// The collector is its own authority. A one-use join token binds an agent's key to
// its name; certificates are short-lived proofs of that binding, renewed by the
// same key. An agent that was away for longer than its certificate lived comes
// back by its key alone, a counted number of times. Enrolling, renewing,
// recovering and revoking are one function ([Server].change), and every call but
// Enroll and Recover is refused without a certificate that stands up to every
// check of [Server].authorise.
//
// # Sessions
//
// An agent holds one stream. It says Hello, is answered with Welcome, and sends
// reports; several may be outstanding. Each is handed to the collector's [Core],
// which answers through [Report].Done once it is durable; only then is it
// acknowledged. Whatever is not acknowledged is sent again, and the core counts
// every (agent, epoch, sequence number) once ([Report].Settle).
//
// An agent can report only what is assigned to it: results carry the number of a
// check in an assignment. Numbers of an assignment that was replaced a moment ago
// are translated; older ones are sent back to be numbered anew.
//
// # Two hosts with one key
//
// A copied data folder or a cloned machine brings a second host with a good
// certificate under the same name. Hello.machine, made of the host's id, its boot
// and the folder's place on disk, tells them apart. If the session before comes
// from the same machine, it is the agent's own old one and makes way at once. If
// it comes from another, it is asked whether it is alive: a rebooted host's old
// connection does not answer and makes way; if it does answer, there are two, the
// second is refused, and the clash is recorded and shown.
//
// # Clocks
//
// A ping measures the agent's clock before its first report, every minute, and
// whenever a report is dated oddly. The agent's own times are corrected by the
// measured offset if it is above a second.
package ingest
