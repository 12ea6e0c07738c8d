package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const (
	runsShown  = time.Hour // a run that is over stays on a service's page so long
	tookWorthy = time.Second
)

// runView is a run as people read it.
type runView struct {
	holdfast.Run
	Short string         // the check, without its service
	Link  string         // of the check's page
	What  string         // "Restore test", "Verification", "Probe"
	Shown holdfast.State // of the silhouette
	Word  string         // how far it is
	Say   string
	Part  string // percent of the phase that is done; empty: not known
	Bar   string // the same, as a width
	Over  bool
}

// newRunView puts a run into words.
func newRunView(r *holdfast.Run, service, what string) runView {
	v := runView{Run: *r, Short: shortNeed(r.Check, service), Link: checkPath(r.Check), What: what, Over: !r.State.Live(), Shown: holdfast.NotJudged}
	agent := clip(r.Agent)
	switch r.State {
	case holdfast.RunSent:
		v.Word, v.Say = "Asked", "agent "+agent+" was asked"
	case holdfast.RunWaiting:
		v.Word, v.Say = "Waits", "on "+agent+", until other checks there have ended"
	case holdfast.RunRunning:
		v.Word, v.Say = "Runs", "on "+agent
		if p := r.Phase; p != nil {
			v.Say += ", " + clip(p.Name)
			if p.Total > 0 && p.Done >= 0 {
				share := min(1, float64(p.Done)/float64(p.Total))
				v.Part, v.Bar = fmt.Sprintf("%.0f %%", 100*share), percent(100*share)
			}
		}
	case holdfast.RunDone:
		v.Word, v.Say, v.Shown = "Done", outcomeSay(r), outcomeState(r.Outcome)
	case holdfast.RunRefused:
		v.Word, v.Say, v.Shown = "Refused", "by the policy of agent "+agent+": "+clip(r.Summary), holdfast.Unknown
	case holdfast.RunLost:
		v.Word, v.Say, v.Shown = "Not run", clip(r.Summary), holdfast.Unknown
		if !r.Started.IsZero() {
			v.Word = "Lost sight of"
		}
	case holdfast.RunStopped:
		v.Word, v.Say, v.Shown = "Stopped", clip(r.Summary), holdfast.Unknown
	case holdfast.RunDropped:
		v.Word, v.Say, v.Shown = "Not run", clip(r.Summary), holdfast.Unknown
	default:
		v.Word = clip(string(r.State))
	}
	return v
}

// outcomeSay says how a run that is done came out.
func outcomeSay(r *holdfast.Run) string {
	text := string(r.Outcome)
	if r.Reason != "" {
		text += ", " + clip(string(r.Reason))
	}
	if took := r.Ended.Sub(r.Started); !r.Started.IsZero() && took >= tookWorthy {
		text += " after " + span(took)
	}
	if r.Summary != "" {
		text += ": " + clip(r.Summary)
	}
	return text
}

// kindOf says what running a check does, for its button.
func kindOf(catalogue *holdfast.Catalogue, check string) string {
	owner, rest, _ := strings.Cut(check, "/")
	if s := catalogue.Service(owner); s != nil {
		path, _, _ := strings.Cut(rest, "/")
		if p := s.Path(path); p != nil {
			for i := range p.Tests {
				if t := &p.Tests[i]; t.Check.ID == check {
					switch t.Rung {
					case holdfast.Restored:
						return "Restore test"
					case holdfast.Intact:
						return "Verification"
					}
					return "Test"
				}
			}
		}
	}
	return "Probe"
}

// buttonOf is what the button says that runs a check.
func buttonOf(what string) string {
	switch what {
	case "Probe":
		return "Probe now"
	case "Verification":
		return "Verify now"
	}
	return "Run " + strings.ToLower(what) + " now"
}

// runsOf returns the runs of these checks that are under way or ended a short time
// ago, the latest first, one for each check.
func (s *server) runsOf(checks []string, service string, catalogue *holdfast.Catalogue) (list []runView) {
	mine := map[string]bool{}
	for _, id := range checks {
		mine[id] = true
	}
	now := s.c.Now()
	for _, r := range s.c.Runs() {
		if mine[r.Check] && (r.State.Live() || now.Sub(r.Ended) < runsShown) {
			mine[r.Check] = false
			list = append(list, newRunView(&r, service, kindOf(catalogue, r.Check)))
		}
	}
	return list
}

func (s *server) addRuns(mux *http.ServeMux) {
	mux.HandleFunc("POST /run", s.answering(holdfast.Role.MayRunChecks, s.runNow))
	mux.HandleFunc("GET /checks/{id...}", s.checkPage)
}

// runNow asks for a check and goes back to the page that asked, which shows what
// becomes of it, also where nobody could be asked.
func (s *server) runNow(w http.ResponseWriter, r *http.Request) {
	check, back := r.PostForm.Get("check"), localTarget(r.PostForm.Get("back"))
	_, err := s.c.RunCheck(r.Context(), check, whoIs(r.Context()).Name)
	if errors.Is(err, holdfast.ErrInvalid) {
		s.missingPage(w, r, "There is no check "+clip(check)+" in the catalogue")
		return
	}
	if back == "/" {
		back = checkPath(check)
	}
	http.Redirect(w, r, back+"#runs", http.StatusSeeOther)
}
