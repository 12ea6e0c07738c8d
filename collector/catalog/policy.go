package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// policy lays the catalogue's policy over the default one.
func (r *resolver) policy() holdfast.Policy {
	p := holdfast.DefaultPolicy()
	if len(r.policies) == 0 {
		return p
	}
	d := r.policies[0]
	for _, more := range r.policies[1:] {
		first := place{d.node.file, d.node.line, 0}
		r.add(more.node, "a catalogue has one policy", "the first is in "+first.String())
	}
	p.Name, p.Source = d.Policy.V, place{d.node.file, d.node.line, 0}.String()
	for _, tier := range slices.Sorted(maps.Keys(d.Tiers)) {
		t := d.Tiers[tier]
		if !slices.Contains([]string{"1", "2", "3", "4"}, tier) {
			r.addKey(t.node, fmt.Sprintf("%s is not a tier", quote(tier)), "1 is the most critical, 4 the least")
			continue
		}
		r.tier(&t, &p.Tiers[tier[0]-'1'])
	}
	for _, code := range slices.Sorted(maps.Keys(d.Costs)) {
		r.cost(code, d.Costs[code], p.Costs)
	}
	for part, rungs := range d.Void {
		p.Void[part] = []holdfast.Rung{}
		for _, rung := range rungs {
			p.Void[part] = append(p.Void[part], rung.V)
		}
	}
	if d.ExpiryWarning.given() {
		p.ExpiryWarning = d.ExpiryWarning.V
	}
	if d.Keep.given() {
		p.Keep = d.Keep.V
	}
	r.shares(d, &p)
	r.anomalies(d.Anomalies, &p.Anomalies)
	r.bands(d, p.Bands)
	return p
}

func (r *resolver) tier(d *tierDoc, t *holdfast.TierPolicy) {
	for _, x := range []struct {
		doc cadence
		to  *holdfast.Duration
	}{{d.Intact, &t.Intact}, {d.Restored, &t.Restored}, {d.Exercised, &t.Exercised}, {d.Training, &t.Training}, {cadence(d.Plan), &t.Plan}} {
		if x.doc.given() {
			*x.to = x.doc.V
		}
	}
	if d.Scenarios != nil {
		t.Scenarios = r.scenarioNames(d.Scenarios)
	}
}

func (r *resolver) cost(code string, c count, costs map[string]int) {
	if r.options.Costs != nil && !slices.Contains(r.options.Costs, code) {
		r.addKey(c.node, fmt.Sprintf("no finding has the code %s", quote(code)), r.didYouMean(code, r.options.Costs))
	}
	if c.V > 100 {
		r.add(c.node, fmt.Sprintf("%d points are more than a score has", c.V), "0 to 100")
	}
	costs[code] = c.V
}

func (r *resolver) shares(d *policyDoc, p *holdfast.Policy) {
	if d.RestoredShare.given() {
		p.RestoredShare = d.RestoredShare.V
		if p.RestoredShare <= 0 || p.RestoredShare > 1 {
			r.add(d.RestoredShare.node, "restored_share lies above 0 and up to 1", "1 means everything was restored")
		}
	}
	if d.Headroom.given() {
		p.Headroom = d.Headroom.V
		if p.Headroom < 1 || p.Headroom > 100 {
			r.add(d.Headroom.node, "capacity_factor lies between 1 and 100", "1.2 asks for a fifth more than the copies restore to")
		}
	}
}

// anomalies lays stated limits over the defaults.
func (r *resolver) anomalies(d *anomaliesDoc, a *holdfast.Anomalies) {
	if d == nil {
		return
	}
	for _, x := range []struct {
		key        string
		doc        number
		to         *float64
		from, upTo float64
	}{
		{"size", d.Size, &a.Size, 0, 1}, {"files", d.Files, &a.Files, 0, 1},
		{"changed", d.Changed, &a.Changed, 1, 1000}, {"changed_share", d.Share, &a.Share, 0, 1},
	} {
		if !x.doc.given() {
			continue
		}
		if v := x.doc.V; v != 0 && v < x.from || v > x.upTo {
			r.add(x.doc.node, fmt.Sprintf("%s lies between %g and %g", x.key, x.from, x.upTo), "0 judges nothing")
		}
		*x.to = x.doc.V
	}
}

// bands lays stated bands over the defaults. A score tells its state, so bands
// stand in the order of the states and do not overlap.
func (r *resolver) bands(d *policyDoc, bands map[holdfast.State]holdfast.Band) {
	if len(d.Bands) == 0 {
		return
	}
	var states []string
	for _, s := range holdfast.States {
		states = append(states, string(s))
	}
	before := len(r.errors)
	for _, state := range slices.Sorted(maps.Keys(d.Bands)) {
		b := d.Bands[state]
		if !slices.Contains(states, state) {
			r.addKey(b.node, fmt.Sprintf("no state %s", quote(state)), r.didYouMean(state, states))
			continue
		}
		if b.Low.ok && b.High.ok && (b.Low.V > b.High.V || b.High.V > 100) {
			r.add(b.node, fmt.Sprintf("band %d to %d is not a range within 0 to 100", b.Low.V, b.High.V), "")
		}
		bands[holdfast.State(state)] = holdfast.Band{Low: b.Low.V, High: b.High.V}
	}
	if len(r.errors) > before {
		return
	}
	for i, better := range holdfast.States[:len(holdfast.States)-1] {
		worse := holdfast.States[i+1]
		if bands[worse].High >= bands[better].Low {
			at := d.node.member("bands")
			r.addKey(at, fmt.Sprintf("band of %s (up to %d) reaches into that of %s (from %d)", worse, bands[worse].High, better, bands[better].Low),
				"best to worst: "+strings.Join(states, ", "))
		}
	}
}
