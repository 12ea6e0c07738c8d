package postgres

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// upstream is what the primary of a standby says.
type upstream struct {
	conn     *session
	at       position
	now      time.Time // by its clock, when it was at that position
	timeline int64
	system   string
	slot     *slot  // nil: none is named, or it has none of the name
	noSlot   string // the name of a slot it does not have
	err      error  // why nothing is known of it
}

// slot is a replication slot.
type slot struct {
	name     string
	active   bool
	status   string   // wal_status: reserved, extended, unreserved, lost
	restarts position // the oldest log it keeps; 0: none
}

const upstreamQuery = `select pg_is_in_recovery(), case when pg_is_in_recovery() then '0/0' else pg_current_wal_lsn()::text end, clock_timestamp(),
	case when pg_is_in_recovery() then 0 else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint end,
	(select system_identifier::text from pg_control_system())`

// seePrimary asks the primary. It always returns what it saw, or why it saw nothing.
func (s replicaSettings) seePrimary(ctx context.Context, config *pgx.ConnConfig) *upstream {
	p := &upstream{}
	if config == nil {
		p.err = errors.New("primary_dsn_file is not set")
		return p
	}
	if p.conn, p.err = connect(ctx, config, "primary"); p.err != nil {
		return p
	}
	var recovering bool
	var at string
	if p.err = p.conn.one(ctx, upstreamQuery, nil, &recovering, &at, &p.now, &p.timeline, &p.system); p.err != nil {
		return p
	}
	if recovering {
		p.err = errors.New("what primary_dsn_file names is a standby itself")
		return p
	}
	if p.at, p.err = parsePosition(at); p.err != nil {
		return p
	}
	p.err = p.findSlot(ctx, s.Slot)
	return p
}

// findSlot looks for the standby's slot.
func (p *upstream) findSlot(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	var found slot
	var restarts string
	const query = `select slot_name, active, coalesce(wal_status, ''), coalesce(restart_lsn::text, '0/0') from pg_replication_slots where slot_type = 'physical' and slot_name = $1`
	err := p.conn.QueryRow(ctx, query, name).Scan(&found.name, &found.active, &found.status, &restarts)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		p.noSlot = name
		return nil
	case err != nil:
		return blame(ctx, "primary", p.conn.Config(), err)
	}
	if found.restarts, err = parsePosition(restarts); err != nil {
		return err
	}
	p.slot = &found
	return nil
}

// describe adds the slot's health.
func (s *slot) describe(at position, o *probe.Observation) {
	o.Facts["slot"] = s.name + ": active " + strconv.FormatBool(s.active) + ", wal_status " + cmp.Or(s.status, "unknown")
	if s.restarts > 0 && at > s.restarts {
		o.Measures = append(o.Measures, holdfast.Measure{Name: "slot_kept_bytes", Value: float64(at - s.restarts), Unit: "bytes"})
	}
}

// end closes the session.
func (p *upstream) end() {
	if p.conn != nil {
		p.conn.end()
	}
}
