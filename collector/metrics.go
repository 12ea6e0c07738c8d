package collector

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
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
	notices    *prometheus.CounterVec
}

// receiverTypes are the types of receivers of notices.
var receiverTypes = []string{"alertmanager", "webhook", "mail", "chat"}

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
	c.notices = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_notices_sent_total", Help: "Notices of alerts that receivers of this type took.",
	}, []string{"receiver"})
	for _, kind := range receiverTypes {
		c.notices.WithLabelValues(kind)
	}
	reg.MustRegister(c.commits, c.notices)
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

// Metric describes one metric of /metrics.
type Metric struct {
	Name   string
	Help   string
	Type   string   // counter, gauge, histogram or summary
	Labels []string // without le and quantile
}

// MetricList describes every metric the collector can give, by name. Dashboards
// and rules are checked against it.
func MetricList() ([]Metric, error) {
	reg := newRegistry("")
	newCounters(reg)
	families, err := reg.Gather()
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	var list []Metric
	for _, f := range families {
		m := Metric{Name: f.GetName(), Help: f.GetHelp(), Type: strings.ToLower(f.GetType().String())}
		for _, label := range f.GetMetric()[0].GetLabel() {
			m.Labels = append(m.Labels, label.GetName())
		}
		list = append(list, m)
	}
	for _, m := range livingMetrics {
		list = append(list, Metric{m.name, m.help, strings.ToLower(m.kind.String()), m.labels})
	}
	slices.SortFunc(list, func(a, b Metric) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// metric is one that is read from the living state at every scrape. Its labels
// come from the catalogue, from enrolment and from closed lists, never from what
// an agent says.
type metric struct {
	name, help string
	kind       dto.MetricType
	labels     []string
}

func newGauge(name, help string, labels ...string) *metric {
	return &metric{name, help, dto.MetricType_GAUGE, labels}
}

// The metrics of services, copies and agents.
var (
	metricServices    = newGauge("holdfast_services", "Services by state.", "state")
	metricService     = newGauge("holdfast_service_info", "1; who owns the service, where it is and how critical.", "service", "owner", "site", "tier")
	metricScore       = newGauge("holdfast_service_score", "Score, 0 to 100. Absent: not judged.", "service", "tier")
	metricState       = newGauge("holdfast_service_state", "1 for the state the service is in, 0 for the others.", "service", "state")
	metricCause       = newGauge("holdfast_service_cause", "1; the code of the finding that makes the state what it is. Absent: nothing stands in the way, or not judged.", "service", "code")
	metricPoints      = newGauge("holdfast_finding_points", "Points the service's findings of this code cost. Absent: none.", "service", "code")
	metricMaintenance = newGauge("holdfast_maintenance_end_timestamp_seconds", "When the maintenance window in force ends. Absent: none is.", "service")
	metricNextChange  = newGauge("holdfast_next_change_timestamp_seconds", "When the posture changes next although every check goes on reporting the same. Absent: never.", "service")
	metricObjective   = newGauge("holdfast_objective_seconds", "RTO and RPO as requested, committed and proven. Absent: not stated or not measured.", "service", "objective", "kind")
	metricNeeds       = newGauge("holdfast_needs", "Needs of the service's paths by verdict.", "service", "verdict")

	metricScenario = newGauge("holdfast_scenario_state_rank", "0 proven, 1 stale, 2 degraded, 3 untested, 4 unknown, 5 broken, 6 uncovered.", "service", "scenario")
	metricPoint    = newGauge("holdfast_recovery_point_timestamp_seconds", "Newest usable recovery point in the scenario; exposure is the time since. Where the path works on the data itself it is now. Absent: none.", "service", "scenario")
	metricTime     = newGauge("holdfast_recovery_time_seconds", "Recovery time along the critical path. Absent: nothing measured.", "service", "scenario")
	metricTarget   = newGauge("holdfast_scenario_objective_seconds", "RTO and RPO the BIA requests in the scenario. Absent: the BIA states none.", "service", "scenario", "objective")

	metricRungAt = newGauge("holdfast_rung_last_valid_test_timestamp_seconds", "When the test that holds the rung was made. Absent: never.", "service", "path", "rung")
	metricRung   = newGauge("holdfast_rung_state_rank", "State of a required rung; ranks as in holdfast_scenario_state_rank. Absent: not required.", "service", "path", "rung")

	metricCopyPoint    = newGauge("holdfast_copy_recovery_point_timestamp_seconds", "Newest recovery point of a copy. Absent: none known.", "service", "dataset", "copy")
	metricCopyUsable   = newGauge("holdfast_copy_usable", "1 while the copy's check finds it usable, 0 while it does not. Absent: nobody can tell, or nobody looks.", "service", "dataset", "copy")
	metricCopyVerified = newGauge("holdfast_copy_verified_timestamp_seconds", "When the copy's integrity was last read through. Absent: never.", "service", "dataset", "copy")
	metricCopyShare    = newGauge("holdfast_copy_verified_ratio", "Share of the copy read at that verification. Absent: never verified.", "service", "dataset", "copy")
	metricCopyRestored = newGauge("holdfast_copy_restored_timestamp_seconds", "When the copy was last really restored. Absent: never.", "service", "dataset", "copy")
	metricCopyTook     = newGauge("holdfast_copy_restore_seconds", "How long that restore took. Absent: never restored.", "service", "dataset", "copy")

	metricAgent       = newGauge("holdfast_agent_enrolled", "1 for an agent that has joined, 0 for one the catalogue names and nobody joined, or that was removed.", "agent", "site")
	metricAgentUp     = newGauge("holdfast_agent_connected", "1 while the agent has a session.", "agent")
	metricAgentHeard  = newGauge("holdfast_agent_last_heard_timestamp_seconds", "When the agent was last heard. Absent: never.", "agent")
	metricAgentCert   = newGauge("holdfast_agent_certificate_expiry_timestamp_seconds", "When the agent's certificate ends. Absent: never enrolled.", "agent")
	metricAgentOffset = newGauge("holdfast_agent_clock_offset_seconds", "Agent clock less collector clock.", "agent")
	metricAgentSpool  = newGauge("holdfast_agent_spooled_reports", "Reports waiting on the agent.", "agent")
	metricAgentChecks = newGauge("holdfast_agent_checks", "Checks the catalogue places on the agent by their latest outcome; never: the agent has not reported one.", "agent", "outcome")
	metricAgentDenied = newGauge("holdfast_agent_refused_checks", "Checks the agent's own policy forbids.", "agent")
	metricAgentSkew   = newGauge("holdfast_agent_version_differs", "1 while the agent runs another version than the collector. Absent: not heard since the collector started.", "agent")
	metricAgentClash  = newGauge("holdfast_agent_clash", "1 after a second host used the agent's name and key.", "agent")
	metricPluginUp    = newGauge("holdfast_agent_plugin_healthy", "0 after the plugin crashed, hung or was refused, until it answers again. Absent: not used yet.", "agent", "plugin")
	metricCertLife    = newGauge("holdfast_agent_certificate_life_seconds", "How long certificates are issued for; agents renew at two thirds of it.")

	metricAlerts  = newGauge("holdfast_alerts", "Alerts by kind and status: pending ones wait out their hold-off, firing ones are told unless something keeps them quiet.", "kind", "status")
	metricWaiting = newGauge("holdfast_notices_waiting", "Notices of alerts on their way.")
	metricDead    = newGauge("holdfast_notices_dead", "Notices given up; they wait for a person.")

	metricHeartbeat = newGauge("holdfast_heartbeat_timestamp_seconds", "When the judge last went round; it does so at least once a minute. Absent: not yet.")
	metricJudged    = &metric{"holdfast_judgements_total", "Services judged.", dto.MetricType_COUNTER, nil}
	metricCatalogue = newGauge("holdfast_catalogue_valid", "1 while the catalogue on disk is the one in force, 0 while a bad edit is refused.")
	metricAccepted  = newGauge("holdfast_catalogue_accepted_timestamp_seconds", "When the catalogue in force was accepted.")
)

var livingMetrics = []*metric{
	metricServices, metricService, metricScore, metricState, metricCause, metricPoints, metricMaintenance, metricNextChange, metricObjective, metricNeeds,
	metricScenario, metricPoint, metricTime, metricTarget, metricRungAt, metricRung,
	metricCopyPoint, metricCopyUsable, metricCopyVerified, metricCopyShare, metricCopyRestored, metricCopyTook,
	metricAgent, metricAgentUp, metricAgentHeard, metricAgentCert, metricAgentOffset, metricAgentSpool, metricAgentChecks, metricAgentDenied,
	metricAgentSkew, metricAgentClash, metricPluginUp, metricCertLife,
	metricAlerts, metricWaiting, metricDead, metricHeartbeat, metricJudged, metricCatalogue, metricAccepted,
}
