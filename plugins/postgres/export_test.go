package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Insides that tests outside the package look at.
var (
	Restrict = restrict
	Folders  = &folders
)

// Assert puts an assertion in a session that Restrict was called for.
func Assert(ctx context.Context, conn *pgx.Conn, assertion string, patience time.Duration) error {
	return assert(ctx, conn, assertion, patience)
}
