package nagios

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// dataMax is how many numbers of the performance data are kept, so that a measure
// and a fact of each fit into an observation with room to spare.
const dataMax = 200

// answer is what a plugin printed.
type answer struct {
	text    string  // the first line, fit to be shown
	long    string  // the further lines
	data    []datum // of the performance data, at most dataMax
	skipped int     // pieces of it that are none, or one too many
}

// datum is one number of the performance data.
type datum struct {
	label                     string
	value                     float64 // in unit
	unit                      string  // "seconds", "bytes", "ratio", "" or what the plugin wrote
	given                     string  // number and unit as they were written
	warn, critical, min, most string
}

// parse reads a plugin's output: text and performance data in the first line, then
// long text, and after another bar performance data to the end.
func parse(out []byte) answer {
	first, rest, _ := strings.Cut(strings.ReplaceAll(strings.TrimSpace(string(out)), "\r\n", "\n"), "\n")
	text, perf, _ := strings.Cut(first, "|")
	long, more, _ := strings.Cut(rest, "|")
	a := answer{text: probe.OneLine(strings.TrimSpace(text)), long: strings.TrimSpace(long)}
	a.add(perf)
	a.add(more)
	return a
}

// add reads pieces of performance data: 'label'=value[unit];[warn];[crit];[min];[max].
func (a *answer) add(s string) {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		label, rest, ok := cutLabel(s)
		if !ok {
			a.skipped++
			_, s = cutSpace(s)
			continue
		}
		value, rest := cutSpace(rest)
		s = rest
		d, ok := parseDatum(label, value)
		if !ok || len(a.data) == dataMax {
			a.skipped++
			continue
		}
		a.data = append(a.data, d)
	}
}

// cutLabel takes a label and its equals sign off s. A quoted label may hold
// anything; a quote in it is written twice.
func cutLabel(s string) (label, rest string, ok bool) {
	if !strings.HasPrefix(s, "'") {
		label, rest, ok = strings.Cut(s, "=")
		return label, rest, ok && label != "" && !strings.ContainsAny(label, " \t\n'")
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '\'':
			b.WriteByte(s[i])
		case strings.HasPrefix(s[i:], "''"):
			b.WriteByte('\'')
			i++
		default:
			rest, ok = strings.CutPrefix(s[i+1:], "=")
			return b.String(), rest, ok && b.Len() > 0
		}
	}
	return "", "", false
}

// cutSpace parts s at its first white space.
func cutSpace(s string) (first, rest string) {
	if i := strings.IndexAny(s, " \t\n"); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

var number = regexp.MustCompile(`^([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)([A-Za-zµ%]*)$`)

// parseDatum reads what follows a label. A value of U is one the plugin could not
// determine, which is no number.
func parseDatum(label, s string) (datum, bool) {
	parts := append(strings.Split(s, ";"), "", "", "", "")
	m := number.FindStringSubmatch(parts[0])
	if m == nil {
		return datum{}, false
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil || math.IsInf(v, 0) {
		return datum{}, false
	}
	d := datum{label: label, given: parts[0], warn: parts[1], critical: parts[2], min: parts[3], most: parts[4]}
	if u, ok := units[m[2]]; ok {
		d.value, d.unit = v*u.times, u.name
	} else {
		d.value, d.unit = v, m[2]
	}
	return d, !math.IsInf(d.value, 0)
}

// units are those plugins write, with what they are in ours. KB and its like are
// read as the powers of ten they say they are; some old plugins mean powers of two.
var units = map[string]struct {
	times float64
	name  string
}{
	"": {1, ""}, "c": {1, ""}, "%": {0.01, "ratio"},
	"s": {1, "seconds"}, "ms": {1e-3, "seconds"}, "us": {1e-6, "seconds"}, "µs": {1e-6, "seconds"}, "ns": {1e-9, "seconds"},
	"B":  {1, "bytes"},
	"kB": {1e3, "bytes"}, "KB": {1e3, "bytes"}, "MB": {1e6, "bytes"}, "GB": {1e9, "bytes"}, "TB": {1e12, "bytes"}, "PB": {1e15, "bytes"},
	"KiB": {1 << 10, "bytes"}, "MiB": {1 << 20, "bytes"}, "GiB": {1 << 30, "bytes"}, "TiB": {1 << 40, "bytes"}, "PiB": {1 << 50, "bytes"},
}

// report adds each number as a measure and, with its thresholds, as a fact.
func (a answer) report(o *probe.Observation) {
	o.Facts = map[string]string{}
	taken := map[string]int{}
	for _, d := range a.data {
		name := measureName(d.label)
		if taken[name]++; taken[name] > 1 {
			name = fmt.Sprintf("%s_%d", name, taken[name])
		}
		o.Measures = append(o.Measures, holdfast.Measure{Name: name, Value: d.value, Unit: d.unit})
		o.Facts["perfdata "+probe.Clip(probe.OneLine(d.label), 200)] = d.shown()
	}
	if a.skipped > 0 {
		o.Facts["perfdata_skipped"] = strconv.Itoa(a.skipped)
	}
}

// shown is a number as it was written, with its thresholds in words.
func (d datum) shown() string {
	s := d.given
	for _, t := range []struct{ name, value string }{{"warning", d.warn}, {"critical", d.critical}, {"min", d.min}, {"max", d.most}} {
		if t.value != "" {
			s += ", " + t.name + " " + t.value
		}
	}
	return probe.OneLine(s)
}

// labels lists the labels there are.
func (a answer) labels() string {
	var names []string
	for _, d := range a.data {
		names = append(names, strconv.Quote(probe.OneLine(d.label)))
	}
	return cmp.Or(probe.OneLine(strings.Join(names, ", ")), "none")
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// measureName makes a label a measure's name: small letters, digits, underscores.
func measureName(label string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(label), "_"), "_")
	return cmp.Or(name[:min(len(name), 100)], "value")
}
