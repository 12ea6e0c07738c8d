package catalog

import (
	"slices"
	"strings"
)

// maxHints bounds the searches for a nearest name: past it a catalogue is wrong
// in kind, not by a slip, and searching would cost faults × names.
const maxHints = 100

// didYouMean words the hint for a name nobody knows: the nearest known one, or
// all of them where they are few.
func (f *faults) didYouMean(unknown string, known []string) string {
	if f.hints++; f.hints > maxHints {
		return ""
	}
	known = slices.Sorted(slices.Values(known))
	if best := closest(unknown, known); best != "" {
		return "did you mean " + quote(best) + "?"
	}
	if len(known) > 0 && len(known) <= 12 {
		return "known: " + strings.Join(known, ", ")
	}
	return ""
}

// nearest words the hint for a word that is not of a list shown already.
func (f *faults) nearest(unknown string, known []string) string {
	if best := closest(unknown, known); best != "" {
		return "did you mean " + quote(best) + "?"
	}
	return ""
}

// closest returns the candidate that is a slip of the fingers away from s, or "".
func closest(s string, candidates []string) string {
	best, least := "", len(s)/3+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(s), strings.ToLower(c), least); d < least || d == least && best == "" {
			best, least = c, d
		}
	}
	if least >= max(len(s), len(best)) {
		return ""
	}
	return best
}

// distance counts the insertions, deletions, changes and swaps of neighbours
// that lead from a to b (optimal string alignment); above most it answers most+1
// where lengths alone say so.
func distance(a, b string, most int) int {
	if d := len(a) - len(b); d > most || -d > most || len(a) > 200 || len(b) > 200 {
		return most + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
