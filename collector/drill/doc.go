// Package drill walks recovery paths: it runs a path's tests on its agents in
// order, asks people for what they have to do, measures the whole and ends in an
// exercise record.
//
// # How a drill goes
//
// The steps are walked one after the other: what people do first, then papers,
// needs and credentials, copies, restore tests (side by side where the path says
// so), what people do afterwards, tests of the rung exercised, and the check of the
// minimum level (MBCO). A path that names no steps for people still asks for one
// confirmation: an exercise is walked by people (JUDGEMENT.md 2). The clock runs from
// the start to the end of the last step, people's time included.
//
// Needs and copies are all looked at, so that every gap is known. Anything else that
// goes wrong ends the walk: nothing that follows would tell anything.
//
// # How a drill ends
//
//   - passed: every step was done. The record's outcome is ok, or degraded where RTO,
//     RPO or a step was met with a reservation only.
//   - failed: a step failed, was refused, lost or not answered, or a dataset was not
//     restored. The outcome is failed where something was seen to be bad, else
//     unknown: what could not be told is no test, the rung goes on ageing.
//   - aborted, interrupted: somebody stopped it, or the collector was gone for longer
//     than [maxAway]. Outcome as of a failed one.
//
// # What survives
//
// Every step is stored before its agent is asked, so a collector that was killed
// takes its drills up where they were: what an agent saw meanwhile counts, what it
// was asked and forgot is asked again. The time without a collector is part of the
// clock and told. A drill enters one record, however often it tries.
//
// Documents: "drill" by ID, and "booking" by ID.
package drill
