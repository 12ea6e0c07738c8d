package collector

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// scrape gives Prometheus the living state beside what the registry counts. It
// implements prometheus.Gatherer.
type scrape struct{ c *Collector }

// Metrics is what Prometheus scrapes.
func (c *Collector) Metrics() prometheus.Gatherer { return scrape{c} }

// Gather returns what holds now. The registry's families come first: no name of
// theirs is one of the living state's.
func (s scrape) Gather() ([]*dto.MetricFamily, error) {
	counted, err := s.c.registry.Gather()
	return append(counted, s.c.living().finished()...), err
}

// living writes down the living state.
func (c *Collector) living() *sheet {
	s := newSheet()
	now := c.now()
	s.estate(c.estate.all(), now)
	families, outcomes := c.families(), c.outcomes()
	for _, a := range c.Agents() {
		if !a.Revoked || a.Checks > 0 {
			s.agent(a, c.version, families, outcomes[a.Name])
		}
	}
	s.add(metricCertLife, c.cfg.CertificateLife.Seconds())
	s.alerts(c.alerts.Tally())
	round, judged := c.estate.progress()
	s.instant(metricHeartbeat, round)
	s.add(metricJudged, float64(judged))
	status := c.CatalogueStatus()
	s.add(metricCatalogue, flag(status.Problem == ""))
	s.instant(metricAccepted, status.Accepted)
	return s
}

var allStates = append([]holdfast.State{holdfast.NotJudged}, holdfast.States...)

// estate writes every service's series.
func (s *sheet) estate(postures []holdfast.Posture, now time.Time) {
	counts := map[holdfast.State]int{}
	for i := range postures {
		counts[postures[i].State]++
		s.service(&postures[i], now)
	}
	for _, state := range allStates {
		s.add(metricServices, float64(counts[state]), s.share("state", string(state)))
	}
}

func (s *sheet) service(p *holdfast.Posture, now time.Time) {
	service, tier := label("service", p.Name), s.share("tier", strconv.Itoa(p.Tier))
	s.add(metricService, 1, service, s.share("owner", p.Owner), s.share("site", p.Site), tier)
	for _, state := range allStates {
		s.add(metricState, flag(p.State == state), service, s.share("state", string(state)))
	}
	if p.Score != nil {
		s.add(metricScore, float64(*p.Score), service, tier)
	}
	if p.NextChange != nil {
		s.instant(metricNextChange, *p.NextChange, service)
	}
	var busy time.Time
	for _, w := range p.Maintenance {
		if w.Until.After(now) && w.Until.After(busy) {
			busy = w.Until
		}
	}
	s.instant(metricMaintenance, busy, service)
	s.findings(p, service)
	s.scenarios(p, service, now)
	if o := p.Objectives; o != nil {
		s.objective(o.RTO, service, s.share("objective", "rto"))
		s.objective(o.RPO, service, s.share("objective", "rpo"))
	}
	s.paths(p, service)
	s.copies(p, service)
}

func (s *sheet) objective(t holdfast.ThreeFold, service, name *dto.LabelPair) {
	s.seconds(metricObjective, t.Requested.Limit, service, name, s.share("kind", "requested"))
	s.seconds(metricObjective, t.Committed, service, name, s.share("kind", "committed"))
	s.seconds(metricObjective, t.Proven, service, name, s.share("kind", "proven"))
}

// findings writes what costs points, and what causes the state.
func (s *sheet) findings(p *holdfast.Posture, service *dto.LabelPair) {
	points, cause := map[string]int{}, ""
	for i := range p.Findings {
		f := &p.Findings[i]
		if f.Points > 0 {
			points[f.Code] += f.Points
		}
		if p.Cause != nil && cause == "" && f.Need == p.Cause.Need && f.State == p.Cause.State && f.Reason == p.Cause.Reason {
			cause = f.Code
		}
	}
	for code, n := range points {
		s.add(metricPoints, float64(n), service, s.share("code", code))
	}
	if cause != "" {
		s.add(metricCause, 1, service, s.share("code", cause))
	}
}

func (s *sheet) scenarios(p *holdfast.Posture, service *dto.LabelPair, now time.Time) {
	for i := range p.Scenarios {
		x := &p.Scenarios[i]
		if x.AskedBy != "" {
			continue // a consumer's scenario, perhaps of the same name as another's
		}
		scenario := s.share("scenario", x.Name)
		s.add(metricScenario, float64(x.State.Rank()), service, scenario)
		if current := func(path holdfast.PathPosture) bool { return path.Name == x.Path && path.Current }; slices.ContainsFunc(p.Paths, current) {
			s.instant(metricPoint, now, service, scenario)
		} else {
			s.instant(metricPoint, x.Point, service, scenario)
		}
		if x.RecoveryTime != nil {
			s.seconds(metricTime, x.RecoveryTime.Total, service, scenario)
		}
		s.seconds(metricTarget, x.RTO.Limit, service, scenario, s.share("objective", "rto"))
		s.seconds(metricTarget, x.RPO.Limit, service, scenario, s.share("objective", "rpo"))
	}
}

var verdicts = []holdfast.Verdict{holdfast.Met, holdfast.Unmet, holdfast.VerdictUnknown, holdfast.NotApplicable}

func (s *sheet) paths(p *holdfast.Posture, service *dto.LabelPair) {
	needs := map[holdfast.Verdict]int{}
	for i := range p.Paths {
		path := s.share("path", p.Paths[i].Name)
		for _, rung := range holdfast.Rungs {
			r, ok := p.Paths[i].Rungs[rung]
			if !ok {
				continue
			}
			s.instant(metricRungAt, r.At, service, path, s.share("rung", string(rung)))
			if r.Required {
				s.add(metricRung, float64(r.State.Rank()), service, path, s.share("rung", string(rung)))
			}
		}
		for j := range p.Paths[i].Needs {
			needs[p.Paths[i].Needs[j].Verdict]++
		}
	}
	for _, v := range verdicts {
		s.add(metricNeeds, float64(needs[v]), service, s.share("verdict", string(v)))
	}
}

func (s *sheet) copies(p *holdfast.Posture, service *dto.LabelPair) {
	for i := range p.Data {
		dataset := s.share("dataset", p.Data[i].Dataset)
		for j := range p.Data[i].Copies {
			c := &p.Data[i].Copies[j]
			name := s.share("copy", c.Copy)
			s.instant(metricCopyPoint, c.Point, service, dataset, name)
			if c.Verdict == holdfast.Met || c.Verdict == holdfast.Unmet {
				s.add(metricCopyUsable, flag(c.Verdict == holdfast.Met), service, dataset, name)
			}
			if !c.Verified.IsZero() {
				s.instant(metricCopyVerified, c.Verified, service, dataset, name)
				s.add(metricCopyShare, c.Scope, service, dataset, name)
			}
			if !c.Restored.IsZero() {
				s.instant(metricCopyRestored, c.Restored, service, dataset, name)
				s.seconds(metricCopyTook, c.Took, service, dataset, name)
			}
		}
	}
}

// agent writes one agent's series. Version is the collector's own, families are
// the plugins that checks name, outcomes the latest of the agent's checks.
func (s *sheet) agent(a holdfast.AgentState, version string, families map[string]bool, outcomes map[holdfast.Outcome]int) {
	name := label("agent", a.Name)
	joined := !a.Enrolled.IsZero() && !a.Revoked
	s.add(metricAgent, flag(joined), name, s.share("site", a.Site))
	s.add(metricAgentUp, flag(a.Connected), name)
	s.instant(metricAgentHeard, a.LastHeard, name)
	s.instant(metricAgentCert, a.Certificate, name)
	s.add(metricAgentOffset, a.Offset.Std().Seconds(), name)
	s.add(metricAgentSpool, float64(a.Spooled), name)
	s.add(metricAgentDenied, float64(len(a.Refused)), name)
	s.add(metricAgentClash, flag(a.Clash != ""), name)
	if a.Version != "" {
		s.add(metricAgentSkew, flag(a.Version != version), name)
	}
	never := a.Checks
	for _, o := range holdfast.Outcomes {
		s.add(metricAgentChecks, float64(outcomes[o]), name, s.share("outcome", string(o)))
		never -= outcomes[o]
	}
	s.add(metricAgentChecks, float64(never), name, s.share("outcome", "never"))
	for _, p := range a.Plugins {
		if families[p.Name] {
			s.add(metricPluginUp, flag(p.Problem == ""), name, s.share("plugin", p.Name))
		}
	}
}

// families returns the plugins the catalogue's checks name: the part of a
// probe's name before the dot.
func (c *Collector) families() map[string]bool {
	found := map[string]bool{}
	for k := range c.Catalogue().Checks {
		family, _, _ := strings.Cut(k.Probe, ".")
		found[family] = true
	}
	return found
}

// outcome returns what a check's newest result says; a nil roster has none.
func (r *roster) outcome(check string) (holdfast.Outcome, bool) {
	if r == nil {
		return "", false
	}
	i, ok := r.place[check]
	if !ok || r.slots[i].order == 0 {
		return "", false
	}
	return r.slots[i].outcome, true
}

// outcomes counts the latest outcomes of every agent's checks.
func (c *Collector) outcomes() map[string]map[holdfast.Outcome]int {
	counts := map[string]map[holdfast.Outcome]int{}
	c.estate.mu.RLock()
	defer c.estate.mu.RUnlock()
	for k := range c.estate.catalogue.Checks {
		o, ok := c.intake.rosters[k.On].outcome(k.ID)
		if !ok {
			continue
		}
		if counts[k.On] == nil {
			counts[k.On] = map[holdfast.Outcome]int{}
		}
		counts[k.On][o]++
	}
	return counts
}
