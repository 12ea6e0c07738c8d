package score

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-monitor/holdfast"
)

func covers(p *path, scenario string) bool { return slices.Contains(p.Covers, scenario) }

// disqualified says why a path does not cover a scenario although it claims to:
// what it needs must survive what the scenario takes out (JUDGEMENT.md 4).
func (j *judge) disqualified(s *service, p *path, l *loss) []string {
	var why []string
	for _, d := range p.missing {
		why = append(why, fmt.Sprintf("dataset %s is neither restored nor left", d))
	}
	if l.takesSite(p.At) {
		why = append(why, "the recovery site "+p.At+" is lost")
	}
	for i := range p.copies {
		why = append(why, j.copyLost(s, p, &p.copies[i], l)...)
	}
	for i := range p.needs {
		n := &p.needs[i]
		switch {
		case n.Plan != "":
			why = append(why, planLost(j.m.plans[n.Plan], s, l)...)
		case n.Team != "":
			why = append(why, j.teamLost(p, n, l)...)
		default:
			for _, place := range n.places {
				if l.takesPlace(place[0], place[1]) {
					why = append(why, fmt.Sprintf("%s stands on what is lost", n.ID))
					break
				}
			}
		}
	}
	return why
}

// copyLost says why a copy does not survive.
func (j *judge) copyLost(s *service, p *path, c *copyOf, l *loss) []string {
	var why []string
	switch {
	case l.damaged && c.Kind != holdfast.Backup, l.onlyHardened && c.Kind == holdfast.Replica:
		if c.Kind == holdfast.Primary {
			why = append(why, fmt.Sprintf("%s is the damaged data itself", c.id))
		} else {
			why = append(why, fmt.Sprintf("a replica replicates the damage: %s", c.id))
		}
	case l.onlyHardened && c.Kind == holdfast.Primary:
		why = append(why, fmt.Sprintf("%s is the encrypted data itself", c.id))
	case l.onlyHardened && !j.hardened(c.Copy, c.check):
		why = append(why, fmt.Sprintf("no backup is immutable or offline: %s", c.ref))
	case l.takesCopy(c.Copy):
		why = append(why, fmt.Sprintf("copy %s is lost with %s", c.id, placeName(c.Copy)))
	}
	if (l.scenario == holdfast.SiteLoss || l.scenario == holdfast.HostLoss) && j.hardFact(c.Copy, c.check, "encrypted").value && !opens(p, c) {
		why = append(why, fmt.Sprintf("%s is encrypted and no credential is seen to open it from %s", c.id, p.At))
	}
	return why
}

func placeName(c *holdfast.Copy) string {
	if c.Host != "" {
		return "host " + c.Host + " at " + c.Site
	}
	return "site " + c.Site
}

// opens reports whether the path has a credential need for the copy that is looked
// at from the recovery site.
func opens(p *path, c *copyOf) bool {
	return slices.ContainsFunc(p.needs, func(n need) bool {
		return n.Credential != nil && *n.Credential == c.ref && n.check != nil && n.Site == p.At
	})
}

// planLost says why no copy of a plan survives. A plan whose copies are not stated
// lies where the service is.
func planLost(plan *holdfast.Plan, s *service, l *loss) []string {
	if plan == nil {
		return nil
	}
	if len(plan.Kept) == 0 {
		if l.takesPlace(s.Site, s.Host) {
			return []string{fmt.Sprintf("plan %s is kept nowhere outside what is lost", plan.Name)}
		}
		return nil
	}
	for i := range plan.Kept {
		if !l.takesPlace(plan.Kept[i].Site, plan.Kept[i].Host) {
			return nil
		}
	}
	return []string{fmt.Sprintf("every kept copy of plan %s is lost", plan.Name)}
}

// teamLost says why too few of a team are left.
func (j *judge) teamLost(p *path, n *need, l *loss) []string {
	if !l.allTeams && len(l.teams) == 0 && len(l.people) == 0 {
		return nil
	}
	wanted := max(n.Trained, 1)
	if l.takesTeam(n.Team) {
		return []string{fmt.Sprintf("team %s is lost", n.Team)}
	}
	lost, left := 0, 0
	for _, person := range j.trained(n.Team, p) {
		switch {
		case l.people[person.name]:
			lost++
		case !person.at.IsZero():
			left++
		}
	}
	if lost > 0 && left < wanted {
		return []string{fmt.Sprintf("%d of team %s trained in the plan are left, %d needed", left, n.Team, wanted)}
	}
	return nil
}

// planCopyItem judges whether the plan can be read where a copy survives.
func (j *judge) planCopyItem(c *clock, plan *holdfast.Plan, l *loss) *item {
	var best *item
	for i := range plan.Kept {
		k := &plan.Kept[i]
		if l.takesPlace(k.Site, k.Host) {
			continue
		}
		if k.Check == nil {
			continue // typed only: declared, seen by nobody
		}
		id := "plan/" + plan.Name + "/" + k.Site
		it, _ := j.checked(c, id, j.m.checks[k.Check.ID], planCodes)
		if best == nil || it.rank < best.rank || it.rank == best.rank && it.cost < best.cost {
			best = it
		}
	}
	if best != nil && best.code != "" && slices.ContainsFunc(plan.Kept, func(k holdfast.KeptCopy) bool {
		return k.Check == nil && !l.takesPlace(k.Site, k.Host)
	}) {
		return nil // another copy is typed, and nobody looks that it cannot be read
	}
	return best
}

// structureItems finds what placement alone says of a service and its datasets:
// they cost points only.
func (j *judge) structureItems(sb *serviceBase, s *service) {
	for i := range s.Datasets {
		j.threeTwoOne(sb, s, &s.Datasets[i])
	}
	if b := s.BIA; b != nil && b.RTO.Stated() && b.MTPD > 0 && b.RTO.Limit+b.WRT > b.MTPD {
		text := fmt.Sprintf("RTO %s", b.RTO.Limit)
		if b.WRT > 0 {
			text += fmt.Sprintf(" and WRT %s", b.WRT)
		}
		sb.add(j.finding(codeMTPD, s.Name+"/mtpd", fmt.Sprintf("%s exceed the MTPD of %s", text, b.MTPD)))
	}
	for _, d := range s.deps {
		if why := weaker(s.Service, j.m.services[d.index].Service); why != "" && d.Kind != holdfast.Optional {
			sb.add(j.finding(codeWeaker, "dependency/"+d.Service, d.Service+" "+why))
		}
	}
}

// weaker says what a dependency promises less than its consumer needs.
func weaker(s, d *holdfast.Service) string {
	var why []string
	if d.Tier > s.Tier {
		why = append(why, fmt.Sprintf("is of tier %d, %s of tier %d", d.Tier, s.Name, s.Tier))
	}
	if s.BIA != nil && d.BIA != nil {
		if s.BIA.RTO.Stated() && d.BIA.RTO.Limit > s.BIA.RTO.Limit {
			why = append(why, fmt.Sprintf("has an RTO of %s, %s of %s", d.BIA.RTO.Limit, s.Name, s.BIA.RTO.Limit))
		}
		if s.BIA.MTPD > 0 && d.BIA.MTPD > s.BIA.MTPD {
			why = append(why, fmt.Sprintf("has an MTPD of %s, %s of %s", d.BIA.MTPD, s.Name, s.BIA.MTPD))
		}
	}
	return strings.Join(why, "; ")
}

// threeTwoOne judges a dataset by 3-2-1-1-0: three copies, two media, one
// off-site, one immutable or offline, no errors at the last verification.
func (j *judge) threeTwoOne(sb *serviceBase, s *service, d *holdfast.Dataset) {
	id := s.Name + "/" + d.Name
	rule := j.copyRule(sb, s, d)
	if rule.Copies < 3 {
		sb.add(j.finding(codeThreeCopies, id+"/copies", fmt.Sprintf("%s has %d of 3 copies, the primary included", id, rule.Copies)))
	}
	for i := range d.Copies {
		j.verificationItems(sb, id+"/"+d.Copies[i].Name, &d.Copies[i])
	}
	if rule.Media < 2 {
		sb.add(j.finding(codeTwoMedia, id+"/media", "all copies of "+id+" are on one medium"))
	}
	if rule.Offsite < 1 {
		sb.add(j.finding(codeOneOffsite, id+"/offsite", "no copy of "+id+" is off-site"))
	}
	if rule.Hardened < 1 {
		sb.add(j.finding(codeOneHardened, id+"/immutable", "no copy of "+id+" is immutable or offline"))
	}
}

// copyRule counts a dataset's copies by the parts of 3-2-1-1-0.
func (j *judge) copyRule(sb *serviceBase, s *service, d *holdfast.Dataset) holdfast.CopyRule {
	rule := holdfast.CopyRule{Copies: len(d.Copies)}
	media := map[string]bool{}
	for i := range d.Copies {
		c := &d.Copies[i]
		media[mediumOf(d, c)] = true
		if j.offsite(s, c) {
			rule.Offsite++
		}
		if j.hardened(c, j.checkOf(c)) {
			rule.Hardened++
		}
		if c.Kind != holdfast.Primary {
			rule.Errors += sb.verified[s.Name+"/"+d.Name+"/"+c.Name].errors
		}
	}
	rule.Media = len(media)
	return rule
}

// mediumOf returns what a copy is kept on: the primary's medium where it is not
// stated.
func mediumOf(d *holdfast.Dataset, c *holdfast.Copy) string {
	if c.Medium == "" {
		return d.Copies[0].Medium
	}
	return c.Medium
}

// offsite reports whether a copy stands outside the service's site and the sites
// within.
func (j *judge) offsite(s *service, c *holdfast.Copy) bool {
	return !slices.Contains(j.m.sitesWithin(s.Site), c.Site)
}

func (j *judge) checkOf(c *holdfast.Copy) *check {
	if c.Check == nil {
		return nil
	}
	return j.m.checks[c.Check.ID]
}

// verificationItems judges the last verification of a copy: no errors, and later
// than its oldest point still kept.
func (j *judge) verificationItems(sb *serviceBase, id string, c *holdfast.Copy) {
	if c.Kind == holdfast.Primary {
		return
	}
	v := sb.verified[id]
	if v.errors > 0 {
		it := j.finding(codeZeroErrors, id+"/errors", fmt.Sprintf("the last verification of %s found %d errors %s", id, v.errors, moment(v.last)))
		it.at, it.since = v.last, v.last
		sb.add(it)
	}
	pts := j.pointsOf(c, j.checkOf(c))
	if c.Kind == holdfast.Backup && !pts.oldest.IsZero() && !v.clean.After(pts.oldest) {
		reason := "no point of " + id + " was ever verified"
		if !v.clean.IsZero() {
			reason = fmt.Sprintf("no point of %s on hand was ever verified: the oldest kept is of %s, the last clean verification of %s", id, moment(pts.oldest), moment(v.clean))
		}
		it := j.finding(codeUnverified, id+"/verified", reason)
		it.at = v.clean
		sb.add(it)
	}
}
