package web

import (
	"context"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const deadlinesShown = 8

// serviceView answers: if X happens to this service, when is it back, with how
// much lost, and what proves it?
type serviceView struct {
	*holdfast.Posture
	Called    string
	Sentence  string
	Others    string // how the scenarios stand that the sentence leaves out
	Catalogue *holdfast.Service
	Envelope  envelope
	Impact    []bullet
	Binding   string // the scenario whose objectives are shown: the worst
	Actual    actual
	Score     scoreView
	Ways      []way
	Deadlines []deadline
	Later     int // deadlines beyond those shown
	Gantts    []gantt
	Alone     []string // scenarios in which it waits for nobody
	Depends   []dependence
	AskedBy   []consumer // services that depend on it
	MoreAsk   int        // those beyond
	Evidence  []evidence
	Runs      []runView
	Timeline  *timelineView // nil: cannot be read now
	Restores  *restoresView // nil: nothing was ever tested
	Records   []recordRow   // newest first
	Older     []recordRow
	More      int      // records beyond those
	Enter     []option // forms the reader may fill in
	Accept    string   // where the reader may accept a risk; empty: not
	Changes   []holdfast.StandingChange
}

// actual is what would come of the binding scenario now, beside what was asked.
type actual struct {
	RTO, RPO       template.HTML
	RTOBad, RPOBad bool
}

const (
	recordsShown   = 8
	recordsOlder   = 100
	consumersShown = 24
)

func (s *server) servicePage(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	p, ok := s.c.Posture(name)
	if !ok {
		s.missingPage(w, r, "There is no service "+name+" in the catalogue")
		return
	}
	if s.unchanged(w, r) {
		return
	}
	p = clipped(p)
	now, catalogue, role := s.c.Now(), s.c.Catalogue(), whoIs(r.Context()).Role
	v := &serviceView{
		Posture: &p, Called: titleOf(&p), Catalogue: clipped(catalogue.Service(name)), Envelope: newEnvelope(&p, now),
		Score: newScore(&p), Deadlines: deadlines(&p, now), Enter: recordLinks(name, role),
	}
	own := ownScenarios(&p)
	if len(own) > 0 {
		v.Binding = scenarioTitle(own[0].Name)
		v.Actual = newActual(stand(&p, own[0]), now)
	}
	v.Sentence, v.Others = sentence(&p, own, now)
	v.Impact = impact(&p, now)
	if n := len(v.Deadlines); n > deadlinesShown {
		v.Deadlines, v.Later = v.Deadlines[:deadlinesShown], n-deadlinesShown
	}
	if role.MayRecord(holdfast.Acceptance) {
		v.Accept = servicePath(name) + "/record/" + string(holdfast.Acceptance)
	}
	v.Evidence, v.Runs = s.evidence(&p, catalogue, role.MayRunChecks())
	v.Ways = ways(&p, catalogue, v.Evidence)
	v.Gantts, v.Alone = gantts(recoveries(&p, s.c.Posture), p.Name)
	v.depend(catalogue, s.c)
	s.addPast(r.Context(), v, catalogue, own, now)
	s.show(w, r, http.StatusOK, "service", v.Called, v)
}

// addPast fills in what happened. A history that cannot be read is said in the log,
// and the rest of the page stands.
func (s *server) addPast(ctx context.Context, v *serviceView, catalogue *holdfast.Catalogue, own []*holdfast.ScenarioPosture, now time.Time) {
	failed := func(what string, err error) {
		if err != nil && ctx.Err() == nil {
			s.log.Error(what+" cannot be read", "service", v.Name, "err", err)
		}
	}
	changes, err := s.c.Changes(ctx, v.Name, changesShown)
	failed("history", err)
	v.Changes = clipped(changes)
	t, err := s.timeline(ctx, v.Posture, timelineDays)
	failed("timeline", err)
	if err == nil && v.Score.Judged {
		var names []string
		for _, x := range own {
			names = append(names, x.Name)
		}
		slices.SortFunc(names, scenarioOrder)
		v.Timeline = newTimelineView(t, names)
	}
	tests, err := s.testsMade(ctx, v.Posture, catalogue, now.Add(-restoreHistory))
	failed("tests", err)
	tests = slices.DeleteFunc(tests, func(x DayTest) bool { return x.Rung == holdfast.Intact })
	rto := time.Duration(0)
	if v.Objectives != nil {
		rto = v.Objectives.RTO.Requested.Limit.Std()
	}
	v.Restores = newRestoresView(tests, rto, now)
	plans, teams := plansAndTeams(catalogue.Service(v.Name))
	records, err := s.c.RecordsOn(ctx, v.Name, plans, teams)
	failed("records", err)
	v.addRecords(records)
}

// addRecords lists records, the newest first.
func (v *serviceView) addRecords(records []holdfast.Record) {
	for i := len(records) - 1; i >= 0; i-- {
		switch {
		case len(v.Records) < recordsShown:
			v.Records = append(v.Records, newRecordRow(&records[i], v.Name))
		case len(v.Older) < recordsOlder:
			v.Older = append(v.Older, newRecordRow(&records[i], v.Name))
		default:
			v.More++
		}
	}
}

// newActual says what recovery would be like now.
func newActual(s standing, now time.Time) actual {
	loss, back := lossBullet(s, now), timeBullet(s)
	return actual{RTO: back.Value, RPO: loss.Value, RTOBad: back.Bad, RPOBad: loss.Bad}
}

// impact sets the worst scenario against what the business asked for.
func impact(p *holdfast.Posture, now time.Time) []bullet {
	if p.Score == nil {
		return nil
	}
	loss, back := worstBullets(p, now)
	loss.Label, back.Label = "Data lost against RPO", "Time back against RTO"
	list := []bullet{loss, back}
	var worst *holdfast.ScenarioPosture
	for i := range p.Scenarios {
		s := &p.Scenarios[i]
		if t := s.RecoveryTime; s.AskedBy == "" && s.MTPD > 0 && t != nil && t.Total > 0 && !stand(p, s).blocked && p.Objectives != nil &&
			(worst == nil || float64(t.Total)/float64(s.MTPD) > float64(worst.RecoveryTime.Total)/float64(worst.MTPD)) {
			worst = s
		}
	}
	if worst != nil {
		with := *worst.RecoveryTime
		with.Total += p.Objectives.WRT
		b := bullet{Label: "Work resumed against MTPD", Of: span(worst.MTPD.Std()), Value: bulletText(timeText(&with))}
		b.Say = "Time back and work after it: " + spoken(with.Total.Std()) + against(with.Total.Std(), worst.MTPD.Std())
		list = append(list, b.filled(with.Total.Std(), worst.MTPD.Std()))
	}
	return append(list, bearable(p, now)...)
}

// bearable sets the data that would be lost against the most that is tolerable.
func bearable(p *holdfast.Posture, now time.Time) []bullet {
	if p.Objectives == nil || p.Objectives.MTDL == 0 {
		return nil
	}
	var worst time.Duration
	for _, s := range ownScenarios(p) {
		if x := stand(p, s); x.data && !x.current && !x.blocked && !s.Point.IsZero() {
			worst = max(worst, now.Sub(s.Point))
		}
	}
	if worst == 0 {
		return nil
	}
	limit := p.Objectives.MTDL.Std()
	b := bullet{Label: "Data lost against MTDL", Of: span(limit), Value: moment(now.Add(-worst), now, "age")}
	b.Say = "Most data lost: " + spoken(worst) + against(worst, limit)
	return []bullet{b.filled(worst, limit)}
}

// ownScenarios are those the service's own BIA and tier ask, the worst first.
func ownScenarios(p *holdfast.Posture) []*holdfast.ScenarioPosture {
	var own []*holdfast.ScenarioPosture
	for i := range p.Scenarios {
		if s := &p.Scenarios[i]; s.AskedBy == "" {
			own = append(own, s)
		}
	}
	slices.SortStableFunc(own, func(a, b *holdfast.ScenarioPosture) int {
		if d := b.State.Rank() - a.State.Rank(); d != 0 {
			return d
		}
		return a.Score - b.Score
	})
	return own
}

// sentence says how a service stands as it could be read aloud in an incident
// call: its worst scenario, then how the others stand.
func sentence(p *holdfast.Posture, own []*holdfast.ScenarioPosture, now time.Time) (text, others string) {
	name := titleOf(p)
	if p.Score == nil {
		return "Nobody has said what " + name + " must survive: without a business impact analysis it is not judged.", ""
	}
	if len(own) == 0 {
		return "No scenario is asked of " + name + ".", ""
	}
	if p.State == holdfast.Proven {
		return provenSentence(p, own, now), ""
	}
	return worstSentence(p, own[0], now), othersSentence(own[1:])
}

func provenSentence(p *holdfast.Posture, own []*holdfast.ScenarioPosture, now time.Time) string {
	var back, lost time.Duration
	for _, s := range own {
		if s.RecoveryTime != nil {
			back = max(back, s.RecoveryTime.Total.Std())
		}
		if !stand(p, s).current && !s.Point.IsZero() {
			lost = max(lost, now.Sub(s.Point))
		}
	}
	text := "Whatever is asked of it, " + titleOf(p) + " comes back"
	if back > 0 {
		text += " within " + spoken(back)
	}
	if lost > 0 {
		text += ", losing at most the last " + spoken(lost) + " of data"
	} else if len(p.Data) > 0 {
		text += " without losing data"
	}
	return text + ". Every step was shown, and every proof is in date."
}

func worstSentence(p *holdfast.Posture, s *holdfast.ScenarioPosture, now time.Time) string {
	opening := happens(s.Name) + ", " + titleOf(p)
	because := ""
	if p.Cause != nil {
		because = ": " + clip(p.Cause.Reason)
	}
	switch s.State {
	case holdfast.Uncovered:
		return opening + " does not come back" + because + "."
	case holdfast.Broken:
		return opening + " cannot be recovered as agreed" + because + "."
	case holdfast.Unknown:
		return opening + " may or may not come back; nobody can tell" + because + "."
	}
	text := opening + " comes back" + measures(stand(p, s), now) + "."
	switch s.State {
	case holdfast.Degraded:
		text += " That misses what was agreed" + because + "."
	case holdfast.Untested:
		text += " That was never shown" + because + "."
	case holdfast.Stale:
		text += " It was shown, but the proof has run out" + because + "."
	}
	return text
}

// measures says in how long, and with how much lost.
func measures(s standing, now time.Time) string {
	text := ""
	if t := s.RecoveryTime; t != nil && t.Total > 0 {
		text = " in " + spoken(t.Total.Std())
		if t.AtLeast {
			text = " in no less than " + spoken(t.Total.Std())
		} else if t.Estimated {
			text = " in about " + spoken(t.Total.Std())
		}
	} else {
		text = " in a time nobody has measured"
	}
	switch {
	case s.current:
		text += ", with nothing lost"
	case !s.Point.IsZero():
		text += ", with the last " + spoken(now.Sub(s.Point)) + " of data lost"
	}
	return text
}

// othersSentence sums up the other scenarios by state, the worst first.
func othersSentence(rest []*holdfast.ScenarioPosture) string {
	var parts []string
	for _, state := range []holdfast.State{holdfast.Uncovered, holdfast.Broken, holdfast.Unknown, holdfast.Untested, holdfast.Degraded, holdfast.Stale, holdfast.Proven} {
		var names []string
		for _, s := range rest {
			if s.State == state {
				names = append(names, strings.ToLower(scenarioTitle(s.Name)))
			}
		}
		if len(names) > 0 {
			parts = append(parts, enumerate(names)+": "+string(state))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	text := strings.Join(parts, "; ") + "."
	return strings.ToUpper(text[:1]) + text[1:]
}

// enumerate writes "a, b and c".
func enumerate(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// dependence is a service this one stands on, with where it counts.
type dependence struct {
	Service, Title string
	Kind           holdfast.DependencyKind
	State          holdfast.State // as judged by itself
	Known          bool
	Counts         []waited
}

type waited struct {
	Scenario string
	State    holdfast.State
}

// depend fills in both directions of dependency.
func (v *serviceView) depend(catalogue *holdfast.Catalogue, c Collector) {
	if v.Catalogue != nil {
		for _, d := range v.Catalogue.DependsOn {
			on := dependence{Service: d.Service, Title: clip(d.Service), Kind: d.Kind}
			if p, ok := c.Posture(d.Service); ok {
				on.Title, on.State, on.Known = titleOf(&p), p.State, true
			}
			for i := range v.Scenarios {
				s := &v.Scenarios[i]
				for _, w := range s.Waits {
					if s.AskedBy == "" && w.Service == d.Service && w.Lost && w.Kind != holdfast.Optional {
						on.Counts = append(on.Counts, waited{scenarioTitle(s.Name), w.State})
					}
				}
			}
			v.Depends = append(v.Depends, on)
		}
	}
	for i := range catalogue.Services {
		for _, d := range catalogue.Services[i].DependsOn {
			if d.Service == v.Name && len(v.AskedBy) == consumersShown {
				v.MoreAsk++
			} else if d.Service == v.Name {
				x := consumer{Service: catalogue.Services[i].Name, Title: clip(catalogue.Services[i].Name), Kind: d.Kind}
				if p, ok := c.Posture(x.Service); ok {
					x.Title, x.State = titleOf(&p), p.State
				}
				v.AskedBy = append(v.AskedBy, x)
			}
		}
	}
}

// consumer is a service that stands on this one.
type consumer struct {
	Service, Title string
	Kind           holdfast.DependencyKind
	State          holdfast.State
}
