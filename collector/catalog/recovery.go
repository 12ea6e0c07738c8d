package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

func (s *service) paths() {
	var all []renamed
	for _, own := range slices.Sorted(maps.Keys(s.doc.Paths)) {
		d := s.doc.Paths[own]
		all = append(all, renamed{own, d.Was})
		if _, clash := s.doc.Data[own]; clash {
			s.addKey(d.node, fmt.Sprintf("path and dataset are both called %s", quote(own)), "name one otherwise: IDs are SERVICE/DATASET/… and SERVICE/PATH/…")
		}
		s.out.Paths = append(s.out.Paths, s.path(own, &d))
	}
	s.checkWas(all)
}

func (s *service) path(own string, d *pathDoc) holdfast.Path {
	p := holdfast.Path{
		Name: own, At: s.known("site", d.At, s.names.sites), RTO: d.RTO.V, RPO: d.RPO.V, Parallel: d.Parallel.V, Was: d.Was.V,
		Covers: s.scenarioNames(d.Covers),
	}
	if p.At == "" {
		p.At = s.out.Site
	}
	if len(d.Covers) == 0 {
		s.warn(d.node, "the path covers no scenario: it is never taken", "state covers: [data-corruption, …]")
	}
	s.from(d, &p)
	p.Without = s.unique("dependency", d.Without, s.isDependency)
	s.needs(d, &p)
	if d.Tests != nil {
		s.tests(d.Tests, &p)
	}
	s.steps(d.Steps, &p)
	if d.MBCO != nil && d.MBCO.node.kind == mapping {
		p.MBCO = s.anyCheck(&d.MBCO.checkKeys, d.MBCO.node, s.out.Name+"/"+p.Name+"/mbco")
	}
	return p
}

// from follows the copies a path restores from and the datasets it leaves.
func (s *service) from(d *pathDoc, p *holdfast.Path) {
	seen := make(map[string]bool)
	for _, l := range d.From {
		ref, ok := s.copyRef(&l)
		if !ok {
			continue
		}
		if seen[ref.Dataset] {
			s.add(l.node, fmt.Sprintf("dataset %s stands here twice", quote(ref.Dataset)), "a path restores each dataset from one copy; another choice is another path")
		}
		seen[ref.Dataset] = true
		p.From = append(p.From, ref)
	}
	sortBy(p.From, holdfast.CopyRef.String)
	for _, dataset := range slices.Sorted(maps.Keys(d.Leaves)) {
		reason := d.Leaves[dataset]
		if _, ok := s.doc.Data[dataset]; !ok {
			s.addKey(reason.node, fmt.Sprintf("the service has no dataset %s", quote(dataset)), s.didYouMean(dataset, slices.Collect(maps.Keys(s.doc.Data))))
		}
		if seen[dataset] {
			s.addKey(reason.node, fmt.Sprintf("the path restores dataset %s and leaves it", quote(dataset)), "take it out of from or of leaves")
		}
		if p.Leaves == nil {
			p.Leaves = make(map[string]string)
		}
		p.Leaves[dataset] = reason.V
	}
}

// copyRef follows "ledger/offsite", or "ledger": the primary.
func (s *service) copyRef(l *reference) (holdfast.CopyRef, bool) {
	if len(l.V) == 0 {
		return holdfast.CopyRef{}, false
	}
	ref := holdfast.CopyRef{Dataset: l.V[0], Copy: holdfast.PrimaryCopy}
	dataset, ok := s.doc.Data[ref.Dataset]
	if !ok || len(l.V) > 2 {
		s.add(l.node, fmt.Sprintf("the service has no dataset %s", quote(strings.Join(l.V[:max(1, len(l.V)-1)], "/"))),
			s.didYouMean(ref.Dataset, slices.Collect(maps.Keys(s.doc.Data))))
		return ref, false
	}
	if len(l.V) == 2 && l.V[1] != holdfast.PrimaryCopy {
		ref.Copy = l.V[1]
		if _, ok := dataset.Copies[ref.Copy]; !ok {
			s.add(l.node, fmt.Sprintf("dataset %s has no copy %s", quote(ref.Dataset), quote(ref.Copy)),
				s.didYouMean(ref.Copy, slices.Collect(maps.Keys(dataset.Copies))))
			return ref, false
		}
	}
	return ref, true
}

func (s *service) isDependency(ref name) {
	var known []string
	for _, d := range s.doc.DependsOn {
		known = append(known, d.Service.V)
	}
	if !slices.Contains(known, ref.V) {
		s.add(ref.node, fmt.Sprintf("the service does not depend on %s", quote(ref.V)), s.didYouMean(ref.V, known))
	}
}

// tests builds the checks that feed rungs.
func (s *service) tests(d *testsDoc, p *holdfast.Path) {
	for _, rung := range []struct {
		name holdfast.Rung
		doc  *testDoc
	}{{holdfast.Intact, &d.Intact}, {holdfast.Restored, &d.Restored}, {holdfast.Exercised, &d.Exercised}} {
		id := s.out.Name + "/" + p.Name + "/" + string(rung.name)
		if one := rung.doc.one; one != nil {
			s.test(p, rung.name, "", id, one)
		}
		for _, dataset := range slices.Sorted(maps.Keys(rung.doc.datasets)) {
			each := rung.doc.datasets[dataset]
			if !slices.ContainsFunc(p.From, func(c holdfast.CopyRef) bool { return c.Dataset == dataset }) {
				var known []string
				for _, c := range p.From {
					known = append(known, c.Dataset)
				}
				s.addKey(each.node, fmt.Sprintf("the path restores no dataset %s", quote(dataset)), s.didYouMean(dataset, known))
			}
			s.test(p, rung.name, dataset, id+"/"+dataset, &each)
		}
	}
}

func (s *service) test(p *holdfast.Path, rung holdfast.Rung, dataset, id string, d *oneTest) {
	if d.node.kind != mapping {
		return
	}
	p.Tests = append(p.Tests, holdfast.Test{Rung: rung, Dataset: dataset, Check: *s.anyCheck(&d.checkKeys, d.node, id)})
	s.places[id] = position{site: p.At}
}

// steps reads what people have to do. Who does it is known to the catalogue: a step
// that nobody can be asked for is none.
func (s *service) steps(docs []stepDoc, p *holdfast.Path) {
	lines := make(map[string]int)
	for i := range docs {
		d := &docs[i]
		if d.Name.V == "" {
			continue
		}
		if first, taken := lines[d.Name.V]; taken {
			s.add(d.Name.node, fmt.Sprintf("a step called %s stands in line %d already", quote(d.Name.V), first), "give one of them another name")
		}
		lines[d.Name.V] = d.Name.node.line
		if d.Who.V != "" && s.names.teams[d.Who.V] == nil && !s.names.members[d.Who.V] {
			known := slices.Concat(slices.Collect(maps.Keys(s.names.teams)), slices.Collect(maps.Keys(s.names.members)))
			s.add(d.Who.node, fmt.Sprintf("no team, nor a member of one, is called %s", quote(d.Who.V)), s.didYouMean(d.Who.V, known))
		}
		p.Steps = append(p.Steps, holdfast.PersonStep{Name: d.Name.V, Title: d.Title.V, Who: d.Who.V, Expect: d.Expect.V, Before: d.Before.V})
	}
}
