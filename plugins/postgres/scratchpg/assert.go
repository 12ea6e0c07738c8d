package scratchpg

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// AssertionsMax is how many assertions a restore test may put.
const AssertionsMax = 100

// reader is the role that asks for what was restored. It can change nothing.
const reader = "holdfast_reader"

// MakeReader makes the role that Reader uses; superuser is one that the cluster has.
func (c *Cluster) MakeReader(ctx context.Context, superuser, database string) error {
	conn, err := c.Connect(ctx, superuser, database)
	if err != nil {
		return probe.Unable("", "scratch cluster: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "create role "+reader+" login bypassrls in role pg_read_all_data"); err != nil {
		return probe.Unable("", "scratch cluster: %w", err)
	}
	return nil
}

// Reader opens a connection that can read everything and change nothing, and gives
// each of its statements so long. A database that is not there is a fault.
func (c *Cluster) Reader(ctx context.Context, database string, patience time.Duration) (*pgx.Conn, error) {
	conn, err := c.Connect(ctx, reader, database)
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Code == "3D000":
		return nil, probe.Faulty(holdfast.Assertion, "what was restored has no database %q", database)
	case err != nil:
		return nil, probe.Unable("", "scratch cluster: %w", err)
	}
	if err := Restrict(ctx, conn, patience); err != nil {
		return nil, errors.Join(probe.Unable("", "scratch cluster: %w", err), conn.Close(ctx))
	}
	return conn, nil
}

// Restrict keeps a session from writing, and each of its statements to a time.
func Restrict(ctx context.Context, conn *pgx.Conn, patience time.Duration) error {
	_, err := conn.Exec(ctx, "select set_config('default_transaction_read_only', 'on', false), set_config('statement_timeout', $1, false)",
		strconv.FormatInt(patience.Milliseconds(), 10))
	return err
}

// AssertAll puts assertions one after the other, tells progress and notes in the facts
// of o which hold. It returns how many do; the first that does not is a fault.
func AssertAll(ctx context.Context, conn *pgx.Conn, assertions []string, patience time.Duration, o *probe.Observation) (passed int64, err error) {
	for i, assertion := range assertions {
		if err := Assert(ctx, conn, assertion, patience); err != nil {
			var f *probe.Fault
			if errors.As(err, &f) {
				f.Text = fmt.Sprintf("assertion %d of %d: %.150s: %s", i+1, len(assertions), probe.OneLine(assertion), f.Text)
			}
			return 0, err
		}
		o.Facts["assertion_"+strconv.Itoa(i+1)] = probe.OneLine(assertion) + ": true"
		passed++
		probe.Progress(ctx, "assert", int64(i+1), int64(len(assertions)))
	}
	return passed, nil
}

// Assert puts one assertion by the extended protocol, which takes one statement
// and no more.
func Assert(ctx context.Context, conn *pgx.Conn, assertion string, patience time.Duration) error {
	rows, err := conn.Query(ctx, assertion)
	if err != nil {
		return refused(err, patience)
	}
	defer rows.Close()
	n, width, holds := 0, len(rows.FieldDescriptions()), false
	for n < 2 && rows.Next() {
		n++
		values, err := rows.Values()
		if err != nil {
			return refused(err, patience)
		}
		holds = width == 1 && values[0] == true
	}
	rows.Close()
	switch {
	case rows.Err() != nil:
		return refused(rows.Err(), patience)
	case n != 1 || width != 1:
		return probe.Faulty(holdfast.Assertion, "it gives %s with %d values, not one row with one", [...]string{"no row", "one row", "several rows"}[n], width)
	case !holds:
		return probe.Faulty(holdfast.Assertion, "it does not give true")
	}
	return nil
}

// refused says what an assertion's error means: the server's answer is about what
// was restored, anything else is about this test.
func refused(err error, patience time.Duration) error {
	var answer *pgconn.PgError
	switch {
	case errors.As(err, &answer) && answer.Code == "57014": // query_canceled
		return probe.Unable(holdfast.Timeout, "an assertion took longer than %v: see the setting assertion_timeout", patience)
	case errors.As(err, &answer):
		return probe.Faulty(holdfast.Assertion, "%s", probe.OneLine(answer.Message))
	}
	return probe.Unable(probe.ReasonOf(err), "ask the scratch cluster: %w", err)
}
