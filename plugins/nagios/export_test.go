package nagios

import (
	"fmt"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Parsed is what a plugin's output is read as: the first line, the long text, the
// measures with their facts, and how many pieces were skipped.
func Parsed(out string) (text, long string, data []string, skipped int) {
	a := parse([]byte(out))
	var o holdfast.Observation
	a.report(&o)
	for i, m := range o.Measures {
		data = append(data, fmt.Sprintf("%s %v %s: %s", m.Name, m.Value, m.Unit, a.data[i].shown()))
	}
	return a.text, a.long, data, a.skipped
}
