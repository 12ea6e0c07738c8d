package collector

import (
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

// Sights returns how every check placed on an agent stands, by ID.
func (c *Collector) Sights(agent string) []holdfast.Sight {
	checks := c.agents.assignment(agent).Checks
	list := make([]holdfast.Sight, len(checks))
	c.estate.read(func(_ *holdfast.Catalogue, model *score.Model, facts *score.Facts) {
		ro := c.intake.rosters[agent]
		for i := range checks {
			id := checks[i].ID
			list[i].Check = id
			outcome, ok := ro.outcome(id)
			if !ok {
				continue
			}
			list[i].Outcome, list[i].At = outcome, time.Unix(0, ro.slots[ro.place[id]].at).UTC()
			if heard := facts.Heard(id); !heard.IsZero() {
				list[i].Until = heard.Add(model.Validity(id).Std())
			}
		}
	})
	return list
}
