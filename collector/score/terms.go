package score

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// termsShown is how long a loosened term is shown.
const termsShown = 90 * 24 * time.Hour

// What terms say where they ask nothing.
const (
	termNone    = "none"
	termAsked   = "asked"
	termLeftOut = "left out"
)

// looser lists the terms of a service that are looser than the default, or than 90
// days ago: nothing is loosened unseen.
func (j *judge) looser(s *service, c *clock) []holdfast.LooserTerm {
	list := j.looserNow(s)
	for _, t := range j.m.defaults {
		if appliesTo(t.Term, s.Tier) {
			list = append(list, t)
		}
	}
	list = append(list, j.loosened(s, c)...)
	slices.SortFunc(list, func(a, b holdfast.LooserTerm) int {
		return cmp.Or(cmp.Compare(a.Term, b.Term), a.At.Compare(b.At), cmp.Compare(a.Was, b.Was), cmp.Compare(a.Is, b.Is))
	})
	return slices.Compact(list)
}

// appliesTo reports whether a term of the policy bears on a tier.
func appliesTo(term string, tier int) bool {
	rest, ofTier := strings.CutPrefix(term, "tier ")
	return !ofTier || strings.HasPrefix(rest, strconv.Itoa(tier)+" ")
}

// loosened compares each term that changed in the last 90 days with what it was
// before them.
func (j *judge) loosened(s *service, c *clock) []holdfast.LooserTerm {
	var list []holdfast.LooserTerm
	first := map[string]holdfast.TermChange{}
	last := map[string]holdfast.TermChange{}
	look := func(changes []holdfast.TermChange) {
		for _, t := range changes {
			end := t.At.Add(termsShown)
			if t.At.After(j.at) || !j.at.Before(end) {
				continue
			}
			if t.Service == "" && !appliesTo(t.Term, s.Tier) {
				continue
			}
			c.due(end)
			k := t.Service + "\x00" + t.Term
			if _, ok := first[k]; !ok {
				first[k] = t
			}
			last[k] = t
		}
	}
	for _, name := range names(s.Name, s.Was) {
		look(j.f.terms[name])
	}
	look(j.f.terms[""])
	for _, k := range slices.Sorted(maps.Keys(first)) {
		was, is := first[k].Was, last[k].Is
		if looserThan(last[k].Term, was, is) {
			list = append(list, holdfast.LooserTerm{Term: last[k].Term, Was: was, Is: is, By: last[k].By, At: last[k].At})
		}
	}
	return list
}

// looserThan reports whether a term is looser than it was. Definitions are neither.
func looserThan(term, was, is string) bool {
	if was == is || is == "" && was == "" {
		return false
	}
	switch {
	case strings.HasPrefix(term, "scenario "), strings.Contains(term, " scenario "):
		return was == termAsked && is != termAsked
	case strings.Contains(term, " in ") && is == "":
		return false // the scenario is not asked any more: its own line says so
	case strings.HasPrefix(term, "cost "):
		return smaller(is, was)
	case term == "tier":
		return smaller(was, is)
	case strings.HasPrefix(term, "tier "), term == "rto", term == "rpo", term == "mtpd", term == "mtdl", term == "bia review",
		strings.HasPrefix(term, "rto in "), strings.HasPrefix(term, "rpo in "), strings.HasPrefix(term, "mtpd in "), strings.HasPrefix(term, "mtdl in "),
		strings.HasPrefix(term, "review of plan "):
		return longer(is, was)
	case term == "expiry warning":
		return longer(was, is)
	case term == "restored share", term == "capacity factor", term == "anomaly size", term == "anomaly files":
		return smaller(is, was)
	case term == "anomaly changed":
		return was != "0" && (is == "0" || smaller(was, is))
	case term == "anomaly changed share":
		return smaller(was, is)
	case term == "keep", strings.HasPrefix(term, "keep "):
		return was != termNone && (is == termNone || is != "" && longer(was, is))
	case strings.HasPrefix(term, "void "):
		return fewer(is, was)
	}
	return false
}

// longer compares durations; none asks nothing and is the longest.
func longer(a, b string) bool {
	if b == termNone || b == "" {
		return false
	}
	if a == termNone || a == "" {
		return true
	}
	x, errX := holdfast.ParseDuration(a)
	y, errY := holdfast.ParseDuration(b)
	return errX == nil && errY == nil && x > y
}

func smaller(a, b string) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && x < y
}

// fewer reports whether list a lacks something of list b.
func fewer(a, b string) bool {
	have := strings.Split(a, ", ")
	for _, x := range strings.Split(b, ", ") {
		if x != "" && !slices.Contains(have, x) {
			return true
		}
	}
	return false
}

// looserNow lists a service's own terms that are looser than the default.
func (j *judge) looserNow(s *service) []holdfast.LooserTerm {
	b := s.BIA
	if b == nil {
		return nil
	}
	var list []holdfast.LooserTerm
	add := func(term, was, is, by string) {
		list = append(list, holdfast.LooserTerm{Term: term, Was: was, Is: is, By: by})
	}
	for _, a := range s.asks {
		if a.omit != nil && j.at.Before(a.omit.Until.Time) {
			add("scenario "+a.name, termAsked, termLeftOut, a.omit.Owner)
		}
	}
	plan := j.m.policy.Tier(s.Tier).Plan
	if b.Review > plan && plan > 0 {
		add("bia review", plan.String(), b.Review.String(), "")
	}
	if d := max(mtdlDefault, 4*b.RPO.Limit); b.RPO.Stated() && b.MTDL > d {
		add("mtdl", d.String(), b.MTDL.String(), "")
	}
	for _, name := range slices.Sorted(maps.Keys(b.Scenarios)) {
		t := termsIn(b, name)
		if d := max(mtdlDefault, 4*t.rpo.Limit); t.rpo.Stated() && b.Scenarios[name].MTDL > d {
			add("mtdl in "+name, d.String(), t.mtdl.String(), "")
		}
	}
	if b.RTO.None != "" {
		add("rto", "stated", termNone, "")
	}
	if b.RPO.None != "" {
		add("rpo", "stated", termNone, "")
	}
	return list
}

// policyLooser lists what the policy asks less than the default one.
func (m *Model) policyLooser() []holdfast.LooserTerm {
	is, was := policyTerms(&m.policy), policyTerms(new(holdfast.DefaultPolicy()))
	var list []holdfast.LooserTerm
	for _, term := range slices.Sorted(maps.Keys(was)) {
		if looserThan(term, was[term], is[term]) {
			list = append(list, holdfast.LooserTerm{Term: term, Was: was[term], Is: is[term]})
		}
	}
	return list
}

// TermChanges returns what changed between two catalogues, the new one in force
// from at on: terms, and definitions that proof rests on, sorted. The caller may add
// who. Against an empty catalogue it tells what the first one introduced.
func TermChanges(old, new *holdfast.Catalogue, at time.Time) []holdfast.TermChange {
	var list []holdfast.TermChange
	if old.Hash != "" || len(old.Services) > 0 {
		list = append(list, differing("", catalogueTerms(old), catalogueTerms(new))...)
	}
	for i := range new.Services {
		s := &new.Services[i]
		before := old.Service(s.Name)
		if before == nil && s.Was != "" {
			before = old.Service(s.Was)
		}
		if before == nil {
			// A new service: its declared facts are attested by being introduced.
			list = append(list, introduced(s)...)
			continue
		}
		was, is := serviceTerms(&old.Policy, before), serviceTerms(&new.Policy, s)
		fillScenarioTerms(was, is)
		fillScenarioTerms(is, was)
		list = append(list, differing(s.Name, was, is)...)
	}
	for i := range list {
		list[i].At = at.UTC()
	}
	slices.SortFunc(list, compareChanges)
	return list
}

// fillScenarioTerms adds to a the objectives that b states for a scenario and a does
// not: where a asks the scenario, those of its BIA hold there.
func fillScenarioTerms(a, b map[string]string) {
	for term := range b {
		objective, scenario, ok := strings.Cut(term, " in ")
		if _, stated := a[term]; ok && !stated && a["scenario "+scenario] == termAsked {
			a[term] = a[objective]
		}
	}
}

func differing(service string, was, is map[string]string) []holdfast.TermChange {
	var list []holdfast.TermChange
	for term, value := range is {
		if was[term] != value {
			list = append(list, holdfast.TermChange{Service: service, Term: term, Was: was[term], Is: value})
		}
	}
	for term, value := range was {
		if _, still := is[term]; !still {
			list = append(list, holdfast.TermChange{Service: service, Term: term, Was: value})
		}
	}
	return list
}

func introduced(s *holdfast.Service) []holdfast.TermChange {
	var list []holdfast.TermChange
	for term, value := range declaredTerms(s) {
		list = append(list, holdfast.TermChange{Service: s.Name, Term: term, Is: value})
	}
	return list
}

func catalogueTerms(c *holdfast.Catalogue) map[string]string {
	terms := policyTerms(&c.Policy)
	for i := range c.Plans {
		p := &c.Plans[i]
		terms["plan "+p.Name] = p.Version
		terms["review of plan "+p.Name] = limitText(p.Review)
	}
	return terms
}

// policyTerms writes a policy as terms.
func policyTerms(p *holdfast.Policy) map[string]string {
	terms := map[string]string{
		"expiry warning":  p.ExpiryWarning.String(),
		"restored share":  strconv.FormatFloat(p.RestoredShare, 'f', -1, 64),
		"capacity factor": strconv.FormatFloat(p.Headroom, 'f', -1, 64),

		"anomaly size":          strconv.FormatFloat(p.Anomalies.Size, 'f', -1, 64),
		"anomaly files":         strconv.FormatFloat(p.Anomalies.Files, 'f', -1, 64),
		"anomaly changed":       strconv.FormatFloat(p.Anomalies.Changed, 'f', -1, 64),
		"anomaly changed share": strconv.FormatFloat(p.Anomalies.Share, 'f', -1, 64),
		"keep":                  limitText(p.Keep),
	}
	for i, t := range p.Tiers {
		tier := fmt.Sprintf("tier %d ", i+1)
		for _, r := range holdfast.Rungs {
			terms[tier+string(r)] = limitText(t.Cadence(r))
		}
		terms[tier+"plan"], terms[tier+"training"] = limitText(t.Plan), limitText(t.Training)
		for _, s := range append(slices.Clone(holdfast.Scenarios), t.Scenarios...) {
			terms[tier+"scenario "+s] = termLeftOut
		}
		for _, s := range t.Scenarios {
			terms[tier+"scenario "+s] = termAsked
		}
	}
	for code, r := range rules {
		terms["cost "+code] = strconv.Itoa(r.Cost)
		if c, ok := p.Costs[code]; ok {
			terms["cost "+code] = strconv.Itoa(c)
		}
	}
	for part, rungs := range p.Void {
		var list []string
		for _, r := range rungs {
			list = append(list, string(r))
		}
		slices.Sort(list)
		terms["void "+part] = strings.Join(list, ", ")
	}
	return terms
}

// serviceTerms writes what a service's business agreed, and how what proof rests
// on is defined.
func serviceTerms(policy *holdfast.Policy, s *holdfast.Service) map[string]string {
	terms := declaredTerms(s)
	terms["tier"] = strconv.Itoa(s.Tier)
	if b := s.BIA; b != nil {
		terms["rto"], terms["rpo"] = objectiveText(b.RTO), objectiveText(b.RPO)
		terms["mtpd"], terms["mtdl"], terms["bia review"] = limitText(b.MTPD), limitText(termsIn(b, "").mtdl), limitText(b.Review)
		for _, name := range policy.Tier(s.Tier).Scenarios {
			terms["scenario "+name] = termAsked
		}
		for name, t := range b.Scenarios {
			terms["scenario "+name] = termAsked
			if t.Omit != nil {
				terms["scenario "+name] = termLeftOut
			}
			in := termsIn(b, name)
			terms["rto in "+name], terms["rpo in "+name] = objectiveText(in.rto), objectiveText(in.rpo)
			terms["mtpd in "+name], terms["mtdl in "+name] = limitText(in.mtpd), limitText(in.mtdl)
		}
	}
	for i := range s.Datasets {
		for k := range s.Datasets[i].Copies {
			c := &s.Datasets[i].Copies[k]
			terms["copy "+s.Datasets[i].Name+"/"+c.Name] = copyDefinition(c)
			terms["keep "+s.Datasets[i].Name+"/"+c.Name] = limitText(c.Keep)
		}
	}
	for i := range s.Paths {
		p := &s.Paths[i]
		terms["path "+p.Name], terms["site of "+p.Name] = pathDefinition(p), p.At
	}
	return terms
}

// declaredTerms writes the facts that a service's copies declare.
func declaredTerms(s *holdfast.Service) map[string]string {
	terms := map[string]string{}
	for i := range s.Datasets {
		for k := range s.Datasets[i].Copies {
			c := &s.Datasets[i].Copies[k]
			for fact, value := range map[string]*bool{"immutable": c.Immutable, "offline": c.Offline, "encrypted": c.Encrypted} {
				if value != nil {
					terms[fact+" "+s.Datasets[i].Name+"/"+c.Name] = strconv.FormatBool(*value)
				}
			}
		}
	}
	return terms
}

func limitText(d holdfast.Duration) string {
	if d <= 0 {
		return termNone
	}
	return d.String()
}

func objectiveText(o holdfast.Objective) string { return limitText(o.Limit) }

// copyDefinition is what a restore from the copy rests on: its kind, place and
// what is looked at, not how often.
func copyDefinition(c *holdfast.Copy) string {
	d := struct {
		Kind        holdfast.CopyKind
		Site, Host  string
		Medium      string
		Probe, With string
	}{Kind: c.Kind, Site: c.Site, Host: c.Host, Medium: c.Medium}
	if c.Check != nil {
		d.Probe, d.With = c.Check.Probe, string(c.Check.With)
	}
	return digest(d)
}

// pathDefinition is what an exercise of the path rests on, its site and plan
// versions apart.
func pathDefinition(p *holdfast.Path) string {
	type step struct{ Name, Site, Host, Probe, With, Ref, Attest, Plan, Team string }
	d := struct {
		From     []holdfast.CopyRef
		Leaves   map[string]string
		Without  []string
		Parallel bool
		Needs    []step
	}{From: p.From, Leaves: p.Leaves, Without: p.Without, Parallel: p.Parallel}
	for i := range p.Needs {
		n := &p.Needs[i]
		x := step{Name: n.Name, Host: n.Host, Ref: n.Ref, Attest: n.Attest, Plan: n.Plan, Team: n.Team}
		if n.Site != p.At { // what stands at the recovery site moves with it
			x.Site = n.Site
		}
		if n.Check != nil {
			x.Probe, x.With = n.Check.Probe, string(n.Check.With)
		}
		d.Needs = append(d.Needs, x)
	}
	return digest(d)
}

// digest shortens a definition to what tells it from another.
func digest(v any) string {
	b, _ := json.Marshal(v) // plain data: cannot fail
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}
