package dashboards

import "fmt"

// ofTier keeps what concerns services of the chosen tiers. The expression must
// have the labels instance and service.
func ofTier(expr string) string {
	return fmt.Sprintf(`((%s) and on (instance, service) holdfast_service_info{tier=~"$tier"})`, expr)
}

// The two figures of a service against what was agreed, by scenario.
const (
	exposure      = `(time() - holdfast_recovery_point_timestamp_seconds)`
	exposureRatio = exposure + ` / ignoring (objective) holdfast_scenario_objective_seconds{objective="rpo"}`
	recoveryRatio = `holdfast_recovery_time_seconds / ignoring (objective) holdfast_scenario_objective_seconds{objective="rto"}`
)

// silent are the agents that have checks to run and no session.
const silent = `holdfast_agent_connected == 0 and on (instance, agent) sum by (instance, agent) (holdfast_agent_checks) > 0`

const toService = "/d/holdfast-service?var-service=${__value.raw}&${datasource:queryparam}&${__url_time_range}"

// estate answers: could we recover what matters, and what stands in the way?
func estate() Dashboard {
	return Dashboard{
		UID: "holdfast-estate", Title: "Holdfast: estate",
		Description: "Could we recover what matters, and what stands in the way? Posture, not service health.",
		Variables:   []Variable{datasource, tierVariable},
		Rows:        []Row{estateNow(), estateWhy(), estateAlerts(), estateCollector()},
	}
}

func estateNow() Row {
	missed := func(ratio, over string) string {
		return fmt.Sprintf(`count(max by (instance, service) (%s) %s) or vector(0)`, ofTier(ratio), over)
	}
	byState := series("Services by state", "How many services stand where, and since when? The counts cover the whole estate; services without a BIA are not judged and stay in it.", "none",
		Query{`sum by (state) (holdfast_services)`, "{{state}}"})
	byState.Stacked, byState.Width = true, 16
	tiers := Panel{
		Title: "State by tier", Question: "Which tiers are in trouble? Number of services.", Type: "table", Unit: "none", Width: 8, Height: 8, Pivot: [3]string{"tier", "state", "Value"},
		Queries: []Query{{Expr: `count by (tier, state) ((holdfast_service_state == 1) * on (instance, service) group_left (tier) holdfast_service_info{tier=~"$tier"})`}},
	}
	return Row{"Could we recover now?", []Panel{
		stat("Recoverable, with proof", "How many services could be recovered within target now, with proof, and of how many?", "none", nil,
			Query{`sum(holdfast_services{state="proven"})`, "proven"}, Query{`sum(holdfast_services)`, "of"}),
		stat("Could not be recovered", "How many services have a scenario in which no path can be walked?", "none", bad,
			Query{`sum(holdfast_services{state=~"broken|uncovered"})`, ""}),
		stat("Nobody can tell", "Of how many services are observations missing that their recovery depends on?", "none", bad,
			Query{`sum(holdfast_services{state="unknown"})`, ""}),
		stat("RPO missed", "How many services would lose more data than agreed in some scenario, right now?", "none", bad, Query{missed(exposureRatio, ">= 1"), ""}),
		stat("RTO missed", "How many services would take longer to recover than agreed in some scenario, as measured?", "none", bad, Query{missed(recoveryRatio, "> 1"), ""}),
		stat("Silent agents", "How many agents have checks to run and no session?", "none", bad, Query{`count(` + silent + `) or vector(0)`, ""}),
		byState, tiers,
	}}
}

func estateWhy() Row {
	worst := func(expr string) string {
		return fmt.Sprintf(`max by (service) (%s) and on (service) bottomk(100, max by (service) (holdfast_service_score{tier=~"$tier"}))`, expr)
	}
	ratios := []Step{{1, "orange"}, {2, "red"}}
	points := Panel{
		Title: "What costs points", Question: "Which findings cost the estate most? Points lost by the code of the finding, over the chosen tiers; each service's page names the remedy.",
		Type: "bargauge", Unit: "none", Width: 8, Height: 10, None: "nothing costs points",
		Queries: []Query{{`sort_desc(topk(12, sum by (code) (` + ofTier(`holdfast_finding_points`) + `)))`, "{{code}}"}},
	}
	causes := Panel{
		Title: "What makes states what they are", Question: "Which finding, mended everywhere, would move most services? Number of services whose state it causes.",
		Type: "bargauge", Unit: "none", Width: 8, Height: 10, None: "nothing stands in the way",
		Queries: []Query{{`sort_desc(topk(12, count by (code) (` + ofTier(`holdfast_service_cause`) + `)))`, "{{code}}"}},
	}
	next := Panel{
		Title: "What breaks next", Question: "Whose posture changes soonest although every check goes on reporting the same: a proof runs out, a point reaches its RPO?",
		Type: "table", Unit: "none", Width: 8, Height: 10,
		Queries: []Query{{Expr: `sort(bottomk(20, min by (service) (` + ofTier(`holdfast_next_change_timestamp_seconds`) + `) - time()))`}},
		Columns: []Column{{Field: "service", Title: "Service", Link: toService}, {Field: "Value", Title: "In", Unit: "s"}},
	}
	exposed := series("Exposure against RPO, the ten worst", "Who would lose most against what was agreed, and is it growing? From 1 on the RPO is missed.", "none",
		Query{`topk(10, max by (service) (` + ofTier(exposureRatio) + `))`, "{{service}}"})
	slow := series("Recovery time against RTO, the ten worst", "Who would take longest against what was agreed? Over 1 the RTO is missed.", "none",
		Query{`topk(10, max by (service) (` + ofTier(recoveryRatio) + `))`, "{{service}}"})
	exposed.Steps, slow.Steps = bad, bad
	return Row{"What stands in the way?", []Panel{
		{
			Title: "Services, worst first", Question: "Which services are worst off, by how much do they miss what was agreed, and when does that change next? The hundred lowest scores; services without a BIA have none.",
			Type: "table", Unit: "none", Width: 24, Height: 12,
			Queries: []Query{
				{Expr: worst(`holdfast_service_score`)}, {Expr: worst(`holdfast_scenario_state_rank`)}, {Expr: worst(exposureRatio)},
				{Expr: worst(recoveryRatio)}, {Expr: worst(`holdfast_next_change_timestamp_seconds * 1000`)},
			},
			Columns: []Column{
				{Field: "service", Title: "Service", Link: toService},
				{Field: "Value #B", Title: "State of the worst scenario", Mappings: states},
				{Field: "Value #A", Title: "Score"},
				{Field: "Value #C", Title: "Exposure, × RPO", Unit: "none", Steps: ratios},
				{Field: "Value #D", Title: "Recovery time, × RTO", Unit: "none", Steps: ratios},
				{Field: "Value #E", Title: "Changes next", Unit: "dateTimeFromNow"},
			},
		},
		points, causes, next, exposed, slow,
	}}
}

func estateAlerts() Row {
	kinds := Panel{
		Title: "Alerts that fire", Question: "What has Holdfast itself found worth waking somebody for? Alerts by kind, each one root cause; quiet ones are counted.",
		Type: "bargauge", Unit: "none", Width: 8, Height: 8, None: "no alert fires",
		Queries: []Query{{`sort_desc(sum by (kind) (holdfast_alerts{status="firing"}) > 0)`, "{{kind}}"}},
	}
	sent := series("Notices taken", "Does anybody hear of it? Notices that receivers of each type took.", "ops", Query{`sum by (receiver) (rate(holdfast_notices_sent_total[$__rate_interval]))`, "{{receiver}}"})
	sent.Width = 8
	waiting := stat("Notices on their way", "How many notices has a receiver not taken yet? They are tried again for a day.", "none", nil, Query{`sum(holdfast_notices_waiting)`, ""})
	dead := stat("Notices given up", "How many notices did a receiver refuse for good? They wait for a person.", "none", bad, Query{`sum(holdfast_notices_dead)`, ""})
	waiting.Height, dead.Height = 8, 8
	return Row{"Who is woken?", []Panel{kinds, waiting, dead, sent}}
}

func estateCollector() Row {
	rate := func(metric string) string { return `sum(rate(` + metric + `[$__rate_interval]))` }
	during := func(metric string) string { return `sum(increase(` + metric + `[$__range]))` }
	catalogue := stat("Catalogue", "Is the catalogue on disk the one in force, and since when?", "none", nil, Query{`min(holdfast_catalogue_valid)`, ""})
	catalogue.Mappings = []Mapping{{"0", "refused", "red"}, {"1", "in force", "green"}}
	version := stat("Version", "Which version runs?", "none", nil, Query{`holdfast_build_info`, "{{version}}"})
	version.Names = true
	taken := series("Reports taken in", "How much do agents report, how much of it is new, and how often must it come again?", "ops",
		Query{rate("holdfast_ingest_reports_total"), "reports"}, Query{rate("holdfast_ingest_results_total"), "results"},
		Query{rate("holdfast_ingest_changed_results_total"), "results that say something new"}, Query{rate("holdfast_ingest_repeated_reports_total"), "reports that came again"})
	durable := series("Time to make reports durable", "How long do agents wait for an acknowledgement?", "s",
		Query{`histogram_quantile(0.5, sum by (le) (rate(holdfast_ingest_commit_seconds_bucket[$__rate_interval])))`, "half"},
		Query{`histogram_quantile(0.99, sum by (le) (rate(holdfast_ingest_commit_seconds_bucket[$__rate_interval])))`, "99 %"})
	work := series("Work", "How often does it judge a service, and sync the disk?", "ops",
		Query{rate("holdfast_judgements_total"), "services judged"}, Query{rate("holdfast_store_commits_total"), "commits"})
	memory := series("Memory", "How much memory does it hold?", "bytes", Query{`process_resident_memory_bytes * on (instance) group_left () holdfast_build_info`, "{{instance}}"})
	return Row{"The collector itself", []Panel{
		stat("Since it last judged", "Is the judge going round? It does so at least once a minute.", "s", []Step{{180, "red"}}, Query{`time() - min(holdfast_heartbeat_timestamp_seconds)`, ""}),
		catalogue,
		stat("Catalogue accepted", "When was the catalogue in force accepted?", "dateTimeFromNow", nil, Query{`max(holdfast_catalogue_accepted_timestamp_seconds) * 1000`, ""}),
		stat("Reports not stored", "How often, in the time shown, could the store not take reports? Agents send them again.", "none", bad, Query{during("holdfast_ingest_refused_commits_total"), ""}),
		stat("Clock jumps", "How often, in the time shown, did the collector's clock jump?", "none", bad, Query{during("holdfast_clock_jumps_total"), ""}),
		version, taken, durable, work, memory,
	}}
}
