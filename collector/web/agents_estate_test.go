package web_test

import (
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Sights returns how the checks of an agent stand, by the real rules.
func (e *estate) Sights(agent string) []holdfast.Sight {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sights != nil {
		return e.sights[agent]
	}
	var list []holdfast.Sight
	for k := range e.catalogue.Checks {
		if k.On != agent {
			continue
		}
		x := holdfast.Sight{Check: k.ID}
		if o, ok := e.latest[k.ID]; ok {
			x.Outcome, x.At = o.Outcome, o.At
			if heard := e.facts.Heard(k.ID); !heard.IsZero() {
				x.Until = heard.Add(e.model.Validity(k.ID).Std())
			}
		}
		list = append(list, x)
	}
	slices.SortFunc(list, func(a, b holdfast.Sight) int { return strings.Compare(a.Check, b.Check) })
	return list
}
