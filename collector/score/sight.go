package score

import (
	"fmt"
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// validityLimits bound the validity of a good observation, by tier from 1.
var validityLimits = [4]holdfast.Duration{
	holdfast.Duration(2 * time.Hour), holdfast.Duration(12 * time.Hour),
	holdfast.Duration(24 * time.Hour), holdfast.Duration(48 * time.Hour),
}

// validity is how long a good observation of a check holds: two intervals and the
// timeout, at most its tier's limit.
func validity(c *holdfast.Check, tier int) holdfast.Duration {
	limit := validityLimits[min(max(tier, 1), 4)-1]
	if c.Every > limit {
		return limit // also where 2 × every would overflow
	}
	return min(2*c.Every+c.Timeout, limit)
}

// Validity returns how long a good observation of a check holds; zero for a check
// the catalogue does not have.
func (m *Model) Validity(check string) holdfast.Duration {
	if c := m.checks[check]; c != nil {
		return c.validity
	}
	return 0
}

// Observe takes an observation into facts and answers whether the services it
// concerns must be judged again: anything but its time is new, or the check had
// run out before it came.
func (m *Model) Observe(f *Facts, o holdfast.Observation) bool {
	heard := f.Heard(o.Check)
	changed := f.Observe(o)
	return changed || m.ranOut(o.Check, heard, o.Received)
}

// Repeat is Facts.Repeat, and answers besides whether the services concerned must
// be judged again because the check had run out.
func (m *Model) Repeat(f *Facts, check, agent string, seq uint64, at, received time.Time) (rejudge, ok bool) {
	h := f.checks[check]
	heard := h.heard()
	if !h.repeat(f.floor, agent, seq, at, received) {
		return false, false
	}
	return m.ranOut(check, heard, received), true
}

func (m *Model) ranOut(check string, heard, now time.Time) bool {
	c := m.checks[check]
	return c != nil && !now.Before(heard.Add(c.validity.Std()))
}

// sight is what is known of a check at the judged instant.
type sight struct {
	check  *check
	seen   []entry    // conclusive and known, oldest first
	past   pastPoints // what is remembered from before seen
	errors []entry
	obs    *entry // the one that counts; nil: never observed
	index  int    // of obs in seen
	live   bool   // obs is valid, by the agent the check is on
	until  time.Time
	why    string // why it is not live
	since  time.Time
}

// sight looks a check up, once per service.
func (j *judge) sight(c *check) *sight {
	if s := j.sights[c]; s != nil {
		return s
	}
	s := &sight{check: c}
	j.sights[c] = s
	h := j.f.checks[c.ID]
	if len(c.was) > 0 {
		h = j.renamed(c, h)
	}
	if h != nil {
		s.seen, s.errors, s.past = knownEntries(h.seen, j.at), knownEntries(h.errors, j.at), h.past
	}
	s.choose()
	s.judgeLive(j)
	return s
}

// renamed joins what was observed under former names, where there is any.
func (j *judge) renamed(c *check, h *history) *history {
	var list []*history
	for _, id := range c.was {
		if old := j.f.checks[id]; old != nil {
			list = append(list, old)
		}
	}
	if len(list) == 0 {
		return h
	}
	return joinHistories(append(list, h)...)
}

// knownEntries leaves out what was received after the judged instant.
func knownEntries(list []entry, at time.Time) []entry {
	late := 0
	for i := range list {
		if list[i].Received.After(at) {
			late++
		}
	}
	if late == 0 {
		return list
	}
	early := make([]entry, 0, len(list)-late)
	for i := range list {
		if !list[i].Received.After(at) {
			early = append(early, list[i])
		}
	}
	return early
}

// choose finds the observation that counts. Where the check moved to another
// agent, what the former saw good counts no more, and what it saw bad stays.
func (s *sight) choose() {
	for i := len(s.seen) - 1; i >= 0; i-- {
		e := &s.seen[i]
		if s.own(e) {
			s.obs, s.index = e, i
			return
		}
		if i == len(s.seen)-1 && e.Outcome != holdfast.OK {
			s.obs, s.index = e, i
			return
		}
	}
}

// own reports whether an entry is of the agent the check is on.
func (s *sight) own(e *entry) bool { return e.Agent == "" || e.Agent == s.check.On }

func (s *sight) judgeLive(j *judge) {
	switch {
	case j.f.agents != nil && !j.f.agents[s.check.On]:
		s.why = "unknown: no such agent: " + s.check.On
	case s.obs == nil && len(s.seen) > 0:
		s.why = fmt.Sprintf("moved to agent %s, which has not reported yet", s.check.On)
	case s.obs == nil:
		s.why = "never observed" + s.error()
	case !s.own(s.obs):
		s.why = fmt.Sprintf("as agent %s last saw it; agent %s has not reported yet", s.obs.Agent, s.check.On)
	default:
		s.until = s.obs.last.at.Add(s.check.validity.Std())
		if j.at.Before(s.until) {
			s.live = true
			return
		}
		s.since = s.until
		s.why = "not seen since " + moment(s.obs.last.at) + s.error()
	}
}

// error says what came of the latest try, where it could not tell.
func (s *sight) error() string {
	if len(s.errors) == 0 {
		return ""
	}
	e := &s.errors[len(s.errors)-1]
	if s.obs != nil && !e.last.received.After(s.obs.last.received) {
		return ""
	}
	text := string(e.Reason)
	if e.Summary != "" {
		text = e.Summary
	}
	if text == "" {
		return ": the check could not tell"
	}
	return ": the check could not tell: " + text
}

// began returns when the observation that counts first said what it says.
func (s *sight) began() time.Time {
	h := history{seen: s.seen}
	return s.seen[h.sameStart(s.index)].At
}

// badSince returns since when the outcome has been what it is.
func (s *sight) badSince() time.Time {
	h := history{seen: s.seen}
	return s.seen[h.runStart(s.index)].At
}

// latest returns the newest known observation that has a part.
func (s *sight) latest(has func(*holdfast.Observation) bool) *entry {
	for i := len(s.seen) - 1; i >= 0; i-- {
		if has(&s.seen[i].Observation) {
			return &s.seen[i]
		}
	}
	return nil
}

// moment writes an instant for people.
func moment(t time.Time) string {
	t = t.UTC()
	if t.Second() != 0 {
		return t.Format("2006-01-02 15:04:05 UTC")
	}
	return t.Format("2006-01-02 15:04 UTC")
}
