package mariadb

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// status is what a replica says of itself.
type status struct {
	row      map[string]string // SHOW ALL SLAVES STATUS, and of the server version, read_only
	follows  bool              // there is such a connection
	primary  string            // the address it follows
	behind   time.Duration     // Seconds_Behind_Master; 0 where it is NULL
	position position          // what it has applied
}

// status asks the replica. The fault says that it is none, or has no such
// connection; what was learned of the server is returned with it.
func (s replicaSettings) status(ctx context.Context, replica client) (status, error) {
	rows, err := replica.rows(ctx, "SELECT VERSION() AS version, @@GLOBAL.read_only AS read_only, @@GLOBAL.gtid_slave_pos AS position")
	if err != nil {
		return status{}, err
	}
	st := status{row: rows[0]}
	if !strings.Contains(st.row["version"], "MariaDB") {
		return status{}, probe.Unable("", "the server is %s: mariadb.replica reads MariaDB's status alone", probe.OneLine(st.row["version"]))
	}
	if st.position, err = parsePosition(st.row["position"]); err != nil {
		return status{}, probe.Unable("", "replica: %w", err)
	}
	all, err := replica.rows(ctx, "SHOW ALL SLAVES STATUS")
	if err != nil {
		return status{}, err
	}
	var names []string
	for _, row := range all {
		names = append(names, strconv.Quote(row["Connection_name"]))
		if row["Connection_name"] == s.Connection {
			st.follow(row)
		}
	}
	switch {
	case len(all) == 0:
		return st, probe.Faulty(holdfast.Missing, "it follows nobody: it was promoted, or its replication was removed (read_only is %s)", onOff(st.row["read_only"]))
	case !st.follows:
		return st, probe.Faulty(holdfast.NoMatch, "it has no connection %q; it has %s", s.Connection, strings.Join(names, ", "))
	}
	return st, nil
}

func (st *status) follow(row map[string]string) {
	st.follows = true
	st.primary = row["Master_Host"] + ":" + row["Master_Port"]
	seconds, _ := strconv.ParseInt(row["Seconds_Behind_Master"], 10, 64) // NULL while it is stopped
	st.behind = time.Duration(max(0, seconds)) * time.Second
	for name, value := range row {
		st.row[name] = value
	}
}

// fingerprint names what makes a replica another thing when it changes: shown as a
// change, as a promotion is.
func (st *status) fingerprint() map[string]string {
	if st.row == nil {
		return nil
	}
	role := "primary"
	if st.follows {
		role = "replica"
	}
	return map[string]string{"engine": engine(st.row["version"]), "role": role, "read_only": onOff(st.row["read_only"])}
}

func (st *status) facts() map[string]string {
	if st.row == nil {
		return nil
	}
	facts := map[string]string{"version": probe.OneLine(st.row["version"])}
	for fact, column := range map[string]string{"io_thread": "Slave_IO_Running", "sql_thread": "Slave_SQL_Running", "using_gtid": "Using_Gtid",
		"position": "position", "last_io_error": "Last_IO_Error", "last_sql_error": "Last_SQL_Error"} {
		if value := st.row[column]; value != "" {
			facts[fact] = probe.OneLine(value)
		}
	}
	return facts
}

func onOff(flag string) string {
	if flag == "0" {
		return "off"
	}
	return "on"
}

// stopped returns the fault of a replica that does not follow any more. What it has
// applied stands, and grows older, unless an error says that it differs from its
// primary.
func (st *status) stopped() error {
	fault := func(reason holdfast.Reason, what, why string) error {
		if why == "" {
			why = "somebody stopped it"
		}
		return &probe.Fault{Reason: reason, Text: probe.OneLine(fmt.Sprintf("replication stands still: the %s thread is stopped: %s", what, why))}
	}
	io, sql := st.row["Slave_IO_Running"], st.row["Slave_SQL_Running"]
	switch errno := st.row["Last_IO_Errno"]; {
	case sql == "No" && st.row["Last_SQL_Errno"] != "0":
		return fault(holdfast.Damaged, "SQL", st.row["Last_SQL_Error"])
	case sql == "No":
		return fault(holdfast.Locked, "SQL", "")
	case errno == "1045" || errno == "1130" || errno == "1698":
		return fault(holdfast.Credential, "IO", st.row["Last_IO_Error"])
	case io == "No" && errno != "0": // the primary no longer has what it needs, for one
		return fault(holdfast.Unreachable, "IO", st.row["Last_IO_Error"])
	case io == "No":
		return fault(holdfast.Locked, "IO", "")
	}
	return nil
}

// cutOff says why nothing is known of the primary, "" where something is. A replica
// is there for just that case: it is degraded and its last point grows older.
func (st *status) cutOff(a asked) string {
	switch io := st.row["Slave_IO_Running"]; {
	case io != "Yes":
		return fmt.Sprintf("cannot see its primary %s: %s: %s", st.primary, strings.ToLower(io), st.row["Last_IO_Error"])
	case a.silent != "":
		return a.silent
	}
	return ""
}
