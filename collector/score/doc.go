// Package score judges: it joins what was seen to what the business agreed and
// says of every service whether it could be recovered, with what proof, and what
// to do first.
//
// It is pure. A [Model] is an immutable index over a catalogue, [Facts] is what
// was observed and recorded, and judging takes one instant: no clock, no I/O, no
// imports beyond the root package. Equal inputs give equal postures, byte for
// byte, in whatever order the facts arrived.
//
// DESIGN.md beside this file explains the judgement to a continuity manager, with
// a worked example and the table of findings. The files, in the order of thought:
//
//   - facts.go, records.go, order.go, prune.go: what is known, what is latest, what may be forgotten
//   - index.go, follow.go, concern.go, loss.go: the catalogue indexed; who is concerned; what a scenario takes out
//   - item.go, rules.go: one judged thing; the table of findings and costs
//   - sight.go, needs.go, assure.go: verdicts of checks, needs, people and papers
//   - proof.go, ladder.go, change.go: tests, the proof ladder, its decay by change
//   - points.go, numbers.go, capacity.go: recovery points, exposure and recovery time, room
//   - structure.go: what placement alone tells
//   - path.go, depend.go: a path, a scenario, dependencies judged in it
//   - gap.go, gain.go: points and gains
//   - judge.go, show.go, accept.go, terms.go, estate.go: postures as readers get them
package score
