package web

import (
	"context"
	"fmt"
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// How the latest restore compares: with the median of at most so many before it, and
// worth a word from so many times that on. A restore test whose time creeps up misses
// the RTO one day, with every test passed until then.
const (
	usualRestores = 10
	fewRestores   = 3
	muchSlower    = 1.2
	restoresDrawn = 20 // a row
)

// addRestores fills in how long the restore tests of the rows shown took within a
// year. A history that cannot be read is said in the log, and the rows stand.
func (s *server) addRestores(ctx context.Context, rows []dataRow, now time.Time) {
	catalogue := s.c.Catalogue()
	for i := range rows {
		row := &rows[i]
		written := catalogue.Service(row.Service)
		if written == nil {
			continue
		}
		tests, err := s.restoresOf(ctx, written, row.Dataset, now.Add(-restoreHistory))
		if err != nil {
			if ctx.Err() == nil {
				s.log.Error("restore tests cannot be read", "service", row.Service, "dataset", row.Dataset, "err", err)
			}
			return
		}
		rto := time.Duration(0)
		if written.BIA != nil {
			rto = written.BIA.RTO.Limit.Std()
		}
		row.Restores, row.Slower = newRestoresView(tests[max(0, len(tests)-restoresDrawn):], rto, now), slower(tests)
	}
}

// restoresOf lists the restore tests of a dataset since an instant, oldest first.
func (s *server) restoresOf(ctx context.Context, written *holdfast.Service, dataset string, since time.Time) (list []DayTest, err error) {
	for i := range written.Paths {
		p := &written.Paths[i]
		for k := range p.Tests {
			test := &p.Tests[k]
			if test.Rung != holdfast.Restored || test.Dataset != dataset && (test.Dataset != "" || !restores(p, dataset)) {
				continue
			}
			made, err := s.testsOf(ctx, p.Name, test, since)
			if err != nil {
				return nil, err
			}
			list = append(list, made...)
		}
	}
	slices.SortStableFunc(list, func(a, b DayTest) int { return a.At.Compare(b.At) })
	return list, nil
}

// restores reports whether a path brings a dataset back.
func restores(p *holdfast.Path, dataset string) bool {
	return slices.ContainsFunc(p.From, func(r holdfast.CopyRef) bool { return r.Dataset == dataset })
}

// slower says that the latest restore that passed took notably longer than those of
// the same path before it; empty: it did not, or there are too few to tell.
func slower(tests []DayTest) string {
	var took []time.Duration
	path := ""
	for _, x := range slices.Backward(tests) {
		if x.Took <= 0 || x.Outcome != holdfast.OK || path != "" && x.Path != path {
			continue
		}
		if path = x.Path; len(took) <= usualRestores {
			took = append(took, x.Took.Std())
		}
	}
	if len(took) <= fewRestores {
		return ""
	}
	latest, before := took[0], slices.Sorted(slices.Values(took[1:]))
	usual := before[len(before)/2]
	if float64(latest) < muchSlower*float64(usual) {
		return ""
	}
	return fmt.Sprintf("slower than its usual %s", span(usual))
}
