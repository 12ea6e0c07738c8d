package mariadb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

type replicaProbe struct{ reached reached }

// replicaSettings are the settings of mariadb.replica.
type replicaSettings struct {
	DefaultsFile        string `json:"defaults_file" jsonschema:"absolute path of a file with a [client] section that says how to reach the replica, with an account that has REPLICA MONITOR"`
	PrimaryDefaultsFile string `json:"primary_defaults_file,omitempty" jsonschema:"the same for its primary, whose GTID position is then asked for; any account will do"`
	Connection          string `json:"connection,omitempty" jsonschema:"the replication connection's name, where the replica has several"`
}

func (*replicaProbe) Describe() probe.Description {
	return probe.Description{
		Name:     "mariadb.replica",
		Observes: "How far a replica of MariaDB is behind its primary, whether it still follows it, and whether it has been made a primary itself.",
		Settings: probe.Schema[replicaSettings](),
		Cost:     holdfast.Cheap,
		Privileges: holdfast.Privileges{Secrets: true, Tools: []string{"mariadb"},
			Note: "asks the replica, and the primary where its file is named; changes nothing on either"},
		Target: []string{"defaults_file", "connection"},
		Reasons: []holdfast.Reason{holdfast.Missing, holdfast.NoMatch, holdfast.Damaged, holdfast.Locked, holdfast.Credential,
			holdfast.CredentialUnreadable, holdfast.Unreachable, holdfast.Timeout, holdfast.ToolMissing, holdfast.Refused},
	}
}

func (p *replicaProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[replicaSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	replica, err := through(r.Tools["mariadb"], "defaults_file", s.DefaultsFile)
	if err != nil {
		return probe.Observation{}, err
	}
	var primary *client
	if s.PrimaryDefaultsFile != "" {
		c, err := through(r.Tools["mariadb"], "primary_defaults_file", s.PrimaryDefaultsFile)
		if err != nil {
			return probe.Observation{}, err
		}
		primary = &c
	}
	return probe.Verdict(p.look(ctx, s, replica, primary))
}

// look asks the primary first: what the replica has reached later, it had at least
// when the primary was asked.
func (p *replicaProbe) look(ctx context.Context, s replicaSettings, replica client, primary *client) (probe.Observation, error) {
	ahead, err := ask(ctx, primary)
	if err != nil {
		return probe.Observation{}, err
	}
	st, err := s.status(ctx, replica)
	o := probe.Observation{Outcome: holdfast.OK, Fingerprint: st.fingerprint(), Facts: st.facts()}
	if err != nil {
		return o, err
	}
	o.Replication = &holdfast.Replication{PrimarySeen: false}
	if err := st.stopped(); err != nil {
		return o, err
	}
	if why := st.cutOff(ahead); why != "" {
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeDegraded, holdfast.Unreachable, probe.OneLine(why)
		return o, nil
	}
	lag := st.behind
	o.Facts["lag_by"] = "the replica's own Seconds_Behind_Master, which knows nothing of what it has not received yet"
	if ahead.known {
		key := s.DefaultsFile + "\x00" + s.Connection
		if lag, err = p.lag(ctx, key, replica, ahead, st); err != nil {
			return o, err
		}
		o.Facts["lag_by"] = "the primary's GTID position"
		o.Measures = append(o.Measures, holdfast.Measure{Name: "transactions_behind", Value: float64(ahead.position.beyond(st.position))})
	}
	o.Replication = &holdfast.Replication{Lag: holdfast.Duration(lag), PrimarySeen: true}
	o.Measures = append(o.Measures, holdfast.Measure{Name: "seconds_behind_master", Value: st.behind.Seconds(), Unit: "seconds"})
	o.Summary = fmt.Sprintf("follows %s, %v behind", st.primary, lag.Round(time.Millisecond))
	if st.row["read_only"] == "0" {
		o.Summary += "; read_only is off, so that others may write to it"
	}
	o.Summary = probe.OneLine(o.Summary)
	return o, nil
}

// asked is what the primary said of itself.
type asked struct {
	at       time.Time
	known    bool // it answered
	position position
	silent   string // why it did not; "" where it did, or was not to be asked
}

// ask asks the primary for its position, with half the time there is. A primary that
// does not answer is no fault of the replica's.
func ask(ctx context.Context, primary *client) (asked, error) {
	a := asked{at: time.Now()}
	if primary == nil {
		return a, nil
	}
	half, cancel := context.WithTimeout(ctx, time.Until(deadline(ctx))/2)
	defer cancel()
	rows, err := primary.rows(half, "SELECT @@GLOBAL.gtid_binlog_pos AS position")
	var silent *probe.Fault
	switch {
	case errors.As(err, &silent) && silent.Reason == holdfast.Credential:
		return a, probe.Unable(holdfast.Credential, "primary: %s", silent.Text)
	case errors.As(err, &silent):
		a.silent = "the primary does not answer: " + silent.Text
		return a, nil
	case err != nil && half.Err() != nil && ctx.Err() == nil:
		a.silent = "the primary does not answer in time"
		return a, nil
	case err != nil:
		return a, fmt.Errorf("primary: %w", err)
	}
	if a.position, err = parsePosition(rows[0]["position"]); err != nil {
		return a, probe.Unable("", "primary: %w", err)
	}
	if len(a.position) == 0 {
		return a, probe.Unable("", "primary: it has no GTID position: it writes no binary log, so that nobody can follow it")
	}
	a.known = true
	return a, nil
}

// deadline is that of ctx, or 10 s from now.
func deadline(ctx context.Context) time.Time {
	if at, ok := ctx.Deadline(); ok {
		return at
	}
	return time.Now().Add(10 * time.Second)
}

// patience is how long a replica that is behind is given to catch up with the
// position its primary had a moment ago: transactions on their way are no lag.
const patience = time.Second

// lag is how old the replica's data is: 0 where it has reached the primary's
// position, else the most of what the replica says and of the time since the last
// position of the primary's that it has reached.
func (p *replicaProbe) lag(ctx context.Context, key string, replica client, ahead asked, st status) (time.Duration, error) {
	if ahead.position.beyond(st.position) == 0 {
		return p.reached.note(key, ahead.at, ahead.position, st.position), nil
	}
	wait := fmt.Sprintf("SELECT MASTER_GTID_WAIT('%s', %g) AS waited", ahead.position, patience.Seconds())
	if _, err := replica.rows(ctx, wait); err != nil {
		return 0, err
	}
	rows, err := replica.rows(ctx, "SELECT @@GLOBAL.gtid_slave_pos AS position")
	if err != nil {
		return 0, err
	}
	now, err := parsePosition(rows[0]["position"])
	if err != nil {
		return 0, probe.Unable("", "replica: %w", err)
	}
	since := p.reached.note(key, ahead.at, ahead.position, now)
	if ahead.position.beyond(now) == 0 {
		return since, nil
	}
	return max(since, st.behind, time.Since(ahead.at)), nil
}

// position is a GTID position: the sequence number by replication domain.
type position map[uint32]gtid

type gtid struct {
	server   uint32
	sequence uint64
}

// parsePosition reads "0-1-270,1-7-3".
func parsePosition(text string) (position, error) {
	p := position{}
	for one := range strings.SplitSeq(text, ",") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		var domain uint32
		var g gtid
		if n, err := fmt.Sscanf(one, "%d-%d-%d", &domain, &g.server, &g.sequence); n != 3 || err != nil {
			return nil, fmt.Errorf("%.60q is not a GTID position", text)
		}
		p[domain] = g
	}
	return p, nil
}

// String writes the position as MariaDB reads it.
func (p position) String() string {
	var parts []string
	for _, domain := range slices.Sorted(maps.Keys(p)) {
		parts = append(parts, fmt.Sprintf("%d-%d-%d", domain, p[domain].server, p[domain].sequence))
	}
	return strings.Join(parts, ",")
}

// beyond counts the transactions of p that other has not reached.
func (p position) beyond(other position) uint64 {
	var n uint64
	for domain, g := range p {
		if has := other[domain].sequence; has < g.sequence {
			n += g.sequence - has
		}
	}
	return n
}

// engine writes a server's version as the part of a fingerprint whose change voids
// a test: "mariadb 10.11".
func engine(version string) string {
	number, _, _ := strings.Cut(version, "-")
	parts := strings.SplitN(number, ".", 3)
	if len(parts) < 2 {
		return "mariadb " + probe.OneLine(version)
	}
	if _, err := strconv.Atoi(parts[0]); err != nil {
		return "mariadb " + probe.OneLine(version)
	}
	return "mariadb " + parts[0] + "." + parts[1]
}
