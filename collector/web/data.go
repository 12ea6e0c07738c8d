package web

import (
	"fmt"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Hearing is what the page of protected data asks besides postures, which date a
// fact by when it was new.
type Hearing interface {
	// Heard returns when each check looked last; zero: never by the agent it is
	// placed on, or there is no such check.
	Heard(checks []string) []time.Time
}

// ProtectedDataset is how a dataset is protected: a row of the page /data, of its
// CSV and of GET /api/v1/data. It holds instants, never ages: readers subtract.
//
// A dataset stands as its worst scenario, and in a scenario as what the best path
// restores it from: the copy, its recovery point against the RPO, and the path's
// proof that the copy is intact and can be restored. Datasets restored together are
// proven together (JUDGEMENT.md 2).
type ProtectedDataset struct {
	Service   string                 `json:"service"`
	Called    string                 `json:"service_title"`
	Dataset   string                 `json:"dataset"`
	Title     string                 `json:"title,omitempty"`
	Owner     string                 `json:"owner,omitempty"`
	Tier      int                    `json:"tier"`
	Site      string                 `json:"site,omitempty"`
	State     holdfast.State         `json:"state" doc:"worst scenario; not-judged: nobody has said how much may be lost, or every path leaves it out"`
	Reason    string                 `json:"reason,omitempty" doc:"what makes the state what it is"`
	Left      string                 `json:"left_out,omitempty" doc:"why every path leaves it out"`
	Scenarios []DatasetScenario      `json:"scenarios" doc:"those its service must survive"`
	Onsite    int                    `json:"copies_on_site" doc:"the primary included"`
	Offsite   int                    `json:"copies_off_site"`
	Hardened  int                    `json:"copies_immutable_or_offline"`
	RuleMet   bool                   `json:"rule_met" doc:"3-2-1-1-0 holds in every part"`
	Rule      []RulePart             `json:"rule" doc:"3-2-1-1-0: copies, media, off-site, immutable or offline, errors"`
	Bytes     holdfast.Bytes         `json:"bytes,omitempty" doc:"size of the primary where it is known, else of the largest copy"`
	Verified  time.Time              `json:"verified,omitzero" doc:"the latest verification of any copy"`
	Scope     float64                `json:"verified_scope,omitempty" doc:"share that was read, 0-1"`
	Restored  time.Time              `json:"restored,omitzero" doc:"the latest restore of any copy that passed"`
	Took      holdfast.Duration      `json:"restore_took,omitempty"`
	Coverage  float64                `json:"restore_coverage,omitempty" doc:"share that was restored, 0-1"`
	Through   string                 `json:"restore_path,omitempty" doc:"the path whose test restored it"`
	Heard     time.Time              `json:"heard,omitzero" doc:"when the copy silent longest was last looked at; absent: one never was"`
	Copies    []holdfast.CopyPosture `json:"copies"`

	checks []string // who looks at each copy; "": nobody
	held   int      // parts of 3-2-1-1-0 that hold
	of     *holdfast.DataPosture
}

// DatasetScenario is what a disruption would leave of a dataset.
type DatasetScenario struct {
	Scenario string             `json:"scenario"`
	State    holdfast.State     `json:"state"`
	Path     string             `json:"path,omitempty" doc:"the service's best path; absent: none covers the scenario"`
	Copy     string             `json:"copy,omitempty" doc:"which the path restores"`
	RPO      holdfast.Objective `json:"rpo,omitzero"`
	Point    time.Time          `json:"recovery_point,omitzero" doc:"newest of the copy; absent: none known, or the data itself"`
	Current  bool               `json:"recovery_point_is_now,omitempty" doc:"the path works on the data itself"`
	Left     string             `json:"left_out,omitempty" doc:"why the path leaves the dataset out"`
	Reasons  []string           `json:"reasons" doc:"why it is not proven, the worst first"`

	blocked bool // the copy cannot be used, or could not be restored
}

// RulePart is a part of 3-2-1-1-0.
type RulePart struct {
	Part    string           `json:"part" enum:"copies,media,off-site,hardened,errors"`
	Want    int              `json:"want"`
	Have    int64            `json:"have"`
	Verdict holdfast.Verdict `json:"verdict"`
	Reason  string           `json:"reason"`
}

// Title is how a part is called in a sentence.
func (r RulePart) Title() string {
	if r.Part == "hardened" {
		return "immutable or offline"
	}
	return r.Part
}

// datasets lays every dataset out, by service and name.
func datasets(postures []holdfast.Posture, catalogue *holdfast.Catalogue) []ProtectedDataset {
	n := 0
	for i := range postures {
		n += len(postures[i].Data)
	}
	list := make([]ProtectedDataset, 0, n)
	for i := range postures {
		p := &postures[i]
		if len(p.Data) == 0 {
			continue
		}
		written := catalogue.Service(p.Name)
		for k := range p.Data {
			list = append(list, newDataset(p, written, &p.Data[k]))
		}
	}
	return list
}

func newDataset(p *holdfast.Posture, written *holdfast.Service, d *holdfast.DataPosture) ProtectedDataset {
	row := ProtectedDataset{
		Service: p.Name, Called: titleOf(p), Dataset: d.Dataset, Title: d.Title, Owner: p.Owner, Tier: p.Tier, Site: p.Site,
		State: holdfast.NotJudged, Scenarios: []DatasetScenario{}, of: d, Offsite: d.Rule.Offsite, Onsite: d.Rule.Copies - d.Rule.Offsite,
		Hardened: d.Rule.Hardened, Copies: d.Copies,
	}
	for i := range p.Scenarios {
		if s := &p.Scenarios[i]; s.AskedBy == "" && p.Score != nil {
			row.Scenarios = append(row.Scenarios, inScenario(p, written, d, s))
		}
	}
	row.stand(p)
	row.held, row.RuleMet = ruleHeld(d)
	row.sumUp(written)
	return row
}

// stand takes the worst of the scenarios.
func (d *ProtectedDataset) stand(p *holdfast.Posture) {
	left := ""
	for i := range d.Scenarios {
		s := &d.Scenarios[i]
		switch {
		case s.Left != "":
			left = s.Left
		case s.State.Rank() > d.State.Rank():
			d.State, d.Reason = s.State, ""
			if len(s.Reasons) > 0 {
				d.Reason = s.Reasons[0]
			}
		}
	}
	switch {
	case d.State != holdfast.NotJudged:
	case p.Score == nil:
		d.Reason = "no business impact analysis: nobody has said how much of it may be lost"
	case left != "":
		d.Left, d.Reason = left, "left out of recovery: "+left
	default:
		d.Reason = "its service is asked to survive nothing"
	}
}

// inScenario tells what the best path of a scenario leaves of a dataset.
func inScenario(p *holdfast.Posture, written *holdfast.Service, d *holdfast.DataPosture, s *holdfast.ScenarioPosture) DatasetScenario {
	x := DatasetScenario{Scenario: s.Name, State: holdfast.Proven, Path: s.Path, RPO: s.RPO, Reasons: []string{}}
	if s.Path == "" {
		x.State, x.Reasons = holdfast.Uncovered, []string{"no path brings it back after " + strings.ToLower(scenarioTitle(s.Name)) + whyNone(p, s.Name)}
		return x
	}
	path := pathOf(p, s.Path)
	if path != nil {
		x.Left = path.Leaves[d.Dataset]
	}
	if x.Left != "" {
		x.State = holdfast.NotJudged
		return x
	}
	x.Copy = copyOf(written, s.Path, d.Dataset)
	c := d.Copy(x.Copy)
	if c == nil {
		x.State, x.Reasons = holdfast.Unknown, []string{"the catalogue has just changed: it is being judged again"}
		return x
	}
	x.Point = c.Point
	x.Current = c.Kind == holdfast.Primary && c.Point.IsZero() && (c.Verdict == holdfast.Met || path != nil && path.Current)
	for i := range p.Findings {
		f := &p.Findings[i]
		if f.State.Rank() <= 0 || !slices.Contains(f.Scenarios, s.Name) || !slices.Contains(f.Paths, s.Path) || !concerns(p, written, d, s, f) {
			continue
		}
		x.blocked = x.blocked || f.State == holdfast.Broken && f.Kind == holdfast.Feasibility
		if f.State.Rank() > x.State.Rank() {
			x.State, x.Reasons = f.State, slices.Insert(x.Reasons, 0, f.Reason)
		} else {
			x.Reasons = append(x.Reasons, f.Reason)
		}
	}
	return x
}

// concerns reports whether a finding of a path is about a dataset it restores: its
// copy and what is declared of it, the proof that it is intact and can be restored,
// its recovery point.
func concerns(p *holdfast.Posture, written *holdfast.Service, d *holdfast.DataPosture, s *holdfast.ScenarioPosture, f *holdfast.Finding) bool {
	rest, own := strings.CutPrefix(f.Need, p.Name+"/")
	if !own {
		return false
	}
	id := d.Dataset + "/" + copyOf(written, s.Path, d.Dataset)
	if rest == id || strings.HasPrefix(rest, id+"/") {
		return true
	}
	part, own := strings.CutPrefix(rest, s.Path+"/")
	rung, of, perDataset := strings.Cut(part, "/")
	switch {
	case !own:
		return false
	case part == "rpo":
		return missesRPO(p, written, d, s)
	case part == "consistent":
		return true
	case rung == string(holdfast.Intact), rung == string(holdfast.Restored):
		return !perDataset || of == d.Dataset
	}
	return false
}

// missesRPO tells whose fault a path's missed RPO is: that of the datasets whose
// copy is too old or has points too far apart; where none is, it is the path's own,
// and all share it.
func missesRPO(p *holdfast.Posture, written *holdfast.Service, d *holdfast.DataPosture, s *holdfast.ScenarioPosture) bool {
	oldest := func(c *holdfast.CopyPosture) bool { return c.Point.IsZero() || !c.Point.After(s.Point) }
	slow := func(c *holdfast.CopyPosture) bool { return s.RPO.Stated() && c.Gap > s.RPO.Limit }
	others := false
	for i := range p.Data {
		c := p.Data[i].Copy(copyOf(written, s.Path, p.Data[i].Dataset))
		if c == nil || c.Kind == holdfast.Primary {
			continue
		}
		guilty := slow(c) || oldest(c)
		if p.Data[i].Dataset == d.Dataset && guilty {
			return true
		}
		others = others || guilty
	}
	return !others
}

// copyOf returns which copy of a dataset a path restores; "": none.
func copyOf(written *holdfast.Service, path, dataset string) string {
	if written == nil {
		return ""
	}
	if p := written.Path(path); p != nil {
		for _, ref := range p.From {
			if ref.Dataset == dataset {
				return ref.Copy
			}
		}
	}
	return ""
}

func pathOf(p *holdfast.Posture, name string) *holdfast.PathPosture {
	for i := range p.Paths {
		if p.Paths[i].Name == name {
			return &p.Paths[i]
		}
	}
	return nil
}

// whyNone says why the paths that claim to cover a scenario do not.
func whyNone(p *holdfast.Posture, scenario string) string {
	for i := range p.Paths {
		for _, s := range p.Paths[i].Scenarios {
			if s.Name == scenario && len(s.Reasons) > 0 {
				return ": " + s.Reasons[0]
			}
		}
	}
	return ""
}

// ruleHeld counts the parts of 3-2-1-1-0 that hold, and tells whether all do.
func ruleHeld(d *holdfast.DataPosture) (held int, all bool) {
	r := d.Rule
	verdict, _, _ := errorsOf(d)
	for _, met := range []bool{r.Copies >= 3, r.Media >= 2, r.Offsite >= 1, r.Hardened >= 1, verdict == holdfast.Met} {
		if met {
			held++
		}
	}
	return held, held == 5
}

// errorsOf judges the last part. A backup that was never verified has shown no
// errors and no health either: unknown; one that is seen to be bad has an error,
// whoever saw it.
func errorsOf(d *holdfast.DataPosture) (verdict holdfast.Verdict, never, bad []string) {
	backups := 0
	for i := range d.Copies {
		c := &d.Copies[i]
		if c.Kind != holdfast.Backup {
			continue
		}
		if backups++; c.Verified.IsZero() && c.Restored.IsZero() {
			never = append(never, clip(c.Copy))
		}
		if c.Verdict == holdfast.Unmet {
			bad = append(bad, clip(c.Copy))
		}
	}
	switch {
	case d.Rule.Errors > 0, len(bad) > 0:
		return holdfast.Unmet, never, bad
	case backups == 0, len(never) > 0:
		return holdfast.VerdictUnknown, never, bad
	}
	return holdfast.Met, nil, nil
}

// ruleParts holds a dataset against 3-2-1-1-0, part by part.
func ruleParts(d *holdfast.DataPosture) []RulePart {
	r := d.Rule
	part := func(name string, want, have int, met, unmet string) RulePart {
		p := RulePart{Part: name, Want: want, Have: int64(have), Verdict: holdfast.Met, Reason: met}
		if have < want {
			p.Verdict, p.Reason = holdfast.Unmet, unmet
		}
		return p
	}
	verdict, never, bad := errorsOf(d)
	errors := RulePart{Part: "errors", Have: r.Errors, Verdict: verdict, Reason: "no errors at the last verification"}
	switch {
	case r.Errors > 0:
		errors.Reason = fmt.Sprintf("%d errors at the last verification", r.Errors)
	case len(bad) > 0:
		errors.Reason = enumerate(bad) + " cannot be used as it is"
	case len(never) > 0:
		errors.Reason = enumerate(never) + " never verified"
	case verdict != holdfast.Met:
		errors.Reason = "there is no backup to verify"
	}
	return []RulePart{
		part("copies", 3, r.Copies, fmt.Sprintf("%d copies, the primary included", r.Copies), fmt.Sprintf("%d of 3 copies, the primary included", r.Copies)),
		part("media", 2, r.Media, fmt.Sprintf("%d media", r.Media), "all copies are on one medium"),
		part("off-site", 1, r.Offsite, fmt.Sprintf("%d off-site", r.Offsite), "no copy is off-site"),
		part("hardened", 1, r.Hardened, fmt.Sprintf("%d immutable or offline", r.Hardened), "no copy is immutable or offline"),
		errors,
	}
}

// sumUp fills in what is told of all copies together.
func (d *ProtectedDataset) sumUp(written *holdfast.Service) {
	var dataset *holdfast.Dataset
	if written != nil {
		dataset = written.Dataset(d.Dataset)
	}
	d.checks = make([]string, len(d.Copies))
	for i := range d.Copies {
		c := &d.Copies[i]
		if c.Verified.After(d.Verified) {
			d.Verified, d.Scope = c.Verified, c.Scope
		}
		if c.Restored.After(d.Restored) {
			d.Restored, d.Took, d.Coverage, d.Through = c.Restored, c.Took, c.Coverage, c.Through
		}
		if d.Copies[0].Bytes == 0 {
			d.Bytes = max(d.Bytes, c.Bytes)
		}
		if dataset != nil {
			if at := dataset.Copy(c.Copy); at != nil && at.Check != nil {
				d.checks[i] = at.Check.ID
			}
		}
	}
	if d.Copies[0].Bytes > 0 {
		d.Bytes = d.Copies[0].Bytes
	}
}

// finish fills in what only rows that are shown need: 3-2-1-1-0 in words, and in
// their copies when each was looked at last, instead of when a fact was new.
func finish(c Hearing, rows []ProtectedDataset) {
	var checks []string
	for i := range rows {
		checks = append(checks, rows[i].checks...)
	}
	times := c.Heard(checks)
	for i := range rows {
		d := &rows[i]
		d.Rule = ruleParts(d.of)
		d.Copies = slices.Clone(d.Copies) // those of the posture are not ours
		never := false
		for k, check := range d.checks {
			at := &d.Copies[k].Seen
			if times[k].After(*at) {
				*at = times[k]
			}
			if check == "" {
				continue
			}
			never = never || at.IsZero()
			if d.Heard.IsZero() || at.Before(d.Heard) {
				d.Heard = *at
			}
		}
		if never {
			d.Heard = time.Time{}
		}
		times = times[len(d.checks):]
	}
}

// exposed is the scenario in which most of the dataset would be lost now, against
// its RPO; nil: none is asked, or all leave it out.
func (d *ProtectedDataset) exposed(now time.Time) *DatasetScenario {
	var worst *DatasetScenario
	var most float64
	for i := range d.Scenarios {
		s := &d.Scenarios[i]
		if s.Left != "" {
			continue
		}
		if r := s.rank(now); worst == nil || r > most {
			worst, most = s, r
		}
	}
	return worst
}

// rank orders scenarios by how bad the loss is, as lossRank does.
func (s *DatasetScenario) rank(now time.Time) float64 {
	switch {
	case s.Path == "":
		return 1e12
	case s.blocked:
		return 1e9
	case s.Current:
		return 0
	case s.Point.IsZero():
		return 1e6
	}
	return ratio(now.Sub(s.Point), s.RPO)
}

// exposure is the loss of the worst scenario as a bar against its RPO.
func (d *ProtectedDataset) exposure(now time.Time) bullet {
	b := bullet{Label: "Data lost now"}
	s := d.exposed(now)
	if s == nil {
		b.Value, b.Say = "–", "No target"
		return b
	}
	limit := s.RPO.Limit.Std()
	if s.RPO.Stated() {
		b.Of, b.Target = span(limit), true
	}
	switch {
	case s.Path == "":
		b.Value, b.Hatch, b.Bad, b.Say = "no path", "b", true, "Data lost now: everything, no path covers it"
	case s.blocked:
		b.Value, b.Hatch, b.Bad, b.Say = "no way", "b", true, "Data lost now: cannot be told, it cannot be restored as things stand"
	case s.Current:
		b = b.filled(0, limit)
		b.Value, b.Say = "none", "No data lost: the path works on the data itself"
	case s.Point.IsZero():
		b.Value, b.Hatch, b.Say = "not known", "u", "Data lost now: not known, no recovery point was ever seen"
	default:
		age := max(0, now.Sub(s.Point))
		b = b.filled(age, limit)
		b.Value, b.Say = moment(s.Point, now, "age"), "Data lost now: "+spoken(age)+against(age, limit)
	}
	return b
}
