package barman

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/folder"
)

type serverProbe struct{ held probe.Held[struct{}] }

// serverSettings are the settings of barman.server.
type serverSettings struct {
	Server string `json:"server" jsonschema:"the server's name in Barman, as barman list-servers shows it"`
	Config string `json:"config,omitempty" jsonschema:"absolute path of Barman's configuration; /etc/barman.conf by default"`
}

func (*serverProbe) Describe() probe.Description {
	return probe.Description{
		Name: "barman.server",
		Observes: "How far a PostgreSQL server can be recovered from what Barman keeps of it: the end of the log that follows a whole backup without a gap. " +
			"Reads Barman's home and runs no command.",
		Settings:   probe.Schema[serverSettings](),
		Cost:       holdfast.IO,
		Privileges: holdfast.Privileges{Note: "reads Barman's configuration and home, which belong to its user: membership in that group, or CAP_DAC_READ_SEARCH"},
		Target:     []string{"config", "server"},
		Reasons: []holdfast.Reason{holdfast.Empty, holdfast.Damaged, holdfast.Missing, holdfast.Locked, holdfast.Unreachable,
			holdfast.Timeout, holdfast.Refused},
	}
}

func (p *serverProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[serverSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	if s.Config == "" {
		s.Config = "/etc/barman.conf"
	}
	if !filepath.IsAbs(s.Config) {
		return probe.Observation{}, fmt.Errorf("setting \"config\": %q is not an absolute path: write it like /etc/barman.conf", s.Config)
	}
	c, err := readConfig(ctx, s.Config, s.Server)
	if err != nil {
		return probe.Observation{}, err
	}
	look := looker{folder.Settings{Directory: c.home}}
	root, err := look.Open(ctx, &p.held)
	if err != nil {
		return probe.Verdict(probe.Observation{}, look.fault(ctx, c.home, err))
	}
	if err := root.Close(); err != nil {
		return probe.Observation{}, err
	}
	return probe.Confirm(ctx, func(ctx context.Context) (probe.Observation, error) { return c.look(ctx, look) })
}

// looker says what errors of the file system mean.
type looker struct{ folder.Settings }

func (looker) fault(ctx context.Context, path string, err error) error {
	return folder.Settings{Directory: path}.Fault(ctx, err)
}

func damaged(err error) bool { return probe.IsFault(err, holdfast.Damaged) }

// sight is what was seen in one look.
type sight struct {
	config
	backups         []*backup // the oldest first
	log             *archive
	broken          error   // the first fault
	newest          *backup // the newest that is whole
	chain           chain   // of the newest
	oldest          *backup
	gap             string // between two backups
	running, orphan *backup
	failures, whole int
	usable          map[string]*backup // by ID; nothing of it is counted yet
}

// look reads everything once.
func (c config) look(ctx context.Context, look looker) (probe.Observation, error) {
	v := sight{config: c}
	var err error
	if v.backups, err = c.readBackups(ctx, look); err != nil && !damaged(err) {
		return probe.Observation{}, err
	}
	v.broken = err
	size := int64(16 << 20)
	if n := len(v.backups); n > 0 {
		size = v.backups[n-1].segmentSize
	}
	v.log, err = c.readArchive(ctx, look, size)
	if v.log == nil {
		return probe.Observation{}, err
	}
	// Without a backup Barman keeps no catalogue of the log.
	if len(v.backups) > 0 || v.broken != nil {
		v.broken = cmp.Or(v.broken, err)
	}
	if err := v.judge(ctx); err != nil {
		return probe.Observation{}, err
	}
	return v.observe()
}

// judge finds the backups that are whole, and how far the log goes from each. An
// error means that nobody can tell.
func (v *sight) judge(ctx context.Context) error {
	v.usable = map[string]*backup{}
	for i, b := range v.backups {
		if err := ctx.Err(); err != nil {
			return probe.Unable(holdfast.Timeout, "read %s: %w: give the check a longer timeout", v.config.backups, err)
		}
		if !b.copied() {
			v.unfinished(b, i)
			continue
		}
		fault := b.present()
		if fault != nil && v.held(b.id) {
			continue // Barman removes it at the moment
		}
		if fault != nil && !damaged(fault) {
			return fault
		}
		var c chain
		if fault == nil {
			c = v.log.follow(b)
			switch {
			case b.parent != "" && v.usable[b.parent] == nil:
				fault = probe.Faulty(holdfast.Damaged, "backup %s builds on %s, which is not whole", b.id, probe.OneLine(b.parent))
			case !c.holds(b) && b.status == waiting && c.gap == "":
				v.running = b
				continue
			case !c.holds(b):
				fault = probe.Faulty(holdfast.Damaged, "backup %s cannot be started: %s", b.id, v.lacks(c, b))
			}
		}
		if fault != nil {
			v.broken = cmp.Or(v.broken, fault)
			continue
		}
		if n := v.newest; n != nil && n.keep != "standalone" && v.chain.last.number+1 < b.from.number {
			v.gap = fmt.Sprintf("%s, so nothing between backups %s and %s can be reached", v.lacks(v.chain, n), n.id, b.id)
		}
		v.usable[b.id] = b
		v.whole++
		v.newest, v.chain = b, c
		v.oldest = cmp.Or(v.oldest, b)
	}
	if v.log.denied != nil {
		return probe.Unable(holdfast.Refused, "read the log: %w: let the agent's user read it", v.log.denied)
	}
	return v.count(ctx)
}

// lacks names the file that the end of a backup's own log needs.
func (v *sight) lacks(c chain, b *backup) string {
	if c.gap == "" {
		c.gap = segment{b.from.timeline, max(b.from.number, c.last.number+1)}.name(v.log.size)
	}
	return c.said()
}

// count compares the files of the newest and the oldest whole backup with what was
// noted of them. One that lacks some is not whole, and the one before it is next.
func (v *sight) count(ctx context.Context) error {
	for i := len(v.backups) - 1; i >= 0 && v.newest != nil; i-- {
		b := v.backups[i]
		if b != v.newest {
			continue
		}
		err := v.countWhole(ctx, b)
		if err == nil {
			break
		}
		if !damaged(err) {
			return err
		}
		v.broken = err
		v.whole--
		v.previous(i)
	}
	if v.newest == nil {
		v.oldest = nil
		return nil
	}
	if v.oldest == v.newest {
		return nil
	}
	if err := v.oldest.count(ctx); damaged(err) {
		v.broken = cmp.Or(v.broken, err)
		v.oldest = nil
		return nil
	} else if err != nil {
		return err
	}
	return nil
}

// countWhole counts the files of a backup and, where it is incremental, of those it
// builds on.
func (v *sight) countWhole(ctx context.Context, b *backup) error {
	for ; b != nil; b = v.usable[b.parent] {
		if err := b.count(ctx); err != nil {
			return err
		}
	}
	return nil
}

// previous makes the newest whole backup before the i-th the newest.
func (v *sight) previous(i int) {
	for v.newest = nil; i > 0; i-- {
		if b := v.usable[v.backups[i-1].id]; b != nil {
			v.newest, v.chain = b, v.log.follow(b)
			return
		}
	}
}

// unfinished notes a backup that was not copied to its end: one that runs, one that
// failed, one nobody works on any more.
func (v *sight) unfinished(b *backup, i int) {
	switch {
	case b.status == failed:
		v.failures++
		return
	case i == len(v.backups)-1 && v.held(""), v.held(b.id), b.status == syncing:
		v.running = b
		return
	}
	v.orphan = b
}

// observe makes the observation.
func (v *sight) observe() (probe.Observation, error) {
	o := probe.Observation{
		Outcome:        holdfast.OK,
		RecoveryPoints: v.points(),
		Facts:          map[string]string{"minimum_redundancy": probe.OneLine(v.redundancy), "retention_policy": probe.OneLine(v.retention)},
		Measures: []holdfast.Measure{{Name: "backups", Value: float64(v.whole)}, {Name: "failed_backups", Value: float64(v.failures)},
			{Name: "log_files", Value: float64(len(v.log.files))}, {Name: "log_size", Value: float64(v.log.bytes), Unit: "bytes"},
			{Name: "log_waiting", Value: float64(v.log.waits)}, {Name: "log_refused", Value: float64(v.log.refused)}},
	}
	if v.running != nil {
		o.Facts["running"] = fmt.Sprintf("backup %s since %s", v.running.id, v.running.began.Format(time.RFC3339))
	}
	if b := v.newest; b != nil {
		o.Fingerprint = map[string]string{"engine": "PostgreSQL " + strconv.Itoa(b.version/10000), "timeline": strconv.Itoa(int(v.chain.last.timeline)), "method": probe.OneLine(b.method)}
		if b.system != "" {
			o.Fingerprint["system"] = probe.OneLine(b.system)
		}
		o.Facts["newest_backup"] = fmt.Sprintf("%s of %s", b.id, b.ended.Format(time.RFC3339))
		o.Facts["log_until"] = v.lastName()
		o.Facts["not_read"] = "the content of data files, and of the log beyond each file's first page"
		o.Measures = append(o.Measures, holdfast.Measure{Name: "newest_size", Value: float64(b.size), Unit: "bytes"})
	}
	if v.broken == nil && v.newest != nil && v.chain.gap != "" {
		v.broken = probe.Faulty(holdfast.Damaged, "%s: what follows cannot be reached from backup %s", v.chain.said(), v.newest.id)
	}
	if v.broken == nil && v.newest == nil {
		return o, v.none()
	}
	if v.broken != nil {
		return o, v.broken
	}
	return v.blemishes(o)
}

// none is the fault of a server of which there is no backup.
func (v *sight) none() error {
	switch {
	case v.running != nil:
		return probe.Faulty(holdfast.Empty, "no backup of %s is finished; one runs since %s", v.server, v.running.began.Format(time.RFC3339))
	case v.failures > 0:
		return probe.Faulty(holdfast.Empty, "no backup of %s is there but %d that failed", v.server, v.failures)
	}
	return probe.Faulty(holdfast.Empty, "there is no backup of %s", v.server)
}

// blemishes says what is not as it should be though all can be recovered.
func (v *sight) blemishes(o probe.Observation) (probe.Observation, error) {
	o.Summary = fmt.Sprintf("recoverable to %s, the end of %s; whole backups: %d, the newest %s", o.RecoveryPoints[0].Time.Format(time.RFC3339), v.lastName(), v.whole, v.newest.id)
	degraded := func(reason holdfast.Reason, format string, args ...any) {
		if o.Outcome == holdfast.OK {
			o.Outcome, o.Reason, o.Summary = holdfast.OutcomeDegraded, reason, probe.OneLine(fmt.Sprintf(format, args...)+"; "+o.Summary)
		}
	}
	if v.gap != "" {
		degraded(holdfast.Damaged, "%s", v.gap)
	}
	if last := v.backups[len(v.backups)-1]; last.status == failed {
		degraded(holdfast.Damaged, "the newest backup, %s, failed: %s", last.id, probe.Clip(last.failure, 200))
	}
	if v.orphan != nil {
		degraded(holdfast.Damaged, "backup %s was left unfinished: nobody works on it", v.orphan.id)
	}
	if v.log.refused > 0 {
		degraded(holdfast.Damaged, "Barman refused %d files of the log: look into %s", v.log.refused, v.config.refused)
	}
	if v.disabled {
		degraded(holdfast.Locked, "the server is not active in Barman's configuration")
	}
	system, err := v.readIdentity()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		degraded(holdfast.Missing, "identity.json is gone: Barman cannot tell whether the source is still the same cluster")
	case errors.Is(err, fs.ErrPermission):
		return o, probe.Unable(holdfast.Refused, "%w: let the agent's user read it", err)
	case err != nil:
		degraded(holdfast.Damaged, "identity.json is damaged: Barman cannot tell whether the source is still the same cluster")
	case v.newest.system != "" && system != v.newest.system:
		return o, probe.Faulty(holdfast.Damaged, "backup %s is of cluster %s, identity.json says %s", v.newest.id, probe.OneLine(v.newest.system), probe.OneLine(system))
	}
	return o, nil
}

// readIdentity reads which cluster Barman takes the server for.
func (c config) readIdentity() (string, error) {
	content, err := readFile(c.identity, fileMax)
	if err != nil {
		return "", err
	}
	var identity struct {
		System string `json:"systemid"`
	}
	if err := json.Unmarshal(content, &identity); err != nil || identity.System == "" {
		return "", cmp.Or(err, errors.New("it names no cluster"))
	}
	return identity.System, nil
}

// lastName is the last file of the log that counts.
func (v *sight) lastName() string {
	if v.chain.part != nil {
		return v.chain.part.name()
	}
	return v.chain.file.name()
}

// points are the newest moments that can be recovered to, and the oldest.
func (v *sight) points() []holdfast.RecoveryPoint {
	if v.newest == nil {
		return nil
	}
	end := v.chain.reach(v.newest)
	points := []holdfast.RecoveryPoint{{Time: end, ID: v.lastName(), Bytes: holdfast.Bytes(v.newest.restored), Files: v.newest.files}}
	add := func(at time.Time, id string) {
		if last := points[len(points)-1].Time; at.Before(last) && !at.Before(v.first().ended) {
			points = append(points, holdfast.RecoveryPoint{Time: at, ID: id})
		}
	}
	if v.log.streams {
		for i := range 3 {
			add(end.Add(-time.Duration(i+1)*time.Second), "")
		}
	} else {
		for i := len(v.chain.path) - 2; i >= 0; i-- {
			add(v.chain.path[i].at, v.chain.path[i].name())
		}
	}
	points = points[:min(4, len(points))]
	if v.oldest != nil && v.oldest.ended.Before(points[len(points)-1].Time) {
		points = append(points, holdfast.RecoveryPoint{Time: v.oldest.ended, ID: v.oldest.id, Bytes: holdfast.Bytes(v.oldest.restored), Files: v.oldest.files})
	}
	return points
}

// first is the backup from which the log reaches to the end: the oldest, or the
// newest where a gap lies between.
func (v *sight) first() *backup {
	if v.oldest == nil || v.gap != "" || v.oldest.keep == "standalone" {
		return v.newest
	}
	return v.oldest
}
