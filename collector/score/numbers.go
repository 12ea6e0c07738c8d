package score

import (
	"fmt"
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// terms are a service's objectives in one scenario.
type terms struct {
	rto, rpo holdfast.Objective
	mtpd     holdfast.Duration
	wrt      holdfast.Duration
	mtdl     holdfast.Duration // 0: none
	judged   bool              // there is a BIA
}

// mtdlDefault is the least maximum tolerable data loss where none is stated.
const mtdlDefault = holdfast.Duration(36 * time.Hour)

// termsIn returns what a BIA asks in a scenario: its own terms there, else the
// general ones.
func termsIn(bia *holdfast.BIA, scenario string) terms {
	if bia == nil {
		return terms{}
	}
	t := terms{rto: bia.RTO, rpo: bia.RPO, mtpd: bia.MTPD, wrt: bia.WRT, mtdl: bia.MTDL, judged: true}
	own := bia.Scenarios[scenario]
	if own.RTO != (holdfast.Objective{}) {
		t.rto = own.RTO
	}
	if own.RPO != (holdfast.Objective{}) {
		t.rpo = own.RPO
	}
	if own.MTPD > 0 {
		t.mtpd = own.MTPD
	}
	if own.MTDL > 0 {
		t.mtdl = own.MTDL
	}
	if t.mtdl == 0 && t.rpo.Stated() {
		t.mtdl = max(mtdlDefault, 4*t.rpo.Limit)
	}
	return t
}

// rpoItem judges the data a path would lose: the largest of exposure, the
// committed RPO, the loss of its latest exercise, and the gaps between points. nil:
// nothing is missed.
func (j *judge) rpoItem(b *base, s *service, p *path, t *terms, c *clock) *item {
	if len(p.copies) == 0 || !t.judged || !t.rpo.Stated() && t.mtdl == 0 {
		return nil
	}
	id := s.Name + "/" + p.Name + "/rpo"
	pt := b.point
	if !pt.known {
		return j.finding(codeRPOUnknown, id, "no recovery point of "+pt.copy+" is known")
	}
	turn := c.due
	if pt.moving {
		turn = c.silent
	}
	if t.mtdl > 0 && !pt.current {
		end := pt.at.Add(t.mtdl.Std())
		turn(end)
		if !j.at.Before(end) {
			it := j.finding(codeRPOBeyond, id, fmt.Sprintf("the newest point of %s is of %s: more than %s of data would be lost, beyond bearing", pt.copy, moment(pt.at), t.mtdl))
			it.since, it.at = end, pt.at
			return it
		}
	}
	if !t.rpo.Stated() {
		return nil
	}
	return j.rpoMiss(b, p, t, id, turn)
}

// rpoMiss judges against a stated RPO what is not beyond bearing.
func (j *judge) rpoMiss(b *base, p *path, t *terms, id string, turn func(time.Time)) *item {
	limit, pt := t.rpo.Limit.Std(), b.point
	reason, ratio := "", 0.0
	miss := func(d time.Duration, format string, args ...any) {
		if reason != "" {
			reason += "; "
		}
		reason += fmt.Sprintf(format, args...)
		ratio = max(ratio, float64(d)/float64(limit))
	}
	if pt.gap > limit {
		miss(pt.gap, "points of %s lie up to %s apart, RPO %s", pt.gapCopy, holdfast.Duration(pt.gap), t.rpo.Limit)
	}
	if p.RPO > t.rpo.Limit {
		miss(p.RPO.Std(), "the path is designed for an RPO of %s, %s requested", p.RPO, t.rpo.Limit)
	}
	if b.loss > limit {
		miss(b.loss, "the exercise of %s lost %s, RPO %s", moment(b.lossAt), holdfast.Duration(b.loss), t.rpo.Limit)
	}
	var since, until time.Time
	if !pt.current {
		reached := pt.at.Add(limit)
		exposure := j.at.Sub(pt.at)
		if exposure >= limit {
			since = reached
			miss(exposure, "the newest point of %s is of %s, RPO %s", pt.copy, moment(pt.at), t.rpo.Limit)
		}
		until = j.turns(pt.at, limit, t.mtdl, exposure, ratio, turn)
	}
	if reason == "" {
		if pt.current || pt.moving {
			return nil
		}
		it := j.finding(codeRPODue, id, "the newest point of "+pt.copy+" is of "+moment(pt.at)+": breaches the RPO of "+t.rpo.Limit.String()+" at "+moment(until))
		it.verdict, it.until, it.at = holdfast.Met, until, pt.at
		return it
	}
	it := j.finding(codeRPOMiss, id, reason)
	it.cost += missCost(ratio)
	it.since, it.until, it.at = since, until, pt.at
	return it
}

// turns notes when growing exposure makes a difference, and returns the first such
// instant: the RPO itself, a dearer step of the miss, the end of bearing.
func (j *judge) turns(point time.Time, limit time.Duration, mtdl holdfast.Duration, exposure time.Duration, ratio float64, turn func(time.Time)) time.Time {
	var first time.Time
	note := func(t time.Time) {
		turn(t)
		if t.After(j.at) && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	for _, step := range missSteps {
		if step.times > ratio || step.times == 1 && exposure < limit {
			note(point.Add(time.Duration(float64(limit) * step.times)))
		}
	}
	if mtdl > 0 {
		note(point.Add(mtdl.Std()))
	}
	return first
}

// lossOf is the data lost in the latest exercise that counts: from the restored
// point to the start.
func (j *judge) lossOf(b *base, s *service, p *path) {
	var passes []proof
	for _, r := range j.exercises(s, p) {
		if r.Outcome != holdfast.Failed && j.counts(s, p, &r) == "" {
			passes = append(passes, exerciseProof(&r))
		}
	}
	if pr := newest(passes); pr != nil && !pr.exercise.Point.IsZero() {
		b.loss, b.lossAt = pr.exercise.Started.Sub(pr.exercise.Point), pr.exercise.At
	}
	if pr := newest(passes); pr != nil {
		b.exercise = pr
	}
}

// measured is how long a path takes, by its tests.
type measured struct {
	known       bool
	unsaid      bool // tests passed, but said no duration
	proven      holdfast.Duration
	expected    holdfast.Duration
	restoreOnly bool
}

// measure works out the proven and the expected RTO of a path.
func (j *judge) measure(b *base, p *path) measured {
	var m measured
	restored, expected, ok, said := j.measureRestores(b, p)
	if ok {
		m = measured{known: said, unsaid: !said, proven: restored, expected: expected, restoreOnly: true}
	}
	if b.exercise != nil {
		e := b.exercise
		d := scaleTime(e.duration, b.bytesNow(p), e.bytes)
		if !m.known {
			m.proven, m.expected = 0, 0
		}
		m.proven, m.expected = max(m.proven, e.duration), max(m.expected, d)
		m.known, m.unsaid, m.restoreOnly = true, false, false
	}
	return m
}

// measureRestores adds up the latest complete restores of the path's copies; one
// test of several datasets counts once.
func (j *judge) measureRestores(b *base, p *path) (proven, expected holdfast.Duration, ok, said bool) {
	type run struct {
		pr    *proof
		bytes holdfast.Bytes // now, of all it restored
		sized bool
	}
	var runs []run
	said = true
	for i := range p.copies {
		if !copyCanHave(p, &p.copies[i], holdfast.Restored) {
			continue
		}
		pr := b.trials[i].restored()
		if pr == nil {
			return 0, 0, false, false
		}
		if slower := slowerPartial(b.trials[i], pr); slower != nil {
			pr = slower
		}
		if pr.exercise != nil {
			continue // its duration is the whole path's, counted apart
		}
		said = said && pr.duration > 0
		size := b.points[i].bytes
		shared := false
		for k := range runs {
			if runs[k].pr.key() == pr.key() {
				runs[k].bytes += size
				runs[k].sized = runs[k].sized && size > 0
				shared = true
			}
		}
		if !shared {
			runs = append(runs, run{pr, size, size > 0})
		}
	}
	for _, r := range runs {
		took, will := r.pr.duration, r.pr.duration
		if r.sized && r.pr.coverage > 0 {
			will = scaleTime(took, r.bytes, holdfast.Bytes(float64(r.pr.bytes)/r.pr.coverage))
		}
		if p.Parallel {
			proven, expected = max(proven, took), max(expected, will)
		} else {
			proven, expected = proven+took, expected+will
		}
	}
	return proven, expected, len(runs) > 0, said
}

// slowerPartial returns the latest partial restore after a complete one, where it
// took longer.
func slowerPartial(t *trial, complete *proof) *proof {
	var latest *proof
	for i := range t.partial {
		p := &t.partial[i]
		if p.at.After(complete.at) && (latest == nil || p.at.After(latest.at) || p.at.Equal(latest.at) && p.tie(latest)) {
			latest = p
		}
	}
	if latest == nil || latest.duration <= complete.duration {
		return nil
	}
	return latest
}

// scaleTime scales a duration by the growth of data since it was measured, never
// below 1.
func scaleTime(d holdfast.Duration, now, then holdfast.Bytes) holdfast.Duration {
	if then <= 0 || now <= then {
		return d
	}
	f := float64(d) * (float64(now) / float64(then))
	if f > float64(holdfast.Year)*100 {
		return 100 * holdfast.Year
	}
	const ms = holdfast.Duration(time.Millisecond)
	return max(d, holdfast.Duration(f)/ms*ms)
}

// bytesNow is the size of all that a path restores; 0: not all known.
func (b *base) bytesNow(p *path) holdfast.Bytes {
	var sum holdfast.Bytes
	for i := range p.copies {
		if b.points[i].bytes == 0 {
			return 0
		}
		sum += b.points[i].bytes
	}
	return sum
}

// rtoItem judges recovery time against RTO and MTPD; nil: it meets them, or cannot
// be judged.
func (j *judge) rtoItem(s *service, p *path, t *terms, rt *holdfast.RecoveryTime, m *measured) *item {
	if !t.judged {
		return nil
	}
	id := s.Name + "/" + p.Name + "/rto"
	switch {
	case m.unsaid && t.rto.Stated():
		return j.finding(codeRTOUnknown, id, "the tests of "+p.Name+" say no duration")
	case rt.AtLeast, rt.Unorderable, !m.known:
		return nil // the missing rung, or the cycle, gates already
	case t.mtpd > 0 && rt.Total+t.wrt > t.mtpd:
		work := ""
		if t.wrt > 0 {
			work = fmt.Sprintf(" and %s of work", t.wrt)
		}
		return j.finding(codeRTOBeyond, id, fmt.Sprintf("recovery takes %s%s, beyond the bearable %s", tilde(rt), work, t.mtpd))
	case !t.rto.Stated():
		return nil
	case rt.Total > t.rto.Limit:
		it := j.finding(codeRTOMiss, id, fmt.Sprintf("recovery takes %s%s, RTO %s", tilde(rt), chainText(rt), t.rto.Limit))
		it.cost += missCost(float64(rt.Total) / float64(t.rto.Limit))
		return it
	}
	return nil
}

// tilde writes a recovery time, with ~ where growth scaled it.
func tilde(rt *holdfast.RecoveryTime) string {
	if rt.Estimated {
		return "~" + rt.Total.String()
	}
	return rt.Total.String()
}

func chainText(rt *holdfast.RecoveryTime) string {
	if len(rt.Chain) == 0 {
		return ""
	}
	text := fmt.Sprintf(" (own %s, waiting for ", rt.Own)
	for i, name := range rt.Chain {
		if i > 0 {
			text += ", "
		}
		text += name
	}
	return text + ")"
}
