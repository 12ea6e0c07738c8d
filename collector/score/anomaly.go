package score

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// Anomalies: what a copy's points, by the collector's own record of them, show
// besides their age. They say that somebody should look, not that a copy is bad;
// why some of them change a state all the same, DESIGN.md argues.

// How many of the points before the newest make "as usual", and how few do not.
const (
	usualPoints  = 10
	fewestPoints = 3
)

// elsewhereCost bounds what an oddity costs a path that restores from another
// copy.
const elsewhereCost = 3

// anomalies looks at every copy of a service, on a path or not. What changes a state
// does so only for the paths that restore from the copy.
func (j *judge) anomalies(sb *serviceBase, s *service) {
	for i := range s.Datasets {
		d := &s.Datasets[i]
		for k := range d.Copies {
			c := &d.Copies[k]
			id := s.Name + "/" + d.Name + "/" + c.Name
			odd := j.oddities(s, d, c, id, sb.verified[id].checked)
			if len(odd) == 0 {
				continue
			}
			sb.odd[id] = odd
			for _, it := range odd {
				wide := j.newItem()
				*wide = *it
				if wide.rank > 0 {
					wide.state, wide.rank, wide.cost = holdfast.Proven, 0, min(wide.cost, elsewhereCost)
				}
				sb.add(wide)
			}
		}
		if it := j.sharedCredential(s, d); it != nil {
			sb.add(it)
		}
	}
}

// oddities judges a backup's points by those before them. Checked is the newest
// point that a restore found good by its content.
func (j *judge) oddities(s *service, d *holdfast.Dataset, c *holdfast.Copy, id string, checked time.Time) []*item {
	k := j.checkOf(c)
	if k == nil || c.Kind != holdfast.Backup {
		return nil
	}
	seen := j.sight(k)
	if seen.obs == nil || nothingUsable(&seen.obs.Observation) {
		return nil
	}
	e := seen.latest(func(o *holdfast.Observation) bool { return o.Outcome != holdfast.Failed && len(o.RecoveryPoints) > 0 })
	keep := c.Keep
	if keep == 0 {
		keep = j.m.policy.Keep
	}
	if e == nil || keep == 0 && !sized(&e.Observation) {
		return nil
	}
	past := seen.remembered(originOf(&e.Observation), j.definedSince(s, d, c, k))
	list := j.unusual(id, past, seconds(e.last.at), checked)
	if keep > 0 {
		if it := j.keptTooShort(id, &e.Observation, seen.saidSince(e), past, keep); it != nil {
			list = append(list, it)
		}
	}
	for _, it := range list {
		it.check = k.ID
	}
	return list
}

// sized reports whether anything is known of a point but its time.
func sized(o *holdfast.Observation) bool {
	return slices.ContainsFunc(o.RecoveryPoints, func(p holdfast.RecoveryPoint) bool { return p.Bytes > 0 || p.Files > 0 || p.Changed != nil })
}

// remembered returns the record of one origin's points, newest first, of those that
// were listed since an instant.
func (s *sight) remembered(of, since uint32) pastPoints {
	past := append(make(pastPoints, 0, len(s.past)+holdfast.MaxRecoveryPoints), s.past...)
	for i := range s.seen {
		past = past.note(&s.seen[i])
	}
	return slices.DeleteFunc(past, func(p PastPoint) bool { return p.Of != of || p.Last < since })
}

// definedSince returns from when on a check lists what the copy is defined as now:
// after a change its agent may go on by the former definition for a while. 0:
// always.
func (j *judge) definedSince(s *service, d *holdfast.Dataset, c *holdfast.Copy, k *check) uint32 {
	var at time.Time
	for _, t := range j.changes(s, "copy "+d.Name+"/"+c.Name) {
		if t.Was != "" {
			at = later(at, t.At)
		}
	}
	if at.IsZero() {
		return 0
	}
	return seconds(at.Add(2 * k.validity.Std()))
}

// unusual compares the newest point of those listed now with those before it: for
// each number the newest that states it, as the end of an archive has no size. One
// that a restore found good by its content is let off.
func (j *judge) unusual(id string, past pastPoints, now uint32, checked time.Time) []*item {
	a := &j.m.policy.Anomalies
	var list []*item
	compare := func(of func(*PastPoint) int64, unlike func(v, median float64) bool) (newest *PastPoint, median float64) {
		at := slices.IndexFunc(past, func(p PastPoint) bool { return p.Last >= now && of(&p) >= 0 })
		if at < 0 || !checked.Before(time.Unix(0, past[at].At)) || !past[at].unlike(past[at+1:], of, unlike, &median) {
			return nil, 0
		}
		return &past[at], median
	}
	odd := func(p *PastPoint, code, need, what string) {
		it := j.finding(code, id+"/"+need, fmt.Sprintf("the point of %s of %s %s", moment(time.Unix(0, p.At)), id, what))
		it.since, it.at = instant(p.First), instant(p.First)
		list = append(list, it)
	}
	bytes := func(p *PastPoint) int64 { return stated(p.Bytes) }
	if p, usual := compare(bytes, func(v, median float64) bool { return v < a.Size*median }); p != nil {
		odd(p, codeShrunk, "size", fmt.Sprintf("holds %s, those before it %s (median)", holdfast.Bytes(p.Bytes), holdfast.Bytes(usual)))
	}
	files := func(p *PastPoint) int64 { return stated(p.Files) }
	if p, usual := compare(files, func(v, median float64) bool { return v < a.Files*median }); p != nil {
		odd(p, codeFewerFiles, "files", fmt.Sprintf("holds %d files, those before it %.0f (median)", p.Files, usual))
	}
	changed := func(p *PastPoint) int64 { return p.Changed }
	p, usual := compare(changed, func(v, median float64) bool { return a.Changed > 0 && v > a.Changed*median })
	if p != nil && p.Bytes > 0 && float64(p.Changed) > a.Share*float64(p.Bytes) {
		odd(p, codeChangedMuch, "changed", fmt.Sprintf("changed %s, %.0f %% of the whole, those before it %s (median): a sign of ransomware",
			holdfast.Bytes(p.Changed), 100*float64(p.Changed)/float64(p.Bytes), holdfast.Bytes(usual)))
	}
	return list
}

// stated makes a number that is not stated one that does not count.
func stated(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// unlike tells whether a number of a point is unlike the median of the ten points
// before it that state one. Where too few do there is no telling, and where more than
// a quarter of them are as unlike it themselves, that is usual here.
func (p *PastPoint) unlike(before pastPoints, of func(*PastPoint) int64, unlike func(v, median float64) bool, median *float64) bool {
	var known [usualPoints]float64
	n := 0
	for i := range before {
		if v := of(&before[i]); v >= 0 && n < len(known) {
			known[n] = float64(v)
			n++
		}
	}
	if n < fewestPoints {
		return false
	}
	slices.Sort(known[:n])
	*median = (known[(n-1)/2] + known[n/2]) / 2
	if !unlike(float64(of(p)), *median) {
		return false
	}
	likewise := 0
	for _, v := range known[:n] {
		if unlike(v, *median) {
			likewise++
		}
	}
	return likewise <= n/4
}

// keptTooShort finds a point that the record knows, that should be on hand and is
// not: the newest of them. It speaks only of points outside of what is listed, since
// between the newest four and the oldest nobody can tell; and by when the copy was
// first seen to lack it (said), not by now, so that time alone forgives nothing.
func (j *judge) keptTooShort(id string, o *holdfast.Observation, said time.Time, past pastPoints, keep holdfast.Duration) *item {
	for i := range past {
		p := &past[i]
		at := time.Unix(0, p.At).UTC()
		if until := at.Add(keep.Std()); p.Last < seconds(said) && p.missing(o) && until.After(said) {
			newest, oldest := span(o)
			it := j.finding(codeKeptShort, id+"/kept", fmt.Sprintf("the point of %s of %s is not on hand any more, and was to be kept until %s (keep %s); it was last listed %s, the copy now reaches from %s to %s",
				moment(at), id, moment(until), keep, moment(instant(p.Last)), moment(oldest), moment(newest)))
			it.since, it.at = instant(p.Gone), said
			if p.Gone == 0 {
				it.since = said
			}
			return it
		}
	}
	return nil
}

// saidSince returns when the check first said what an entry of it says.
func (s *sight) saidSince(e *entry) time.Time {
	h := history{seen: s.seen}
	for i := range s.seen {
		if &s.seen[i] == e {
			return s.seen[h.sameStart(i)].At
		}
	}
	return e.At
}

// sharedCredential finds copies of a dataset that one secret opens: who has it has
// them all. Agents tell hashes that can be compared within the dataset only.
func (j *judge) sharedCredential(s *service, d *holdfast.Dataset) *item {
	var shared []string
	var since time.Time
	look := func(i int) (hash string, from time.Time) {
		k := j.checkOf(&d.Copies[i])
		if k == nil || j.sight(k).obs == nil {
			return "", from
		}
		return j.sight(k).obs.Credential, j.sight(k).credentialSince()
	}
	for i := range d.Copies {
		hash, from := look(i)
		for n := range d.Copies {
			if other, _ := look(n); n != i && hash != "" && hash == other {
				shared, since = append(shared, d.Copies[i].Name), later(since, from)
				break
			}
		}
	}
	if shared == nil {
		return nil
	}
	id := s.Name + "/" + d.Name
	it := j.finding(codeSharedCredential, id+"/credential", fmt.Sprintf("one credential opens the copies %s of %s", strings.Join(shared, " and "), id))
	it.since, it.at = since, since
	return it
}

// credentialSince returns since when what is seen has been opened with the same
// secret.
func (s *sight) credentialSince() time.Time {
	h := history{seen: s.seen}
	return s.seen[h.credentialStart(s.index)].At
}

// addOddities adds what is odd about the copies a path restores from.
func (j *judge) addOddities(b *base, p *path) {
	odd := j.serviceBase(b.service).odd
	for i := range p.copies {
		b.add(odd[p.copies[i].id]...)
	}
}
