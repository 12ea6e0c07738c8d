package score_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

// The invariants of JUDGEMENT.md 7, each over many random estates. A failure names
// the seed of its estate.

// Estates hold 2.5 services on average: all invariants together see more than
// 10,000.
func random(t *testing.T, invariant, estates uint64, f func(t *testing.T, d dice, c *holdfast.Catalogue, seen []holdfast.Observation, records []holdfast.Record)) {
	t.Parallel()
	services := 0
	for seed := range estates {
		d := dice{rand.New(rand.NewPCG(invariant, seed))}
		c := d.catalogue()
		seen, records := d.evidence(c)
		services += len(c.Services)
		f(t, d, c, seen, records)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if services < 2*int(estates) {
		t.Errorf("%d services only", services)
	}
}

func same(t *testing.T, what string, got, want []holdfast.Posture) {
	t.Helper()
	a, errA := json.Marshal(want)
	b, errB := json.Marshal(got)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("%s, -want +got:\n%s", what, cmp.Diff(asJSON(t, want), asJSON(t, got)))
	}
}

func notRaised(t *testing.T, what string, before, after []holdfast.Posture) {
	t.Helper()
	for i := range before {
		b, a := before[i], after[i]
		if b.Score == nil {
			continue
		}
		if a.State.Rank() < b.State.Rank() || *a.Score > *b.Score {
			t.Errorf("%s raised %s from %s %d to %s %d\nbefore %s\nafter %s", what, b.Name, b.State, *b.Score, a.State, *a.Score, asJSON(t, b), asJSON(t, a))
		}
	}
}

func TestEveryCombinationHasAState(t *testing.T) {
	random(t, 1, 2000, func(t *testing.T, d dice, c *holdfast.Catalogue, seen []holdfast.Observation, records []holdfast.Record) {
		for _, p := range score.NewModel(c).Judge(factsOf(seen, records), now) {
			checkPosture(t, p)
		}
	})
}

func TestOrderAndDuplicationNeverMatter(t *testing.T) {
	random(t, 2, 150, func(t *testing.T, d dice, c *holdfast.Catalogue, seen []holdfast.Observation, records []holdfast.Record) {
		m := score.NewModel(c)
		want := m.Judge(factsOf(seen, records), now)
		for range 2 {
			s, r := slices.Concat(seen, seen[:len(seen)/2]), slices.Concat(records, records[:len(records)/2])
			d.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
			d.Shuffle(len(r), func(i, j int) { r[i], r[j] = r[j], r[i] })
			same(t, "evidence shuffled", m.Judge(factsOf(s, r), now), want)
		}
	})
}

func TestTimeAloneNeverRaises(t *testing.T) {
	random(t, 3, 500, func(t *testing.T, d dice, c *holdfast.Catalogue, seen []holdfast.Observation, records []holdfast.Record) {
		m, f := score.NewModel(c), factsOf(seen, records)
		at, before := now, m.Judge(f, now)
		for range 4 {
			at = at.Add(d.age().Std())
			after := m.Judge(f, at)
			notRaised(t, "time alone", before, after)
			before = after
		}
	})
}

func TestNothingChangesBetweenDeadlines(t *testing.T) {
	random(t, 4, 120, func(t *testing.T, d dice, c *holdfast.Catalogue, seen []holdfast.Observation, records []holdfast.Record) {
		m, f := score.NewModel(c), factsOf(seen, records)
		for _, p := range m.Judge(f, now) {
			at := now
			for range 4 {
				end := p.SilentAt
				if n := p.NextChange; n != nil && (end.IsZero() || n.Before(end)) {
					end = *n
				}
				if end.IsZero() {
					end = at.Add(1000 * 24 * time.Hour)
				}
				if !end.After(at) {
					t.Fatalf("deadline %s of %s at %s", end, p.Name, at)
				}
				last := m.JudgeService(f, p.Name, end.Add(-1))
				p.NextChange, last.NextChange = nil, nil // the same instant, but for those that come after it
				same(t, "before the deadline", []holdfast.Posture{last}, []holdfast.Posture{p})
				at, p = end, m.JudgeService(f, p.Name, end)
			}
		}
	})
}

func TestPrunedJudgesLikeAll(t *testing.T) {
	random(t, 5, 150, func(t *testing.T, d dice, c *holdfast.Catalogue, seen []holdfast.Observation, records []holdfast.Record) {
		m := score.NewModel(c)
		for range len(seen) { // more of the same, later, as checks report
			o := seen[d.IntN(len(seen))]
			o.At = o.At.Add(time.Duration(d.Float64() * float64(now.Sub(o.At))))
			o.Received = o.At
			seen = append(seen, o)
		}
		slices.SortStableFunc(seen, func(a, b holdfast.Observation) int { return received(a).Compare(received(b)) })
		pruned, again := score.NewFacts(), score.NewFacts()
		for i, o := range seen {
			pruned.Advance(received(o))
			pruned.Observe(o)
			if i == len(seen)/2 {
				all := factsOf(seen[:i+1], records)
				same(t, "half way", m.Judge(withRecords(pruned, records), received(o)), m.Judge(all, received(o)))
			}
		}
		want := m.Judge(factsOf(seen, records), now)
		same(t, "pruned", m.Judge(withRecords(pruned, records), now), want)
		for k := range c.Checks {
			for _, o := range pruned.History(k.ID) {
				again.Observe(o)
			}
			again.Remember(k.ID, pruned.Points(k.ID))
		}
		same(t, "stored and read back", m.Judge(withRecords(again, records), now), want)
	})
}

func received(o holdfast.Observation) time.Time {
	if o.Received.IsZero() {
		return o.At
	}
	return o.Received
}

func withRecords(f *score.Facts, records []holdfast.Record) *score.Facts {
	for _, r := range records {
		f.Record(r)
	}
	return f
}

func TestConcernedIsEnough(t *testing.T) {
	random(t, 6, 120, func(t *testing.T, d dice, c *holdfast.Catalogue, seen []holdfast.Observation, records []holdfast.Record) {
		m, f := score.NewModel(c), factsOf(seen, records)
		postures := m.Judge(f, now)
		var checks []*holdfast.Check
		for k := range c.Checks {
			checks = append(checks, k)
		}
		if len(checks) == 0 {
			return
		}
		for range 3 {
			o := d.observation(pick(d, checks...))
			o.At, o.Received = now, now
			rejudge := m.Observe(f, o)
			for _, name := range m.Concerned(o.Check) {
				i := slices.IndexFunc(postures, func(p holdfast.Posture) bool { return p.Name == name })
				if rejudge {
					postures[i] = m.JudgeService(f, name, now)
				}
			}
			same(t, "re-judged what "+o.Check+" concerns", postures, m.Judge(f, now))
		}
		r := records
		if len(r) == 0 {
			return
		}
		x := pick(d, r...)
		x.At, x.Received, x.ID = now, now, "new"
		f.Record(x)
		for _, name := range m.Touched(x) {
			i := slices.IndexFunc(postures, func(p holdfast.Posture) bool { return p.Name == name })
			postures[i] = m.JudgeService(f, name, now)
		}
		same(t, "re-judged what a record concerns", postures, m.Judge(f, now))
	})
}

func TestWorseEvidenceNeverRaises(t *testing.T) {
	random(t, 7, 250, func(t *testing.T, d dice, c *holdfast.Catalogue, seen []holdfast.Observation, records []holdfast.Record) {
		m := score.NewModel(c)
		before := m.Judge(factsOf(seen, records), now)
		for range 4 {
			if len(seen) == 0 {
				return
			}
			i := d.IntN(len(seen))
			s := slices.Clone(seen)
			what := worsen(d, &s[i])
			if what == "" || oddities(before, s[i].Check) {
				continue // points taken from an odd record may leave nothing odd
			}
			notRaised(t, what+" of "+s[i].Check, before, m.Judge(factsOf(s, records), now))
		}
	})
}

// oddities reports whether a finding rests on how a check's recovery points compare
// with each other: with one of them gone they compare otherwise.
func oddities(postures []holdfast.Posture, check string) bool {
	codes := []string{"copy-shrunk", "fewer-files", "changed-much", "kept-too-short"}
	return slices.ContainsFunc(postures, func(p holdfast.Posture) bool {
		return slices.ContainsFunc(p.Findings, func(f holdfast.Finding) bool { return f.Check == check && slices.Contains(codes, f.Code) })
	})
}

// worsen replaces an observation by a worse one of the same time; empty where
// nothing about it can be worse.
func worsen(d dice, o *holdfast.Observation) string {
	switch {
	case o.Outcome == holdfast.OutcomeUnknown:
		return ""
	case o.Restoration != nil && d.chance(0.5):
		r := *o.Restoration
		o.Restoration = &r
		switch d.IntN(3) {
		case 0:
			if r.Duration == 0 {
				return ""
			}
			o.Restoration.Duration *= 2
			return "a longer restore"
		case 1:
			o.Restoration.Checks = 0
			return "no content check"
		}
		o.Restoration.Point = r.Point.Add(-time.Hour)
		return "an older point restored"
	case o.Verification != nil && d.chance(0.5):
		v := *o.Verification
		o.Verification = &v
		if d.chance(0.5) {
			o.Verification.Errors++
			return "more errors"
		}
		o.Verification.Scope /= 2
		return "less verified"
	case o.Replication != nil && d.chance(0.5):
		r := *o.Replication
		o.Replication = &r
		o.Replication.Lag += holdfast.Duration(time.Hour)
		return "a longer lag"
	case o.Capacity != nil && d.chance(0.5):
		k := *o.Capacity
		o.Capacity = &k
		o.Capacity.Free /= 2
		return "less room"
	case len(o.RecoveryPoints) > 2 && d.chance(0.5):
		o.RecoveryPoints = slices.Delete(slices.Clone(o.RecoveryPoints), 0, 1) // what is kept longest stays
		return "an older newest point"
	case o.Outcome == holdfast.OK:
		o.Outcome = pick(d, holdfast.OutcomeDegraded, holdfast.Failed)
	case o.Outcome == holdfast.OutcomeDegraded:
		o.Outcome = holdfast.Failed
	default:
		return ""
	}
	return "outcome " + string(o.Outcome)
}

func TestErrorsAndLostEvidenceNeverRaise(t *testing.T) {
	random(t, 8, 150, func(t *testing.T, d dice, c *holdfast.Catalogue, seen []holdfast.Observation, records []holdfast.Record) {
		m := score.NewModel(c)
		before := m.Judge(factsOf(seen, records), now)
		for k := range c.Checks {
			if d.chance(0.2) {
				s := append(slices.Clone(seen), holdfast.Observation{Check: k.ID, Agent: k.On, At: now, Received: now, Outcome: holdfast.OutcomeUnknown, Reason: holdfast.ToolMissing})
				notRaised(t, "an error of "+k.ID, before, m.Judge(factsOf(s, records), now))
			}
		}
		for i, r := range records {
			if r.Kind == holdfast.Review && !r.Editorial && r.Plan == "" || r.Kind == holdfast.Training || r.Kind == holdfast.Attestation && r.Outcome != holdfast.Failed && alone(records, r) {
				notRaised(t, "losing a "+string(r.Kind), before, m.Judge(factsOf(seen, slices.Delete(slices.Clone(records), i, i+1)), now))
			}
		}
		for i, o := range seen {
			if o.Outcome == holdfast.OK && len(o.RecoveryPoints) == 0 && o.Replication == nil && o.Verification == nil && o.Restoration == nil && o.Capacity == nil &&
				o.Expiry.IsZero() && o.Immutable == nil && o.Encrypted == nil && o.Fingerprint == nil && o.Credential == "" && only(seen, o.Check) {
				notRaised(t, "losing "+o.Check, before, m.Judge(factsOf(slices.Delete(slices.Clone(seen), i, i+1), records), now))
			}
		}
	})
}

func alone(records []holdfast.Record, r holdfast.Record) bool {
	n := 0
	for _, x := range records {
		if x.Kind == r.Kind && x.Need == r.Need {
			n++
		}
	}
	return n == 1
}

func only(seen []holdfast.Observation, check string) bool {
	n := 0
	for _, x := range seen {
		if x.Check == check {
			n++
		}
	}
	return n == 1
}

func TestSilenceIsNeverGreen(t *testing.T) {
	random(t, 9, 500, func(t *testing.T, d dice, c *holdfast.Catalogue, seen []holdfast.Observation, records []holdfast.Record) {
		m, f := score.NewModel(c), factsOf(seen, records)
		for _, p := range m.Judge(f, now.Add(48*time.Hour)) {
			for _, s := range p.Scenarios {
				if s.State != holdfast.Proven && s.State != holdfast.Stale && s.State != holdfast.Degraded && s.State != holdfast.Untested {
					continue
				}
				path := c.Service(p.Name).Path(s.Path)
				for _, n := range path.Needs {
					if n.Check != nil {
						t.Errorf("%s is %s in %s although %s was not looked at for 48h", p.Name, s.State, s.Name, n.ID)
					}
				}
				if len(path.From) > 0 {
					t.Errorf("%s is %s in %s although its copies were not looked at for 48h", p.Name, s.State, s.Name)
				}
			}
		}
	})
}
