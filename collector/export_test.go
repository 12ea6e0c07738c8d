package collector

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// MetricsOf gathers what postures give.
func MetricsOf(list []holdfast.Posture) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		s := newSheet()
		s.estate(list, time.Now())
		return s.finished(), nil
	})
}
