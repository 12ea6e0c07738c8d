package pgbackrest_test

import (
	"testing"

	holdfast "github.com/holdfast-monitor/holdfast"
)

func TestRepositoryGood(t *testing.T) {
	t.Parallel()
	s := theSource(t)
	o, err := observe(t, "pgbackrest.repository", s.plain, nil)
	expect(t, o, err, holdfast.OK, "")
	t.Logf("%+v", o)
	t.Log(s.commits)
}
