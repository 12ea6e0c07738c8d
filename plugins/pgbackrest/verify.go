package pgbackrest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

type verifyProbe struct{}

func (verifyProbe) Describe() probe.Description {
	return probe.Description{
		Name: "pgbackrest.verify",
		Observes: "Whether a pgBackRest repository is intact: every file of every backup and of the log is read and compared with its checksum, " +
			"no backup that is listed is missing, and the log reaches from every backup's begin to its end and from the newest on without a gap.",
		Settings:   probe.Schema[Source](),
		Cost:       holdfast.Heavy,
		Privileges: holdfast.Privileges{Secrets: true, Tools: tools, Note: "reads the whole repository; takes no lock and writes nothing"},
		Target:     target,
		Paths:      paths,
		Reasons:    reasons,
	}
}

func (verifyProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	source, err := probe.Decode[Source](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	repo, err := open(source, r)
	if err != nil {
		return probe.Observation{}, err
	}
	return probe.Confirm(ctx, repo.verify)
}

// verify has pgBackRest read everything, whose exit code is 0 whatever it finds, and
// looks for what it passes over: a backup or a file of the log that is not there, an
// info file or manifest whose copy is another.
func (r *repository) verify(ctx context.Context) (probe.Observation, error) {
	started := time.Now().UTC()
	probe.Progress(ctx, "list", 0, 0)
	s, err := r.survey(ctx, math.MaxInt)
	o := s.describe()
	if err != nil {
		return r.unverified(o, started, err)
	}
	probe.Progress(ctx, "read", 0, 0)
	out, err := r.call(ctx, "verify", "--output=text", "--verbose", noRetry)
	if err != nil {
		return r.unverified(o, started, err)
	}
	v, err := parseVerify(out.Stdout)
	if err != nil {
		return o, probe.Unable("", "%w", err)
	}
	found := append(v.faults, s.lacks(v)...)
	copies, err := r.oddManifests(ctx, s.info)
	if err != nil {
		return o, err
	}
	found = append(found, copies...)
	if s.gap != "" {
		found = append(found, "file "+s.gap+" of the log is missing, later ones are there")
	}
	o.Measures = append(o.Measures, holdfast.Measure{Name: "files_read", Value: float64(v.files)}, holdfast.Measure{Name: "wal_files_read", Value: float64(v.log)})
	o.Verification = &holdfast.Verification{Time: started, Scope: 1, Errors: int64(len(found))}
	if len(found) > 0 {
		return o, &probe.Fault{Reason: holdfast.Damaged, Text: probe.Clip(strings.Join(found, "; "), 300), Raw: string(out.Stdout)}
	}
	o.Outcome = holdfast.OK
	o.Summary = fmt.Sprintf("%d files of %d backups and %d files of the log are as their checksums say", v.files, len(v.backups), v.log)
	return o, nil
}

// unverified notes a verification that ended at a fault of the repository.
func (r *repository) unverified(o probe.Observation, started time.Time, err error) (probe.Observation, error) {
	if damaged(err) {
		o.Verification = &holdfast.Verification{Time: started, Errors: 1}
	}
	return o, err
}

// verified is what `verify --output=text --verbose` says.
type verified struct {
	files, log int64           // read
	backups    map[string]bool // found, by label: all of it is valid
	archives   map[string]bool // read, by name
	faults     []string
}

var (
	verifiedArchive = regexp.MustCompile(`^archiveId: (\S+), total WAL checked: (\d+), total valid WAL: (\d+)$`)
	verifiedBackup  = regexp.MustCompile(`^backup: (\S+), status: ([a-z -]+), total files checked: (\d+), total valid files: (\d+)$`)
	verifiedCounts  = regexp.MustCompile(`^((missing|checksum invalid|size invalid|other): \d+(, |$))+$`)
)

// parseVerify reads the text. A line of a form that is not known is an error: nobody
// can tell then what it says.
func parseVerify(text []byte) (verified, error) {
	v := verified{backups: map[string]bool{}, archives: map[string]bool{}}
	status := ""
	for raw := range bytes.Lines(text) {
		line := strings.TrimSpace(string(raw))
		number := func(s string) int64 { n, _ := strconv.ParseInt(s, 10, 64); return n }
		switch m := verifiedArchive.FindStringSubmatch(line); {
		case m != nil:
			v.archives[m[1]] = true
			v.log += number(m[2])
			if bad := number(m[2]) - number(m[3]); bad != 0 {
				v.faults = append(v.faults, fmt.Sprintf("%d of %d files of the log in %s", bad, number(m[2]), m[1]))
			}
			continue
		case line == "" || strings.HasPrefix(line, "stanza: ") || verifiedCounts.MatchString(line) || line == "archiveId: none found" || line == "backup: none found":
			continue
		case strings.HasPrefix(line, "status: "):
			status = strings.TrimPrefix(line, "status: ")
			continue
		case strings.HasPrefix(line, "No usable "):
			v.faults = append(v.faults, probe.OneLine(line))
			continue
		}
		m := verifiedBackup.FindStringSubmatch(line)
		if m == nil {
			return v, fmt.Errorf("pgbackrest verify: %.100q is not understood", line)
		}
		v.files += number(m[3])
		bad := number(m[3]) - number(m[4])
		v.backups[m[1]] = m[2] == "valid" && bad == 0
		switch {
		case m[2] == "in-progress":
		case bad != 0:
			v.faults = append(v.faults, fmt.Sprintf("backup %s: %d of %d files", m[1], bad, number(m[3])))
		case m[2] != "valid":
			v.faults = append(v.faults, fmt.Sprintf("backup %s: %s", m[1], m[2]))
		}
	}
	switch {
	case status != "ok" && status != "error":
		return v, fmt.Errorf("pgbackrest verify: it does not say how it ended: %.100q", text)
	case status == "error" && len(v.faults) == 0:
		v.faults = append(v.faults, "pgbackrest verify says that something is wrong, and not what")
	}
	return v, nil
}

// lacks lists what a survey knows to belong to the repository and verify did not read.
func (s survey) lacks(v verified) []string {
	var all []string
	for _, b := range s.info.Backup {
		if _, read := v.backups[b.Label]; !read {
			all = append(all, "backup "+b.Label+" is listed and not there")
		}
	}
	if id := s.info.archiveID(s.info.Backup[0].Database.ID); !v.archives[id] {
		all = append(all, "the log in "+id+" was not read")
	}
	if s.fault != nil && !slices.Contains(all, s.fault.Error()) {
		all = append(all, s.fault.Error())
	}
	return all
}

// oddManifests lists the info files and manifests that are not the same as their copy,
// of which pgBackRest takes the one that it can read.
func (r *repository) oddManifests(ctx context.Context, i stanzaInfo) ([]string, error) {
	names := []string{"backup/" + r.Stanza + "/backup.info", "archive/" + r.Stanza + "/archive.info"}
	for _, b := range i.Backup {
		names = append(names, "backup/"+r.Stanza+"/"+b.Label+"/backup.manifest")
	}
	var odd []string
	for n, name := range names {
		probe.Progress(ctx, "compare", int64(n), int64(len(names)))
		same, err := r.same(ctx, name, name+".copy")
		if err != nil && !damaged(err) {
			return nil, err
		}
		if err != nil || !same {
			odd = append(odd, strings.TrimPrefix(name, "backup/"+r.Stanza+"/")+" and its copy differ")
		}
	}
	return odd, nil
}
