package dashboards

import (
	"bytes"
	"encoding/json"
)

// schemaVersion is Grafana 10.4's: later ones migrate it by themselves.
const schemaVersion = 39

// Dashboard is a Grafana dashboard in the making.
type Dashboard struct {
	UID         string // stable: links and bookmarks hold it
	Title       string
	Description string
	Variables   []Variable
	Rows        []Row
}

// Row is a headed row of panels, laid out from left to right, 24 columns wide.
type Row struct {
	Title  string
	Panels []Panel
}

// Panel answers one question.
type Panel struct {
	Title    string
	Question string // its description
	Type     string // stat, timeseries, table, bargauge or state-timeline
	Unit     string // as Grafana names it
	Width    int    // columns
	Height   int    // of 30 pixels
	Queries  []Query
	None     string    // what is shown where there is no data
	Steps    []Step    // thresholds; none: neither good nor bad
	Mappings []Mapping // of values to words
	Columns  []Column  // of a table
	Names    bool      // a stat shows the name of its series, not its value
	Stacked  bool      // a time series
	Pivot    [3]string // a table whose columns are a label's values: row, column, value
}

// Query is a PromQL expression.
type Query struct {
	Expr   string
	Legend string
}

// Step is a threshold: from From on, Color holds.
type Step struct {
	From  float64
	Color string
}

// Mapping shows a value as a word.
type Mapping struct {
	Value string
	Text  string
	Color string
}

// Column is a column of a table: a label, or the value of a query, by Grafana's
// name for it.
type Column struct {
	Field    string // "service", "Value #A"
	Title    string
	Unit     string
	Steps    []Step
	Mappings []Mapping
	Link     string
}

// Variable is what a reader chooses at the top.
type Variable struct {
	Name  string
	Label string
	Query string // empty: the data source
	Multi bool   // several, or all
}

type object = map[string]any

// source is the data source a reader has chosen.
var source = object{"type": "prometheus", "uid": "${datasource}"}

var datasource = Variable{Name: "datasource", Label: "Prometheus"}
var tierVariable = Variable{Name: "tier", Label: "Tier", Query: `label_values(holdfast_service_info, tier)`, Multi: true}

// JSON writes the dashboard as Grafana imports it.
func (d Dashboard) JSON() ([]byte, error) {
	var links []object
	for _, other := range All() {
		if other.UID != d.UID {
			links = append(links, object{"type": "link", "title": other.Title, "url": "/d/" + other.UID, "icon": "dashboard",
				"includeVars": true, "keepTime": true, "targetBlank": false, "tags": []string{}, "asDropdown": false, "tooltip": other.Description})
		}
	}
	var variables []object
	for _, v := range d.Variables {
		variables = append(variables, v.model())
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(object{
		"uid": d.UID, "title": d.Title, "description": d.Description, "tags": []string{"holdfast"}, "schemaVersion": schemaVersion, "version": 1,
		"editable": true, "graphTooltip": 1, "refresh": "1m", "timezone": "", "weekStart": "", "fiscalYearStartMonth": 0,
		"time": object{"from": "now-24h", "to": "now"}, "timepicker": object{},
		"annotations": object{"list": []object{}}, "templating": object{"list": variables}, "links": links, "panels": d.panels(),
	})
	return b.Bytes(), err
}

func (v Variable) model() object {
	m := object{"name": v.Name, "label": v.Label, "hide": 0, "skipUrlSync": false, "options": []object{}}
	if v.Query == "" {
		m["type"], m["query"], m["refresh"], m["regex"], m["multi"], m["includeAll"] = "datasource", "prometheus", 1, "", false, false
		m["current"] = object{}
		return m
	}
	m["type"], m["datasource"], m["refresh"], m["sort"] = "query", source, 2, 1
	m["definition"], m["query"], m["regex"] = v.Query, object{"query": v.Query, "refId": "PrometheusVariableQueryEditor-VariableQuery"}, ""
	m["multi"], m["includeAll"], m["current"] = v.Multi, v.Multi, object{}
	if v.Multi {
		m["allValue"], m["current"] = ".*", object{"selected": true, "text": []string{"All"}, "value": []string{"$__all"}}
	}
	return m
}

// panels lays the rows out from top to bottom.
func (d Dashboard) panels() []object {
	var list []object
	id, y := 0, 0
	for _, row := range d.Rows {
		id++
		list = append(list, object{"id": id, "type": "row", "title": row.Title, "collapsed": false, "panels": []object{}, "gridPos": grid(24, 1, 0, y)})
		y++
		x, tallest := 0, 0
		for _, p := range row.Panels {
			if x+p.Width > 24 {
				x, y, tallest = 0, y+tallest, 0
			}
			id++
			m := p.model()
			m["id"], m["gridPos"] = id, grid(p.Width, p.Height, x, y)
			list = append(list, m)
			x, tallest = x+p.Width, max(tallest, p.Height)
		}
		y += tallest
	}
	return list
}

func grid(w, h, x, y int) object { return object{"w": w, "h": h, "x": x, "y": y} }

func (p Panel) model() object {
	defaults := object{"unit": p.Unit, "thresholds": thresholds(p.Steps), "mappings": mappings(p.Mappings)}
	switch {
	case len(p.Steps) > 0 || len(p.Mappings) > 0:
		defaults["color"] = object{"mode": "thresholds"}
	case p.Type == "timeseries":
		defaults["color"] = object{"mode": "palette-classic-by-name"}
	default:
		defaults["color"] = object{"mode": "fixed", "fixedColor": "text"}
	}
	if p.None != "" {
		defaults["noValue"] = p.None
	}
	defaults["custom"] = p.custom()
	m := object{
		"type": p.Type, "title": p.Title, "description": p.Question, "datasource": source,
		"fieldConfig": object{"defaults": defaults, "overrides": p.overrides()},
		"options":     p.options(), "targets": p.targets(),
	}
	if p.Type == "table" {
		m["transformations"] = p.transformations()
	}
	return m
}

func (p Panel) targets() []object {
	var list []object
	for i, q := range p.Queries {
		t := object{"refId": string(rune('A' + i)), "expr": q.Expr, "legendFormat": q.Legend, "datasource": source, "editorMode": "code"}
		switch p.Type {
		case "timeseries", "state-timeline":
			t["range"], t["instant"] = true, false
		case "table":
			t["range"], t["instant"], t["format"] = false, true, "table"
		default:
			t["range"], t["instant"] = false, true
		}
		list = append(list, t)
	}
	return list
}

func thresholds(steps []Step) object {
	list := []object{{"color": "text", "value": nil}}
	if len(steps) > 0 {
		list[0]["color"] = "green"
	}
	for _, s := range steps {
		list = append(list, object{"color": s.Color, "value": s.From})
	}
	return object{"mode": "absolute", "steps": list}
}

func mappings(words []Mapping) []object {
	if len(words) == 0 {
		return []object{}
	}
	options := object{}
	for i, w := range words {
		options[w.Value] = object{"text": w.Text, "color": w.Color, "index": i}
	}
	return []object{{"type": "value", "options": options}}
}

// custom is what belongs to the type of panel.
func (p Panel) custom() object {
	switch p.Type {
	case "timeseries":
		c := object{"drawStyle": "line", "lineWidth": 1, "fillOpacity": 0, "showPoints": "never", "spanNulls": false, "axisSoftMin": 0}
		if p.Stacked {
			c["fillOpacity"], c["stacking"] = 60, object{"mode": "normal", "group": "A"}
		}
		if len(p.Steps) > 0 {
			c["thresholdsStyle"] = object{"mode": "dashed"}
		}
		return c
	case "table":
		return object{"align": "auto", "cellOptions": object{"type": "auto"}, "filterable": true}
	case "state-timeline":
		return object{"fillOpacity": 80, "lineWidth": 0}
	}
	return object{}
}

func (p Panel) options() object {
	last := object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}
	switch p.Type {
	case "stat":
		text := "value"
		switch {
		case p.Names:
			text = "name"
		case len(p.Queries) > 1:
			text = "value_and_name"
		}
		return object{"reduceOptions": last, "colorMode": "value", "graphMode": "none", "justifyMode": "auto", "orientation": "auto", "textMode": text}
	case "bargauge":
		return object{"reduceOptions": last, "displayMode": "basic", "orientation": "horizontal", "showUnfilled": false, "valueMode": "color"}
	case "table":
		return object{"showHeader": true, "cellHeight": "sm", "footer": object{"show": false}}
	case "state-timeline":
		return object{"showValue": "auto", "rowHeight": 0.8, "mergeValues": true, "legend": object{"showLegend": false}, "tooltip": object{"mode": "single"}}
	}
	return object{"legend": object{"displayMode": "list", "placement": "bottom", "showLegend": true}, "tooltip": object{"mode": "multi", "sort": "desc"}}
}

func (p Panel) overrides() []object {
	list := []object{}
	for _, c := range p.Columns {
		properties := []object{{"id": "displayName", "value": c.Title}}
		add := func(id string, value any) { properties = append(properties, object{"id": id, "value": value}) }
		if c.Unit != "" {
			add("unit", c.Unit)
		}
		if len(c.Mappings) > 0 {
			add("mappings", mappings(c.Mappings))
		}
		if len(c.Steps) > 0 {
			add("thresholds", thresholds(c.Steps))
			add("color", object{"mode": "thresholds"})
		}
		if len(c.Steps)+len(c.Mappings) > 0 {
			add("custom.cellOptions", object{"type": "color-text"})
		}
		if c.Link != "" {
			add("links", []object{{"title": c.Title, "url": c.Link}})
		}
		list = append(list, object{"matcher": object{"id": "byName", "options": c.Field}, "properties": properties})
	}
	if p.Type == "timeseries" {
		list = append(list, stateColors(p)...)
		list = append(list, object{"matcher": object{"id": "byRegexp", "options": "/^(RPO|RTO) /"}, "properties": []object{
			{"id": "custom.lineStyle", "value": object{"fill": "dash", "dash": []int{8, 6}}},
		}})
	}
	return list
}

// stateColors gives series named after a state that state's colour.
func stateColors(p Panel) []object {
	var list []object
	if p.Queries[0].Legend != "{{state}}" {
		return nil
	}
	for _, m := range states {
		list = append(list, object{"matcher": object{"id": "byName", "options": m.Text}, "properties": []object{
			{"id": "color", "value": object{"mode": "fixed", "fixedColor": m.Color}},
		}})
	}
	return list
}

// transformations bring what several queries say of one thing into one line, with
// only the columns asked for, in their order.
func (p Panel) transformations() []object {
	if p.Pivot[0] != "" {
		return []object{{"id": "groupingToMatrix", "options": object{"rowField": p.Pivot[0], "columnField": p.Pivot[1], "valueField": p.Pivot[2]}}}
	}
	order := object{}
	fields := []string{}
	for i, c := range p.Columns {
		order[c.Field] = i
		fields = append(fields, c.Field)
	}
	return []object{
		{"id": "merge", "options": object{}},
		{"id": "filterFieldsByName", "options": object{"include": object{"names": fields}}},
		{"id": "organize", "options": object{"indexByName": order}},
	}
}

// states are the words and colours of a state's rank.
var states = []Mapping{
	{"0", "proven", "green"}, {"1", "stale", "yellow"}, {"2", "degraded", "orange"}, {"3", "untested", "purple"},
	{"4", "unknown", "blue"}, {"5", "broken", "red"}, {"6", "uncovered", "dark-red"}, {"-1", "not-judged", "text"},
}

// bad is red from one on.
var bad = []Step{{1, "red"}}

// stat is a figure.
func stat(title, question, unit string, steps []Step, queries ...Query) Panel {
	return Panel{Title: title, Question: question, Type: "stat", Unit: unit, Width: 4, Height: 4, Steps: steps, Queries: queries}
}

// series is a figure over time.
func series(title, question, unit string, queries ...Query) Panel {
	return Panel{Title: title, Question: question, Type: "timeseries", Unit: unit, Width: 12, Height: 8, Queries: queries}
}
