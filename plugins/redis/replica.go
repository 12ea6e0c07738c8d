package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

type replicaProbe struct{}

// replicaSettings are the settings of redis.replica.
type replicaSettings struct {
	Address             string `json:"address" jsonschema:"the replica: HOST:PORT or unix:/PATH"`
	User                string `json:"user,omitempty" jsonschema:"the account that logs in; the default one if left out"`
	PasswordFile        string `json:"password_file,omitempty" jsonschema:"absolute path of the file that holds its password on the agent's host"`
	Primary             string `json:"primary,omitempty" jsonschema:"its primary, whose position is then asked for: HOST:PORT or unix:/PATH"`
	PrimaryUser         string `json:"primary_user,omitempty" jsonschema:"the account there"`
	PrimaryPasswordFile string `json:"primary_password_file,omitempty" jsonschema:"absolute path of the file that holds the password there"`
}

func (replicaProbe) Describe() probe.Description {
	return probe.Description{
		Name:       "redis.replica",
		Observes:   "How far a replica of Redis is behind its primary, whether its link is up, and whether it has been made a primary itself.",
		Settings:   probe.Schema[replicaSettings](),
		Cost:       holdfast.Cheap,
		Privileges: holdfast.Privileges{Secrets: true, Note: "asks INFO of the replica, and of the primary where it is named"},
		Target:     []string{"address"},
		Reasons:    append([]holdfast.Reason{holdfast.Missing}, serverReasons...),
	}
}

func (replicaProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[replicaSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	replica := server{s.Address, s.User, s.PasswordFile}
	if err := replica.validate("address"); err != nil {
		return probe.Observation{}, err
	}
	var primary *server
	if s.Primary != "" {
		primary = &server{s.Primary, s.PrimaryUser, s.PrimaryPasswordFile}
		if err := primary.validate("primary"); err != nil {
			return probe.Observation{}, err
		}
	}
	return probe.Verdict(look(ctx, replica, primary))
}

// look asks the primary first: what the replica has reached later, it had at least
// when the primary was asked.
func look(ctx context.Context, replica server, primary *server) (probe.Observation, error) {
	var offset int64
	var silent string
	if primary != nil {
		var err error
		if offset, silent, err = position(ctx, *primary); err != nil {
			return probe.Observation{}, err
		}
	}
	answers, err := replica.ask(ctx, []string{"INFO"})
	if err != nil {
		return probe.Observation{}, notAllowed(err)
	}
	i := parseInfo(answers[0])
	o := probe.Observation{Outcome: holdfast.OK,
		Fingerprint: map[string]string{"engine": i.engine(), "role": role(i["role"]), "read_only": onOff(i["slave_read_only"])},
		Facts:       map[string]string{"version": probe.OneLine(i["redis_version"])}}
	if i["role"] != "slave" {
		delete(o.Fingerprint, "read_only")
		return o, probe.Faulty(holdfast.Missing, "it follows nobody: it was promoted, or never was a replica")
	}
	follows := i["master_host"] + ":" + i["master_port"]
	o.Facts["follows"] = probe.OneLine(follows)
	o.Replication = &holdfast.Replication{PrimarySeen: false}
	if down := linkDown(i, follows, silent); down != "" {
		if n, ok := i.number("master_link_down_since_seconds"); ok && n >= 0 {
			o.Measures = []holdfast.Measure{{Name: "link_down_seconds", Value: float64(n), Unit: "seconds"}}
		}
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeDegraded, holdfast.Unreachable, probe.OneLine(down)
		return o, nil
	}
	heard, ok := i.number("master_last_io_seconds_ago")
	has, known := i.number("slave_repl_offset")
	if !ok || heard < 0 || !known {
		return probe.Observation{}, probe.Unable("", "%s: INFO does not say how the replica stands", replica.address)
	}
	// With its link up it has all it was sent; it was last sent something, or told that
	// there is nothing, this long ago.
	lag := time.Duration(heard) * time.Second
	o.Measures = []holdfast.Measure{{Name: "last_io_seconds", Value: float64(heard), Unit: "seconds"}}
	if primary != nil {
		behind := max(0, offset-has)
		o.Measures = append(o.Measures, holdfast.Measure{Name: "lag_bytes", Value: float64(behind), Unit: "bytes"})
		if behind == 0 {
			lag = 0
		} else {
			lag = max(lag, time.Second)
		}
	}
	o.Replication = &holdfast.Replication{Lag: holdfast.Duration(lag), PrimarySeen: true}
	o.Summary = probe.OneLine(fmt.Sprintf("follows %s, %v behind", follows, lag))
	if i["slave_read_only"] == "0" {
		o.Summary += "; read-only is off, so that others may write to it"
	}
	return o, nil
}

// position asks the primary for its offset, with half the time there is. A primary
// that is silent is no fault of the replica's.
func position(ctx context.Context, primary server) (offset int64, silent string, err error) {
	limit := 5 * time.Second
	if at, ok := ctx.Deadline(); ok {
		limit = time.Until(at) / 2
	}
	half, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answers, err := primary.ask(half, []string{"INFO", "replication"})
	var f *probe.Fault
	switch {
	case errors.As(err, &f) && f.Reason == holdfast.Credential:
		return 0, "", probe.Unable(holdfast.Credential, "primary: %s", f.Text)
	case errors.As(err, &f):
		return 0, "the primary does not answer: " + f.Text, nil
	case err != nil && half.Err() != nil && ctx.Err() == nil:
		return 0, "the primary does not answer in time", nil
	case err != nil:
		return 0, "", fmt.Errorf("primary: %w", notAllowed(err))
	}
	i := parseInfo(answers[0])
	offset, ok := i.number("master_repl_offset")
	if i["role"] != "master" || !ok {
		return 0, "", probe.Unable("", "primary: %s is no primary", primary.address)
	}
	return offset, "", nil
}

// linkDown says why nothing is known of the primary, "" where something is. A replica
// is there for just that case: it is degraded and its last point grows older.
func linkDown(i info, follows, silent string) string {
	switch {
	case i["master_sync_in_progress"] == "1":
		return "it is being filled anew from its primary " + follows + " and is not whole until then"
	case i["master_link_status"] != "up":
		return "cannot see its primary " + follows + ": the link is " + i["master_link_status"]
	}
	return silent
}

// role names what INFO calls master and slave.
func role(said string) string {
	switch said {
	case "master":
		return "primary"
	case "slave":
		return "replica"
	}
	return probe.OneLine(said)
}

func onOff(flag string) string {
	if flag == "0" {
		return "off"
	}
	return "on"
}

// notAllowed gives an account without rights its reason.
func notAllowed(err error) error {
	if errors.Is(err, errNotAllowed) {
		return probe.Unable(holdfast.Refused, "INFO: %w: grant it to the monitoring account", err)
	}
	return err
}
