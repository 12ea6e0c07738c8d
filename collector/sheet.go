package collector

import (
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// sheet is one scrape in the making. An estate of 10,000 services has most of a
// million series, and a registry makes seven small objects of each; a sheet takes
// them from slabs, and a label that many series share is made once.
type sheet struct {
	families map[*metric]*dto.MetricFamily
	shared   map[[2]string]*dto.LabelPair

	metrics []dto.Metric // what is left of each slab
	gauges  []dto.Gauge
	values  []float64
	labels  []*dto.LabelPair
}

const slab = 4096

func newSheet() *sheet {
	return &sheet{families: make(map[*metric]*dto.MetricFamily, len(livingMetrics)), shared: map[[2]string]*dto.LabelPair{}}
}

// finished returns the families, by name.
func (s *sheet) finished() []*dto.MetricFamily {
	list := make([]*dto.MetricFamily, 0, len(s.families))
	for _, f := range s.families {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return list
}

// label makes a label of few series: a service's, an agent's.
func label(name, value string) *dto.LabelPair {
	return &dto.LabelPair{Name: &name, Value: &value}
}

// share returns a label that many series have: a state, a scenario.
func (s *sheet) share(name, value string) *dto.LabelPair {
	key := [2]string{name, value}
	l := s.shared[key]
	if l == nil {
		l = label(name, value)
		s.shared[key] = l
	}
	return l
}

// add writes one series.
func (s *sheet) add(m *metric, value float64, labels ...*dto.LabelPair) {
	f := s.families[m]
	if f == nil {
		f = &dto.MetricFamily{Name: &m.name, Help: &m.help, Type: &m.kind}
		s.families[m] = f
	}
	v := take(&s.values)
	*v = value
	row := take(&s.metrics)
	if m.kind == dto.MetricType_COUNTER {
		row.Counter = &dto.Counter{Value: v}
	} else {
		row.Gauge = take(&s.gauges)
		row.Gauge.Value = v
	}
	if len(s.labels) < len(labels) {
		s.labels = make([]*dto.LabelPair, slab)
	}
	n := copy(s.labels, labels)
	row.Label, s.labels = s.labels[:n:n], s.labels[n:]
	f.Metric = append(f.Metric, row)
}

// take takes the next of a slab, and makes another slab where it is used up.
func take[T any](rest *[]T) *T {
	if len(*rest) == 0 {
		*rest = make([]T, slab)
	}
	next := &(*rest)[0]
	*rest = (*rest)[1:]
	return next
}

// instant writes an instant as seconds since 1970; the zero instant gives no
// series: what never happened has no time.
func (s *sheet) instant(m *metric, t time.Time, labels ...*dto.LabelPair) {
	if !t.IsZero() {
		s.add(m, float64(t.UnixMilli())/1000, labels...)
	}
}

// seconds writes a duration; none gives no series.
func (s *sheet) seconds(m *metric, d holdfast.Duration, labels ...*dto.LabelPair) {
	if d > 0 {
		s.add(m, d.Std().Seconds(), labels...)
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
