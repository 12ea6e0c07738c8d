package scratch

import (
	"fmt"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Tolerated are the errors of one restore that its catalogue lets pass.
type Tolerated struct {
	texts []string
	kept  []string // the first of them
	count int
}

// toldErrors is how many errors are told by their words.
const toldErrors = 20

// Tolerated begins a list of the errors that tolerate lets pass.
func (o Options) Tolerated() *Tolerated { return &Tolerated{texts: o.Tolerate} }

// Passes reports whether an error does not count, and notes it then.
func (t *Tolerated) Passes(message string) bool {
	if !slices.ContainsFunc(t.texts, func(text string) bool { return strings.Contains(message, text) }) {
		return false
	}
	if t.count++; len(t.kept) < toldErrors {
		t.kept = append(t.kept, probe.OneLine(message))
	}
	return true
}

// Any reports whether an error was let pass.
func (t *Tolerated) Any() bool { return t.count > 0 }

// Tell says in an observation how many errors were let pass, and which: in its
// measure "tolerated_errors", its summary and its fact "tolerated".
func (t *Tolerated) Tell(o *probe.Observation) {
	if len(t.texts) > 0 {
		o.Measures = append(o.Measures, holdfast.Measure{Name: "tolerated_errors", Value: float64(t.count)})
	}
	if !t.Any() {
		return
	}
	o.Facts["tolerated"] = probe.Clip(fmt.Sprintf("%d: %s", t.count, strings.Join(t.kept, "; ")), 900)
	o.Summary = probe.OneLine(fmt.Sprintf("%s; %d tolerated", o.Summary, t.count))
}
