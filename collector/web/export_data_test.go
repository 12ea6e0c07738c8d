package web

import (
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Datasets is what the page, the CSV and the API show of data, before it is filtered.
func Datasets(e interface {
	Hearing
	Postures() []holdfast.Posture
	Catalogue() *holdfast.Catalogue
}) []ProtectedDataset {
	list := datasets(e.Postures(), e.Catalogue())
	finish(e, list)
	return list
}

// The parts of the page of paths.
var (
	Paths      = recoveryPaths
	RunOutDays = runOutDays
	BreaksMost = breaksMost
)

func breaksMost(e interface {
	Targeting
	Postures() []holdfast.Posture
	Catalogue() *holdfast.Catalogue
}, scenario string) []BreakingNeed {
	var all []*holdfast.Posture
	for _, p := range e.Postures() {
		all = append(all, &p)
	}
	return breakingNeeds(all, e.Catalogue(), e, scenario)
}

func runOutDays(paths []RecoveryPath, now time.Time) (dots, more, listed int) {
	var all []*RecoveryPath
	for i := range paths {
		all = append(all, &paths[i])
	}
	r := newRunOut(all, now)
	return len(r.Dots), len(r.More), r.Total
}
