package web

import (
	"html/template"
	"slices"
	"strconv"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// scoreView is why a score is what it is: a bar cut into the points that are
// missing, and the findings that cost them.
type scoreView struct {
	Judged bool
	Value  int
	Held   string // width of what is held
	Lost   []scorePart
	Costly []finding
	Behind []finding // listed without points
}

type scorePart struct {
	X, Width string
	State    holdfast.State
}

type finding struct {
	holdfast.Finding
	Short   string // the need, without the service's name
	Places  string // scenarios it stands in
	GainSay string
	Shown   holdfast.State // its silhouette; what costs points only has none
	Anchor  string         // of its evidence
	Causes  bool           // it is what the state comes from
}

func newScore(p *holdfast.Posture) scoreView {
	v := scoreView{Judged: p.Score != nil}
	if !v.Judged {
		return v
	}
	v.Value = *p.Score
	v.Held = strconv.Itoa(v.Value) + "%"
	findings := slices.Clone(p.Findings)
	slices.SortStableFunc(findings, func(a, b holdfast.Finding) int { return b.Points - a.Points })
	x := v.Value
	for i := range findings {
		f := newFinding(p, &findings[i])
		if f.Points == 0 {
			v.Behind = append(v.Behind, f)
			continue
		}
		v.Costly = append(v.Costly, f)
		v.Lost = append(v.Lost, scorePart{percent(float64(x) + .25), percent(max(.25, float64(f.Points)-.25)), f.Shown})
		x += f.Points
	}
	return v
}

func newFinding(p *holdfast.Posture, f *holdfast.Finding) finding {
	out := finding{Finding: *f, Short: shortNeed(f.Need, p.Name), Shown: f.State}
	if f.State == holdfast.Proven {
		out.Shown = holdfast.NotJudged
	}
	out.Causes = p.Cause != nil && p.Cause.Need == f.Need && p.Cause.State == f.State
	var places []string
	for _, s := range f.Scenarios {
		places = append(places, scenarioTitle(s))
	}
	own := 0
	for i := range p.Scenarios {
		if p.Scenarios[i].AskedBy == "" {
			own++
		}
	}
	out.Places = strings.Join(places, ", ")
	if len(places) == own && own > 1 {
		out.Places = "every scenario"
	}
	switch {
	case f.Gain > 0:
		out.GainSay = "Mend it to gain " + strconv.Itoa(f.Gain)
	case len(f.Together) > 0:
		var with []string
		for _, need := range f.Together {
			if need != f.Need {
				with = append(with, shortNeed(need, p.Name))
			}
		}
		out.GainSay = "Gains nothing alone: mend together with " + clip(enumerate(with))
	}
	if f.Check != "" {
		out.Anchor = anchor(f.Check)
	}
	return out
}

// way is a recovery path as a chain of needs.
type way struct {
	*holdfast.PathPosture
	State  holdfast.State // worst of the scenarios it covers; empty: asked about none
	Covers []holdfast.PathScenario
	Whys   []why                   // what keeps covered scenarios from being proven
	Bars   []holdfast.PathScenario // scenarios it does not cover, with the reasons
	Chain  []link
	Steps  []step
	Left   []string // datasets left out, with the reason
}

// why is what keeps a path from being proven, in the scenarios it is so.
type why struct {
	State     holdfast.State
	Scenarios string
	Reasons   string
}

// addWhy tells scenarios with the same state and reasons together.
func (w *way) addWhy(s holdfast.PathScenario) {
	if len(s.Reasons) == 0 {
		return
	}
	reasons := strings.Join(s.Reasons, "; ")
	for i := range w.Whys {
		if w.Whys[i].State == s.State && w.Whys[i].Reasons == reasons {
			w.Whys[i].Scenarios += ", " + scenarioTitle(s.Name)
			return
		}
	}
	w.Whys = append(w.Whys, why{s.State, scenarioTitle(s.Name), reasons})
}

type link struct {
	holdfast.NeedPosture
	Short  string
	Say    string         // why not, or what was seen
	Shown  holdfast.State // proven where it is met
	Anchor string
}

// step is a rung of the proof ladder.
type step struct {
	Rung holdfast.Rung
	holdfast.RungPosture
	Known bool
}

// looksAt is the check behind a need: its own, or one written elsewhere.
func looksAt(catalogue *holdfast.Catalogue, service, path, need string) string {
	if s := catalogue.Service(service); s != nil {
		if p := s.Path(path); p != nil {
			for i := range p.Needs {
				if n := &p.Needs[i]; n.ID == need && n.Ref != "" {
					return n.Ref
				}
			}
		}
	}
	return need
}

// ways lays the recovery paths out; links to evidence only what stands on the page.
func ways(p *holdfast.Posture, catalogue *holdfast.Catalogue, seen []evidence) []way {
	on := map[string]*evidence{}
	for i := range seen {
		on[seen[i].Check] = &seen[i]
	}
	var list []way
	for i := range p.Paths {
		path := &p.Paths[i]
		w := way{PathPosture: path, State: holdfast.NotJudged}
		for _, s := range path.Scenarios {
			if s.State == holdfast.Uncovered {
				w.Bars = append(w.Bars, s)
				continue
			}
			if w.State.Rank() < 0 || s.State.Rank() > w.State.Rank() {
				w.State = s.State
			}
			w.Covers = append(w.Covers, s)
			w.addWhy(s)
		}
		for _, n := range path.Needs {
			l := link{NeedPosture: n, Short: shortNeed(strings.TrimPrefix(n.Need, p.Name+"/"), path.Name), Shown: shownState(n), Say: clip(n.Reason)}
			if e := on[looksAt(catalogue, p.Name, path.Name, n.Need)]; e != nil {
				l.Anchor = e.Anchor
				if e.Seen { // a posture dates facts by when they were new, people ask when they were looked at
					l.At = e.Observation.At
				}
				if l.Say == "" {
					l.Say = clip(e.Observation.Summary)
				}
			}
			if l.Say == "" {
				l.Say = string(n.Verdict)
			}
			w.Chain = append(w.Chain, l)
		}
		for _, rung := range holdfast.Rungs {
			r, known := path.Rungs[rung]
			w.Steps = append(w.Steps, step{rung, r, known})
		}
		for name, why := range path.Leaves {
			w.Left = append(w.Left, clip(name+": "+why))
		}
		slices.Sort(w.Left)
		list = append(list, w)
	}
	return list
}

// shownState is the silhouette of a need: met is proven, and what is not says
// what it makes of its path.
func shownState(n holdfast.NeedPosture) holdfast.State {
	switch {
	case n.Verdict == holdfast.NotApplicable:
		return holdfast.NotJudged
	case n.Verdict == holdfast.VerdictUnknown && n.State.Rank() <= 0:
		return holdfast.Unknown
	}
	return n.State
}

func bulletText(s string) template.HTML { return template.HTML(template.HTMLEscapeString(s)) }
