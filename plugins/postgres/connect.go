package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// dsnMax bounds a dsn_file; a real one is a line.
const dsnMax = 8 << 10

// dsnKeys are the words a connection string may hold. Those that make the driver
// read other files than keys and passwords (service, servicefile) are not among
// them, nor those that change a session (options).
var dsnKeys = []string{"host", "port", "dbname", "user", "password", "passfile", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslsni",
	"connect_timeout", "channel_binding", "target_session_attrs"}

// readDSN reads a file with a connection string and returns what to connect with. A
// server elsewhere is spoken to encrypted or not at all.
func readDSN(setting, path string) (*pgx.ConnConfig, error) {
	unreadable := func(err error) error {
		return probe.Unable(holdfast.CredentialUnreadable, "%s %s: %w: let the agent's user read it", setting, path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, unreadable(errors.New("not a regular file"))
	}
	b, err := io.ReadAll(io.LimitReader(f, dsnMax))
	if err != nil {
		return nil, unreadable(err)
	}
	config, err := pgx.ParseConfigWithOptions(strings.TrimSpace(string(b)), pgx.ParseConfigOptions{ParseConfigOptions: pgconn.ParseConfigOptions{ConnStringAllowedKeys: dsnKeys}})
	if err != nil { // the driver's words may quote a part of the secret
		return nil, probe.Unable(holdfast.CredentialUnreadable, "%s %s: it is no connection string: write it like %q, with any of the words %s",
			setting, path, "host=db1 user=holdfast password=… dbname=postgres sslmode=verify-full", strings.Join(dsnKeys, ", "))
	}
	if err := encrypted(config); err != nil {
		return nil, fmt.Errorf("%s %s: %w", setting, path, err)
	}
	config.RuntimeParams = map[string]string{
		"application_name": "holdfast", "default_transaction_read_only": "on", "statement_timeout": "15s", "lock_timeout": "2s",
		"idle_in_transaction_session_timeout": "30s", "timezone": "UTC",
	}
	return config, nil
}

// encrypted refuses to speak in clear to a server that is not on this host.
func encrypted(config *pgx.ConnConfig) error {
	ways := []*pgconn.FallbackConfig{{Host: config.Host, TLSConfig: config.TLSConfig}}
	for _, way := range append(ways, config.Fallbacks...) {
		address, err := netip.ParseAddr(way.Host)
		here := filepath.IsAbs(way.Host) || way.Host == "localhost" || err == nil && address.Unmap().IsLoopback()
		if !here && way.TLSConfig == nil {
			return fmt.Errorf("it lets the connection to %s be unencrypted: say sslmode=verify-full (or verify-ca, require)", way.Host)
		}
	}
	return nil
}

// session is an open connection that can change nothing.
type session struct {
	*pgx.Conn
	what string // "standby", "primary": for messages
}

// connect opens a session. Its errors are those blame gives.
func connect(ctx context.Context, config *pgx.ConnConfig, what string) (*session, error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, blame(ctx, what, config, err)
	}
	return &session{conn, what}, nil
}

// one asks for one row.
func (s *session) one(ctx context.Context, query string, args []any, into ...any) error {
	if err := s.QueryRow(ctx, query, args...).Scan(into...); err != nil {
		return blame(ctx, s.what, s.Config(), err)
	}
	return nil
}

// end closes the session, in vain where the server no longer answers.
func (s *session) end() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.Close(ctx)
}

// Codes of errors (PostgreSQL documentation, appendix A).
const (
	codeInvalidPassword  = "28P01"
	codeInvalidRole      = "28000" // or no line of pg_hba.conf for it
	codeNoDatabase       = "3D000"
	codeNotAllowed       = "42501"
	codeCannotConnectNow = "57P03" // it starts, stops, or is a standby that takes no queries
	codeQueryCancelled   = "57014" // by statement_timeout
)

// blame says what an error of a server means: a fault of it, or that nobody can
// tell. A password that opens nothing is of this check, not of the server.
func blame(ctx context.Context, what string, config *pgx.ConnConfig, err error) error {
	where := net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		said := probe.OneLine(answer.Message)
		switch answer.Code {
		case codeInvalidPassword, codeInvalidRole:
			return probe.Unable(holdfast.Credential, "%s %s refuses the role: %s", what, where, said)
		case codeNotAllowed:
			return probe.Unable(holdfast.Refused, "%s %s: %s: grant the role pg_monitor", what, where, said)
		case codeNoDatabase:
			return probe.Unable(holdfast.Missing, "%s %s: %s", what, where, said)
		case codeCannotConnectNow:
			return probe.Faulty(holdfast.Unreachable, "%s %s takes no queries: %s", what, where, said)
		case codeQueryCancelled:
			return probe.Faulty(holdfast.Timeout, "%s %s did not answer in time: %s", what, where, said)
		}
		return probe.Unable("", "%s %s: %s (SQLSTATE %s)", what, where, said, answer.Code)
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return probe.Unable("", "%s %s: %w", what, where, ctx.Err())
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		return probe.Faulty(holdfast.Timeout, "%s %s does not answer", what, where)
	}
	return probe.Faulty(holdfast.Unreachable, "%s %s cannot be reached: %s", what, where, probe.OneLine(innermost(err)))
}

// innermost is the last words of an error: those before them repeat where it was.
func innermost(err error) string {
	said := err.Error()
	if i := strings.LastIndex(said, "): "); i >= 0 {
		said = said[i+len("): "):]
	}
	return said
}
