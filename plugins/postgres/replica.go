package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

type replicaProbe struct{}

// replicaSettings are the settings of postgres.replica.
type replicaSettings struct {
	DSNFile        string `json:"dsn_file" jsonschema:"absolute path of the file with the standby's connection string, like host=dr1 user=holdfast password=… sslmode=verify-full"`
	PrimaryDSNFile string `json:"primary_dsn_file,omitempty" jsonschema:"the same for its primary; without it nobody knows how far the standby is behind, and its recovery point ages"`
	Slot           string `json:"slot,omitempty" jsonschema:"the primary's replication slot for this standby; default: the one its receiver names"`
}

func (replicaProbe) Describe() probe.Description {
	return probe.Description{
		Name: "postgres.replica",
		Observes: "Whether a PostgreSQL standby would promote, and how far it is behind the primary's own position in time and bytes; " +
			"a promoted one is no standby any more.",
		Settings:   probe.Schema[replicaSettings](),
		Cost:       holdfast.Cheap,
		Privileges: holdfast.Privileges{Secrets: true, Note: "connects to both servers as a role with pg_monitor; its sessions can change nothing"},
		Target:     []string{"dsn_file"},
		Reasons: []holdfast.Reason{holdfast.Assertion, holdfast.Locked, holdfast.Missing, holdfast.Credential, holdfast.CredentialUnreadable,
			holdfast.Unreachable, holdfast.Timeout, holdfast.Refused},
	}
}

func (replicaProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[replicaSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	config, err := readDSN("dsn_file", s.DSNFile)
	if err != nil {
		return probe.Observation{}, err
	}
	var primaryConfig *pgx.ConnConfig
	if s.PrimaryDSNFile != "" {
		if primaryConfig, err = readDSN("primary_dsn_file", s.PrimaryDSNFile); err != nil {
			return probe.Observation{}, err
		}
	}
	patience, cancel := probe.AnswerTime(ctx)
	defer cancel()
	return probe.Verdict(s.look(patience, config, primaryConfig))
}

// look asks both servers at once: a primary that hangs must not take the standby's
// time.
func (s replicaSettings) look(ctx context.Context, config, primaryConfig *pgx.ConnConfig) (probe.Observation, error) {
	// A server that hangs is known a little before the time is up.
	asking, cancel := context.WithTimeout(ctx, remaining(ctx)*8/10)
	defer cancel()
	seen := make(chan *upstream, 1)
	go func() { seen <- s.seePrimary(asking, primaryConfig) }()
	conn, err := connect(asking, config, "standby")
	var b standby
	if err == nil {
		defer conn.end()
		b, err = conn.standby(asking)
	}
	p := <-seen
	defer p.end()
	if err != nil {
		return probe.Observation{}, err
	}
	o := b.describe()
	if b.promoted {
		o.Replication = &holdfast.Replication{}
		o.Facts["would_promote"] = "no: it was promoted already"
		return o, probe.Faulty(holdfast.Assertion, "it is no standby: it was promoted and writes on timeline %d", b.timeline)
	}
	if p.err == nil && s.Slot == "" {
		p.err = p.findSlot(ctx, b.slot)
	}
	if p.err == nil {
		p.err = s.compare(ctx, conn, p, &b, &o)
	}
	return s.judge(o, b, p)
}

// remaining is the time ctx has left; an hour where it has no end.
func remaining(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return time.Until(deadline)
	}
	return time.Hour
}

// standby is what a standby says of itself.
type standby struct {
	promoted, paused bool
	replayed         position
	reaches          time.Time // by the primary's clock: what was committed until then is there
	timeline         int64
	system           string
	version          string
	slot             string
	streaming        bool
	behind           holdfast.Bytes // of the log, what the primary has and it has not replayed
}

// position is a place in the write-ahead log, in bytes.
type position uint64

// parsePosition reads a pg_lsn, like 16/B374D848.
func parsePosition(s string) (position, error) {
	high, low, ok := strings.Cut(s, "/")
	h, errH := strconv.ParseUint(high, 16, 32)
	l, errL := strconv.ParseUint(low, 16, 32)
	if !ok || errors.Join(errH, errL) != nil {
		return 0, fmt.Errorf("%.40q is not a position in the log", s)
	}
	return position(h<<32 | l), nil
}

// standbyQuery: a commit replayed says how far the data reaches, by the primary's
// clock; where none was replayed since the start, the last checkpoint does. The
// timeline is the newest of what it receives, what it replayed and its checkpoint.
const standbyQuery = `select not pg_is_in_recovery(), case when pg_is_in_recovery() then pg_is_wal_replay_paused() else false end,
	coalesce(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, '0/0')::text,
	coalesce(pg_last_xact_replay_timestamp(), (select checkpoint_time from pg_control_checkpoint())),
	case when pg_is_in_recovery() then greatest((select received_tli from pg_stat_wal_receiver), (select min_recovery_end_timeline from pg_control_recovery()),
		(select timeline_id from pg_control_checkpoint())) else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint end,
	(select system_identifier::text from pg_control_system()), current_setting('server_version'),
	coalesce((select slot_name from pg_stat_wal_receiver), ''), coalesce((select status = 'streaming' from pg_stat_wal_receiver), false)`

func (s *session) standby(ctx context.Context) (b standby, err error) {
	var replayed string
	err = s.one(ctx, standbyQuery, nil, &b.promoted, &b.paused, &replayed, &b.reaches, &b.timeline, &b.system, &b.version, &b.slot, &b.streaming)
	if err != nil {
		return b, err
	}
	if b.replayed, err = parsePosition(replayed); err != nil {
		return b, probe.Unable("", "standby: %w", err)
	}
	return b, nil
}

func (b standby) describe() probe.Observation {
	role, receiver := "standby", "not streaming"
	if b.promoted {
		role = "primary"
	}
	if b.streaming {
		receiver = "streaming"
	}
	return probe.Observation{
		Outcome: holdfast.OK,
		Fingerprint: map[string]string{"engine": "PostgreSQL " + major(b.version), "role": role,
			"timeline": strconv.FormatInt(b.timeline, 10), "system": b.system},
		Facts: map[string]string{"server_version": b.version, "receiver": receiver, "replay_paused": strconv.FormatBool(b.paused)},
	}
}

// catchUp is how long a standby may take to replay what the primary had when it
// was asked; a healthy one takes milliseconds.
const catchUp = time.Second

// compare asks the primary for its position and then waits a moment for the standby
// to come that far. When it does, everything the primary had is there, and the lag
// is nothing, however long ago the last commit was. When it does not, the data
// reaches as far as the last commit that was replayed.
func (s replicaSettings) compare(ctx context.Context, conn *session, p *upstream, b *standby, o *probe.Observation) error {
	if p.system != b.system {
		return probe.Faulty(holdfast.Assertion, "the standby is not a copy of the primary named here: %s is another cluster than %s", b.system, p.system)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit, cancel := context.WithTimeout(ctx, min(catchUp, remaining(ctx)/2))
	defer cancel()
	for b.replayed < p.at {
		now, err := conn.standby(ctx)
		if err != nil {
			return err
		}
		*b = now
		if b.replayed >= p.at || b.paused || b.promoted {
			break
		}
		select {
		case <-limit.Done():
		case <-tick.C:
			continue
		}
		break
	}
	if p.timeline != b.timeline {
		return probe.Faulty(holdfast.Assertion, "the standby follows timeline %d, the primary writes on %d: it cannot come up to it", b.timeline, p.timeline)
	}
	r := &holdfast.Replication{PrimarySeen: true, Bytes: conn.held(ctx)}
	if b.replayed < p.at {
		b.behind = holdfast.Bytes(min(uint64(p.at-b.replayed), math.MaxInt64))
		r.Lag = holdfast.Duration(max(0, p.now.Sub(b.reaches)))
	}
	o.Replication = r
	o.Measures = append(o.Measures, holdfast.Measure{Name: "behind", Value: float64(b.behind), Unit: "bytes"})
	return nil
}

// sizeStep is what the size of a standby's databases is rounded up to: one that
// grows a little has no news with every look.
const sizeStep = 16 << 20

// held is the size of all databases; 0 where the role may not know it.
func (s *session) held(ctx context.Context) holdfast.Bytes {
	var size int64
	if err := s.one(ctx, "select coalesce(sum(pg_database_size(oid)), 0)::bigint from pg_database where datallowconn", nil, &size); err != nil {
		return 0
	}
	return holdfast.Bytes((size + sizeStep - 1) / sizeStep * sizeStep)
}

// judge says what the facts mean. A primary that is not seen is no fault of the
// standby: its recovery point just ages.
func (s replicaSettings) judge(o probe.Observation, b standby, p *upstream) (probe.Observation, error) {
	if p.slot != nil {
		p.slot.describe(p.at, &o)
	}
	var wrong *probe.Fault
	if errors.As(p.err, &wrong) && wrong.Reason == holdfast.Assertion {
		o.Replication = &holdfast.Replication{}
		o.Facts["would_promote"] = "yes, to what is no copy of the primary"
		return o, wrong
	}
	said := "it is at one with the primary"
	switch {
	case p.err != nil:
		o.Replication = &holdfast.Replication{}
		said = "the primary is not seen: " + p.err.Error()
		o.Facts["primary"] = probe.Clip(probe.OneLine(p.err.Error()), holdfast.MaxText)
	case b.behind > 0:
		said = fmt.Sprintf("it is %v and %v behind the primary", o.Replication.Lag.Std().Round(time.Millisecond), b.behind)
	}
	// A standby that takes queries has reached a consistent state, which is what
	// promotion asks for; a pause ends with it.
	o.Facts["would_promote"] = "yes"
	degraded := func(reason holdfast.Reason, format string, args ...any) {
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeDegraded, reason, probe.OneLine(fmt.Sprintf(format, args...)+"; "+said)
	}
	o.Summary = probe.OneLine("the standby would promote on timeline " + strconv.FormatInt(b.timeline, 10) + "; " + said)
	switch {
	case p.slot != nil && p.slot.status == "lost":
		degraded(holdfast.Missing, "slot %s is lost: the primary has removed the log that the standby still needs", p.slot.name)
	case p.noSlot != "":
		degraded(holdfast.Missing, "the primary has no slot %s", p.noSlot)
	case b.paused:
		degraded(holdfast.Locked, "replay is paused")
	case p.slot != nil && !p.slot.active:
		degraded(holdfast.Unreachable, "nobody streams from slot %s", p.slot.name)
	case p.slot != nil && p.slot.status == "unreserved":
		degraded(holdfast.Missing, "slot %s is about to lose the log that the standby still needs", p.slot.name)
	}
	return o, nil
}
