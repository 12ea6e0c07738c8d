package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/postgres/scratchpg"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

const assertionsMax = scratchpg.AssertionsMax

// check compares what was restored with the dump, and puts the assertions to it. It
// returns how many comparisons passed.
func (l *loading) check(ctx context.Context, o *probe.Observation) (passed int64, err error) {
	if err := l.cluster.MakeReader(ctx, scratchpg.Superuser, "postgres"); err != nil {
		return 0, err
	}
	if l.holds.rowsOf == nil {
		o.Facts["rows_not_compared"] = "the dump does not tell whose rows are whose: it has INSERTs, a name that cannot be read, or too many tables"
	}
	if passed, err = l.sameRows(ctx); err != nil {
		return 0, err
	}
	database := cmp.Or(l.Database, restored)
	switch made := l.holds.databases; {
	case l.Database != "" || !l.several():
	case len(made) == 1:
		database = made[0]
	case len(l.Assertions) > 0:
		return 0, fmt.Errorf("setting \"database\": the dump holds %d databases: say which one the assertions are for", len(made))
	default:
		database = "postgres"
	}
	conn, err := l.ask(ctx, database)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	if err := l.sizes(ctx, conn, o); err != nil {
		return 0, err
	}
	held, err := scratchpg.AssertAll(ctx, conn, l.Assertions, l.patience, o)
	return passed + held, err
}

// ask opens a connection of the reader.
func (l *loading) ask(ctx context.Context, database string) (*pgx.Conn, error) {
	return l.cluster.Reader(ctx, database, l.patience)
}

// sameRows counts the rows of every table that the dump fills. Tables that belong
// to an extension come in part with that, and are left out.
func (l *loading) sameRows(ctx context.Context) (compared int64, err error) {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			conn.Close(ctx)
		}
	}()
	tables := slices.SortedFunc(maps.Keys(l.holds.rowsOf), func(a, b table) int {
		return cmp.Or(strings.Compare(a.database, b.database), strings.Compare(a.name, b.name))
	})
	for i, of := range tables {
		if i == 0 || of.database != tables[i-1].database {
			if conn != nil {
				conn.Close(ctx)
			}
			if conn, err = l.ask(ctx, cmp.Or(of.database, restored)); err != nil {
				return 0, err
			}
			if _, err := conn.Exec(ctx, "set statement_timeout = 0"); err != nil { // the check's own time is the limit
				return 0, probe.Unable("", "scratch cluster: %w", err)
			}
		}
		same, err := sameTable(ctx, conn, of.name, l.holds.rowsOf[of])
		if err != nil {
			return 0, err
		}
		if same {
			compared++
		}
	}
	return compared, nil
}

// sameTable counts the rows of one table; false: it belongs to an extension.
func sameTable(ctx context.Context, conn *pgx.Conn, name string, want int64) (bool, error) {
	var quoted string
	var extension bool
	err := conn.QueryRow(ctx, `select format('%I.%I', n.nspname, c.relname),
		exists(select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
		from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass($1)`, name).Scan(&quoted, &extension)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, probe.Faulty(holdfast.Assertion, "table %.200s is in the dump and was not restored", name)
	case err != nil:
		return false, probe.Unable(probe.ReasonOf(err), "look for table %.200s: %w", name, err)
	case extension:
		return false, nil
	}
	var got int64
	if err := conn.QueryRow(ctx, "select count(*) from only "+quoted).Scan(&got); err != nil {
		return false, probe.Unable(probe.ReasonOf(err), "count the rows of %.200s: %w", name, err)
	}
	if got != want {
		return false, probe.Faulty(holdfast.Assertion, "table %.200s has %d rows, the dump holds %d", name, got, want)
	}
	return true, nil
}

// sizes measures what was restored.
func (l *loading) sizes(ctx context.Context, conn *pgx.Conn, o *probe.Observation) error {
	var tables, size int64
	err := conn.QueryRow(ctx, `select count(*), (select sum(pg_database_size(oid)) from pg_database where datallowconn) from pg_class c
		where relkind in ('r', 'p') and relnamespace not in (select oid from pg_namespace where nspname ~ '^pg_' or nspname = 'information_schema')`).Scan(&tables, &size)
	if err != nil {
		return probe.Unable("", "measure what was restored: %w", err)
	}
	o.Measures = append(o.Measures,
		holdfast.Measure{Name: "tables", Value: float64(tables)},
		holdfast.Measure{Name: "rows", Value: float64(l.holds.rows)},
		holdfast.Measure{Name: "content_bytes", Value: float64(l.holds.bytes), Unit: "bytes"},
		holdfast.Measure{Name: "databases_bytes", Value: float64(size), Unit: "bytes"})
	return nil
}
