package web

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// drillView is one drill: its clock, its steps as a ladder, what was expected and
// what happened.
type drillView struct {
	drillRow
	Called   string
	Lead     string
	Expected string // of the whole; empty: nobody knows
	Beyond   bool   // it takes, or took, longer than the RTO
	Gone     bool   // the collector was away for long enough to be told
	Steps    []stepView
	May      bool
	MBCO     string // how the minimum level came out
	Problems []string
	Asked    string // the step whose answer was refused
}

// goneTold is how long a collector is away before a page tells of it: a restart is
// quicker.
const goneTold = 10 * time.Second

// stepView is a step as people read it.
type stepView struct {
	holdfast.DrillStep
	Called string
	Of     string
	Where  string
	Shape  string         // of the silhouette, for steps that are not over
	Shown  holdfast.State // of the silhouette
	Word   string
	Time   template.HTML // how long it took, or takes
	Part   string
	Phased string // width of the phase's bar
	Bar    string // width of what it took against the longest
	Over   string // what it took beyond what was expected
	Tick   string // where the expected end lies; empty: nobody knows
	Point  bool   // the answer may say which point people restored
}

func (s *server) drillPage(w http.ResponseWriter, r *http.Request) {
	if s.unchanged(w, r) {
		return
	}
	s.showDrill(w, r, http.StatusOK, nil, "")
}

func (s *server) showDrill(w http.ResponseWriter, r *http.Request, status int, problems []string, asked string) {
	d, ok := s.c.Drill(r.PathValue("id"))
	if !ok {
		s.missingPage(w, r, "There is no drill "+clip(r.PathValue("id")))
		return
	}
	now := s.c.Now()
	v := drillView{drillRow: newDrillRow(clipped(d), now), May: whoIs(r.Context()).Role.MayDrill(), Problems: problems, Called: d.Service}
	if p, ok := s.c.Posture(d.Service); ok {
		v.Called = titleOf(&p)
	}
	if total := d.Terms.Total(); total > 0 {
		v.Expected = span(total.Std())
	}
	took := d.Took.Std()
	if d.Running() {
		took = now.Sub(d.Started)
	}
	v.Gone = d.Away.Std() >= goneTold
	v.Beyond = d.Terms.RTO.Stated() && took > d.Terms.RTO.Limit.Std()
	longest := longestStep(d.Steps, now)
	restored := false
	for i := range d.Steps {
		restored = restored || d.Steps[i].Kind == holdfast.StepRestore && d.Steps[i].Of == ""
	}
	for i := range v.Drill.Steps {
		x := newStepView(&v.Drill.Steps[i], d.Service, longest, now)
		if x.Point = !restored; x.State == holdfast.StepAsked && (asked == x.DrillStep.Name || asked == fmt.Sprint(x.Number)) {
			v.Asked = asked // else what is wrong stands above everything
		}
		v.Steps = append(v.Steps, x)
		if x.Kind == holdfast.StepMBCO {
			v.MBCO = x.Word
			switch x.State {
			case holdfast.StepDone:
				v.MBCO = "Reached"
			case holdfast.StepFailed:
				v.MBCO = "Not reached"
			}
		}
	}
	v.Lead = drillLead(&d, now)
	s.show(w, r, status, "drill", clip(d.Service+"/"+d.Path), v)
}

// drillLead says in a sentence where a drill is, or how it ended.
func drillLead(d *holdfast.Drill, now time.Time) string {
	if d.Running() {
		for i := range d.Steps {
			x := &d.Steps[i]
			switch x.State {
			case holdfast.StepAsked:
				who := "Somebody"
				if x.Who != "" {
					who = clip(x.Who)
				}
				return fmt.Sprintf("%s is asked to do step %d of %d: %s.", who, x.Number, len(d.Steps), stepName(x))
			case holdfast.StepRunning, holdfast.StepWaiting:
				return fmt.Sprintf("Step %d of %d is under way: %s.", x.Number, len(d.Steps), stepName(x))
			}
		}
		return "Its reports are waited for."
	}
	var b strings.Builder
	fmt.Fprintf(&b, "It %s after %s", d.Verdict, spoken(d.Took.Std()))
	if limit := d.Terms.RTO; limit.Stated() {
		fmt.Fprintf(&b, " (RTO %s)", span(limit.Limit.Std()))
	}
	if !d.Point.IsZero() {
		fmt.Fprintf(&b, ", with %s of data lost", spoken(d.Loss.Std()))
		if limit := d.Terms.RPO; limit.Stated() {
			fmt.Fprintf(&b, " (RPO %s)", span(limit.Limit.Std()))
		}
	}
	switch n := len(d.Gaps); n {
	case 0:
		b.WriteString(", without a gap.")
	case 1:
		b.WriteString(", with one gap.")
	default:
		fmt.Fprintf(&b, ", with %d gaps.", n)
	}
	return b.String()
}

// longestStep is what the bars of all steps are measured against.
func longestStep(steps []holdfast.DrillStep, now time.Time) (longest holdfast.Duration) {
	for i := range steps {
		longest = max(longest, steps[i].Took(now), steps[i].Expect)
	}
	return longest
}

// stepWords is the word and the silhouette of each state of a step.
var stepWords = map[holdfast.DrillStepState]struct {
	word  string
	state holdfast.State
	shape string // where it is no state's
}{
	holdfast.StepPlanned:    {"To come", holdfast.NotJudged, "na"},
	holdfast.StepWaiting:    {"Waits for its agent", holdfast.NotJudged, "wait"},
	holdfast.StepRunning:    {"Runs", holdfast.NotJudged, "run"},
	holdfast.StepAsked:      {"Asked", holdfast.Stale, "ask"},
	holdfast.StepDone:       {"Done", holdfast.Proven, ""},
	holdfast.StepFailed:     {"Failed", holdfast.Broken, ""},
	holdfast.StepUnclear:    {"Could not tell", holdfast.Unknown, ""},
	holdfast.StepRefused:    {"Refused", holdfast.Unknown, ""},
	holdfast.StepLost:       {"Lost", holdfast.Unknown, ""},
	holdfast.StepUnanswered: {"Not answered", holdfast.Untested, ""},
	holdfast.StepSkipped:    {"Not walked", holdfast.NotJudged, "na"},
	holdfast.StepStopped:    {"Stopped", holdfast.Unknown, ""},
}

var stepKinds = map[holdfast.DrillStepKind]string{
	holdfast.StepNeed: "Need", holdfast.StepKey: "Credential", holdfast.StepPaper: "On paper", holdfast.StepCopy: "Copy",
	holdfast.StepRestore: "Restore", holdfast.StepPerson: "People", holdfast.StepExercise: "Exercise", holdfast.StepMBCO: "Minimum level",
}

func newStepView(x *holdfast.DrillStep, service string, longest holdfast.Duration, now time.Time) stepView {
	w := stepWords[x.State]
	v := stepView{DrillStep: *x, Called: stepKinds[x.Kind], Shown: w.state, Shape: w.shape, Word: w.word, Of: x.Of}
	if v.Word == "" {
		v.Word, v.Shape = clip(string(x.State)), "na"
	}
	if v.Name = shortNeed(x.Name, service); x.Kind == holdfast.StepPerson {
		v.Name = x.Name
	}
	if x.State == holdfast.StepDone && x.Outcome == holdfast.OutcomeDegraded {
		v.Shown, v.Word = holdfast.Degraded, "Done with a reservation"
		if x.Kind == holdfast.StepPaper {
			v.Shown, v.Word = holdfast.Stale, "Lapsed"
		}
	} else if x.Kind == holdfast.StepPaper && x.Outcome == holdfast.OK {
		v.Word, v.Summary = "Holds", ""
	}
	switch {
	case x.Agent != "":
		v.Where = "on " + clip(x.Agent)
	case x.Who != "":
		v.Where = "by " + clip(x.Who)
	}
	if x.Kind == holdfast.StepPaper {
		return v
	}
	took := x.Took(now)
	switch {
	case x.Asked.IsZero():
	case x.State.Open():
		v.Time = moment(x.Asked, now, "age")
	default:
		v.Time = template.HTML(template.HTMLEscapeString(span(took.Std())))
	}
	if longest > 0 {
		share := func(d holdfast.Duration) string { return percent(96 * float64(d) / float64(longest)) }
		v.Bar = share(took)
		if x.Expect > 0 {
			v.Tick = share(x.Expect)
			if took > x.Expect {
				v.Bar, v.Over = share(x.Expect), share(took-x.Expect)
			}
		}
	}
	if p := x.Phase; p != nil {
		v.Part = clip(p.Name)
		if p.Total > 0 && p.Done >= 0 {
			part := min(1, float64(p.Done)/float64(p.Total))
			v.Part, v.Phased = fmt.Sprintf("%s, %.0f %%", clip(p.Name), 100*part), percent(100*part)
		}
	}
	return v
}

// newDrillView is a drill that could be started: what it would do, and what stands
// against it.
type newDrillView struct {
	holdfast.DrillPlan
	Called    string
	Steps     []stepView
	Expected  string
	Scenarios []string
	May       bool
	Problems  []string
	Book      string
}

func (s *server) newDrillPage(w http.ResponseWriter, r *http.Request) {
	if s.unchanged(w, r) {
		return
	}
	q := r.URL.Query()
	s.showNewDrill(w, r, http.StatusOK, holdfast.DrillOrder{Service: q.Get("service"), Path: q.Get("path"), Scenario: q.Get("scenario"), Dependencies: q.Get("dependencies") != ""}, nil)
}

func (s *server) showNewDrill(w http.ResponseWriter, r *http.Request, status int, o holdfast.DrillOrder, problems []string) {
	plan, err := s.c.PlanDrill(o)
	if err != nil {
		s.missingPage(w, r, "There is no path "+clip(o.Service+"/"+o.Path)+" to be walked"+scenarioText(o.Scenario))
		return
	}
	now := s.c.Now()
	v := newDrillView{DrillPlan: clipped(plan), Called: o.Service, May: whoIs(r.Context()).Role.MayDrill(), Problems: problems,
		Book: "/drills?" + url.Values{"path": {plan.Service + "/" + plan.Path}}.Encode() + "#book"}
	if p, ok := s.c.Posture(plan.Service); ok {
		v.Called = titleOf(&p)
	}
	if service := s.c.Catalogue().Service(plan.Service); service != nil && service.Path(plan.Path) != nil {
		v.Scenarios = service.Path(plan.Path).Covers
	}
	longest := longestStep(plan.Steps, now)
	for i := range v.DrillPlan.Steps {
		v.Steps = append(v.Steps, newStepView(&v.DrillPlan.Steps[i], plan.Service, longest, now))
	}
	if total := plan.Terms.Total(); total > 0 {
		v.Expected = span(total.Std())
	}
	s.show(w, r, status, "drillplan", "A drill of "+clip(plan.Service+"/"+plan.Path), v)
}

func scenarioText(scenario string) string {
	if scenario == "" {
		return ""
	}
	return " in scenario " + clip(scenario)
}

func (s *server) postDrill(w http.ResponseWriter, r *http.Request) {
	f := r.PostForm
	o := holdfast.DrillOrder{Service: f.Get("service"), Path: f.Get("path"), Scenario: f.Get("scenario"), Dependencies: f.Get("dependencies") != ""}
	d, err := s.c.StartDrill(r.Context(), o, whoIs(r.Context()))
	if errors.Is(err, holdfast.ErrConflict) {
		s.showNewDrill(w, r, http.StatusConflict, o, problemsOf(err))
		return
	}
	s.drillDone(w, r, err, drillLink(d.ID))
}

func (s *server) postAnswer(w http.ResponseWriter, r *http.Request) {
	f, step := r.PostForm, r.PathValue("step")
	a := holdfast.DrillAnswer{By: strings.TrimSpace(f.Get("by")), Note: strings.TrimSpace(f.Get("note")), Failed: f.Get("done") == "no"}
	var problems []string
	for field, t := range map[string]*time.Time{"at": &a.At, "point": &a.Point} {
		if f.Get(field) == "" {
			continue
		}
		var err error
		if *t, err = time.Parse("2006-01-02T15:04", f.Get(field)); err != nil {
			problems = append(problems, field+": write it like 2026-11-22T18:00, in UTC")
		}
	}
	var err error
	if len(problems) == 0 {
		_, err = s.c.AnswerDrill(r.Context(), r.PathValue("id"), step, a, whoIs(r.Context()))
	}
	if errors.Is(err, holdfast.ErrInvalid) || errors.Is(err, holdfast.ErrConflict) {
		problems = problemsOf(err)
	}
	if len(problems) > 0 {
		s.showDrill(w, r, http.StatusUnprocessableEntity, problems, step)
		return
	}
	s.drillDone(w, r, err, drillLink(r.PathValue("id"))+"#steps")
}

func (s *server) postCancel(w http.ResponseWriter, r *http.Request) {
	_, err := s.c.CancelDrill(r.Context(), r.PathValue("id"), strings.TrimSpace(r.PostForm.Get("reason")), whoIs(r.Context()))
	if errors.Is(err, holdfast.ErrInvalid) || errors.Is(err, holdfast.ErrConflict) {
		s.showDrill(w, r, http.StatusUnprocessableEntity, problemsOf(err), "")
		return
	}
	s.drillDone(w, r, err, drillLink(r.PathValue("id")))
}

func (s *server) postBooking(w http.ResponseWriter, r *http.Request) {
	f := r.PostForm
	form := bookingForm{Path: f.Get("path"), At: f.Get("at"), Every: strings.TrimSpace(f.Get("every")), Open: true}
	b := holdfast.DrillBooking{}
	b.Service, b.Path, _ = strings.Cut(form.Path, "/")
	var err error
	if form.At != "" {
		if b.At, err = time.Parse("2006-01-02T15:04", form.At); err != nil {
			form.Problems = append(form.Problems, "at: write it like 2026-11-22T18:00, in UTC")
		}
	}
	if form.Every != "" {
		if b.Every, err = holdfast.ParseDuration(form.Every); err != nil {
			form.Problems = append(form.Problems, "every: "+err.Error())
		}
	}
	if len(form.Problems) == 0 {
		_, form.Warnings, err = s.c.BookDrill(r.Context(), b, whoIs(r.Context()))
		if errors.Is(err, holdfast.ErrInvalid) {
			form.Problems = problemsOf(err)
		}
	}
	switch {
	case len(form.Problems) > 0:
		s.showDrills(w, r, http.StatusUnprocessableEntity, form)
	case err == nil && len(form.Warnings) > 0: // it is kept all the same
		s.showDrills(w, r, http.StatusOK, bookingForm{Warnings: form.Warnings, Open: true})
	default:
		s.drillDone(w, r, err, "/drills#booked")
	}
}

func (s *server) postUnbook(w http.ResponseWriter, r *http.Request) {
	s.drillDone(w, r, s.c.UnbookDrill(r.Context(), r.PostForm.Get("booking"), whoIs(r.Context())), "/drills#booked")
}

// problemsOf is what is wrong, a line each.
func problemsOf(err error) []string {
	text := err.Error()
	for _, prefix := range []string{holdfast.ErrInvalid.Error() + " answer: ", holdfast.ErrInvalid.Error() + " booking: ", holdfast.ErrInvalid.Error() + " drill: ", holdfast.ErrConflict.Error() + ": "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return strings.Split(clipRaw(text), "\n")
}

// drillDone goes on to a page, or says why not.
func (s *server) drillDone(w http.ResponseWriter, r *http.Request, err error, to string) {
	switch {
	case errors.Is(err, holdfast.ErrUnknown), errors.Is(err, holdfast.ErrInvalid):
		s.show(w, r, http.StatusNotFound, "missing", "Not done", "This cannot be done: "+strings.Join(problemsOf(err), "; "))
	case err != nil:
		s.log.Error("drill not changed", "path", r.URL.Path, "err", err)
		s.show(w, r, http.StatusServiceUnavailable, "missing", "Not done", "This cannot be stored now; the collector's log says why. Try again")
	default:
		http.Redirect(w, r, to, http.StatusSeeOther)
	}
}
