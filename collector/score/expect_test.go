package score_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

// What a case expects is written one assertion a line; # begins a comment:
//
//	SERVICE [SELECTOR NAME]… FIELD OPERATOR VALUE
//	SERVICE [SELECTOR NAME]… no SELECTOR NAME
//	estate FIELD OPERATOR VALUE
//	at INSTANT
//
// like
//
//	payments state = broken
//	payments score = 11..20
//	payments path restore scenario site-loss reasons ~ ledger/offsite
//	payments finding payments/restore/rpo points > 0
//	payments no finding payments/restore/rto
//
// A selector is scenario, path, rung, need, finding, code (a finding by its
// code), data, copy (DATASET/COPY), dependency, looser or accepted. A field is the
// name of the posture's JSON, dotted where it goes deeper (cause.need,
// maintenance.0.until), or silent_at. An operator is = != < <= > >= ~ !~; ~ is a
// regular expression, and looks at every text of a list. A value is the rest of
// the line, A..B a range, absent a field that is null or not there. The points and
// the gain of a finding that is not listed are 0. After `at` the lines speak of
// another instant. A NAME with spaces stands in double quotes.

// expect checks every line; a complaint opens with the line's number.
func (c *goldenCase) expect(text string) (complaints []string) {
	at, views, asserted := c.at, map[time.Time]*view{}, 0
	for i, line := range strings.Split(text, "\n") {
		words := split(line)
		if len(words) == 0 {
			continue
		}
		complain := func(format string, args ...any) {
			complaints = append(complaints, fmt.Sprintf("%d: at %s: %s\n\t%s", i+1, at.Format(time.RFC3339), strings.TrimSpace(line), fmt.Sprintf(format, args...)))
		}
		if words[0] == "at" && len(words) == 2 {
			next, err := time.Parse(time.RFC3339, words[1])
			if err != nil {
				complain("%v", err)
				continue
			}
			at = next
			continue
		}
		if views[at] == nil {
			views[at] = newView(c.judge(at))
			for _, flaw := range views[at].flaws {
				complain("%s", flaw)
			}
		}
		asserted++
		if err := views[at].assert(words); err != nil {
			complain("%v", err)
		}
	}
	if asserted == 0 {
		complaints = append(complaints, " nothing is expected")
	}
	return complaints
}

// split cuts a line into words; a part in double quotes is one. What begins with
// # is a comment.
func split(line string) (words []string) {
	for {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			return words
		}
		word, rest := line, ""
		if line[0] == '"' {
			word, rest, _ = strings.Cut(line[1:], `"`)
		} else if i := strings.IndexByte(line, ' '); i > 0 {
			word, rest = line[:i], line[i:]
		}
		words, line = append(words, word), rest
	}
}

// view is what was answered at one instant, as a reader of the JSON sees it.
type view struct {
	services map[string]any
	estate   any
	flaws    []string // promises broken that hold for every posture
}

func newView(postures []holdfast.Posture) *view {
	e := score.CountEstate(postures)
	v := &view{services: map[string]any{}, estate: plain(e)}
	v.estate.(map[string]any)["sentence"] = e.String()
	for i := range postures {
		p := &postures[i]
		tree := plain(p).(map[string]any)
		tree["silent_at"] = plain(p.SilentAt)
		v.services[p.Name] = tree
		v.flaws = append(v.flaws, flaws(p)...)
	}
	return v
}

// plain returns a value as its JSON reads.
func plain(x any) (tree any) {
	b, err := json.Marshal(x)
	if err == nil {
		err = json.Unmarshal(b, &tree)
	}
	if err != nil {
		panic(err)
	}
	return tree
}

// flaws checks what JUDGEMENT.md 6 promises of every posture: the score lies in
// the band of its state, the points explain the gap, a cause names its finding.
func flaws(p *holdfast.Posture) (found []string) {
	if p.State == holdfast.NotJudged {
		if p.Score != nil {
			found = append(found, p.Name+" is not judged and has a score")
		}
		return found
	}
	if p.Score == nil {
		return []string{p.Name + " is judged and has no score"}
	}
	if band := holdfast.DefaultPolicy().Bands[p.State]; *p.Score < band.Low || *p.Score > band.High {
		found = append(found, fmt.Sprintf("%s is %s with score %d, outside %d..%d", p.Name, p.State, *p.Score, band.Low, band.High))
	}
	points, named := 0, p.Cause == nil
	for _, f := range p.Findings {
		points += f.Points
		named = named || f.Need == p.Cause.Need
	}
	if points != 100-*p.Score {
		found = append(found, fmt.Sprintf("%s has score %d, and points that sum to %d", p.Name, *p.Score, points))
	}
	if !named {
		found = append(found, fmt.Sprintf("%s has the cause %s, which is no finding", p.Name, p.Cause.Need))
	}
	if (p.Cause == nil) != (p.State == holdfast.Proven) {
		found = append(found, fmt.Sprintf("%s is %s with cause %v", p.Name, p.State, p.Cause))
	}
	return found
}

var operators = map[string]bool{"=": true, "!=": true, "<": true, "<=": true, ">": true, ">=": true, "~": true, "!~": true}

// lists says where a selector looks, and by what its things are known.
var lists = map[string]struct{ list, key string }{
	"scenario": {"scenarios", "name"}, "path": {"paths", "name"}, "need": {"needs", "need"},
	"finding": {"findings", "need"}, "code": {"findings", "code"}, "data": {"data", "dataset"},
	"dependency": {"waits", "service"}, "looser": {"looser_terms", "term"}, "accepted": {"acceptances", "need"},
}

func (v *view) assert(words []string) error {
	nodes, rest := []any{v.estate}, words[1:]
	if words[0] != "estate" {
		s, ok := v.services[words[0]]
		if !ok {
			return fmt.Errorf("no service %s", words[0])
		}
		nodes = []any{s}
	}
	last := ""
	for len(rest) >= 2 && !operators[rest[1]] {
		selector, name := rest[0], rest[1]
		if selector == "no" && len(rest) == 3 {
			if found := choose(nodes, rest[1], rest[2]); len(found) > 0 {
				return fmt.Errorf("got one: %s", show(found[0]))
			}
			return nil
		}
		found := choose(nodes, selector, name)
		if len(found) == 0 && !(selector == "finding" || selector == "code") {
			return fmt.Errorf("got no %s %s among %s", selector, name, names(nodes, selector))
		}
		nodes, rest, last = found, rest[2:], selector+" "+name
	}
	if len(rest) < 3 {
		return fmt.Errorf("want SERVICE [SELECTOR NAME]… FIELD OPERATOR VALUE")
	}
	field, op, want := rest[0], rest[1], strings.Join(rest[2:], " ")
	if len(nodes) == 0 {
		if field != "points" && field != "gain" {
			return fmt.Errorf("got no %s", last)
		}
		nodes = []any{map[string]any{field: 0.0}}
	}
	return holds(nodes, field, op, want)
}

// choose steps from nodes to what the selector names.
func choose(nodes []any, selector, name string) (found []any) {
	for _, n := range nodes {
		m, _ := n.(map[string]any)
		switch selector {
		case "rung":
			rungs, _ := m["rungs"].(map[string]any)
			if r, ok := rungs[name]; ok {
				found = append(found, r)
			}
			continue
		case "copy":
			dataset, copied, _ := strings.Cut(name, "/")
			for _, d := range choose([]any{n}, "data", dataset) {
				copies, _ := d.(map[string]any)["copies"].([]any)
				found = append(found, named(copies, "copy", copied)...)
			}
			continue
		}
		list, _ := m[lists[selector].list].([]any)
		found = append(found, named(list, lists[selector].key, name)...)
	}
	return found
}

func named(list []any, key, name string) (found []any) {
	for _, x := range list {
		if m, _ := x.(map[string]any); m[key] == name {
			found = append(found, x)
		}
	}
	return found
}

// names lists what could have been named instead.
func names(nodes []any, selector string) (all []any) {
	for _, n := range nodes {
		m, _ := n.(map[string]any)
		list, _ := m[lists[selector].list].([]any)
		for _, x := range list {
			all = append(all, x.(map[string]any)[lists[selector].key])
		}
	}
	return all
}

// holds reports whether the field of one node at least is as wanted; of every
// node where the operator denies.
func holds(nodes []any, field, op, want string) error {
	var got []string
	denies := op[0] == '!'
	good := denies
	for _, n := range nodes {
		x := n
		for _, part := range strings.Split(field, ".") {
			x = step(x, part)
		}
		one, err := compare(x, strings.TrimPrefix(op, "!"), want)
		if err != nil {
			return err
		}
		if denies {
			good = good && !one
		} else {
			good = good || one
		}
		got = append(got, show(x))
	}
	if !good {
		return fmt.Errorf("got %s", strings.Join(got, " and "))
	}
	return nil
}

func step(x any, part string) any {
	if list, ok := x.([]any); ok {
		if i, err := strconv.Atoi(part); err == nil && i < len(list) {
			return list[i]
		}
		return nil
	}
	m, _ := x.(map[string]any)
	return m[part]
}

func show(x any) string {
	if x == nil {
		return "absent"
	}
	if s, ok := x.(string); ok {
		return s
	}
	b, err := json.Marshal(x)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// compare compares as numbers, durations or times where both sides are such, else
// as text. It errs where the operator makes no sense.
func compare(got any, op, want string) (bool, error) {
	if op == "~" {
		re, err := regexp.Compile(want)
		if err != nil {
			return false, err
		}
		return matches(re, got), nil
	}
	if op == "=" || op == "" {
		if low, high, ranged := strings.Cut(want, ".."); ranged {
			above, err := compare(got, ">=", low)
			if err != nil || !above {
				return false, err
			}
			return compare(got, "<=", high)
		}
	}
	if op == "=" {
		g, gok := quantity(show(got))
		w, wok := quantity(want)
		return gok && wok && g == w || show(got) == want, nil
	}
	g, ok := quantity(show(got))
	w, wok := quantity(want)
	if !ok || !wok {
		return false, fmt.Errorf("got %s, which %s cannot compare with %s", show(got), op, want)
	}
	switch op {
	case "<":
		return g < w, nil
	case "<=":
		return g <= w, nil
	case ">":
		return g > w, nil
	}
	return g >= w, nil
}

func matches(re *regexp.Regexp, got any) bool {
	list, ok := got.([]any)
	if !ok {
		return got != nil && re.MatchString(show(got))
	}
	for _, x := range list {
		if re.MatchString(show(x)) {
			return true
		}
	}
	return false
}

// quantity reads a number, a duration in seconds, or a time.
func quantity(text string) (float64, bool) {
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return f, true
	}
	if d, err := holdfast.ParseDuration(text); err == nil && text != "" {
		return d.Std().Seconds(), true
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return float64(at.UnixMilli()) / 1000, true
	}
	return 0, false
}

func TestExpectNamesTheLine(t *testing.T) {
	c := readCase(t, map[string]string{
		"at":           "2026-03-01T09:00:00Z",
		"catalog.yaml": "service: archive\ntier: 4\nbia: {rto: 8h, rpo: 24h, reviewed: 2026-01-15}\npaths: {restore: {covers: [data-corruption]}}\n",
	})
	for _, x := range []struct{ line, complaint string }{
		{"archive state = unknown", ""},
		{"archive score = 21..40", ""},
		{"archive score < 41", ""},
		{"archive cause.reason ~ .", ""},
		{"archive no finding archive/restore/vpn", ""},
		{"archive finding archive/restore/vpn points = 0", ""},
		{"archive path restore scenario data-corruption state != proven", ""},
		{"estate total = 1", ""},
		{"archive state = proven", "got unknown"},
		{"archive score = 0..10", "got "},
		{"archive score > soon", "cannot compare"},
		{"archive cause.reason !~ .", "got "},
		{"archive no path restore", "got one: "},
		{"archive path retsore state = proven", "got no path retsore among [restore]"},
		{"archive finding archive/restore/vpn verdict = met", "got no finding archive/restore/vpn"},
		{"archive state", "want SERVICE"},
		{"archive owner = ada", "got absent"},
		{"library state = proven", "no service library"},
		{"at noon", "cannot parse"},
		{"# only a comment", "nothing is expected"},
	} {
		got := strings.Join(c.expect("\n"+x.line+"\n"), "; ")
		if x.complaint == "" && got != "" || !strings.Contains(got, x.complaint) {
			t.Errorf("%q: got complaint %q, want %q", x.line, got, x.complaint)
		}
		if x.complaint != "" && x.line[0] != '#' && !strings.HasPrefix(got, "2: at ") {
			t.Errorf("%q: got %q, want the number of its line", x.line, got)
		}
	}
}
