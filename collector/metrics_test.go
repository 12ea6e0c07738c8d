package collector_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-monitor/holdfast/collector"
)

// MetricList is what is served: dashboards are checked against it. No series is
// served twice, no label is missing.
func TestMetricList(t *testing.T) {
	list, err := collector.MetricList()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]collector.Metric{}
	for _, m := range list {
		if _, twice := known[m.Name]; twice || m.Help == "" || !strings.HasSuffix(m.Help, ".") && strings.HasPrefix(m.Name, "holdfast_") {
			t.Errorf("%s: told twice, or its help is no sentence: %q", m.Name, m.Help)
		}
		known[m.Name] = m
	}
	c, _ := start(t, t.TempDir(), "../deploy/catalog")
	families, err := c.Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	bench, err := collector.MetricsOf(estateOf(3)).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(families, bench...) {
		m, ok := known[f.GetName()]
		if !ok || m.Type != strings.ToLower(f.GetType().String()) || m.Help != f.GetHelp() {
			t.Errorf("%s is served and listed as %+v", f.GetName(), m)
		}
		seen := map[string]bool{}
		for _, row := range f.GetMetric() {
			var names, values []string
			for _, l := range row.GetLabel() {
				names, values = append(names, l.GetName()), append(values, l.GetValue())
			}
			if slices.Sort(names); !cmp.Equal(names, slices.Sorted(slices.Values(m.Labels))) {
				t.Errorf("%s has labels %v, listed are %v", m.Name, names, m.Labels)
			}
			if key := strings.Join(values, "\x00"); seen[key] {
				t.Errorf("%s%v is served twice", m.Name, values)
			} else {
				seen[key] = true
			}
		}
	}
}
