package pgbackrest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-monitor/holdfast/plugins/pgbackrest"
)

func TestParseVerify(t *testing.T) {
	t.Parallel()
	const counts = "    missing: 0, checksum invalid: 0, size invalid: 0, other: 0\n"
	for name, c := range map[string]struct {
		text   string
		faults []string
		fails  string
	}{
		"good": {"stanza: main\nstatus: ok\n  archiveId: 15-1, total WAL checked: 7, total valid WAL: 7\n" + counts +
			"  backup: 20261122-052501F, status: valid, total files checked: 967, total valid files: 967\n" + counts, nil, ""},
		"log": {"stanza: main\nstatus: error\n  archiveId: 15-1, total WAL checked: 7, total valid WAL: 6\n    other: 1\n", []string{"1 of 7 files of the log in 15-1"}, ""},
		"backup": {"stanza: main\nstatus: error\n  backup: 20261122-052501F, status: invalid, total files checked: 967, total valid files: 966\n    missing: 1\n",
			[]string{"backup 20261122-052501F: 1 of 967 files"}, ""},
		"no manifest": {"stanza: main\nstatus: ok\n  backup: 20261122-052501F, status: manifest missing, total files checked: 0, total valid files: 0\n",
			[]string{"backup 20261122-052501F: manifest missing"}, ""},
		"no info":        {"stanza: main\nstatus: error\n  No usable backup.info file\n", []string{"No usable backup.info file"}, ""},
		"error alone":    {"stanza: main\nstatus: error\n", []string{"pgbackrest verify says that something is wrong, and not what"}, ""},
		"at work":        {"stanza: main\nstatus: ok\n  backup: 20261122-052501F, status: in-progress, total files checked: 0, total valid files: 0\n", nil, ""},
		"nothing":        {"", nil, "does not say how it ended"},
		"another format": {"stanza: main\nstatus: ok\n  everything is fine\n", nil, `"everything is fine" is not understood`},
	} {
		faults, err := pgbackrest.ParseVerify([]byte(c.text))
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: got %v, want an error that says %q", name, err, c.fails)
			}
			continue
		}
		if diff := cmp.Diff(c.faults, faults); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestSegmentSize(t *testing.T) {
	t.Parallel()
	for positions, want := range map[string]uint64{
		"0/6000028 000000010000000000000006":  16 << 20,
		"0/D00028 00000001000000000000000D":   1 << 20,
		"2/C0000028 000000010000000200000003": 1 << 30,
		"1/28 000000010000000100000000":       16 << 20, // or any other
		"0/6000028 000000010000000000000007":  0,
		"rubbish 000000010000000000000006":    0,
	} {
		lsn, wal, _ := strings.Cut(positions, " ")
		got, err := pgbackrest.SegmentSize([]byte(`[{"name":"main","db":[{"id":1,"version":"15","system-id":7710862586938125187}],"repo":[{"key":1,"status":{"code":0}}],"backup":[` +
			`{"label":"20261122-052501F","database":{"id":1},"archive":{"start":"` + wal + `","stop":"` + wal + `"},"lsn":{"start":"` + lsn + `"},"timestamp":{"stop":1}}]}]`))
		if err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", positions, got, err, want)
		}
	}
	for _, bad := range []string{"", "{}", `[{"repo":[]}]`, `[{"repo":[{}],"backup":[{"label":"../../etc"}]}]`, `[{"repo":[{}],"backup":[{"label":"20261122-052501F"}]}]`} {
		if _, err := pgbackrest.SegmentSize([]byte(bad)); err == nil {
			t.Errorf("%s: got no error", bad)
		}
	}
}

func TestParseHistory(t *testing.T) {
	t.Parallel()
	got, err := pgbackrest.ParseHistory([]byte("1\t0/3000000\tno recovery target specified\n\n# a remark\n2\t1/5000028\tbefore 2026\n"), 3, 16<<20)
	if diff := cmp.Diff([][2]uint64{{1, 0}, {2, 3}, {3, 256 + 5}}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{"1", "x 0/3000000", "1 3000000", "1 0/x"} {
		if _, err := pgbackrest.ParseHistory([]byte(bad), 2, 16<<20); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}
