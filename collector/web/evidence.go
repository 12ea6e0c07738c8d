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

// evidence gathers the checks a service rests on.
func (s *server) evidence(p *holdfast.Posture, catalogue *holdfast.Catalogue) []evidence {
	var list []evidence
	for _, id := range restsOn(p, catalogue) {
		e := evidence{Check: id, Short: shortNeed(id, p.Name), Anchor: anchor(id), State: holdfast.Unknown}
		k := catalogue.Check(id)
		if k == nil {
			continue // a derived need, or a record's
		}
		e.Probe, e.On, e.Every = k.Probe, k.On, k.Every
		if e.Observation, e.Seen = s.c.Observation(id); e.Seen {
			e.Observation = clipped(e.Observation)
			e.State = outcomeState(e.Observation.Outcome)
			e.Facts = append(pairs(e.Observation.Fingerprint), pairs(e.Observation.Facts)...)
		}
		list = append(list, e)
	}
	return list
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
