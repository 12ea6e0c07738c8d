package pgbackrest

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"strconv"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

type repositoryProbe struct{ dates dates }

func (p *repositoryProbe) Describe() probe.Description {
	return probe.Description{
		Name: "pgbackrest.repository",
		Observes: "Up to when a pgBackRest repository can bring a PostgreSQL cluster back: the newest file of the log that is reached from a backup " +
			"without a gap. Reads the newest files of the log and no backup's data, and claims no verification.",
		Settings: probe.Schema[Source](),
		Cost:     holdfast.IO,
		Privileges: holdfast.Privileges{Secrets: true, Tools: tools,
			Note: "reads the repository; takes no lock and writes nothing"},
		Target:  target,
		Paths:   paths,
		Reasons: reasons,
	}
}

func (p *repositoryProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	source, err := probe.Decode[Source](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	repo, err := open(source, r)
	if err != nil {
		return probe.Observation{}, err
	}
	return probe.Confirm(ctx, func(ctx context.Context) (probe.Observation, error) { return p.look(ctx, repo) })
}

func (p *repositoryProbe) look(ctx context.Context, r *repository) (probe.Observation, error) {
	s, err := r.survey(ctx, newest+readMost)
	o := s.describe()
	if err != nil {
		return o, err
	}
	dated, fault := p.dates.date(ctx, r, s.moments)
	if fault != nil && !damaged(fault) {
		return o, fault
	}
	if len(dated) == 0 && s.moments[len(s.moments)-1].backup.Label == s.oldest.backup.Label {
		s.oldest = nil // it needs a file of the log that is damaged
	}
	o.RecoveryPoints = points(s.info, dated, s.oldest)
	if len(dated) > 0 {
		f := dated[0].file
		o.Facts["newest_wal"] = path.Base(f.path)[:24]
		o.Facts["archived_at"] = f.at.Format(time.RFC3339)
	}
	if err := cmp.Or(fault, s.fault); err != nil {
		return o, err
	}
	at := dated[0].at.Format(time.RFC3339)
	b := s.info.Backup[0]
	switch odd, err := r.oddCopies(ctx); {
	case err != nil:
		return o, err
	case odd != "":
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeDegraded, holdfast.Damaged, odd+" and its copy differ: one of them is damaged"
	case s.gap != "":
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeDegraded, holdfast.Missing, fmt.Sprintf("the log ends at %s: file %s is not in the archive, later ones are", at, s.gap)
	case b.Error:
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeDegraded, holdfast.Damaged, "backup "+b.Label+" has pages whose checksum is wrong: the cluster it is of has"
	default:
		o.Outcome, o.Summary = holdfast.OK, fmt.Sprintf("log up to %s; newest backup %s; backups kept: %d", at, b.Label, len(s.info.Backup))
	}
	return o, nil
}

// survey is what a repository says it holds, and what of that is there.
type survey struct {
	version string
	info    stanzaInfo
	folders map[string]entry // of the backups
	archive *archive
	track   track    // of the newest usable backup
	ends    uint32   // the timeline that recovery of it ends on
	moments []moment // what can be recovered, newest first, with files all the way
	oldest  *moment  // the oldest usable backup's end
	gap     string   // the file of the log that is missing behind the track; "": none
	fault   error    // of the newest of the backups that cannot be used
}

// survey looks for so many moments, and the oldest. The error is that of a repository
// that shows none; the survey holds then what was seen all the same.
func (r *repository) survey(ctx context.Context, want int) (s survey, err error) {
	if s.version, err = r.version(ctx); err != nil {
		return s, err
	}
	if s.info, err = r.info(ctx); err != nil {
		return s, err
	}
	if len(s.info.Backup) == 0 {
		return s, probe.Faulty(holdfast.Empty, "stanza %s holds no backup of its newest database", r.Stanza)
	}
	if s.archive, err = r.openArchive(ctx, s.info); err != nil {
		return s, err
	}
	if s.folders, err = r.list(ctx, "backup/"+r.Stanza); err != nil {
		return s, err
	}
	below := ^uint64(0)
	for i, b := range s.info.Backup {
		if len(s.moments) >= want {
			if i < len(s.info.Backup)-1 {
				continue
			}
			below = 0 // of the oldest only what it needs itself
		}
		t, err := r.usable(ctx, s.archive, b, s.folders, below)
		if err != nil {
			if !damaged(err) {
				return s, err
			}
			s.fault = cmp.Or(s.fault, err)
			continue
		}
		if s.track.files == nil {
			s.track, s.ends = t, s.archive.timeline()
			if s.gap, err = s.archive.gap(ctx, t, time.Now()); err != nil {
				return s, err
			}
		}
		s.moments = append(s.moments, t.moments(below)...)
		below = t.first + uint64(t.stop)
		s.oldest = &moment{file: t.files[t.stop], backup: b, ends: true, at: t.ended()}
	}
	if s.oldest == nil {
		return s, s.fault
	}
	return s, nil
}

// usable follows the log, as track does, from a backup whose files can be there: its
// folder and those it refers to, its manifest, and the log it needs itself.
func (r *repository) usable(ctx context.Context, a *archive, b backup, folders map[string]entry, before uint64) (track, error) {
	for _, label := range append([]string{b.Label}, b.Reference...) {
		if folders[label].Type != "path" {
			return track{}, probe.Faulty(holdfast.Damaged, "backup %s: the folder %.60s is gone", b.Label, label)
		}
	}
	files, err := r.list(ctx, "backup/"+r.Stanza+"/"+b.Label)
	if err != nil {
		return track{}, err
	}
	if files["backup.manifest"].Size == 0 && files["backup.manifest.copy"].Size == 0 {
		return track{}, probe.Faulty(holdfast.Damaged, "backup %s: its manifest is gone or empty", b.Label)
	}
	t, err := a.track(ctx, b, before)
	if err == nil && !t.whole() {
		err = probe.Faulty(holdfast.Damaged, "backup %s cannot be recovered: file %s of the log, which it needs, is not in the archive", b.Label, a.missing(t))
	}
	return t, err
}

// missing names the file of the log that a track ends before.
func (a *archive) missing(t track) string {
	for i := len(a.branches) - 1; ; i-- {
		if b := a.branches[i]; b.first <= t.end() || i == 0 {
			return a.name(segment{b.timeline, t.end()})
		}
	}
}

// settling is how long files of the log that are archived by several at once may come
// in another order than they were written in.
const settling = 2 * time.Minute

// gap names the file that a track ends before although later ones are there.
func (a *archive) gap(ctx context.Context, t track, now time.Time) (string, error) {
	if err := a.follow(ctx, t.files[t.stop].segment); err != nil {
		return "", err
	}
	next, there, err := a.after(ctx, t.end())
	if err != nil || !there || now.Sub(next.at) < settling {
		return "", err
	}
	return a.missing(t), nil
}

// oddCopies names an info file that is not the same as its copy. Where one is damaged
// pgBackRest goes by the other and says nothing.
func (r *repository) oddCopies(ctx context.Context) (string, error) {
	for _, name := range []string{"backup/" + r.Stanza + "/backup.info", "archive/" + r.Stanza + "/archive.info"} {
		same, err := r.same(ctx, name, name+".copy")
		if damaged(err) {
			same, err = false, nil
		}
		if err != nil || !same {
			return path.Base(name), err
		}
	}
	return "", nil
}

// describe says what was seen, whatever is wrong.
func (s survey) describe() probe.Observation {
	o := probe.Observation{Facts: map[string]string{}, Fingerprint: map[string]string{}}
	if s.version != "" {
		o.Fingerprint[holdfast.PartTool] = "pgBackRest " + s.version
	}
	if s.info.Name == "" {
		return o
	}
	i := s.info
	if d := i.newestDB(); d.ID != 0 {
		o.Fingerprint[holdfast.PartEngine] = "PostgreSQL " + probe.OneLine(d.Version)
		o.Fingerprint[holdfast.PartRepository] = fmt.Sprintf("%s of system %d", i.Name, d.System)
	}
	if i.Cipher != "" && len(i.DB) > 0 {
		isEncrypted := i.Cipher != "none"
		o.Encrypted = &isEncrypted
		o.Facts["cipher"] = probe.OneLine(i.Cipher)
	}
	kinds := map[string]int{}
	for _, b := range i.Backup {
		kinds[b.Type]++
	}
	for _, kind := range []string{"full", "diff", "incr"} {
		o.Measures = append(o.Measures, holdfast.Measure{Name: "backups_" + kind, Value: float64(kinds[kind])})
	}
	if len(i.Backup) == 0 {
		return o
	}
	b, first := i.Backup[0], i.Backup[len(i.Backup)-1]
	o.Facts["newest_backup"] = b.Label + ", ended " + b.stop().Format(time.RFC3339)
	o.Facts["oldest_backup"] = first.Label + ", ended " + first.stop().Format(time.RFC3339)
	o.Measures = append(o.Measures, holdfast.Measure{Name: "newest_size", Value: float64(b.Info.Size), Unit: "bytes"},
		holdfast.Measure{Name: "newest_stored", Value: float64(b.Info.Repository.Size), Unit: "bytes"})
	if s.track.files != nil {
		o.Facts["timeline"] = strconv.FormatUint(uint64(s.ends), 10)
		o.Measures = append(o.Measures, holdfast.Measure{Name: "wal_files_to_replay", Value: float64(len(s.track.files))})
	}
	return o
}
