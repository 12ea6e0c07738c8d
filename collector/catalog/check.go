package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// validityLimits bound how long a good observation holds, by tier from 1
// (JUDGEMENT.md 1); a need looked at no oftener than that would never hold.
var validityLimits = [4]holdfast.Duration{
	holdfast.Duration(2 * time.Hour), holdfast.Duration(12 * time.Hour),
	holdfast.Duration(24 * time.Hour), holdfast.Duration(48 * time.Hour),
}

// leastEvery is the shortest interval of a check.
const leastEvery = holdfast.Duration(time.Second)

// written reports whether any key of a check is there.
func (k *checkKeys) written() bool {
	return k.Probe.given() || k.On.given() || k.Every.given() || k.Timeout.given() || k.With.given()
}

// check builds a check of a need, copy or kept plan; nil where none is written.
// tier is that of its service: it limits the interval.
func (r *resolver) check(k *checkKeys, n *node, id string, tier int) *holdfast.Check {
	if !k.written() {
		return nil
	}
	c := r.anyCheck(k, n, id)
	if validTier(tier) && k.Every.V >= validityLimits[tier-1] {
		limit := time.Duration(validityLimits[tier-1]).Hours()
		r.add(k.Every.node, fmt.Sprintf("%s is not below the limit of tier %d, %.0fh: the observation would never be valid", c.Every, tier, limit),
			"look oftener; a rare, thorough look belongs under tests")
	}
	return c
}

// anyCheck builds a check, of a test too.
func (r *resolver) anyCheck(k *checkKeys, n *node, id string) *holdfast.Check {
	var missing []string
	for _, key := range []string{"probe", "on", "every"} {
		if n.member(key) == nil {
			missing = append(missing, key)
		}
	}
	r.addMissing(n, missing, "a check has probe, on and every")
	c := &holdfast.Check{ID: id, Probe: k.Probe.V, On: k.On.V, Every: k.Every.V, Timeout: k.Timeout.V, With: k.With.V}
	if k.Every.V > 0 && k.Every.V < leastEvery {
		r.add(k.Every.node, fmt.Sprintf("%s is below the shortest interval, %s", c.Every, leastEvery), "")
	}
	if k.Timeout.V > 0 && k.Every.V > 0 && k.Timeout.V >= k.Every.V {
		r.add(k.Timeout.node, fmt.Sprintf("timeout %s is not below every, %s", c.Timeout, c.Every), "a check must end before it runs again")
	}
	if k.With.given() {
		r.secrets(k.With.node)
	}
	cost := holdfast.Cheap
	if d := r.probe(k); d != nil {
		cost = d.description.Cost
		r.settings(d, k, n)
	}
	if !k.Timeout.given() {
		c.Timeout = cost.Timeout(c.Every)
	}
	return c
}

// probe finds the description of a check's probe; nil where it is unknown here.
func (r *resolver) probe(k *checkKeys) *probeSchema {
	name := k.Probe.V
	if name == "" {
		return nil
	}
	if p := r.probes[name]; p != nil {
		return p
	}
	d, ok := r.options.Probes[name]
	if !ok {
		r.unknownProbe(k)
		return nil
	}
	r.probes[name] = newProbeSchema(d)
	return r.probes[name]
}

// unknownProbe refuses a name whose family is known here: a slip of the pen, not
// somebody else's plugin.
func (r *resolver) unknownProbe(k *checkKeys) {
	family, _, _ := strings.Cut(k.Probe.V, ".")
	var kin []string
	for _, known := range slices.Sorted(maps.Keys(r.options.Probes)) {
		if f, _, _ := strings.Cut(known, "."); f == family {
			kin = append(kin, known)
		}
	}
	if len(kin) > 0 {
		r.add(k.Probe.node, fmt.Sprintf("plugin %s has no probe %s", quote(family), quote(k.Probe.V)), r.didYouMean(k.Probe.V, kin))
	}
}
