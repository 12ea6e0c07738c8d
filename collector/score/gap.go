package score

import (
	"cmp"
	"slices"

	"github.com/holdfast-monitor/holdfast"
)

// band returns the range of scores of a state, sound whatever a policy states.
func (m *Model) band(state holdfast.State) holdfast.Band {
	b, ok := m.policy.Bands[state]
	if !ok {
		b = holdfast.DefaultPolicy().Bands[state]
	}
	if state == holdfast.Proven {
		b.High = 100 // nothing in the way leaves no gap
	}
	b.High = min(max(b.High, 0), 100)
	b.Low = min(max(b.Low, 0), b.High)
	return b
}

// key names a finding among those of a service.
type key struct{ need, code string }

func (it *item) key() key { return key{it.need, it.code} }

// counted reports whether an item contributes, given what is taken as met.
func (it *item) counted(met map[key]bool) bool {
	return it.code != "" && !met[it.key()]
}

// grade is a state and a score.
type grade struct{ rank, score int }

// combine returns the worst state and the score of a walk, with the findings in met
// taken as met.
func (w *walk) combine(m *Model, met map[key]bool) grade {
	rank, costs, ceiling := 0, 0, 100
	for _, it := range w.items {
		if !it.counted(met) {
			continue
		}
		rank = max(rank, it.rank)
		costs += it.cost
		if it.ceiling >= 0 {
			ceiling = min(ceiling, it.ceiling)
		}
	}
	b := m.band(holdfast.States[rank])
	gap := min(max(costs, 100-ceiling, 100-b.High), 100-b.Low)
	return grade{rank, 100 - gap}
}

// cause returns the finding that makes the walk's state what it is: of several the
// lowest rung, then key; nil where nothing stands in the way.
func (w *walk) cause(rank int, met map[key]bool) *item {
	var cause *item
	for _, it := range w.items {
		if it.counted(met) && it.rank == rank && rank > 0 && (cause == nil || it.precedes(cause)) {
			cause = it
		}
	}
	return cause
}

func (it *item) precedes(o *item) bool {
	return cmp.Or(cmp.Compare(it.step, o.step), cmp.Compare(it.need, o.need), cmp.Compare(it.code, o.code)) < 0
}

// allot divides the gap of a walk among its findings (JUDGEMENT.md 6). The points
// always sum to 100 − score.
func (w *walk) allot() map[key]int {
	gap := 100 - w.score
	points := map[key]int{}
	list := make([]*item, 0, len(w.items))
	for _, it := range w.items {
		if it.counted(nil) {
			list = append(list, it)
		}
	}
	slices.SortFunc(list, func(a, b *item) int {
		return cmp.Or(cmp.Compare(b.cost, a.cost), cmp.Compare(a.need, b.need), cmp.Compare(a.code, b.code))
	})
	cause := w.cause(w.rank, nil)
	if cause == nil {
		cause = w.limiting()
	}
	if cause != nil {
		others := 0
		for _, it := range list {
			if it != cause {
				others += it.cost
			}
		}
		points[cause.key()] = min(max(cause.cost, gap-others), gap)
		gap -= points[cause.key()]
	}
	for _, it := range list {
		if it != cause {
			points[it.key()] = min(it.cost, gap)
			gap -= points[it.key()]
		}
	}
	return points
}

// limiting returns the dependency whose score is the lowest ceiling: of a walk that
// is proven nothing else can demand more than the costs.
func (w *walk) limiting() *item {
	var lowest *item
	for _, it := range w.items {
		if it.counted(nil) && it.ceiling >= 0 && (lowest == nil || it.ceiling < lowest.ceiling || it.ceiling == lowest.ceiling && it.precedes(lowest)) {
			lowest = it
		}
	}
	return lowest
}
