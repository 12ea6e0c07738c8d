package holdfast

import "strings"

// Nearest returns the known word that a misspelt one was meant to be: the one that
// the fewest letters added, dropped or changed lead to (Levenshtein), or "" where
// none is near. It words the "did you mean" of messages.
func Nearest(word string, known []string) string {
	best, least := "", len(word)/3+1
	if len(word) > 200 {
		return ""
	}
	for _, k := range known {
		if d := letters(strings.ToLower(word), strings.ToLower(k)); d < least || d == least && best == "" {
			best, least = k, d
		}
	}
	if least >= max(len(word), len(best)) {
		return ""
	}
	return best
}

// letters counts the letters to add, drop or change to make a of b.
func letters(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
