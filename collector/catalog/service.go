package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// service resolves one service.
type service struct {
	*resolver
	doc *serviceDoc
	out holdfast.Service
}

func (s *service) resolve() holdfast.Service {
	d := s.doc
	s.out = holdfast.Service{
		Name: d.Service.V, Title: d.Title.V, Owner: d.Owner.V, Tier: d.Tier.V,
		Site: s.known("site", d.Site, s.names.sites), Host: d.Host.V, Was: d.Was.V,
		Source: place{d.node.file, d.node.line, 0}.String(),
	}
	if d.Tier.ok && !validTier(d.Tier.V) {
		s.add(d.Tier.node, fmt.Sprintf("%s is not a tier", quote(d.Tier.node.text)), "1 is the most critical, 4 the least")
	}
	if d.BIA == nil {
		s.warn(d.node, "the service has no bia: it is not judged", "state bia: {rto: …, rpo: …}")
	} else {
		s.out.BIA = s.bia(d.BIA)
	}
	s.dependencies()
	s.datasets()
	s.consistency()
	s.paths()
	return s.out
}

func (s *service) bia(d *biaDoc) *holdfast.BIA {
	b := &holdfast.BIA{
		RTO: d.RTO.V, RPO: d.RPO.V, MTPD: d.MTPD.V, WRT: d.WRT.V, MTDL: d.MTDL.V, MBCO: d.MBCO.V,
		Reviewed: d.Reviewed.V, Review: d.Review.V,
	}
	for _, f := range d.Functions {
		b.Functions = append(b.Functions, f.V)
	}
	for _, i := range d.Impact {
		b.Impact = append(b.Impact, holdfast.Impact{After: i.After.V, Level: i.Level.V, Note: i.Note.V})
	}
	slices.SortStableFunc(b.Impact, func(x, y holdfast.Impact) int {
		return cmp.Compare(x.After, y.After)
	})
	for _, scenario := range slices.Sorted(maps.Keys(d.Scenarios)) {
		t := d.Scenarios[scenario]
		s.knownScenario(t.node, scenario, s.addKey)
		terms := holdfast.ScenarioTerms{RTO: t.RTO.V, RPO: t.RPO.V, MTPD: t.MTPD.V, MTDL: t.MTDL.V}
		if o := t.Omit; o != nil {
			terms.Omit = &holdfast.Omission{Owner: o.Owner.V, Reason: o.Reason.V, Approver: o.Approver.V, Until: o.Until.V}
		}
		if b.Scenarios == nil {
			b.Scenarios = make(map[string]holdfast.ScenarioTerms)
		}
		b.Scenarios[scenario] = terms
	}
	return b
}

func (s *service) dependencies() {
	seen := make(map[string]bool)
	for _, d := range s.doc.DependsOn {
		other := s.known("service", d.Service, s.names.services)
		switch {
		case other == "":
			continue
		case other == s.out.Name:
			s.add(d.Service.node, "a service cannot depend on itself", "")
		case seen[other]:
			s.add(d.Service.node, fmt.Sprintf("dependency %s stands here twice", quote(other)), "")
		}
		seen[other] = true
		kind := d.Kind.V
		if kind == "" {
			kind = holdfast.Required
		}
		s.out.DependsOn = append(s.out.DependsOn, holdfast.Dependency{Service: other, Kind: kind})
	}
	sortBy(s.out.DependsOn, func(d holdfast.Dependency) string { return d.Service })
}

func (s *service) datasets() {
	var all []renamed
	for _, dataset := range slices.Sorted(maps.Keys(s.doc.Data)) {
		d := s.doc.Data[dataset]
		all = append(all, renamed{dataset, d.Was})
		// The dataset's `was` is the dataset's: the primary is always "primary".
		primary := s.copy(dataset, holdfast.PrimaryCopy, &d.copyKeys, d.node)
		primary.Kind, primary.Was = holdfast.Primary, ""
		if primary.Medium == "" {
			primary.Medium = s.doc.Medium.V
		}
		out := holdfast.Dataset{Name: dataset, Title: d.Title.V, Copies: []holdfast.Copy{primary}, Was: d.Was.V}
		var copies []renamed
		for _, name := range slices.Sorted(maps.Keys(d.Copies)) {
			c := d.Copies[name]
			if name == holdfast.PrimaryCopy {
				s.addKey(c.node, "a copy cannot be called `primary`", "the dataset itself is the primary: write its keys beside copies")
				continue
			}
			copies = append(copies, renamed{name, c.Was})
			x := s.copy(dataset, name, &c.copyKeys, c.node)
			x.Kind = copyKindOf(&c)
			x.Keep = s.keep(&c, x.Kind)
			if x.Medium == "" {
				x.Medium = primary.Medium
			}
			out.Copies = append(out.Copies, x)
		}
		s.checkWas(copies)
		s.out.Datasets = append(s.out.Datasets, out)
	}
	s.checkWas(all)
}

// keep reads how long points are kept; a replica has none to keep.
func (s *service) keep(d *copyDoc, kind holdfast.CopyKind) holdfast.Duration {
	if d.Keep.given() && kind != holdfast.Backup {
		s.add(d.Keep.node, fmt.Sprintf("a %s keeps no recovery points", kind), "keep belongs to a backup")
	}
	return d.Keep.V
}

func copyKindOf(d *copyDoc) holdfast.CopyKind {
	switch {
	case d.Kind.V != "":
		return d.Kind.V
	case strings.HasSuffix(d.Probe.V, ".replica"):
		return holdfast.Replica
	}
	return holdfast.Backup
}

func (s *service) copy(dataset, name string, k *copyKeys, n *node) holdfast.Copy {
	at := s.position(&k.placeKeys, s.out.Site)
	c := holdfast.Copy{
		Name: name, Site: at.site, Host: at.host, Medium: k.Medium.V,
		Immutable: k.Immutable.pointer(), Offline: k.Offline.pointer(), Encrypted: k.Encrypted.pointer(), Was: k.Was.V,
	}
	id := s.out.Name + "/" + dataset + "/" + name
	if c.Check = s.check(&k.checkKeys, n, id, s.out.Tier); c.Check != nil {
		s.places[id] = at
	}
	return c
}

// position fills in a place (JUDGEMENT.md 1): the site by default, and the
// service's host only where the site is the service's.
func (s *service) position(k *placeKeys, site string) position {
	p := position{s.known("site", k.Site, s.names.sites), k.Host.V}
	if p.site == "" {
		p.site = site
	}
	if p.host == "" && p.site == s.out.Site {
		p.host = s.out.Host
	}
	return p
}

func (s *service) consistency() {
	for _, d := range s.doc.Consistent {
		c := holdfast.Consistency{Within: d.Within.V}
		c.Datasets = s.unique("dataset", d.Datasets, func(ref name) {
			if _, ok := s.doc.Data[ref.V]; !ok {
				s.add(ref.node, fmt.Sprintf("the service has no dataset %s", quote(ref.V)), s.didYouMean(ref.V, slices.Collect(maps.Keys(s.doc.Data))))
			}
		})
		if at := d.node.member("datasets"); at != nil && at.kind == list && len(d.Datasets) < 2 {
			s.add(at, "consistency is between two datasets or more", "")
		}
		s.out.Consistent = append(s.out.Consistent, c)
	}
	sortBy(s.out.Consistent, func(c holdfast.Consistency) string { return strings.Join(c.Datasets, "/") })
}
