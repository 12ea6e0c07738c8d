package web

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// seenShown is how many notable observations the page of a check lists.
const seenShown = 50

// checkView answers: what did this check see, when, by whom, and what hangs on it?
type checkView struct {
	evidence
	What    string // what running it does
	On      string
	Timeout holdfast.Duration
	With    string
	Up      string // the service it is written for; empty: a plan's copy
	Title   string
	Runs    []runView
	Rests   []rest
	Past    []pastSeen
	More    bool // more is kept than is shown
	Say     string
}

// rest is what hangs on a check.
type rest struct {
	Service, Title, Link string
	What                 string // the need or the finding it feeds
	State                holdfast.State
}

// pastSeen is a notable observation of the past.
type pastSeen struct {
	holdfast.Observation
	State holdfast.State
	Why   []string // what was notable
}

// checkPath is the address of a check's page.
func checkPath(id string) string {
	parts := strings.Split(id, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return "/checks/" + strings.Join(parts, "/")
}

func (s *server) checkPage(w http.ResponseWriter, r *http.Request) {
	id, catalogue := r.PathValue("id"), s.c.Catalogue()
	k := catalogue.Check(id)
	if k == nil {
		s.missingPage(w, r, "There is no check "+clip(id)+" in the catalogue")
		return
	}
	if s.unchanged(w, r) {
		return
	}
	v := checkView{evidence: s.evidenceOf(k), What: kindOf(catalogue, id), On: clip(k.On), Timeout: k.Timeout, With: clipRaw(indented(k.With)), Rests: s.restsOnIt(id, catalogue)}
	v.Short, v.May = clip(id), whoIs(r.Context()).Role.MayRunChecks()
	if owner, rest, _ := strings.Cut(id, "/"); catalogue.Service(owner) != nil {
		v.Up, v.Title, v.Short = owner, owner, clip(rest)
		if p, ok := s.c.Posture(owner); ok {
			v.Title = titleOf(&p)
		}
	}
	for _, run := range s.c.Runs() {
		if run.Check == id {
			v.Runs = append(v.Runs, newRunView(&run, "", v.What))
		}
	}
	v.Say = v.sentence()
	seen, err := s.observed(r.Context(), id, s.c.Now().AddDate(-1, 0, 0), s.c.Now())
	if err != nil {
		s.log.Error("history cannot be read", "check", id, "err", err)
	}
	v.Past, v.More = pastOf(seen)
	s.show(w, r, http.StatusOK, "check", v.Short, &v)
}

// indented writes settings to be read.
func indented(with holdfast.Settings) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(with), "", "  ") != nil {
		return string(with)
	}
	return b.String()
}

// sentence says what the check saw last.
func (v *checkView) sentence() string {
	o := &v.Observation
	if !v.Seen {
		return "Nobody has reported what it sees."
	}
	text := map[holdfast.Outcome]string{holdfast.OK: "It saw what it should", holdfast.OutcomeDegraded: "It saw less than it should",
		holdfast.Failed: "It saw a failure", holdfast.OutcomeUnknown: "It could not tell"}[o.Outcome]
	if o.Summary != "" {
		text += ": " + clip(o.Summary)
	}
	return spelled(text)
}

// pastOf picks what is shown of the past, newest first, and says what was notable.
func pastOf(seen []holdfast.Observation) (list []pastSeen, more bool) {
	for i := range seen {
		if len(list) == seenShown {
			return list, true
		}
		o := clipped(seen[i])
		p := pastSeen{Observation: o, State: outcomeState(o.Outcome)}
		if i+1 < len(seen) && seen[i+1].Outcome != o.Outcome {
			p.Why = append(p.Why, "was "+string(seen[i+1].Outcome))
		}
		if r := o.Restoration; r != nil {
			text := "restored in " + span(r.Duration.Std())
			if r.Bytes > 0 {
				text += ", " + r.Bytes.String()
			}
			p.Why = append(p.Why, text)
		}
		if c := o.Verification; c != nil {
			p.Why = append(p.Why, "read "+percent(c.Scope*100)+" of the data")
		}
		if len(o.RecoveryPoints) > 0 {
			text := "recovery point of " + o.RecoveryPoints[0].Time.UTC().Format("2 Jan 15:04")
			if len(o.RecoveryPoints) > 1 {
				text += ", " + span(o.RecoveryPoints[0].Time.Sub(o.RecoveryPoints[1].Time)) + " after the one before"
			}
			p.Why = append(p.Why, text)
		}
		if r := o.Replication; r != nil {
			p.Why = append(p.Why, span(r.Lag.Std())+" behind")
		}
		list = append(list, p)
	}
	return list, false
}

// restsOnIt lists the needs and findings of every service that a check feeds.
func (s *server) restsOnIt(id string, catalogue *holdfast.Catalogue) (list []rest) {
	for i := range catalogue.Services {
		service := &catalogue.Services[i]
		if !namesCheck(service, id) {
			continue
		}
		p, ok := s.c.Posture(service.Name)
		if !ok {
			continue
		}
		add := func(what string, state holdfast.State) {
			if !slices.ContainsFunc(list, func(r rest) bool { return r.Service == p.Name && r.What == what }) {
				list = append(list, rest{p.Name, titleOf(&p), servicePath(p.Name), what, state})
			}
		}
		for k := range p.Paths {
			path := &p.Paths[k]
			for _, n := range path.Needs {
				if looksAt(catalogue, p.Name, path.Name, n.Need) == id {
					add("path "+clip(path.Name), shownState(n))
				}
			}
			if declared := service.Path(path.Name); declared != nil {
				for _, t := range declared.Tests {
					if t.Check.ID == id {
						add("path "+clip(path.Name)+", "+string(t.Rung), path.Rungs[t.Rung].State)
					}
				}
			}
		}
		if len(list) == 0 || list[len(list)-1].Service != p.Name {
			add("the service", p.State)
		}
	}
	return list
}

// namesCheck reports whether a service has the check, or a need that names it.
func namesCheck(service *holdfast.Service, id string) bool {
	if strings.HasPrefix(id, service.Name+"/") {
		return true
	}
	for i := range service.Paths {
		for k := range service.Paths[i].Needs {
			if service.Paths[i].Needs[k].Ref == id {
				return true
			}
		}
	}
	return false
}
