package web

import (
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const (
	drillsShown   = 50
	duePaths      = 100
	proposalsMost = 3
	outSoon       = 30 * 24 * time.Hour // the first sentence counts what runs out so soon
)

// drillsView answers: what is due, what was promised, and what happened?
type drillsView struct {
	Sentence  string
	Rest      string
	May       bool // the reader may drill
	Running   []drillRow
	Due       []dueDrill
	More      int // due paths that are not shown
	Proposals []proposal
	Bookings  []bookingRow
	Form      bookingForm
	Past      []drillRow
	Total     int // drills that are over
}

// drillRow is a drill with its figures.
type drillRow struct {
	holdfast.Drill
	State holdfast.State // of the silhouette
	Word  string
	At    int    // steps that are over
	Now   string // what it waits for; empty: it is over
	Back  bullet
	Loss  bullet
}

// dueDrill is a path that is to be exercised, by the policy of its service's tier.
type dueDrill struct {
	Service, Called, Path string
	Tier                  int
	holdfast.RungPosture
	Booked time.Time // zero: not booked
	Stale  bool      // it runs out before the next drill, or none is booked
	Link   string
}

// proposal is a drill that would gain points.
type proposal struct {
	Service, Called, Path, Reason, Link string
	Gain                                int
}

type bookingRow struct {
	holdfast.DrillBooking
	Link string
}

// bookingForm is what the form of bookings holds: as asked for, or as it was sent
// with what is wrong.
type bookingForm struct {
	Path, At, Every string
	Paths           []string // SERVICE/PATH
	Open            bool
	Problems        []string
	Warnings        []string
}

func (s *server) addDrillPages(mux *http.ServeMux) {
	mux.HandleFunc("GET /drills", s.drillsPage)
	mux.HandleFunc("GET /drills/{id}", s.drillPage)
	mux.HandleFunc("GET /drills/new", s.newDrillPage)
	may := holdfast.Role.MayDrill
	mux.HandleFunc("POST /drills", s.answering(may, s.postDrill))
	mux.HandleFunc("POST /drills/{id}/steps/{step}", s.answering(may, s.postAnswer))
	mux.HandleFunc("POST /drills/{id}/cancel", s.answering(may, s.postCancel))
	mux.HandleFunc("POST /drills/bookings", s.answering(may, s.postBooking))
	mux.HandleFunc("POST /drills/unbook", s.answering(may, s.postUnbook))
	// An open page reads its own address again: after a form that was refused it is
	// the form's.
	mux.HandleFunc("GET /drills/bookings", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/drills", http.StatusSeeOther) })
}

func (s *server) drillsPage(w http.ResponseWriter, r *http.Request) {
	if s.unchanged(w, r) {
		return
	}
	form := bookingForm{Path: r.URL.Query().Get("path")}
	form.Open = form.Path != ""
	s.showDrills(w, r, http.StatusOK, form)
}

func (s *server) showDrills(w http.ResponseWriter, r *http.Request, status int, form bookingForm) {
	v := drillsView{Form: form, May: whoIs(r.Context()).Role.MayDrill()}
	for _, d := range s.c.Drills() {
		if d.Running() {
			v.Running = append(v.Running, newDrillRow(clipped(d), s.c.Now()))
			continue
		}
		if v.Total++; len(v.Past) < drillsShown {
			v.Past = append(v.Past, newDrillRow(clipped(d), s.c.Now()))
		}
	}
	bookings := s.c.DrillBookings()
	for _, b := range clipped(bookings) {
		v.Bookings = append(v.Bookings, bookingRow{b, drillLink(b.Last)})
	}
	s.fillDue(&v, bookings)
	for _, d := range v.Due {
		v.Form.Paths = append(v.Form.Paths, d.Service+"/"+d.Path)
	}
	if v.More = len(v.Due) - duePaths; v.More > 0 {
		v.Due = v.Due[:duePaths]
	}
	v.say(s.c.Now())
	s.show(w, r, status, "drills", "Drills", v)
}

// fillDue lists the paths that policy wants exercised, the first to run out first,
// and what drills would gain most.
func (s *server) fillDue(v *drillsView, bookings []holdfast.DrillBooking) {
	postures := s.c.Postures()
	for i := range postures {
		p := &postures[i]
		for _, path := range p.Paths {
			rung := path.Rungs[holdfast.Exercised]
			if !rung.Required && rung.At.IsZero() {
				continue
			}
			d := dueDrill{Service: p.Name, Called: titleOf(p), Path: path.Name, Tier: p.Tier, RungPosture: rung, Link: newDrillLink(p.Name, path.Name)}
			for _, b := range bookings {
				if b.Service == p.Name && b.Path == path.Name && !b.At.IsZero() && (d.Booked.IsZero() || b.At.Before(d.Booked)) {
					d.Booked = b.At
				}
			}
			d.Stale = d.Booked.IsZero() || d.Until.IsZero() || d.Booked.After(d.Until)
			v.Due = append(v.Due, d)
		}
		for _, f := range p.Findings {
			path, exercised := strings.CutSuffix(strings.TrimPrefix(f.Need, p.Name+"/"), "/"+string(holdfast.Exercised))
			if exercised && f.Gain > 0 {
				v.Proposals = append(v.Proposals, proposal{p.Name, titleOf(p), path, clip(f.Reason), newDrillLink(p.Name, path), f.Gain})
			}
		}
	}
	slices.SortStableFunc(v.Due, func(a, b dueDrill) int {
		return cmp.Or(b.State.Rank()-a.State.Rank(), a.Until.Compare(b.Until), a.Tier-b.Tier)
	})
	slices.SortStableFunc(v.Proposals, func(a, b proposal) int { return b.Gain - a.Gain })
	v.Proposals = v.Proposals[:min(len(v.Proposals), proposalsMost)]
}

// say says how drills stand, so that it could be read aloud.
func (v *drillsView) say(now time.Time) {
	switch n := len(v.Running); n {
	case 0:
		v.Sentence = "No drill runs"
	case 1:
		v.Sentence = "1 drill runs"
	default:
		v.Sentence = fmt.Sprintf("%d drills run", n)
	}
	out, soon := 0, 0
	for i := range v.Due {
		d := &v.Due[i]
		switch {
		case d.State != holdfast.Proven:
			out++
		case d.Stale && !d.Until.IsZero() && d.Until.Before(now.Add(outSoon)):
			soon++
		}
	}
	total := len(v.Due) + max(v.More, 0)
	switch {
	case total == 0:
		v.Rest = "; no path has to be exercised by the policy in force"
	case out == 0 && soon == 0:
		v.Rest = fmt.Sprintf("; all of %d paths are exercised", total)
	case out == 0:
		v.Rest = fmt.Sprintf("; %d of %d paths run out within 30 days with nothing booked before", soon, total)
	default:
		v.Rest = fmt.Sprintf("; %d of %d paths lack an exercise that counts", out, total)
	}
}

func newDrillLink(service, path string) string {
	return "/drills/new?" + url.Values{"service": {service}, "path": {path}}.Encode()
}

func drillLink(id string) string {
	if id == "" {
		return ""
	}
	return "/drills/" + url.PathEscape(id)
}

// newDrillRow puts a drill's figures side by side.
func newDrillRow(d holdfast.Drill, now time.Time) drillRow {
	v := drillRow{Drill: d}
	v.State, v.Word = verdictShown(&d)
	for i := range d.Steps {
		x := &d.Steps[i]
		if !x.State.Open() {
			v.At++
		} else if v.Now == "" && x.State != holdfast.StepPlanned {
			v.Now = stepName(x)
			if x.State == holdfast.StepAsked && x.Who != "" {
				v.Now = clip(x.Who) + " asked for " + v.Now
			}
		}
	}
	took := d.Took.Std()
	v.Back = bullet{Label: "Recovery time", Value: template.HTML(template.HTMLEscapeString(span(took)))}
	if d.Running() {
		took = now.Sub(d.Started)
		v.Back.Value = moment(d.Started, now, "age")
	}
	if d.Terms.RTO.Stated() {
		v.Back.Of = span(d.Terms.RTO.Limit.Std())
		v.Back = v.Back.filled(took, d.Terms.RTO.Limit.Std())
		v.Back.Say = fmt.Sprintf("recovery took %s, RTO %s", spoken(took), spoken(d.Terms.RTO.Limit.Std()))
	}
	v.Loss = bullet{Label: "Data lost", Value: "not known yet"}
	switch {
	case !d.Point.IsZero():
		v.Loss.Value = template.HTML(template.HTMLEscapeString(span(d.Loss.Std())))
		if d.Terms.RPO.Stated() {
			v.Loss.Of = span(d.Terms.RPO.Limit.Std())
			v.Loss = v.Loss.filled(d.Loss.Std(), d.Terms.RPO.Limit.Std())
			v.Loss.Say = fmt.Sprintf("%s of data lost, RPO %s", spoken(d.Loss.Std()), spoken(d.Terms.RPO.Limit.Std()))
		}
	case !d.Running():
		v.Loss.Value = "nothing restored"
	}
	return v
}

// verdictShown is the silhouette and the word of a drill.
func verdictShown(d *holdfast.Drill) (holdfast.State, string) {
	switch d.Verdict {
	case "":
		return holdfast.NotJudged, "Running"
	case holdfast.DrillPassed:
		for _, g := range d.Gaps {
			if g.Kind == holdfast.GapRTO || g.Kind == holdfast.GapRPO || g.Kind == holdfast.GapReservation {
				return holdfast.Degraded, "Passed with a reservation"
			}
		}
		return holdfast.Proven, "Passed"
	case holdfast.DrillFailed:
		return holdfast.Broken, "Failed"
	}
	return holdfast.Unknown, map[holdfast.DrillVerdict]string{holdfast.DrillAborted: "Aborted", holdfast.DrillInterrupted: "Interrupted"}[d.Verdict]
}

// stepName is what people call a step.
func stepName(x *holdfast.DrillStep) string {
	if x.Kind == holdfast.StepPerson && x.Title != "" {
		return clip(x.Title)
	}
	return clip(x.Name)
}

// runningDrill is a drill under way, for the top of every page.
type runningDrill struct {
	Link, Title string
	Started     time.Time
	Asks        bool // people are asked
}

// drillUnderWay is what the top bar shows, and how many drills run: one by its name,
// several together with the clock of the first; nil: none runs.
func (s *server) drillUnderWay() (top *runningDrill, n int) {
	for _, d := range s.c.RunningDrills() {
		asks := slices.ContainsFunc(d.Steps, func(x holdfast.DrillStep) bool { return x.State == holdfast.StepAsked })
		if n++; n == 1 {
			top = &runningDrill{drillLink(d.ID), "Drill " + clip(d.Service+"/"+d.Path), d.Started, asks}
			continue
		}
		top = &runningDrill{"/drills", fmt.Sprintf("%d drills", n), top.Started, asks || top.Asks}
	}
	return top, n
}
