package web

import (
	"context"
	"maps"
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// CatalogueKeeper tells how the catalogue stands.
type CatalogueKeeper interface {
	CatalogueStatus() holdfast.CatalogueStatus
}

// CatalogueState is the answer of GET /api/v1/catalogue.
type CatalogueState struct {
	At time.Time `json:"at" doc:"when this was read, by the collector's clock"`
	holdfast.CatalogueStatus
	Policy    string `json:"policy" doc:"name of the policy in force"`
	Sites     int    `json:"sites"`
	Teams     int    `json:"teams"`
	Plans     int    `json:"plans"`
	Scenarios int    `json:"scenarios" doc:"declared by it, beside the default ones"`
	Checks    int    `json:"checks"`
}

// ScenarioStates is the answer of GET /api/v1/scenarios.
type ScenarioStates struct {
	At        time.Time       `json:"at" doc:"when this was read, by the collector's clock"`
	Scenarios []ScenarioState `json:"scenarios" doc:"the common ones first, then by name"`
}

// ScenarioState is how the services that are asked about a scenario stand in it.
type ScenarioState struct {
	Name     string                 `json:"name"`
	Services int                    `json:"services" doc:"that are judged in it"`
	States   map[holdfast.State]int `json:"states" doc:"how many stand in which state; those of none are left out"`
}

func (s *server) addCatalogueAPI(a *api) {
	register(a, operation{Route: "GET /catalogue", ID: "get-catalogue", Tag: "Collector",
		Summary:     "How the catalogue stands: what is in force since when, and why the one on disk is refused",
		Description: "A catalogue with a mistake is refused whole; the last good one stays in force, and problem says every mistake with its file and line."}, s.apiCatalogue)
	register(a, operation{Route: "GET /scenarios", ID: "list-scenarios", Tag: "Readiness",
		Summary:     "How the services stand in each scenario",
		Description: "A service counts in the scenarios its own tier and business impact analysis ask for; one it is judged in for a consumer's sake does not count."}, s.apiScenarios)
}

func (s *server) apiCatalogue(context.Context, *struct{}) (*answer[CatalogueState], error) {
	c := s.c.Catalogue()
	a := CatalogueState{At: s.c.Now(), CatalogueStatus: s.c.CatalogueStatus(), Policy: c.Policy.Name,
		Sites: len(c.Sites), Teams: len(c.Teams), Plans: len(c.Plans), Scenarios: len(c.Scenarios)}
	for range c.Checks {
		a.Checks++
	}
	return &answer[CatalogueState]{a}, nil
}

func (s *server) apiScenarios(context.Context, *struct{}) (*answer[ScenarioStates], error) {
	by := map[string]*ScenarioState{}
	for _, p := range s.c.Postures() {
		for i := range p.Scenarios {
			sc := &p.Scenarios[i]
			if sc.AskedBy != "" {
				continue // outside its own posture
			}
			if by[sc.Name] == nil {
				by[sc.Name] = &ScenarioState{Name: sc.Name, States: map[holdfast.State]int{}}
			}
			by[sc.Name].Services++
			by[sc.Name].States[sc.State]++
		}
	}
	a := ScenarioStates{At: s.c.Now(), Scenarios: []ScenarioState{}}
	for _, name := range slices.SortedFunc(maps.Keys(by), scenarioOrder) {
		a.Scenarios = append(a.Scenarios, *by[name])
	}
	return &answer[ScenarioStates]{a}, nil
}
