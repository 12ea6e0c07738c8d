package web

import (
	"cmp"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Sighted is what the agents' pages read of checks.
type Sighted interface {
	// Sights returns how every check placed on an agent stands, by ID.
	Sights(agent string) []holdfast.Sight
}

// Why nobody sees what a check would show.
const (
	whySilent  = "silent"  // its agent has no session
	whyMissing = "missing" // its agent never joined, or was removed
	whyRefused = "refused" // its agent's own policy forbids it
	whyError   = "error"   // it ran and could not tell
	whyNever   = "never"   // it has not been reported yet
)

// BlindSpot is a check that nobody looks through, and what hangs on it.
type BlindSpot struct {
	Check string      `json:"check"`
	Why   string      `json:"why" enum:"silent,missing,refused,error,never" doc:"silent: the agent has no session; missing: it never joined or was removed; refused: its own policy forbids the check; error: the check ran and could not tell; never: it was not reported yet"`
	From  time.Time   `json:"unknown_from,omitzero" doc:"when what was seen last runs out, and what hangs on it is unknown; past: it is; absent: nothing was ever seen"`
	Needs []BlindNeed `json:"needs" doc:"what hangs on it"`
}

// BlindNeed is a need that is or becomes unknown, or a test that is not made.
type BlindNeed struct {
	Service string `json:"service"`
	Path    string `json:"path"`
	Need    string `json:"need" doc:"ID of the need or rung"`
	Test    bool   `json:"test,omitempty" doc:"a test of a rung: its proof goes on ageing, nothing becomes unknown by it"`
}

// Dark reports whether what hangs on it is unknown already.
func (b *BlindSpot) Dark(now time.Time) bool { return !b.From.After(now) }

// blindSpots are the checks that nobody looks through because of each agent, by
// its name: all of one that is silent or missing, of another those it refuses, or
// could not make sense of.
func (s *server) blindSpots(agents []holdfast.AgentState) map[string][]BlindSpot {
	found := map[string][]BlindSpot{}
	for i := range agents {
		if spots := blindOf(&agents[i], s.c.Sights(agents[i].Name)); len(spots) > 0 {
			found[agents[i].Name] = spots
		}
	}
	hang(s.c.Catalogue(), found)
	return found
}

func blindOf(a *holdfast.AgentState, sights []holdfast.Sight) []BlindSpot {
	refused := map[string]bool{}
	for _, id := range a.Refused {
		refused[id] = true
	}
	var spots []BlindSpot
	for _, x := range sights {
		b := BlindSpot{Check: x.Check, From: x.Until, Needs: []BlindNeed{}}
		switch {
		case a.Revoked || a.Enrolled.IsZero() && !a.Connected:
			b.Why, b.From = whyMissing, time.Time{} // it exists no more, or never did: what it saw counts for nothing
		case !a.Connected:
			b.Why = whySilent
		case refused[x.Check]:
			b.Why = whyRefused
		case x.Outcome == holdfast.OutcomeUnknown:
			b.Why = whyError
		case x.Outcome == "":
			b.Why = whyNever
		default:
			continue
		}
		spots = append(spots, b)
	}
	return spots
}

// lookup is what a check is found by: its ID, or the plan a copy of which it reads.
func lookup(check string) string {
	if rest, ok := strings.CutPrefix(check, "plan/"); ok {
		plan, _, _ := strings.Cut(rest, "/")
		return "plan/" + plan
	}
	return check
}

// hang enters into blind spots the needs and tests that look through their checks.
func hang(c *holdfast.Catalogue, found map[string][]BlindSpot) {
	spots := map[string][]*BlindSpot{}
	for _, list := range found {
		for i := range list {
			key := lookup(list[i].Check)
			spots[key] = append(spots[key], &list[i])
		}
	}
	if len(spots) == 0 {
		return
	}
	for i := range c.Services {
		looks(&c.Services[i], func(key string, n BlindNeed) {
			for _, b := range spots[key] {
				b.Needs = append(b.Needs, n)
			}
		})
	}
}

// looks tells of every need and test of a service that looks through a check, with
// the check's lookup.
func looks(s *holdfast.Service, tell func(key string, n BlindNeed)) {
	for j := range s.Paths {
		p := &s.Paths[j]
		for _, ref := range p.From {
			if d := s.Dataset(ref.Dataset); d != nil {
				if from := d.Copy(ref.Copy); from != nil && from.Check != nil {
					tell(from.Check.ID, BlindNeed{s.Name, p.Name, from.Check.ID, false})
				}
			}
		}
		for k := range p.Needs {
			n := &p.Needs[k]
			need := BlindNeed{s.Name, p.Name, n.ID, false}
			switch {
			case n.Check != nil:
				tell(n.Check.ID, need)
			case n.Ref != "":
				tell(n.Ref, need)
			case n.Plan != "":
				tell("plan/"+n.Plan, need)
			}
		}
		for k := range p.Tests {
			tell(p.Tests[k].Check.ID, BlindNeed{s.Name, p.Name, p.Tests[k].Check.ID, true})
		}
	}
}

// lose counts the services that are unknown because of agents that do not look,
// and those that become so, with the first instant.
func (s *server) lose(agents []holdfast.AgentState) (dark, later int, next time.Time) {
	checks := 0
	for i := range agents {
		checks += agents[i].Checks
	}
	now, until := s.c.Now(), make(map[string]time.Time, checks)
	for i := range agents {
		silent := stands(&agents[i]).Key == "silent"
		for _, x := range s.c.Sights(agents[i].Name) {
			key := lookup(x.Check)
			if !silent {
				x.Until = time.Time{}
			}
			if was, ok := until[key]; !ok || x.Until.Before(was) {
				until[key] = x.Until
			}
		}
	}
	services := s.c.Catalogue().Services
	for i := range services {
		blind, first := false, time.Time{}
		looks(&services[i], func(key string, n BlindNeed) {
			if from, ok := until[key]; ok && !n.Test && (!blind || from.Before(first)) {
				blind, first = true, from
			}
		})
		switch {
		case !blind:
		case !first.After(now):
			dark++
		default:
			later++
			if next.IsZero() || first.Before(next) {
				next = first
			}
		}
	}
	return dark, later, next
}

// blindness sums an agent's blind spots up.
type blindness struct {
	Services []blindService // that are or become unknown, by when
	Dark     int            // of them unknown already
	Tests    int            // tests that are not made
}

type blindService struct {
	Name, Title string
	From        time.Time // zero: nothing was ever seen
	Dark        bool
}

func sumBlind(c *holdfast.Catalogue, spots []BlindSpot, now time.Time) blindness {
	var sum blindness
	first := map[string]*BlindSpot{}
	for i := range spots {
		for _, n := range spots[i].Needs {
			switch was := first[n.Service]; {
			case n.Test:
				sum.Tests++
			case was == nil || spots[i].From.Before(was.From):
				first[n.Service] = &spots[i]
			}
		}
	}
	for name, b := range first {
		x := blindService{Name: name, Title: clip(name), From: b.From, Dark: b.Dark(now)}
		if s := c.Service(name); s != nil {
			x.Title = clip(cmp.Or(s.Title, s.Name))
		}
		if x.Dark {
			sum.Dark++
		}
		sum.Services = append(sum.Services, x)
	}
	slices.SortFunc(sum.Services, func(a, b blindService) int {
		return cmp.Or(a.From.Compare(b.From), strings.Compare(a.Name, b.Name))
	})
	return sum
}
