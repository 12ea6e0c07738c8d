package dashboards_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/holdfast-monitor/holdfast/collector"
	"github.com/holdfast-monitor/holdfast/dashboards"
)

var update = flag.Bool("update", false, "write the generated files")

func rules(t *testing.T) (text []byte, groups []dashboards.Group) {
	t.Helper()
	text, err := os.ReadFile("rules/holdfast.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if groups, err = dashboards.ReadRules(text); err != nil {
		t.Fatal(err)
	}
	return text, groups
}

// The files beside this one are what the code makes.
func TestGenerated(t *testing.T) {
	text, _ := rules(t)
	files, err := dashboards.Files(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if *update {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != string(want) {
			t.Errorf("%s is not what the code makes (%v): make generate\n%s", name, err, cmp.Diff(string(got), string(want)))
		}
	}
	found, err := filepath.Glob("*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range found {
		if files[name] == nil {
			t.Errorf("%s is made by nothing", name)
		}
	}
}

// panel is what the structure test reads of a Grafana panel.
type panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	Datasource  struct{ Type, UID string }
	GridPos     struct{ X, Y, W, H int }
	FieldConfig struct {
		Defaults  struct{ Unit string }
		Overrides []struct{ Matcher struct{ Options string } }
	}
	Targets []struct {
		RefID      string
		Expr       string
		Datasource struct{ UID string }
	}
}

// Grafana is not at hand: what it needs to draw a dashboard is checked here.
func TestStructure(t *testing.T) {
	text, _ := rules(t)
	files, err := dashboards.Files(text)
	if err != nil {
		t.Fatal(err)
	}
	uids := map[string]bool{}
	for _, d := range dashboards.All() {
		uids[d.UID] = true
	}
	link := regexp.MustCompile(`/d/([a-z-]+)`)
	for _, d := range dashboards.All() {
		for _, to := range link.FindAllStringSubmatch(string(files[d.UID+".json"]), -1) {
			if !uids[to[1]] {
				t.Errorf("%s links to %s, which does not exist", d.UID, to[1])
			}
		}
		var board struct {
			UID, Title    string
			SchemaVersion int
			Links         []struct{ URL string }
			Panels        []panel
			Templating    struct{ List []struct{ Name, Type string } }
		}
		if err := json.Unmarshal(files[d.UID+".json"], &board); err != nil {
			t.Fatalf("%s: %v", d.UID, err)
		}
		if len(board.UID) > 40 || board.UID == "" || board.Title == "" || board.SchemaVersion != 39 || len(board.Links) != len(uids)-1 {
			t.Errorf("%s: uid, title, schema version or links: %+v", d.UID, board)
		}
		if v := board.Templating.List; len(v) < 2 || v[0].Name != "datasource" || v[0].Type != "datasource" || v[1].Name != "tier" {
			t.Errorf("%s: variables %+v", d.UID, v)
		}
		checkPanels(t, d.UID, board.Panels)
	}
}

func checkPanels(t *testing.T, board string, panels []panel) {
	ids, titles, taken := map[int]string{}, map[string]bool{}, map[[2]int]string{}
	for _, p := range panels {
		at := board + ": " + p.Title
		if other := ids[p.ID]; p.ID == 0 || other != "" {
			t.Errorf("%s has the id %d of %q", at, p.ID, other)
		}
		ids[p.ID] = p.Title
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("%s lies at %+v", at, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies over %s at %d,%d", at, other, x, y)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if titles[p.Title] || p.Title == "" {
			t.Errorf("%s: the title is empty or used twice", at)
		}
		titles[p.Title] = true
		if p.Datasource.UID != "${datasource}" || p.Datasource.Type != "prometheus" || p.FieldConfig.Defaults.Unit == "" {
			t.Errorf("%s: data source %+v, unit %q", at, p.Datasource, p.FieldConfig.Defaults.Unit)
		}
		if !strings.Contains(p.Description, "?") {
			t.Errorf("%s: the description asks nothing: %q", at, p.Description)
		}
		if !slices.Contains([]string{"stat", "timeseries", "table", "bargauge", "state-timeline"}, p.Type) || len(p.Targets) == 0 {
			t.Errorf("%s: type %q, %d queries", at, p.Type, len(p.Targets))
		}
		for i, q := range p.Targets {
			if q.RefID != string(rune('A'+i)) || q.Expr == "" || q.Datasource.UID != "${datasource}" {
				t.Errorf("%s: query %+v", at, q)
			}
		}
		for _, o := range p.FieldConfig.Overrides {
			if letter, is := strings.CutPrefix(o.Matcher.Options, "Value #"); is && (len(letter) != 1 || int(letter[0]-'A') >= len(p.Targets)) {
				t.Errorf("%s has a column for query %s, which does not exist", at, letter)
			}
		}
	}
}

// query is an expression and where it stands.
type query struct {
	where, expr, legend string
}

// asked returns every query: of panels, with Grafana's variables filled in, and of
// rules.
func asked(t *testing.T, service string) []query {
	t.Helper()
	var list []query
	for _, d := range dashboards.All() {
		for _, r := range d.Rows {
			for _, p := range r.Panels {
				for i, q := range p.Queries {
					list = append(list, query{fmt.Sprintf("%s / %s / %c", d.UID, p.Title, 'A'+i), filled(q.Expr, service), q.Legend})
				}
			}
		}
	}
	_, groups := rules(t)
	for _, g := range groups {
		for _, r := range g.Rules {
			list = append(list, query{"rule " + r.Record + r.Alert, r.Expr, ""})
		}
	}
	return list
}

// filled stands for what Grafana puts in place of its variables.
func filled(expr, service string) string {
	return strings.NewReplacer("$__rate_interval", "20s", "$__range", "1h", `=~"$service"`, `=~".*"`, "$service", service, "$tier", ".*").Replace(expr)
}

var (
	inString  = regexp.MustCompile(`"[^"]*"`)
	metricRef = regexp.MustCompile(`\b((?:holdfast|process|go)[_:][a-zA-Z0-9_:]*)(?:\{([^}]*)\})?`)
	labelRef  = regexp.MustCompile(`([a-zA-Z_]+)\s*(?:=~|!~|!=|=)`)
	grouping  = regexp.MustCompile(`\b(?:by|on|ignoring|group_left) \(([^)]*)\)`)
)

// Every metric and label that a query names exists, and every metric of ours
// answers some question.
func TestNames(t *testing.T) {
	list, err := collector.MetricList()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string][]string{}
	anywhere := []string{"le", "instance", "job"}
	for _, m := range list {
		labels[m.Name] = m.Labels
		anywhere = append(anywhere, m.Labels...)
		if m.Type == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				labels[m.Name+suffix] = append([]string{"le"}, m.Labels...)
			}
		}
	}
	_, groups := rules(t)
	for _, g := range groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				labels[r.Record] = []string{}
			}
		}
	}
	used := map[string]bool{}
	for _, q := range asked(t, "payments") {
		for _, ref := range metricRef.FindAllStringSubmatch(q.expr, -1) {
			known, ok := labels[ref[1]]
			if !ok {
				t.Errorf("%s: there is no metric %s", q.where, ref[1])
			}
			if strings.Contains(ref[1], ":") && !strings.HasPrefix(q.where, "rule ") {
				t.Errorf("%s needs the recording rule %s: dashboards work without rules", q.where, ref[1])
			}
			used[ref[1]] = true
			for _, l := range labelRef.FindAllStringSubmatch(inString.ReplaceAllString(ref[2], ""), -1) {
				if !slices.Contains(known, l[1]) && l[1] != "job" && l[1] != "instance" {
					t.Errorf("%s: %s has no label %s", q.where, ref[1], l[1])
				}
			}
		}
		for _, g := range grouping.FindAllStringSubmatch(q.expr, -1) {
			for _, l := range strings.FieldsFunc(g[1], func(r rune) bool { return r == ',' || r == ' ' }) {
				if !slices.Contains(anywhere, l) {
					t.Errorf("%s: no metric has the label %s", q.where, l)
				}
			}
		}
	}
	for _, m := range list {
		if strings.HasPrefix(m.Name, "holdfast_") && !used[m.Name] && !used[m.Name+"_bucket"] {
			t.Errorf("%s answers no question: no panel and no rule uses it", m.Name)
		}
	}
}

// tool returns the path of a Debian program that `make test` installs.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: make test installs it", name)
		}
		t.Skipf("%s is missing", name)
	}
	return path
}

// Every query of a panel parses: Prometheus reads each as a recording rule.
func TestQueriesParse(t *testing.T) {
	promtool := tool(t, "promtool")
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var list []rule
	for i, q := range asked(t, "payments") {
		list = append(list, rule{fmt.Sprintf("panel:%d", i), q.expr})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": list}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "panels.yaml")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Every rule says what a person needs, and every alert is tried both ways.
func TestRules(t *testing.T) {
	promtool := tool(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "--lint-fatal", "rules/holdfast.yaml"}, {"test", "rules", "rules/holdfast_test.yaml"}} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
	var tests struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string `yaml:"alertname"`
				ExpAlerts []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
			PromqlExprTest []struct {
				Expr string `yaml:"expr"`
			} `yaml:"promql_expr_test"`
		} `yaml:"tests"`
	}
	text, err := os.ReadFile("rules/holdfast_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &tests); err != nil {
		t.Fatal(err)
	}
	fires, quiet, tried := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, a := range test.AlertRuleTest {
			fires[a.Alertname] = fires[a.Alertname] || len(a.ExpAlerts) > 0
			quiet[a.Alertname] = quiet[a.Alertname] || len(a.ExpAlerts) == 0
		}
		for _, e := range test.PromqlExprTest {
			tried[e.Expr] = true
		}
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, groups := rules(t)
	for _, g := range groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				if !tried[r.Record] {
					t.Errorf("%s: no test evaluates it", r.Record)
				}
				continue
			}
			if !fires[r.Alert] || !quiet[r.Alert] {
				t.Errorf("%s: tested to fire %v, to keep quiet %v", r.Alert, fires[r.Alert], quiet[r.Alert])
			}
			if want := []string{"action", "description", "runbook_url", "summary"}; !slices.Equal(slices.Sorted(maps.Keys(r.Annotations)), want) {
				t.Errorf("%s: annotations %v, want %v", r.Alert, slices.Sorted(maps.Keys(r.Annotations)), want)
			}
			if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) || r.For == "" {
				t.Errorf("%s: severity %q, for %q", r.Alert, r.Labels["severity"], r.For)
			}
			_, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "dashboards/README.md#")
			if anchor != strings.ToLower(r.Alert) || !strings.Contains(string(readme), "\n### "+r.Alert+"\n") {
				t.Errorf("%s: its runbook %q leads nowhere", r.Alert, r.Annotations["runbook_url"])
			}
		}
	}
}

// What is installed beside Grafana and Prometheus names files that exist.
func TestProvisioning(t *testing.T) {
	text, err := os.ReadFile("provisioning/prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "/holdfast.yaml") || !strings.Contains(string(text), "job_name: holdfast\n") {
		t.Errorf("prometheus.yml names neither the rules nor the job they watch:\n%s", text)
	}
	for _, name := range []string{"grafana-dashboards.yaml", "grafana-datasource.yaml"} {
		text, err := os.ReadFile("provisioning/" + name)
		var v struct {
			APIVersion int `yaml:"apiVersion"`
		}
		if err != nil || yaml.Unmarshal(text, &v) != nil || v.APIVersion != 1 {
			t.Errorf("%s: %v, apiVersion %d", name, err, v.APIVersion)
		}
	}
}
