// Package alert wakes people: it turns judgements into alerts, keeps each through
// its life, and brings notices of it to whoever asked for them.
//
// # One cause, one alert
//
// An alert is known by its kind and its cause, and names every path and service
// the cause concerns. What follows from a cause is folded into it:
//
//   - A copy that cannot be used is one alert, whatever tests of it fail besides and
//     whatever cannot be worked out without it. Where copies of several services lie
//     in one repository and the reason speaks of all of it (damaged, locked,
//     unreachable …), the cause is the repository; with others (a filter that matches
//     nothing) it is the one copy.
//   - A failed verification explains the failed restore of the same copy.
//   - A silent agent is one alert that names all we are blind to: checks that run out
//     and an RPO that is passed because of it raise none. Beyond bearing, they do.
//   - A service that waits for another is named by the other's alert. Where no alert
//     of the other explains how it stands, one alert of the dependency names all who
//     wait.
//   - What is said of a path itself (broken, stale, untested) is only what no other
//     alert tells.
//
// Failed, missed and breached are different alerts, because they want different
// answers:
//
//   - recovery-point-missed: the copy is well and its check reports, but its newest
//     point is more than twice as old as the longest gap between its newest four, and
//     than a quarter of the RPO, and the check has had its turn to see a newer one.
//   - recovery-point-suspect: one is there and unlike those before it, or one vanished
//     before its time. It is told although it may cost points only: who may still save
//     the older points must hear of it.
//   - rpo-due: 80 % of the RPO is used and the next point is later than that gap. A
//     backup that keeps its rhythm is never due, however near its RPO.
//   - restore-test-not-run: the latest try of a test ended in an error, or none was
//     made for two of its intervals, although its agent reports, and has for one.
//
// Severity is critical where a service could not be recovered as agreed now (its best
// path misses an objective, is broken, or nobody can tell), a warning where another
// path stands, where proof runs out or something will go wrong soon, and info where
// the catalogue lets nobody look.
//
// # Life
//
// An alert is pending while its hold-off lasts ([DefaultHoldOff], or what the routes
// file says), then fires, then is resolved. A blip that ends while pending is never
// sent. One that fires three times within an hour flaps: it is held open until its
// cause has been gone for ten minutes. Getting worse is news, at most once a minute: a
// higher severity, or one more path that cannot be walked.
//
// Accepted risks, maintenance windows, silences and acknowledgements keep an alert
// quiet, and the alert says so; posture knows nothing of them. An alert of several
// services is quiet only if it is quiet for each. Somebody who was told that an alert
// fires is told when it ends, silence or not. An acknowledged alert that gets worse is
// told all the same.
//
// # Restarts
//
// An alert and the notices it gives rise to are stored in one write, before any is
// sent. After a restart nothing begins or ends before every service was judged; then
// what was firing stays firing, what is gone ends, and a notice that was under way is
// sent again under its own ID, so that a receiver knows one it has. Nothing is said of
// who has not reported before they had the time to: the validity of their checks, at
// least 90 s.
//
// # Notices
//
// A notice is tried again after a random time that doubles up to a minute, and given
// up after 24 hours, or at once where the receiver refuses it for good: it is then a
// dead letter that every page tells of. What one receiver hears of one alert comes in
// order; what is critical goes before what is not. A receiver that takes nothing is
// tried with one notice at a time, and keeps no other waiting. Alertmanagers are told
// again every minute until the alert ends.
//
// # Files
//
//   - index.go, derive.go, rules.go, raise.go, watch.go, signal.go: a posture becomes signals
//   - group.go: signals of all services become alerts
//   - life.go, silence.go: hold-off, firing, flapping, quiet, news
//   - manager.go, keep.go, read.go: the goroutine, what is stored, what readers get
//   - notice.go, outbox.go, lanes.go: notices on their way
//   - routes.go, receivers.go, yaml.go, secret.go, address.go: the routes file
//   - alertmanager.go, webhook.go, mail.go, chat.go, dial.go, text.go, heartbeat.go: senders
package alert
