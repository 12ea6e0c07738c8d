package score

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// Proof decays by change (JUDGEMENT.md 2): a part of the path's fingerprint
// differs from the one sealed with the test. Parts that observations name are
// copy, tool and engine; the catalogue's are known from its changes, a plan's
// version from the exercise, and substantive changes from their records.

// observedParts are the parts of observed fingerprints that may void a rung;
// others are shown only.
var observedParts = []string{holdfast.PartCopy, holdfast.PartEngine, holdfast.PartTool}

var versionPattern = regexp.MustCompile(`\d+(\.\d+)*`)

// reduced cuts the value of a part to what a change is judged by: of tool and
// engine the name and major.minor, so that patch levels void nothing.
func reduced(part, value string) string {
	if part != holdfast.PartTool && part != holdfast.PartEngine {
		return value
	}
	at := versionPattern.FindStringIndex(value)
	if at == nil {
		return value
	}
	numbers := strings.Split(value[at[0]:at[1]], ".")
	return value[:at[0]] + strings.Join(numbers[:min(2, len(numbers))], ".")
}

// named is a value that a check named for a part, and since when.
type named struct {
	value string
	since time.Time // receipt of the first observation in a row that named it
	gone  time.Time // receipt of the first later one that names none; zero: named still
}

// part returns the newest value any copy or need check of the path named by at: a
// part still named before one no longer named.
func (j *judge) part(p *path, part string, at time.Time) (newest named, ok bool) {
	look := func(c *check) {
		if c == nil {
			return
		}
		n, found := namedBy(j.sight(c), part, at)
		if found && (!ok || n.newer(newest)) {
			newest, ok = n, true
		}
	}
	for i := range p.copies {
		look(p.copies[i].check)
	}
	for i := range p.needs {
		look(p.needs[i].check)
	}
	return newest, ok
}

func (n named) newer(o named) bool {
	switch {
	case n.gone.IsZero() != o.gone.IsZero():
		return n.gone.IsZero()
	case !n.since.Equal(o.since):
		return n.since.After(o.since)
	}
	return n.value > o.value
}

// namedBy returns what a check named for a part by at. A failed observation names
// nothing: it neither keeps nor drops a part.
func namedBy(s *sight, part string, at time.Time) (n named, ok bool) {
	for i := len(s.seen) - 1; i >= 0; i-- {
		e := &s.seen[i]
		if e.Received.After(at) || e.Outcome == holdfast.Failed {
			continue
		}
		value, names := e.Fingerprint[part]
		switch {
		case !names && ok:
			return n, true
		case !names:
			n.gone = e.Received
		case !ok:
			n.value, n.since, ok = reduced(part, value), e.Received, true
		case reduced(part, value) == n.value:
			n.since = e.Received
		default:
			return n, true
		}
	}
	return n, ok
}

// void is a change that takes the worth from a proof.
type void struct {
	at     time.Time // when it was seen
	reason string
}

// voided returns the first change that voids a rung's proof, for one copy or, for
// exercises, the whole path; nil: none.
func (j *judge) voided(s *service, p *path, c *copyOf, rung holdfast.Rung, pr *proof) *void {
	var first *void
	note := func(part string, at time.Time, format string, args ...any) {
		if !slices.Contains(j.m.policy.Void[part], rung) {
			return
		}
		if first == nil || at.Before(first.at) {
			first = &void{at, fmt.Sprintf(format, args...)}
		}
	}
	for _, part := range observedParts {
		if was, is, at, changed := j.partChanged(p, part, pr); changed {
			note(part, at, "%s changed from %s to %s", part, was, is)
		}
	}
	j.catalogueChanges(s, p, c, pr, note)
	j.recordedChanges(s, p, pr, note)
	if pr.exercise != nil {
		j.planChanged(p, pr.exercise, note)
	}
	return first
}

type noteFunc func(part string, at time.Time, format string, args ...any)

// partChanged compares an observed part now with what it was at the test.
func (j *judge) partChanged(p *path, part string, pr *proof) (was, is string, at time.Time, changed bool) {
	sealed, ok := pr.fingerprint[part]
	if ok {
		sealed = reduced(part, sealed)
	} else {
		n, found := j.part(p, part, pr.received)
		if !found || !n.gone.IsZero() {
			return "", "", at, false // absent at the test: not compared
		}
		sealed = n.value
	}
	current, found := j.part(p, part, j.at)
	switch {
	case !found && !j.copiesSeen(p): // a copy that nobody has looked at yet may well name it
		return "", "", at, false
	case !found: // the test named it, and no copy or need does
		return sealed, "nothing: it is no longer named", pr.received, true
	case !current.gone.IsZero():
		return sealed, "nothing: it is no longer named", later(current.gone, pr.received), true
	case current.value == sealed:
		return "", "", at, false
	}
	return sealed, current.value, current.since, true
}

// copiesSeen reports whether every copy of the path that has a check has been looked
// at, and found usable.
func (j *judge) copiesSeen(p *path) bool {
	for i := range p.copies {
		c := p.copies[i].check
		if c != nil && !slices.ContainsFunc(j.sight(c).seen, func(e entry) bool { return e.Outcome != holdfast.Failed }) {
			return false
		}
	}
	return true
}

// catalogueChanges notes what was defined otherwise when the test was made: the
// value then is what the first change after it replaced.
func (j *judge) catalogueChanges(s *service, p *path, c *copyOf, pr *proof, note noteFunc) {
	compare := func(part, what string, changes []holdfast.TermChange) {
		var first *holdfast.TermChange
		is := ""
		for i := range changes {
			if t := &changes[i]; t.At.After(pr.received) {
				if first == nil {
					first = t
				}
				is = t.Is
			}
		}
		if first != nil && first.Was != is && first.Was != "" {
			note(part, first.At, "%s changed %s", what, moment(first.At))
		}
	}
	if c != nil {
		compare(holdfast.PartCopy, "the definition of "+c.id, j.copyChanges(s, c))
	} else {
		for i := range p.copies {
			compare(holdfast.PartCopy, "the definition of "+p.copies[i].id, j.copyChanges(s, &p.copies[i]))
		}
	}
	compare(holdfast.PartPath, "the definition of path "+p.Name, j.pathChanges(s, p, "path "))
	compare(holdfast.PartSite, "the recovery site of "+p.Name, j.pathChanges(s, p, "site of "))
}

func (j *judge) copyChanges(s *service, c *copyOf) []holdfast.TermChange {
	return j.changes(s, "copy "+c.ref.String())
}

func (j *judge) pathChanges(s *service, p *path, what string) []holdfast.TermChange {
	list := j.changes(s, what+p.Name)
	if p.Was != "" {
		list = append(list, j.changes(s, what+p.Was)...)
		slices.SortStableFunc(list, compareChanges)
	}
	return list
}

// changes returns the known changes of one term of a service, oldest first.
func (j *judge) changes(s *service, term string) []holdfast.TermChange {
	var list []holdfast.TermChange
	for _, name := range names(s.Name, s.Was) {
		for _, t := range j.f.terms[name] {
			if t.Term == term && !t.At.After(j.at) {
				list = append(list, t)
			}
		}
	}
	return list
}

// recordedChanges notes change records marked substantive since the test.
func (j *judge) recordedChanges(s *service, p *path, pr *proof, note noteFunc) {
	for _, name := range names(s.Name, s.Was) {
		for _, r := range known(j.f.records.changes[name], j.at) {
			if !r.Substantive || r.At.Before(pr.at) || r.Path != "" && r.Path != p.Name && r.Path != p.Was {
				continue
			}
			what := r.Reason
			if what == "" {
				what = r.Note
			}
			if what != "" {
				what = ": " + what
			}
			note(holdfast.PartChange, r.At, "a substantive change %s%s", moment(r.At), what)
			if r.Data {
				note(holdfast.PartDataset, r.At, "a change that touches data %s%s", moment(r.At), what)
			}
		}
	}
}

// planChanged notes that the plan is no longer the version exercised, unless
// every revision since was marked editorial by its approver.
func (j *judge) planChanged(p *path, r *holdfast.Record, note noteFunc) {
	plan := planOf(p, r)
	if plan == nil || plan.Version == r.Version {
		return
	}
	versions := []string{plan.Version}
	at := r.At
	editorial := map[string]bool{}
	for _, name := range names(plan.Name, plan.Was) {
		for _, v := range known(j.f.records.planReviews[name], j.at) {
			if v.Version == "" || v.Version == r.Version || v.At.Before(r.At) {
				continue
			}
			if !slices.Contains(versions, v.Version) {
				versions = append(versions, v.Version)
			}
			if v.Editorial && (plan.Approver == "" || v.By == plan.Approver) {
				editorial[v.Version] = true
			}
			at = later(at, v.At)
		}
	}
	for _, t := range j.f.terms[""] {
		if t.Term == "plan "+plan.Name && t.At.After(r.At) && !t.At.After(j.at) {
			if t.Is != "" && t.Is != r.Version && !slices.Contains(versions, t.Is) {
				versions = append(versions, t.Is)
			}
			at = later(at, t.At)
		}
	}
	for _, v := range versions {
		if !editorial[v] {
			note(holdfast.PartPlan, at, "plan %s changed from version %s to %s", plan.Name, r.Version, plan.Version)
			return
		}
	}
}
