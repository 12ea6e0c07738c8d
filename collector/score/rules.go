package score

import (
	"maps"
	"slices"

	"github.com/holdfast-monitor/holdfast"
)

// Rule is a row of the table of findings: what a finding means, what state it
// causes, what it costs, what to do. DESIGN.md holds the same table for people; a
// test compares the two.
type Rule struct {
	Code    string
	Kind    holdfast.NeedKind
	State   holdfast.State // proven: it costs points only; empty: that of what it stands for
	Cost    int            // points by default; a policy may state its own
	Finding string         // what it means
	Remedy  string         // the next step
}

// The codes of findings.
const (
	codeUncovered        = "uncovered"
	codeCopyFailed       = "copy-failed"
	codeCopyEmpty        = "copy-empty"
	codeCopyUnknown      = "copy-unknown"
	codeCopyDegraded     = "copy-degraded"
	codeNeedFailed       = "need-failed"
	codeNeedUnknown      = "need-unknown"
	codeNeedDegraded     = "need-degraded"
	codeExpired          = "expired"
	codeExpiring         = "expiring"
	codeUnobserved       = "unobserved"
	codeSkewWide         = "skew-wide"
	codeSkewUnknown      = "skew-unknown"
	codeCapacityShort    = "capacity-short"
	codeCapacityUnknown  = "capacity-unknown"
	codePlanUnreadable   = "plan-unreadable"
	codePlanUnknown      = "plan-unknown"
	codeRPOMiss          = "rpo-miss"
	codeRPOBeyond        = "rpo-beyond"
	codeRPOUnknown       = "rpo-unknown"
	codeRPODue           = "rpo-due"
	codeRTOMiss          = "rto-miss"
	codeRTOBeyond        = "rto-beyond"
	codeRTOUnknown       = "rto-unknown"
	codeTestDegraded     = "test-degraded"
	codeCycle            = "cycle"
	codeDependency       = "dependency"
	codeTestFailed       = "test-failed"
	codePlanStale        = "plan-stale"
	codePlanUntested     = "plan-untested"
	codeBIAStale         = "bia-stale"
	codeBIAUntested      = "bia-untested"
	codeTrainingStale    = "training-stale"
	codeTrainingUntested = "training-untested"
	codeAttestStale      = "attest-stale"
	codeAttestUntested   = "attest-untested"
	codeDeclaredStale    = "declared-stale"
	codeDeclaredUntested = "declared-untested"
	codeNoPlan           = "no-plan"
	codeNoTeam           = "no-team"
	codeThreeCopies      = "three-copies"
	codeTwoMedia         = "two-media"
	codeOneOffsite       = "one-offsite"
	codeOneHardened      = "one-immutable"
	codeZeroErrors       = "zero-errors"
	codeUnverified       = "points-unverified"
	codeMTPD             = "rto-over-mtpd"
	codeWeaker           = "dependency-weaker"
	codeCommittedRTO     = "committed-rto"
	codeShrunk           = "copy-shrunk"
	codeFewerFiles       = "fewer-files"
	codeChangedMuch      = "changed-much"
	codeKeptShort        = "kept-too-short"
	codeSharedCredential = "shared-credential"
)

// rules is the one place where findings are listed. Costs are what a finding
// takes alone; the band of the state it causes may demand more.
var rules = byCode(
	Rule{codeUncovered, holdfast.Feasibility, holdfast.Uncovered, 92, "no path covers the scenario", "add a path that survives it, or mend what disqualifies the paths that claim to"},

	Rule{codeCopyFailed, holdfast.Feasibility, holdfast.Broken, 84, "the copy cannot be used", "repair the copy, or name another in the path's from:"},
	Rule{codeCopyEmpty, holdfast.Feasibility, holdfast.Broken, 86, "the copy opens but holds no recovery point", "make a backup into it and look why none was there"},
	Rule{codeNeedFailed, holdfast.Feasibility, holdfast.Broken, 82, "a prerequisite of the path fails", "restore the prerequisite the check names"},
	Rule{codeExpired, holdfast.Feasibility, holdfast.Broken, 82, "a certificate, key or licence has expired", "renew it"},
	Rule{codeSkewWide, holdfast.Feasibility, holdfast.Broken, 80, "datasets that belong together would come back too far apart", "back them up together, or widen within: if the application bears it"},
	Rule{codeCapacityShort, holdfast.Feasibility, holdfast.Broken, 82, "the recovery site has less room than the data needs", "make room at the recovery site, or recover elsewhere"},
	Rule{codePlanUnreadable, holdfast.Feasibility, holdfast.Broken, 80, "no surviving copy of the plan can be read", "put a readable copy of the plan where people will work"},
	Rule{codeTestFailed, holdfast.Feasibility, holdfast.Broken, 85, "the latest test failed", "find out why it failed, mend it, and test again"},
	Rule{codeRPOBeyond, holdfast.ObjectiveNeed, holdfast.Broken, 83, "the data that would be lost is beyond bearing (MTDL)", "get a newer recovery point into the copy at once"},
	Rule{codeRTOBeyond, holdfast.ObjectiveNeed, holdfast.Broken, 83, "recovery would take longer than the business can bear (MTPD)", "shorten the restore, its chain of dependencies, or the work after it"},

	Rule{codeUnobserved, holdfast.Feasibility, holdfast.Unknown, 70, "nothing about the path was ever observed", "write its copies and needs into the path and let an agent look"},
	Rule{codeCopyUnknown, holdfast.Feasibility, holdfast.Unknown, 64, "nobody can tell how the copy is", "bring the agent back, or give the copy a check that can tell"},
	Rule{codeNeedUnknown, holdfast.Feasibility, holdfast.Unknown, 62, "nobody can tell how a prerequisite is", "bring the agent back, or mend the check"},
	Rule{codeSkewUnknown, holdfast.Feasibility, holdfast.Unknown, 60, "nobody can tell whether datasets that belong together agree", "make every copy of the group show its recovery points"},
	Rule{codeCapacityUnknown, holdfast.Feasibility, holdfast.Unknown, 60, "nobody sees whether the data fits at the recovery site", "add a host.capacity check at the recovery site, or restore there completely"},
	Rule{codePlanUnknown, holdfast.Feasibility, holdfast.Unknown, 60, "nobody can tell whether the plan can be read", "bring the agent back that reads the kept copy"},
	Rule{codeRPOUnknown, holdfast.ObjectiveNeed, holdfast.Unknown, 60, "no recovery point was ever known", "make the copy's check show recovery points"},
	Rule{codeRTOUnknown, holdfast.ObjectiveNeed, holdfast.Unknown, 60, "the tests did not say how long recovery takes", "use a test that measures its duration"},

	Rule{codeRPOMiss, holdfast.ObjectiveNeed, holdfast.Degraded, 30, "more data would be lost than the business agreed (RPO)", "take recovery points oftener, or agree on another RPO"},
	Rule{codeRTOMiss, holdfast.ObjectiveNeed, holdfast.Degraded, 30, "recovery takes longer than the business agreed (RTO)", "shorten the restore or what it waits for, or agree on another RTO"},
	Rule{codeCopyDegraded, holdfast.ObjectiveNeed, holdfast.Degraded, 31, "the copy works, but not as it should", "look at what the check says of the copy"},
	Rule{codeNeedDegraded, holdfast.ObjectiveNeed, holdfast.Degraded, 31, "a prerequisite works, but not as it should", "look at what the check says"},
	Rule{codeTestDegraded, holdfast.ObjectiveNeed, holdfast.Degraded, 31, "the latest test passed with a reservation", "mend what the test complained of and test again"},
	Rule{codeChangedMuch, holdfast.ObjectiveNeed, holdfast.Degraded, 31, "the newest point changed far more than those before it: a sign of ransomware", "stop what removes older points, find out what changed, and restore the newest point with a check of its content"},
	Rule{codeKeptShort, holdfast.ObjectiveNeed, holdfast.Degraded, 30, "points vanished before the time they are to be kept", "find out who removed them, make the tool keep them longer, or lock the copy"},
	Rule{codeCycle, holdfast.ObjectiveNeed, holdfast.Degraded, 32, "services wait for each other to recover: the order is undefined", "say without: in the path that can start alone"},

	Rule{"intact-untested", holdfast.Assurance, holdfast.Untested, 42, "the copy's integrity was never verified, or too long ago", "verify the copy completely"},
	Rule{"restored-untested", holdfast.Assurance, holdfast.Untested, 46, "the data was never restored, or too long ago", "run a complete restore at the recovery site"},
	Rule{"exercised-untested", holdfast.Assurance, holdfast.Untested, 44, "the path was never exercised, or too long ago", "hold an exercise and record it"},
	Rule{codePlanUntested, holdfast.Assurance, holdfast.Untested, 30, "the plan was never reviewed, or too long ago", "review the plan and record it"},
	Rule{codeBIAUntested, holdfast.Assurance, holdfast.Untested, 30, "the business impact analysis was never reviewed, or too long ago", "review it with the service's owner and record it"},
	Rule{codeTrainingUntested, holdfast.Assurance, holdfast.Untested, 40, "too few people are trained in the plan", "train them and record it"},
	Rule{codeAttestUntested, holdfast.Assurance, holdfast.Untested, 40, "it was never attested, or too long ago", "attest it: holdfast record attestation"},
	Rule{codeDeclaredUntested, holdfast.Assurance, holdfast.Untested, 30, "a declared fact was attested too long ago", "look at the copy and attest the fact, or let a probe observe it"},

	Rule{"intact-stale", holdfast.Assurance, holdfast.Stale, 15, "the proof of integrity has run out", "verify the copy completely"},
	Rule{"restored-stale", holdfast.Assurance, holdfast.Stale, 19, "the proof that it can be restored has run out", "run the restore test again"},
	Rule{"exercised-stale", holdfast.Assurance, holdfast.Stale, 17, "the exercise has run out", "hold an exercise and record it"},
	Rule{codePlanStale, holdfast.Assurance, holdfast.Stale, 10, "the plan's review is overdue", "review the plan and record it"},
	Rule{codeBIAStale, holdfast.Assurance, holdfast.Stale, 10, "the review of the business impact analysis is overdue", "review it with the service's owner and record it"},
	Rule{codeTrainingStale, holdfast.Assurance, holdfast.Stale, 12, "training has run out", "train the team again and record it"},
	Rule{codeAttestStale, holdfast.Assurance, holdfast.Stale, 12, "the attestation has run out", "attest it again: holdfast record attestation"},
	Rule{codeDeclaredStale, holdfast.Assurance, holdfast.Stale, 10, "the attestation of a declared fact has run out", "look at the copy and attest the fact, or let a probe observe it"},

	Rule{codeDependency, holdfast.Feasibility, "", 0, "a service this one waits for stands as badly", "mend that service first"},

	Rule{codeExpiring, holdfast.Feasibility, holdfast.Proven, 3, "a certificate, key or licence ends soon", "renew it before it ends"},
	Rule{codeRPODue, holdfast.ObjectiveNeed, holdfast.Proven, 0, "when exposure reaches the RPO if no newer point comes", "let the next recovery point come in time"},
	Rule{codeNoPlan, holdfast.Assurance, holdfast.Proven, 4, "the path has no plan", "write a plan and name it in the path's needs"},
	Rule{codeNoTeam, holdfast.Assurance, holdfast.Proven, 3, "the path names no team trained in its plan", "name the team in the path's needs"},
	Rule{codeThreeCopies, holdfast.Assurance, holdfast.Proven, 2, "fewer than three copies of the data, the primary included", "add a copy"},
	Rule{codeTwoMedia, holdfast.Assurance, holdfast.Proven, 2, "all copies are on one medium", "keep a copy on another medium"},
	Rule{codeOneOffsite, holdfast.Assurance, holdfast.Proven, 3, "no copy is off-site", "keep a copy at another site"},
	Rule{codeOneHardened, holdfast.Assurance, holdfast.Proven, 3, "no copy is immutable or offline", "lock a copy, or keep one offline"},
	Rule{codeZeroErrors, holdfast.Assurance, holdfast.Proven, 3, "the last verification of a copy found errors", "repair the copy and verify it again"},
	Rule{codeUnverified, holdfast.Assurance, holdfast.Proven, 2, "no point on hand was ever verified", "verify or restore the copy"},
	Rule{codeShrunk, holdfast.Assurance, holdfast.Proven, 3, "the newest point is far smaller than those before it", "look what is missing, or restore the newest point with a check of its content"},
	Rule{codeFewerFiles, holdfast.Assurance, holdfast.Proven, 3, "the newest point holds far fewer files than those before it", "look what is missing, or restore the newest point with a check of its content"},
	Rule{codeSharedCredential, holdfast.Assurance, holdfast.Proven, 3, "one credential opens several copies of the data", "give each copy a credential of its own"},
	Rule{codeMTPD, holdfast.ObjectiveNeed, holdfast.Proven, 4, "RTO and work recovery time together exceed the MTPD", "agree on terms that fit together"},
	Rule{codeWeaker, holdfast.ObjectiveNeed, holdfast.Proven, 2, "a dependency promises less than this service needs", "raise the dependency's terms, or depend on it less"},
	Rule{codeCommittedRTO, holdfast.ObjectiveNeed, holdfast.Proven, 3, "the path is designed for a longer RTO than requested", "design the path for the RTO, or agree on another"},
)

func byCode(list ...Rule) map[string]Rule {
	m := make(map[string]Rule, len(list))
	for _, r := range list {
		m[r.Code] = r
	}
	return m
}

// Rules lists the table of findings, by code.
func Rules() []Rule {
	var list []Rule
	for _, code := range Codes() {
		list = append(list, rules[code])
	}
	return list
}

// Codes lists the codes of findings, sorted: what a policy may state costs for.
func Codes() []string { return slices.Sorted(maps.Keys(rules)) }

// missSteps are the steps at which a missed RTO or RPO costs more, as multiples of
// the objective, and what each adds.
var missSteps = []struct {
	times float64
	adds  int
}{{1, 0}, {1.5, 3}, {2, 6}, {4, 9}}

// missCost returns what a miss adds to its finding's cost: ratio is what is
// missed by, as a multiple of the objective.
func missCost(ratio float64) int {
	adds := 0
	for _, s := range missSteps {
		if ratio >= s.times {
			adds = s.adds
		}
	}
	return adds
}
