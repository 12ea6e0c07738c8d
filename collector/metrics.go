package collector

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// counters is what the collector counts of its own work.
type counters struct {
	reports    prometheus.Counter
	results    prometheus.Counter
	changed    prometheus.Counter
	repeated   prometheus.Counter
	unsaved    prometheus.Counter
	stored     prometheus.Counter
	commits    prometheus.Histogram
	clockJumps prometheus.Counter
}

func newCounters(reg prometheus.Registerer) *counters {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	c := &counters{
		reports:    counter("holdfast_ingest_reports_total", "Reports made durable."),
		results:    counter("holdfast_ingest_results_total", "Check results in those reports."),
		changed:    counter("holdfast_ingest_changed_results_total", "Results that said something new, other than times and numbers."),
		repeated:   counter("holdfast_ingest_repeated_reports_total", "Reports that came again after they were durable; acknowledged, applied once."),
		unsaved:    counter("holdfast_ingest_refused_commits_total", "Groups of reports the store could not take; agents send them again."),
		stored:     counter("holdfast_store_commits_total", "Times reports or transitions were made durable; each syncs the disk."),
		clockJumps: counter("holdfast_clock_jumps_total", "Times the collector's clock moved by more than 2 s against the monotonic clock."),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "holdfast_ingest_commit_seconds", Help: "Time to make a group of reports durable.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}),
	}
	reg.MustRegister(c.commits)
	return c
}

// newRegistry returns a registry with what every Go process tells of itself.
func newRegistry(version string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "holdfast_build_info", Help: "1; the version is a label.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	reg.MustRegister(info, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}

// gauge is one metric read from the living state at every scrape. Its labels
// come from the catalogue and from enrolment, never from what an agent says.
type gauge struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func newGauge(name, help string, labels ...string) gauge {
	return gauge{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

func (g gauge) at(ch chan<- prometheus.Metric, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(g.desc, g.kind, value, labels...)
}

// instant gives an instant as seconds since 1970; the zero instant gives no
// series: what never happened has no time.
func (g gauge) instant(ch chan<- prometheus.Metric, t time.Time, labels ...string) {
	if !t.IsZero() {
		g.at(ch, float64(t.UnixMilli())/1000, labels...)
	}
}

func (g gauge) seconds(ch chan<- prometheus.Metric, d holdfast.Duration, labels ...string) {
	if d > 0 {
		g.at(ch, d.Std().Seconds(), labels...)
	}
}

// The metrics of services and agents.
var (
	metricServices    = newGauge("holdfast_services", "Services by state.", "state")
	metricScore       = newGauge("holdfast_service_score", "Score, 0 to 100. Absent: not judged.", "service", "tier")
	metricState       = newGauge("holdfast_service_state", "1 for the state the service is in, 0 for the others.", "service", "state")
	metricScenario    = newGauge("holdfast_scenario_state_rank", "0 proven, 1 stale, 2 degraded, 3 untested, 4 unknown, 5 broken, 6 uncovered.", "service", "scenario")
	metricPoint       = newGauge("holdfast_recovery_point_timestamp_seconds", "Newest usable recovery point in the scenario; exposure is the time since. Absent: none.", "service", "scenario")
	metricTime        = newGauge("holdfast_recovery_time_seconds", "Recovery time along the critical path. Absent: nothing measured.", "service", "scenario")
	metricObjective   = newGauge("holdfast_objective_seconds", "RTO and RPO as requested, committed and proven. Absent: not stated or not measured.", "service", "objective", "kind")
	metricRungAt      = newGauge("holdfast_rung_last_valid_test_timestamp_seconds", "When the test that holds the rung was made. Absent: never.", "service", "path", "rung")
	metricRung        = newGauge("holdfast_rung_state_rank", "State of a required rung; ranks as in holdfast_scenario_state_rank.", "service", "path", "rung")
	metricNeeds       = newGauge("holdfast_needs", "Needs of the service's paths by verdict.", "service", "verdict")
	metricCopyPoint   = newGauge("holdfast_copy_recovery_point_timestamp_seconds", "Newest recovery point of a copy. Absent: none known.", "service", "dataset", "copy")
	metricNextChange  = newGauge("holdfast_next_change_timestamp_seconds", "When the posture changes next although every check goes on reporting the same. Absent: never.", "service")
	metricAgentUp     = newGauge("holdfast_agent_connected", "1 while the agent has a session.", "agent")
	metricAgentHeard  = newGauge("holdfast_agent_last_heard_timestamp_seconds", "When the agent was last heard. Absent: never.", "agent")
	metricAgentCert   = newGauge("holdfast_agent_certificate_expiry_timestamp_seconds", "When the agent's certificate ends. Absent: never enrolled.", "agent")
	metricAgentOffset = newGauge("holdfast_agent_clock_offset_seconds", "Agent clock less collector clock.", "agent")
	metricAgentSpool  = newGauge("holdfast_agent_spooled_reports", "Reports waiting on the agent.", "agent")
	metricAgentDenied = newGauge("holdfast_agent_refused_checks", "Checks the agent's own policy forbids.", "agent")
	metricPluginUp    = newGauge("holdfast_agent_plugin_healthy", "0 after the plugin crashed, hung or was refused, until it answers again.", "agent", "plugin")
	metricHeartbeat   = newGauge("holdfast_heartbeat_timestamp_seconds", "When the judge last went round.")
	metricJudged      = gauge{prometheus.NewDesc("holdfast_judgements_total", "Services judged.", nil, nil), prometheus.CounterValue}
	metricCatalogue   = newGauge("holdfast_catalogue_valid", "1 while the catalogue on disk is the one in force, 0 while a bad edit is refused.")
	metricAccepted    = newGauge("holdfast_catalogue_accepted_timestamp_seconds", "When the catalogue in force was accepted.")
)

var allGauges = []gauge{metricServices, metricScore, metricState, metricScenario, metricPoint, metricTime, metricObjective,
	metricRungAt, metricRung, metricNeeds, metricCopyPoint, metricNextChange, metricAgentUp, metricAgentHeard, metricAgentCert,
	metricAgentOffset, metricAgentSpool, metricAgentDenied, metricPluginUp, metricHeartbeat, metricJudged, metricCatalogue, metricAccepted}

// scrape gives Prometheus the living state. It implements prometheus.Collector.
type scrape struct{ c *Collector }

// Describe sends every metric's description.
func (s scrape) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range allGauges {
		ch <- g.desc
	}
}

// Collect sends what holds now.
func (s scrape) Collect(ch chan<- prometheus.Metric) {
	counts := map[holdfast.State]int{}
	for _, p := range s.c.estate.all() {
		counts[p.State]++
		collectPosture(ch, p)
	}
	for _, state := range append([]holdfast.State{holdfast.NotJudged}, holdfast.States...) {
		metricServices.at(ch, float64(counts[state]), string(state))
	}
	families := s.c.families()
	for _, a := range s.c.Agents() {
		collectAgent(ch, a, families)
	}
	round, judged := s.c.estate.progress()
	metricHeartbeat.instant(ch, round)
	metricJudged.at(ch, float64(judged))
	status := s.c.CatalogueStatus()
	metricCatalogue.at(ch, flag(status.Problem == ""))
	metricAccepted.instant(ch, status.Accepted)
}

func collectPosture(ch chan<- prometheus.Metric, p holdfast.Posture) {
	for _, state := range append([]holdfast.State{holdfast.NotJudged}, holdfast.States...) {
		metricState.at(ch, flag(p.State == state), p.Name, string(state))
	}
	if p.Score != nil {
		metricScore.at(ch, float64(*p.Score), p.Name, string(rune('0'+p.Tier)))
	}
	if p.NextChange != nil {
		metricNextChange.instant(ch, *p.NextChange, p.Name)
	}
	for _, s := range p.Scenarios {
		if s.AskedBy != "" {
			continue // a consumer's scenario, perhaps of the same name as another's
		}
		metricScenario.at(ch, float64(s.State.Rank()), p.Name, s.Name)
		metricPoint.instant(ch, s.Point, p.Name, s.Name)
		if s.RecoveryTime != nil {
			metricTime.seconds(ch, s.RecoveryTime.Total, p.Name, s.Name)
		}
	}
	if o := p.Objectives; o != nil {
		for name, t := range map[string]holdfast.ThreeFold{"rto": o.RTO, "rpo": o.RPO} {
			metricObjective.seconds(ch, t.Requested.Limit, p.Name, name, "requested")
			metricObjective.seconds(ch, t.Committed, p.Name, name, "committed")
			metricObjective.seconds(ch, t.Proven, p.Name, name, "proven")
		}
	}
	verdicts := map[holdfast.Verdict]int{}
	for _, path := range p.Paths {
		for rung, r := range path.Rungs {
			metricRungAt.instant(ch, r.At, p.Name, path.Name, string(rung))
			if r.Required {
				metricRung.at(ch, float64(r.State.Rank()), p.Name, path.Name, string(rung))
			}
		}
		for _, n := range path.Needs {
			verdicts[n.Verdict]++
		}
	}
	for _, v := range []holdfast.Verdict{holdfast.Met, holdfast.Unmet, holdfast.VerdictUnknown, holdfast.NotApplicable} {
		metricNeeds.at(ch, float64(verdicts[v]), p.Name, string(v))
	}
	for _, d := range p.Data {
		for _, c := range d.Copies {
			metricCopyPoint.instant(ch, c.Point, p.Name, d.Dataset, c.Copy)
		}
	}
}

func collectAgent(ch chan<- prometheus.Metric, a holdfast.AgentState, families map[string]bool) {
	metricAgentUp.at(ch, flag(a.Connected), a.Name)
	metricAgentHeard.instant(ch, a.LastHeard, a.Name)
	metricAgentCert.instant(ch, a.Certificate, a.Name)
	metricAgentOffset.at(ch, a.Offset.Std().Seconds(), a.Name)
	metricAgentSpool.at(ch, float64(a.Spooled), a.Name)
	metricAgentDenied.at(ch, float64(len(a.Refused)), a.Name)
	for _, p := range a.Plugins {
		if families[p.Name] {
			metricPluginUp.at(ch, flag(p.Problem == ""), a.Name, p.Name)
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

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
