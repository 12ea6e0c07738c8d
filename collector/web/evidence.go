package web

import (
	"maps"
	"slices"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// evidence is a check with what it saw last.
type evidence struct {
	Check, Short, Anchor string
	Probe, On            string
	Every                holdfast.Duration
	Seen                 bool
	Observation          holdfast.Observation
	State                holdfast.State // of the silhouette: what the outcome is like
	Facts                []pair         // facts and fingerprint, by name
	Link                 string         // of the check's page
	Button               string         // runs it at once
	Back                 string         // where that leads back to
	May                  bool           // the reader may
	Run                  *runView       // under way, or over since a short time; nil: none
}

type pair struct{ Name, Value string }

// restsOn lists the checks a service rests on: its own, and those written elsewhere
// that its needs and findings name.
func restsOn(p *holdfast.Posture, catalogue *holdfast.Catalogue) (ids []string) {
	add := func(id string) {
		if id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if own := catalogue.Service(p.Name); own != nil {
		for k := range own.Checks {
			add(k.ID)
		}
	}
	for i := range p.Paths {
		for _, n := range p.Paths[i].Needs {
			add(looksAt(catalogue, p.Name, p.Paths[i].Name, n.Need))
		}
	}
	for i := range p.Findings {
		add(p.Findings[i].Check)
	}
	return ids
}

// evidence gathers the checks a service rests on, and their runs.
func (s *server) evidence(p *holdfast.Posture, catalogue *holdfast.Catalogue, may bool) (list []evidence, runs []runView) {
	ids := restsOn(p, catalogue)
	runs = s.runsOf(ids, p.Name, catalogue)
	for _, id := range ids {
		k := catalogue.Check(id)
		if k == nil {
			continue // a derived need, or a record's
		}
		e := s.evidenceOf(k)
		e.Short, e.May, e.Back = shortNeed(id, p.Name), may, servicePath(p.Name)
		for i := range runs {
			if runs[i].Check == id {
				e.Run = &runs[i]
			}
		}
		list = append(list, e)
	}
	return list, runs
}

// evidenceOf is a check with what it saw last.
func (s *server) evidenceOf(k *holdfast.Check) evidence {
	e := evidence{Check: k.ID, Short: clip(k.ID), Anchor: anchor(k.ID), Link: checkPath(k.ID), Back: checkPath(k.ID), State: holdfast.Unknown,
		Probe: k.Probe, On: k.On, Every: k.Every, Button: buttonOf(kindOf(s.c.Catalogue(), k.ID))}
	if e.Observation, e.Seen = s.c.Observation(k.ID); e.Seen {
		e.Observation = clipped(e.Observation)
		e.State = outcomeState(e.Observation.Outcome)
		e.Facts = append(pairs(e.Observation.Fingerprint), pairs(e.Observation.Facts)...)
	}
	return e
}

// outcomeState is the silhouette an outcome is shown with.
func outcomeState(o holdfast.Outcome) holdfast.State {
	switch o {
	case holdfast.OK:
		return holdfast.Proven
	case holdfast.OutcomeDegraded:
		return holdfast.Degraded
	case holdfast.Failed:
		return holdfast.Broken
	}
	return holdfast.Unknown
}

func pairs(m map[string]string) []pair {
	var list []pair
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, pair{clip(name), clip(m[name])})
	}
	return list
}
