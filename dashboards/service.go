package dashboards

// service answers: could this service be recovered as agreed, and what shows it?
func service() Dashboard {
	return Dashboard{
		UID: "holdfast-service", Title: "Holdfast: service",
		Description: "Could this service be recovered as agreed, and what shows it?",
		Variables: []Variable{datasource, tierVariable,
			{Name: "service", Label: "Service", Query: `label_values(holdfast_service_info{tier=~"$tier"}, service)`}},
		Rows: []Row{serviceNow(), serviceObjectives(), serviceProof()},
	}
}

func serviceNow() Row {
	state := stat("State", "How does it stand, as its worst scenario does?", "none", nil, Query{`holdfast_service_state{service="$service"} == 1`, "{{state}}"})
	who := stat("Tier, owner, site", "Whose is it, where is it, how critical?", "none", nil, Query{`holdfast_service_info{service="$service"}`, "tier {{tier}}, {{owner}}, {{site}}"})
	cause := stat("Cause", "Which finding makes the state what it is?", "none", nil, Query{`holdfast_service_cause{service="$service"}`, "{{code}}"})
	state.Names, who.Names, cause.Names = true, true, true
	cause.None = "nothing"
	maintenance := stat("Maintenance until", "Is a maintenance window in force? It quiets alerts and changes no state.", "dateTimeAsIso", nil, Query{`holdfast_maintenance_end_timestamp_seconds{service="$service"} * 1000`, ""})
	maintenance.None = "none"
	next := stat("Changes next", "When does its posture change although every check goes on reporting the same?", "dateTimeFromNow", nil, Query{`holdfast_next_change_timestamp_seconds{service="$service"} * 1000`, ""})
	next.None = "never"
	points := Panel{
		Title: "What it loses points for", Question: "Which findings cost points? They sum to 100 less the score.", Type: "bargauge", Unit: "none", Width: 8, Height: 8, None: "nothing costs points",
		Queries: []Query{{`sort_desc(sum by (code) (holdfast_finding_points{service="$service"}))`, "{{code}}"}},
	}
	scenarios := Panel{
		Title: "Scenarios", Question: "In which scenarios could it be recovered, and since when?", Type: "state-timeline", Unit: "none", Width: 16, Height: 8, Mappings: states,
		Queries: []Query{{`holdfast_scenario_state_rank{service="$service"}`, "{{scenario}}"}},
	}
	return Row{"How does it stand?", []Panel{
		state, stat("Score", "What is its score? 100 less what its findings cost.", "none", nil, Query{`holdfast_service_score{service="$service"}`, ""}),
		cause, next, maintenance, who, scenarios, points,
	}}
}

func serviceObjectives() Row {
	loss := series("Data lost if it happened now", "How much data would be lost in each scenario, against the RPO agreed for it?", "s",
		Query{`time() - holdfast_recovery_point_timestamp_seconds{service="$service"}`, "{{scenario}}"},
		Query{`holdfast_scenario_objective_seconds{service="$service", objective="rpo"}`, "RPO {{scenario}}"})
	back := series("Time until it is back", "How long would recovery take in each scenario, as measured along the critical path, against the RTO agreed for it?", "s",
		Query{`holdfast_recovery_time_seconds{service="$service"}`, "{{scenario}}"},
		Query{`holdfast_scenario_objective_seconds{service="$service", objective="rto"}`, "RTO {{scenario}}"})
	three := Panel{
		Title: "Requested, committed, proven", Question: "What did the business ask for, what is the path designed for, and what did the latest valid test show?",
		Type: "table", Unit: "s", Width: 8, Height: 6, Pivot: [3]string{"objective", "kind", "Value"},
		Queries: []Query{{Expr: `max by (objective, kind) (holdfast_objective_seconds{service="$service"})`}},
	}
	score := series("Score over time", "Is it getting better or worse?", "none", Query{`holdfast_service_score{service="$service"}`, "score"})
	score.Width, score.Height = 16, 6
	return Row{"Within what was agreed?", []Panel{loss, back, three, score}}
}

func serviceProof() Row {
	return Row{"What shows it?", []Panel{
		{
			Title: "Proof", Question: "Which rung of which path is proven, by a test how old? Rungs that no tier requires have no state.", Type: "table", Unit: "none", Width: 12, Height: 9,
			Queries: []Query{
				{Expr: `max by (path, rung) (holdfast_rung_state_rank{service="$service"})`},
				{Expr: `time() - max by (path, rung) (holdfast_rung_last_valid_test_timestamp_seconds{service="$service"})`},
			},
			Columns: []Column{
				{Field: "path", Title: "Path"}, {Field: "rung", Title: "Rung"}, {Field: "Value #A", Title: "State", Mappings: states},
				{Field: "Value #B", Title: "Age of the test", Unit: "s"},
			},
		},
		{
			Title: "Needs of its paths", Question: "How many prerequisites are met, unmet, or seen by nobody?", Type: "bargauge", Unit: "none", Width: 4, Height: 9,
			Queries: []Query{{`sum by (verdict) (holdfast_needs{service="$service"})`, "{{verdict}}"}},
		},
		{
			Title: "Age of the newest recovery point", Question: "How old is the newest point of every copy, and do points keep coming? A saw-tooth is a copy that is fed.", Type: "timeseries", Unit: "s", Width: 8, Height: 9,
			Queries: []Query{{`time() - holdfast_copy_recovery_point_timestamp_seconds{service="$service"}`, "{{dataset}}/{{copy}}"}},
		},
	}}
}
