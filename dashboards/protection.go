package dashboards

// protection answers: is the data protected, and does anybody look?
func protection() Dashboard {
	return Dashboard{
		UID: "holdfast-protection", Title: "Holdfast: protected data and agents",
		Description: "Is every dataset protected, when was that last proven, and are the agents that look all there?",
		Variables: []Variable{datasource, tierVariable,
			{Name: "service", Label: "Service", Query: `label_values(holdfast_service_info{tier=~"$tier"}, service)`, Multi: true}},
		Rows: []Row{protectedData(), agentsNow(), agentsOverTime()},
	}
}

// chosen is the selector of the chosen services.
const chosen = `{service=~"$service"}`

func protectedData() Row {
	ofCopies := func(metric string) string { return ofTier(metric + chosen) }
	each := func(expr string) string { return `max by (service, dataset, copy) (` + expr + `)` }
	age := func(metric string) string { return `time() - ` + each(ofCopies(metric)) }
	never := func(metric string) string {
		return `count(` + ofTier(`holdfast_copy_recovery_point_timestamp_seconds`+chosen+` unless on (instance, service, dataset, copy) `+metric) + `) or vector(0)`
	}
	worst := series("The ten oldest newest points", "Which copies are not fed any more?", "s",
		Query{`topk(10, ` + age("holdfast_copy_recovery_point_timestamp_seconds") + `)`, "{{service}}/{{dataset}}/{{copy}}"})
	took := series("The ten longest restores", "Where does restoring take long, and does it take longer from test to test?", "s",
		Query{`topk(10, ` + each(ofCopies("holdfast_copy_restore_seconds")) + `)`, "{{service}}/{{dataset}}/{{copy}}"})
	return Row{"Is the data protected?", []Panel{
		quarter(stat("Copies that cannot be used", "How many copies did their check find damaged, empty, locked or closed to its credential?", "none", bad,
			Query{`count(` + ofCopies("holdfast_copy_usable") + ` == 0) or vector(0)`, ""})),
		quarter(stat("Never verified", "How many copies with recovery points were never read through? A finished backup proves nothing.", "none", bad, Query{never("holdfast_copy_verified_timestamp_seconds"), ""})),
		quarter(stat("Never restored", "How many copies with recovery points were never really restored?", "none", bad, Query{never("holdfast_copy_restored_timestamp_seconds"), ""})),
		quarter(stat("Oldest newest point", "How old is the newest recovery point of the copy that is worst off?", "s", nil, Query{`max(` + age("holdfast_copy_recovery_point_timestamp_seconds") + `)`, ""})),
		{
			Title: "Copies", Question: "How is every copy: can it be used, how old is its newest point, when was it last verified (and what share of it read), when last restored, and how long did that take?",
			Type: "table", Unit: "none", Width: 24, Height: 12,
			Queries: []Query{
				{Expr: each(ofCopies("holdfast_copy_usable"))}, {Expr: age("holdfast_copy_recovery_point_timestamp_seconds")},
				{Expr: age("holdfast_copy_verified_timestamp_seconds")}, {Expr: each(ofCopies("holdfast_copy_verified_ratio"))},
				{Expr: age("holdfast_copy_restored_timestamp_seconds")}, {Expr: each(ofCopies("holdfast_copy_restore_seconds"))},
			},
			Columns: []Column{
				{Field: "service", Title: "Service", Link: toService}, {Field: "dataset", Title: "Dataset"}, {Field: "copy", Title: "Copy"},
				{Field: "Value #A", Title: "Usable", Mappings: []Mapping{{"0", "no", "red"}, {"1", "yes", "green"}}},
				{Field: "Value #B", Title: "Newest point", Unit: "s"}, {Field: "Value #C", Title: "Verified", Unit: "s"},
				{Field: "Value #D", Title: "Share read", Unit: "percentunit"}, {Field: "Value #E", Title: "Restored", Unit: "s"}, {Field: "Value #F", Title: "Restore took", Unit: "s"},
			},
		},
		worst, took,
	}}
}

// quarter makes a figure a quarter of the row wide.
func quarter(p Panel) Panel {
	p.Width = 6
	return p
}

func agentsNow() Row {
	each := func(expr string) string { return `max by (agent) (` + expr + `)` }
	return Row{"Does anybody look?", []Panel{
		quarter(stat("Agents reporting", "How many agents have a session, and of how many that the catalogue names or that have joined?", "none", nil,
			Query{`sum(holdfast_agent_connected)`, "connected"}, Query{`count(holdfast_agent_connected)`, "of"})),
		quarter(stat("Silent", "How many agents have checks to run and no session? What they alone see turns unknown.", "none", bad, Query{`count(` + silent + `) or vector(0)`, ""})),
		quarter(stat("Refused checks", "How many checks do the agents' own policies forbid? They stay unknown.", "none", bad, Query{`sum(holdfast_agent_refused_checks)`, ""})),
		quarter(stat("Failing plugins", "How many plugins crashed, hung or were refused, and have not answered since?", "none", bad, Query{`count(holdfast_agent_plugin_healthy == 0) or vector(0)`, ""})),
		{
			Title: "Agents", Question: "How is every agent: has it joined, is it there, when was it last heard, is its clock right, does it hold reports back, how long is its certificate good, does its policy refuse checks, is its version ours, does another host use its name?",
			Type: "table", Unit: "none", Width: 24, Height: 10,
			Queries: []Query{
				{Expr: `max by (agent, site) (holdfast_agent_enrolled)`}, {Expr: each(`holdfast_agent_connected`)}, {Expr: `time() - ` + each(`holdfast_agent_last_heard_timestamp_seconds`)},
				{Expr: each(`holdfast_agent_clock_offset_seconds`)}, {Expr: each(`holdfast_agent_spooled_reports`)}, {Expr: each(`holdfast_agent_certificate_expiry_timestamp_seconds`) + ` - time()`},
				{Expr: each(`holdfast_agent_refused_checks`)}, {Expr: each(`holdfast_agent_version_differs`)}, {Expr: each(`holdfast_agent_clash`)},
			},
			Columns: []Column{
				{Field: "agent", Title: "Agent"}, {Field: "site", Title: "Site"}, {Field: "Value #A", Title: "Joined", Mappings: yesNo("green", "red")},
				{Field: "Value #B", Title: "Connected", Mappings: yesNo("green", "red")}, {Field: "Value #C", Title: "Last heard", Unit: "s"},
				{Field: "Value #D", Title: "Clock off by", Unit: "s"}, {Field: "Value #E", Title: "Waiting reports", Steps: []Step{{100, "red"}}},
				{Field: "Value #F", Title: "Certificate good for", Unit: "s"}, {Field: "Value #G", Title: "Refused checks", Steps: bad},
				{Field: "Value #H", Title: "Other version", Mappings: yesNo("yellow", "green")}, {Field: "Value #I", Title: "Two hosts", Mappings: yesNo("red", "green")},
			},
		},
		{
			Title: "Plugins that fail", Question: "Which plugin fails where? Its checks turn unknown.", Type: "table", Unit: "none", Width: 8, Height: 8, None: "none",
			Queries: []Query{{Expr: `max by (agent, plugin) (holdfast_agent_plugin_healthy) == 0`}},
			Columns: []Column{{Field: "agent", Title: "Agent"}, {Field: "plugin", Title: "Plugin"}},
		},
		{
			Title: "Latest outcomes", Question: "What do checks say? never: the agent has not reported it yet.", Type: "timeseries", Unit: "none", Width: 16, Height: 8, Stacked: true,
			Queries: []Query{{`sum by (outcome) (holdfast_agent_checks)`, "{{outcome}}"}},
		},
	}}
}

func yesNo(yes, no string) []Mapping { return []Mapping{{"0", "no", no}, {"1", "yes", yes}} }

func agentsOverTime() Row {
	third := func(p Panel) Panel { p.Width = 8; return p }
	certificates := third(series("Certificates that end first", "Does renewal work? Agents renew at a third of the life: below that line it fails, or the agent is away.", "s",
		Query{`bottomk(10, max by (agent) (holdfast_agent_certificate_expiry_timestamp_seconds) - time())`, "{{agent}}"},
		Query{`max(holdfast_agent_certificate_life_seconds) / 3`, "renewed here"}))
	return Row{"Do they keep up?", []Panel{
		third(series("Clocks furthest off", "Whose clock is wrong? Times are corrected; recovery points come from clocks too.", "s",
			Query{`topk(10, max by (agent) (abs(holdfast_agent_clock_offset_seconds)))`, "{{agent}}"})),
		third(series("Reports waiting on agents", "Who makes reports faster than they are taken?", "none", Query{`topk(10, max by (agent) (holdfast_agent_spooled_reports))`, "{{agent}}"})),
		certificates,
	}}
}
