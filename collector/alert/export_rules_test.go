package alert

// KnowsFinding reports whether there is a row for a code of package score.
func KnowsFinding(code string) bool { _, known := rules[code]; return known }

// Findings is how many rows there are.
func Findings() int { return len(rules) }
