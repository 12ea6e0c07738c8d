package catalog

// The documents of a catalogue, key by key. The json tags are the keys (without
// omitempty: mandatory), the jsonschema tags their descriptions: reader, JSON
// Schema and this list are one.

type serviceDoc struct {
	where
	Service    name                  `json:"service" jsonschema:"Name of the service: something the organisation delivers."`
	Title      text                  `json:"title,omitempty" jsonschema:"What people call it."`
	Owner      text                  `json:"owner,omitempty" jsonschema:"Who answers for it: a team, or anybody by name."`
	Tier       count                 `json:"tier" jsonschema:"1 most critical … 4. Sets what must be proven how often, and which scenarios."`
	Site       name                  `json:"site,omitempty" jsonschema:"The site where it runs."`
	Host       name                  `json:"host,omitempty" jsonschema:"The host on which it runs."`
	Medium     name                  `json:"medium,omitempty" jsonschema:"The medium of its datasets where they state none: disk, tape, object."`
	BIA        *biaDoc               `json:"bia,omitempty" jsonschema:"Business impact analysis (ISO/TS 22317). Without it the service is not judged."`
	DependsOn  []dependencyDoc       `json:"depends_on,omitempty" jsonschema:"Services this one stands on."`
	Data       map[string]datasetDoc `json:"data,omitempty" jsonschema:"Datasets by name: data the service must not lose."`
	Consistent []consistencyDoc      `json:"consistent,omitempty" jsonschema:"Datasets that must be restored to about the same moment."`
	Paths      map[string]pathDoc    `json:"paths,omitempty" jsonschema:"Recovery paths by name: how the service comes back."`
	Was        name                  `json:"was,omitempty" jsonschema:"Its name before: its history goes on."`
}

type biaDoc struct {
	where
	RTO       objective           `json:"rto" jsonschema:"Recovery time objective: a duration, or {none: reason}."`
	RPO       objective           `json:"rpo" jsonschema:"Recovery point objective: a duration, or {none: reason}."`
	MTPD      duration            `json:"mtpd,omitempty" jsonschema:"Maximum tolerable period of disruption."`
	WRT       duration            `json:"wrt,omitempty" jsonschema:"Work recovery time: what is left to do once systems are back."`
	MTDL      duration            `json:"mtdl,omitempty" jsonschema:"Maximum tolerable data loss. Default: the larger of 36h and 4 × rpo."`
	MBCO      text                `json:"mbco,omitempty" jsonschema:"Minimum business continuity objective: the acceptable level at the alternate site."`
	Functions []text              `json:"functions,omitempty" jsonschema:"Essential functions."`
	Impact    []impactDoc         `json:"impact,omitempty" jsonschema:"What a disruption costs as it lasts."`
	Reviewed  date                `json:"reviewed,omitempty" jsonschema:"When this analysis was last reviewed."`
	Review    duration            `json:"review,omitempty" jsonschema:"How often it is to be reviewed. Default: the tier's plan review."`
	Scenarios map[string]termsDoc `json:"scenarios,omitempty" jsonschema:"Objectives that differ in a scenario, and scenarios left out. A scenario named here is asked besides the tier's."`
}

type impactDoc struct {
	where
	After duration `json:"after" jsonschema:"Once the disruption has lasted this long."`
	Level text     `json:"level" jsonschema:"How bad it is, in the organisation's own words."`
	Note  text     `json:"note,omitempty" jsonschema:"What it means."`
}

type termsDoc struct {
	where
	RTO  objective `json:"rto,omitempty" jsonschema:"Recovery time objective in this scenario."`
	RPO  objective `json:"rpo,omitempty" jsonschema:"Recovery point objective in this scenario."`
	MTPD duration  `json:"mtpd,omitempty" jsonschema:"Maximum tolerable period of disruption in this scenario."`
	MTDL duration  `json:"mtdl,omitempty" jsonschema:"Maximum tolerable data loss in this scenario."`
	Omit *omitDoc  `json:"omit,omitempty" jsonschema:"Leaves the scenario out; shown as a looser term."`
}

type omitDoc struct {
	where
	Owner    text `json:"owner" jsonschema:"Who carries the risk."`
	Reason   text `json:"reason" jsonschema:"Why the scenario is left out."`
	Approver text `json:"approver" jsonschema:"Who approved it."`
	Until    date `json:"until" jsonschema:"When it is to be decided again."`
}

type dependencyDoc struct {
	where
	Service name           `json:"service" jsonschema:"The service depended on."`
	Kind    dependencyKind `json:"kind,omitempty" jsonschema:"required to run (default), recovery: needed only to recover, optional: never limits."`
}

type consistencyDoc struct {
	where
	Datasets []name   `json:"datasets" jsonschema:"At least two datasets of the service."`
	Within   duration `json:"within" jsonschema:"How far apart their recovery points may lie."`
}

// checkKeys are the keys of a check, wherever one is written.
type checkKeys struct {
	Probe   name     `json:"probe,omitempty" jsonschema:"The probe that looks: PLUGIN.PROBE."`
	On      name     `json:"on,omitempty" jsonschema:"The agent on which it runs."`
	Every   duration `json:"every,omitempty" jsonschema:"How often it runs."`
	Timeout duration `json:"timeout,omitempty" jsonschema:"Its deadline, below every. Default: 10s, 2m or 1h by the probe's cost."`
	With    settings `json:"with,omitempty" jsonschema:"The probe's settings. Never a secret: a path that the agent reads on its own host."`
}

// placeKeys say where a thing stands.
type placeKeys struct {
	Site name `json:"site,omitempty" jsonschema:"Where it stands. Default: the service's site for data, the path's at for a need."`
	Host name `json:"host,omitempty" jsonschema:"The host on which it stands. Default: the service's where the site is the service's."`
}

// copyKeys are the facts of a copy.
type copyKeys struct {
	placeKeys
	checkKeys
	Medium    name `json:"medium,omitempty" jsonschema:"What it lies on: disk, tape, object. Default: the primary's."`
	Immutable flag `json:"immutable,omitempty" jsonschema:"Nobody can change or delete it for its retention. A probe that sees otherwise wins."`
	Offline   flag `json:"offline,omitempty" jsonschema:"It cannot be reached from the network."`
	Encrypted flag `json:"encrypted,omitempty" jsonschema:"It opens only with a credential."`
	Was       name `json:"was,omitempty" jsonschema:"Its name before: its history goes on."`
}

type datasetDoc struct {
	where
	Title text `json:"title,omitempty" jsonschema:"What people call it."`
	copyKeys
	Copies map[string]copyDoc `json:"copies,omitempty" jsonschema:"Backups and replicas by name. The dataset itself is the copy named primary."`
}

type copyDoc struct {
	where
	Kind copyKind `json:"kind,omitempty" jsonschema:"backup: points in time; replica: follows the primary, damage included. Default: replica for probes named *.replica, else backup."`
	Keep duration `json:"keep,omitempty" jsonschema:"How long every recovery point of a backup is kept at least: one that vanishes before is a finding, by Holdfast's own record of points. Where the tool thins out, state the age up to which it keeps every point. Default: the policy's keep."`
	copyKeys
}

type pathDoc struct {
	where
	Covers   []name          `json:"covers,omitempty" jsonschema:"The scenarios in which this path is taken."`
	At       name            `json:"at,omitempty" jsonschema:"The recovery site. Default: the service's own."`
	From     []reference     `json:"from,omitempty" jsonschema:"One copy of every dataset: ledger/offsite; ledger alone is the primary."`
	Leaves   map[string]text `json:"leaves,omitempty" jsonschema:"Datasets not restored, each with the reason."`
	RTO      duration        `json:"rto,omitempty" jsonschema:"Recovery time the path is designed for."`
	RPO      duration        `json:"rpo,omitempty" jsonschema:"Data loss the path is designed for."`
	Without  []name          `json:"without,omitempty" jsonschema:"Dependencies it does not wait for."`
	Parallel flag            `json:"parallel,omitempty" jsonschema:"Datasets are restored side by side."`
	Needs    []needDoc       `json:"needs,omitempty" jsonschema:"What the path needs."`
	Tests    *testsDoc       `json:"tests,omitempty" jsonschema:"Checks that prove a rung of the ladder."`
	Steps    []stepDoc       `json:"steps,omitempty" jsonschema:"What people have to do, in order; a drill asks them for it."`
	MBCO     *oneTest        `json:"mbco,omitempty" jsonschema:"The check that sees whether the minimum business continuity objective is reached. A drill runs it last; it is neither a need nor a rung."`
	Was      name            `json:"was,omitempty" jsonschema:"Its name before: its history goes on."`
}

type needDoc struct {
	where
	Name name `json:"name,omitempty" jsonschema:"Unique in the path. Default: the probe, plan, team or attestation named."`
	placeKeys
	checkKeys            // Every is also the cadence of an attestation
	Check      reference `json:"check,omitempty" jsonschema:"A check or need written elsewhere: SERVICE/PATH/NAME, or DATASET/COPY of this service."`
	Credential reference `json:"credential,omitempty" jsonschema:"The copy that this credential must open; with a probe that tries it."`
	Attest     name      `json:"attest,omitempty" jsonschema:"Met by a person's record, every so often."`
	By         text      `json:"by,omitempty" jsonschema:"The role that attests."`
	Plan       name      `json:"plan,omitempty" jsonschema:"A continuity plan, readable and reviewed."`
	Team       name      `json:"team,omitempty" jsonschema:"A team with trained people."`
	Trained    count     `json:"trained,omitempty" jsonschema:"How many of the team must be trained. Default: 1."`
	Was        name      `json:"was,omitempty" jsonschema:"Its name before: its history goes on."`
}

// stepDoc is what somebody has to do when the path is walked.
type stepDoc struct {
	where
	Name   name     `json:"name" jsonschema:"Unique in the path."`
	Title  text     `json:"title,omitempty" jsonschema:"What is to be done."`
	Who    text     `json:"who" jsonschema:"A team, or a member of one."`
	Expect duration `json:"expect,omitempty" jsonschema:"How long it should take."`
	Before flag     `json:"before,omitempty" jsonschema:"true: it is done before anything is restored. Default: afterwards."`
}

type testsDoc struct {
	where
	Intact    testDoc `json:"intact,omitempty" jsonschema:"Integrity verified: one check, or one per dataset."`
	Restored  testDoc `json:"restored,omitempty" jsonschema:"Really restored, content checked: one check, or one per dataset."`
	Exercised testDoc `json:"exercised,omitempty" jsonschema:"The whole path walked, where a check can see it: one check, or one per dataset."`
}

// oneTest is a check that feeds a rung.
type oneTest struct {
	where
	checkKeys
}

type siteDoc struct {
	where
	Site     name     `json:"site" jsonschema:"Name of the site: a place things can be lost together."`
	Title    text     `json:"title,omitempty" jsonschema:"What people call it."`
	Kind     siteKind `json:"kind,omitempty" jsonschema:"What it is."`
	Within   name     `json:"within,omitempty" jsonschema:"The site that contains it."`
	Supplier text     `json:"supplier,omitempty" jsonschema:"Who runs it. Default: the containing site's."`
	Was      name     `json:"was,omitempty" jsonschema:"Its name before."`
}

type teamDoc struct {
	where
	Team    name        `json:"team" jsonschema:"Name of the team."`
	Title   text        `json:"title,omitempty" jsonschema:"What people call it."`
	Members []memberDoc `json:"members,omitempty" jsonschema:"Its people."`
	Was     name        `json:"was,omitempty" jsonschema:"Its name before."`
}

type memberDoc struct {
	where
	Name    text            `json:"name" jsonschema:"The same in every team and record."`
	Trained map[string]date `json:"trained,omitempty" jsonschema:"When last trained, by plan."`
}

type planDoc struct {
	where
	Plan       name      `json:"plan" jsonschema:"Name of the continuity plan (ISO 22301 8.4.4)."`
	Title      text      `json:"title,omitempty" jsonschema:"What people call it."`
	Version    version   `json:"version,omitempty" jsonschema:"A new one voids exercises, unless a review calls it editorial."`
	URL        text      `json:"url,omitempty" jsonschema:"Where it is read."`
	Owner      text      `json:"owner,omitempty" jsonschema:"Who keeps it up to date."`
	Approver   text      `json:"approver,omitempty" jsonschema:"Who approved it."`
	Approved   date      `json:"approved,omitempty" jsonschema:"When; counts as a review."`
	Review     duration  `json:"review,omitempty" jsonschema:"How often it is to be reviewed; the shorter of this and the tier's counts."`
	Activation text      `json:"activation,omitempty" jsonschema:"When it is set in motion, and by whom."`
	Recovery   text      `json:"recovery,omitempty" jsonschema:"What is done."`
	Return     text      `json:"return,omitempty" jsonschema:"How things go back to normal."`
	Kept       []keptDoc `json:"kept,omitempty" jsonschema:"Where readable copies of it lie."`
	Was        name      `json:"was,omitempty" jsonschema:"Its name before."`
}

type keptDoc struct {
	where
	Site name `json:"site" jsonschema:"The site where the copy lies; one a site."`
	Host name `json:"host,omitempty" jsonschema:"The host on which it lies."`
	checkKeys
}

type scenarioDoc struct {
	where
	Scenario  name   `json:"scenario" jsonschema:"Name of the scenario: a disruption to survive."`
	Title     text   `json:"title,omitempty" jsonschema:"What people call it."`
	Sites     []name `json:"sites,omitempty" jsonschema:"Sites it takes out, those within included."`
	Hosts     []name `json:"hosts,omitempty" jsonschema:"Hosts it takes out."`
	Suppliers []text `json:"suppliers,omitempty" jsonschema:"Suppliers it takes out."`
	Teams     []name `json:"teams,omitempty" jsonschema:"Teams it takes out."`
	Data      damage `json:"data,omitempty" jsonschema:"damaged: the services' data is damaged, replicas included."`
	Was       name   `json:"was,omitempty" jsonschema:"Its name before."`
}

type policyDoc struct {
	where
	Policy        name               `json:"policy" jsonschema:"Name of the policy; a catalogue has one at most. What it does not state keeps its default."`
	Tiers         map[string]tierDoc `json:"tiers,omitempty" jsonschema:"Terms by tier, 1 to 4."`
	Costs         map[string]count   `json:"costs,omitempty" jsonschema:"Points by finding code."`
	Bands         map[string]bandDoc `json:"bands,omitempty" jsonschema:"Range of scores by state; they must not overlap."`
	ExpiryWarning duration           `json:"expiry_warning,omitempty" jsonschema:"How long before an expiry it costs points. Default: 21d."`
	Void          map[string][]rung  `json:"void,omitempty" jsonschema:"Which rungs a change voids, by part of the fingerprint: copy, tool, engine, path, site, plan, change, dataset."`
	RestoredShare number             `json:"restored_share,omitempty" jsonschema:"Share of the data at which a restore counts as complete. Default: 1."`
	Headroom      number             `json:"capacity_factor,omitempty" jsonschema:"Room a path needs, as a multiple of what its copies restore to. Default: 1.2."`
	Anomalies     *anomaliesDoc      `json:"anomalies,omitempty" jsonschema:"When the newest point of a backup is so unlike those before it that somebody should look."`
	Keep          duration           `json:"keep,omitempty" jsonschema:"How long every recovery point of a backup is kept at least, where the copy states no keep of its own. Default: not judged."`
}

type anomaliesDoc struct {
	where
	Size    number `json:"size,omitempty" jsonschema:"Fewer bytes than this many times the median of the ten points before it. 0: not judged. Default: 0.5."`
	Files   number `json:"files,omitempty" jsonschema:"Fewer files than this many times their median. 0: not judged. Default: 0.5."`
	Changed number `json:"changed,omitempty" jsonschema:"More changed bytes than this many times their median, and more than changed_share: a sign of ransomware. 0: not judged. Default: 5."`
	Share   number `json:"changed_share,omitempty" jsonschema:"Changes up to this share of the whole are never a sign of ransomware. Default: 0.2."`
}

type tierDoc struct {
	where
	Intact    cadence  `json:"intact,omitempty" jsonschema:"How often integrity is verified; none: not required."`
	Restored  cadence  `json:"restored,omitempty" jsonschema:"How often a restore is tested; none: not required."`
	Exercised cadence  `json:"exercised,omitempty" jsonschema:"How often the whole path is walked; none: not required."`
	Plan      duration `json:"plan,omitempty" jsonschema:"How often plans are reviewed."`
	Training  cadence  `json:"training,omitempty" jsonschema:"How often people are trained; none: once is enough."`
	Scenarios []name   `json:"scenarios,omitempty" jsonschema:"Scenarios every service of the tier is asked about."`
}

type bandDoc struct {
	where
	Low  count `json:"low" jsonschema:"Lowest score."`
	High count `json:"high" jsonschema:"Highest score."`
}
