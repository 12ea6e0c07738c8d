package mariadb

import "context"

// Assert asks an assertion of a server whose data lies in dir/db.
func Assert(ctx context.Context, tools map[string]string, dir, database, statement string) error {
	return (&server{datadir: &datadir{tools: tools, dir: dir}}).assert(ctx, database, statement)
}
