package score

import "github.com/holdfast-monitor/holdfast"

// outcome is how a service stands, perhaps with some findings taken as met.
type outcome struct {
	grade
	binding  *walk // the best path of the worst scenario
	scenario *result
}

// judgedAs re-judges a service with some findings taken as met: every path, its
// best, the worst scenario. What holds of a path was worked out before, so this
// only puts it together anew.
func (j *judge) judgedAs(own []*result, met map[key]bool) outcome {
	var worst outcome
	for _, r := range own {
		w, as := j.bestAs(r, met)
		if worst.binding == nil || w.worse(as, worst.binding, worst.grade) {
			worst = outcome{as, w, r}
		}
	}
	return worst
}

// bestAs returns the best path of a scenario with some findings taken as met. An
// uncovered scenario taken as covered is walked by the best of the paths that
// claim to cover it; where none does, nothing of it is left to judge.
func (j *judge) bestAs(r *result, met map[key]bool) (best *walk, as grade) {
	covered := len(met) > 0 && met[key{r.service.Name + "/" + r.loss.scenario, codeUncovered}]
	for _, w := range r.walks {
		if w.forbid && !covered {
			continue
		}
		if g := w.combine(j.m, met); best == nil || w.better(g, best, as) {
			best, as = w, g
		}
	}
	if best == nil {
		best, as = r.best, r.best.combine(j.m, met)
	}
	return best, as
}

// worse orders the scenarios of a service, worst first: worse state, lower score,
// longer recovery; equals keep the catalogue's order.
func (w *walk) worse(as grade, o *walk, oAs grade) bool {
	switch {
	case as.rank != oAs.rank:
		return as.rank > oAs.rank
	case as.score != oAs.score:
		return as.score < oAs.score
	}
	return w.time.Total > o.time.Total
}

// mostTogether bounds how many findings are named to mend together.
const mostTogether = 12

// gains works out, for each finding, what re-judging with it met gives. Where one
// that holds the service back gains nothing alone, the ones to mend with it are
// named.
func (j *judge) gains(own []*result, now outcome, list []*holdfast.Finding) {
	met := map[key]bool{}
	for _, f := range list {
		k := key{f.Need, f.Code}
		clear(met)
		met[k] = true
		f.Gain = max(j.judgedAs(own, met).score-now.score, 0)
	}
	for _, f := range list {
		if f.Gain == 0 && f.State.Rank() == now.rank && now.rank > 0 && f.Points > 0 {
			f.Together = j.together(own, now, key{f.Need, f.Code})
		}
	}
}

// together takes one cause after the other as met until the score rises, and
// names those needs.
func (j *judge) together(own []*result, now outcome, first key) []string {
	met := map[key]bool{first: true}
	var needs []string
	for range mostTogether {
		next := j.judgedAs(own, met)
		if next.score > now.score {
			return needs
		}
		k, ok := next.binding.dearest(next.rank, met)
		if !ok {
			return nil
		}
		met[k] = true
		needs = append(needs, k.need)
	}
	return nil
}

// dearest returns the cause of what is left, or, where that is gone, the dearest
// finding.
func (w *walk) dearest(rank int, met map[key]bool) (key, bool) {
	if c := w.cause(rank, met); c != nil {
		return c.key(), true
	}
	var best *item
	for _, it := range w.items {
		if it.counted(met) && it.cost > 0 && (best == nil || it.cost > best.cost || it.cost == best.cost && it.precedes(best)) {
			best = it
		}
	}
	if best == nil {
		return key{}, false
	}
	return best.key(), true
}
