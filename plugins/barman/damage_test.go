package barman_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// What is done to a file.
func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte { b[at] ^= 0xff; return b }
}
func half(b []byte) []byte     { return b[:len(b)/2] }
func none([]byte) []byte       { return nil }
func lastLine(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] }
func replace(old, new string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(old), []byte(new)) }
}

// TestDamage damages every kind of file Barman keeps. Of most of it its own
// list-backup says nothing, with exit code 0.
func TestDamage(t *testing.T) {
	t.Parallel()
	k := theKept(t)
	const (
		same    = "same"    // the newest point stays: the log from another backup on reaches it
		earlier = "earlier" // there is one, and it is older
		nothing = "nothing" // nothing can be recovered
	)
	// Files of the log, by where they stand to the newest backup: the last before it,
	// the last it needs, the first after it.
	const between, needed, after = -1, 0, 1
	whole, good := k.copy(t, ""), map[string]time.Time{}
	for _, server := range []string{"main", "arch"} {
		o, err := observe(t, whole.config, server)
		expect(t, o, err, holdfast.OK, "")
		good[server] = o.RecoveryPoints[0].Time
	}
	for name, c := range map[string]struct {
		server, file string
		nth          int                 // among the files that match, from the end where below 0; of the log see above
		edit         func([]byte) []byte // nil: it is removed
		outcome      holdfast.Outcome
		reason       holdfast.Reason
		newest, says string
	}{
		"backup.info flipped":   {"main", "base/*/backup.info", -1, flip(100), holdfast.Failed, holdfast.Damaged, same, "backup.info of backup"},
		"backup.info cut":       {"main", "base/*/backup.info", -1, half, holdfast.Failed, holdfast.Damaged, same, "backup.info of backup"},
		"backup.info emptied":   {"main", "base/*/backup.info", -1, none, holdfast.Failed, holdfast.Damaged, same, "it is empty"},
		"backup.info deleted":   {"main", "base/*/backup.info", -1, nil, holdfast.Failed, holdfast.Damaged, same, "has no backup.info"},
		"status changed":        {"main", "base/*/backup.info", 0, replace("=DONE", "=DON5"), holdfast.Failed, holdfast.Damaged, same, "its status"},
		"log's name changed":    {"main", "base/*/backup.info", 0, replace("begin_wal=0", "begin_wal=x"), holdfast.Failed, holdfast.Damaged, same, "begin_wal"},
		"builds on another":     {"main", "base/*/backup.info", -1, replace("systemid=", "parent_backup_id=x\nsystemid="), holdfast.Failed, holdfast.Damaged, same, "builds on x"},
		"both backup.info gone": {"arch", "base/*/backup.info", -1, nil, holdfast.Failed, holdfast.Damaged, nothing, "has no backup.info"},
		"data file cut":         {"main", "base/*/data/base/1/1259", -1, half, holdfast.Failed, holdfast.Damaged, same, "in its manifest"},
		"data file emptied":     {"main", "base/*/data/base/1/1259", -1, none, holdfast.Failed, holdfast.Damaged, same, "in its manifest"},
		"data file deleted":     {"main", "base/*/data/base/1/1259", -1, nil, holdfast.Failed, holdfast.Damaged, same, "which is in its manifest"},
		"oldest's file deleted": {"main", "base/*/data/base/1/1259", 0, nil, holdfast.Failed, holdfast.Damaged, same, "which is in its manifest"},
		"small file deleted":    {"main", "base/*/data/backup_label", -1, nil, holdfast.Failed, holdfast.Damaged, same, "backup_label"},
		"PG_VERSION deleted":    {"main", "base/*/data/PG_VERSION", -1, nil, holdfast.Failed, holdfast.Damaged, same, "are gone"},
		"data file flipped":     {"main", "base/*/data/base/1/1259", -1, flip(5000), holdfast.OK, "", same, ""}, // not seen, and said
		"manifest flipped":      {"main", "base/*/data/backup_manifest", -1, flip(500), holdfast.Failed, holdfast.Damaged, same, "backup_manifest"},
		"manifest cut":          {"main", "base/*/data/backup_manifest", -1, half, holdfast.Failed, holdfast.Damaged, same, "backup_manifest"},
		"manifest emptied":      {"main", "base/*/data/backup_manifest", -1, none, holdfast.Failed, holdfast.Damaged, same, "backup_manifest"},
		"manifest deleted":      {"main", "base/*/data/backup_manifest", -1, nil, holdfast.Failed, holdfast.Damaged, same, "Barman noted"},
		"data gone":             {"main", "base/*/data", -1, nil, holdfast.Failed, holdfast.Damaged, same, "are gone"},
		"only backup's data":    {"arch", "base/*/data", -1, nil, holdfast.Failed, holdfast.Damaged, nothing, "are gone"},
		"a backup removed":      {"main", "base/*", 0, nil, holdfast.OK, "", same, "whole backups: 1"},
		"xlog.db flipped":       {"main", "wals/xlog.db", 0, flip(10), holdfast.Failed, holdfast.Damaged, same, "line 1"},
		"xlog.db size flipped":  {"main", "wals/xlog.db", 0, replace("1048576", "1048x76"), holdfast.Failed, holdfast.Damaged, same, "xlog.db is damaged"},
		"xlog.db other size":    {"main", "wals/xlog.db", 0, replace("1048576", "1048577"), holdfast.Failed, holdfast.Damaged, nothing, "1048577 in xlog.db"},
		"xlog.db cut":           {"main", "wals/xlog.db", 0, half, holdfast.Failed, holdfast.Damaged, same, "xlog.db"},
		"xlog.db lacks a file":  {"main", "wals/xlog.db", 0, lastLine, holdfast.Failed, holdfast.Damaged, same, "does not list 1 files"},
		"xlog.db emptied":       {"main", "wals/xlog.db", 0, none, holdfast.Failed, holdfast.Damaged, same, "rebuild-xlogdb main"},
		"xlog.db deleted":       {"main", "wals/xlog.db", 0, nil, holdfast.Failed, holdfast.Damaged, same, "xlog.db is gone"},
		"log flipped":           {"main", "wals/*/*", after, flip(9), holdfast.Failed, holdfast.Damaged, earlier, "first page"},
		"log of another":        {"main", "wals/*/*", after, flip(25), holdfast.Failed, holdfast.Damaged, earlier, "another cluster"},
		"log flipped inside":    {"main", "wals/*/*", after, flip(500_000), holdfast.OK, "", same, ""}, // not seen, and said
		"log cut":               {"main", "wals/*/*", after, half, holdfast.Failed, holdfast.Damaged, earlier, "bytes"},
		"log emptied":           {"main", "wals/*/*", after, none, holdfast.Failed, holdfast.Damaged, earlier, "bytes"},
		"log deleted":           {"main", "wals/*/*", after, nil, holdfast.Failed, holdfast.Damaged, earlier, "is missing: what follows"},
		"log needed deleted":    {"main", "wals/*/*", needed, nil, holdfast.Failed, holdfast.Damaged, earlier, "cannot be started"},
		"log between deleted":   {"main", "wals/*/*", between, nil, holdfast.OutcomeDegraded, holdfast.Damaged, same, "nothing between backups"},
		"log folder gone":       {"main", "wals/0*", 0, nil, holdfast.Failed, holdfast.Damaged, nothing, "cannot be started"},
		"packed log cut":        {"arch", "wals/*/*", after, half, holdfast.Failed, holdfast.Damaged, earlier, "in xlog.db"},
		"packed log deleted":    {"arch", "wals/*/*", after, nil, holdfast.Failed, holdfast.Damaged, earlier, "is missing"},
		"newest log deleted":    {"arch", "wals/*/*", after + 1, nil, holdfast.OK, "", earlier, ""},
		"received flipped":      {"main", "streaming/*.partial", 0, flip(9), holdfast.Failed, holdfast.Damaged, earlier, "first page"},
		"received cut":          {"main", "streaming/*.partial", 0, half, holdfast.Failed, holdfast.Damaged, earlier, "bytes"},
		"received emptied":      {"main", "streaming/*.partial", 0, none, holdfast.OK, "", earlier, ""}, // as one just begun
		"received deleted":      {"main", "streaming/*.partial", 0, nil, holdfast.OK, "", earlier, ""},
		"identity flipped":      {"main", "identity.json", 0, flip(0), holdfast.OutcomeDegraded, holdfast.Damaged, same, "identity.json is damaged"},
		"identity cut":          {"main", "identity.json", 0, half, holdfast.OutcomeDegraded, holdfast.Damaged, same, "identity.json is damaged"},
		"identity emptied":      {"main", "identity.json", 0, none, holdfast.OutcomeDegraded, holdfast.Damaged, same, "identity.json is damaged"},
		"identity deleted":      {"main", "identity.json", 0, nil, holdfast.OutcomeDegraded, holdfast.Missing, same, "identity.json is gone"},
		"another's identity":    {"main", "identity.json", 0, replace(`"systemid": "`, `"systemid": "1`), holdfast.Failed, holdfast.Damaged, same, "identity.json says"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder, without := "barman-main", "arch"
			if c.server == "arch" {
				folder, without = without, folder
			}
			home := k.copy(t, without)
			found := home.find(t, folder+"/"+c.file)
			file := found[(c.nth+len(found))%len(found)]
			if c.file == "wals/*/*" {
				file = home.log(t, folder, c.nth)
			}
			if c.edit != nil {
				change(t, file, c.edit)
			} else {
				must(t, os.RemoveAll(file))
			}
			o, err := observe(t, home.config, c.server)
			expect(t, o, err, c.outcome, c.reason)
			if !strings.Contains(o.Summary, c.says) {
				t.Errorf("got %q, want it to say %q", o.Summary, c.says)
			}
			points, want := o.RecoveryPoints, good[c.server]
			switch {
			case c.newest == nothing && len(points) != 0:
				t.Errorf("got points %v, want none", points)
			case c.newest == nothing:
			case len(points) == 0, c.newest == same && !points[0].Time.Equal(want), c.newest == earlier && !points[0].Time.Before(want):
				t.Errorf("got points %v, want one, %s as %v", points, c.newest, want)
			}
			if c.outcome == holdfast.OK && !strings.Contains(o.Facts["not_read"], "content") {
				t.Errorf("got facts %v, want what was not read", o.Facts)
			}
		})
	}
}

// log returns a file of the log by where it stands to the newest backup.
func (c copyOf) log(t testing.TB, folder string, nth int) string {
	t.Helper()
	info, err := os.ReadFile(last(c.find(t, folder+"/base/*/backup.info")))
	must(t, err)
	field := "\nend_wal="
	if nth < 0 {
		field = "\nbegin_wal="
	}
	_, after, _ := strings.Cut(string(info), field)
	name, _, _ := strings.Cut(after, "\n")
	all := slices.DeleteFunc(c.find(t, folder+"/wals/*/*"), func(path string) bool { return strings.HasSuffix(path, ".backup") })
	at := slices.IndexFunc(all, func(path string) bool { return filepath.Base(path) == name })
	if at < 0 {
		t.Fatalf("%s is not among %v", name, all)
	}
	return all[at+nth]
}

// TestKept looks at a backup that is kept for itself: its log is kept as far as it
// needs and no further, by Barman's own doing.
func TestKept(t *testing.T) {
	t.Parallel()
	home := theKept(t).copy(t, "arch")
	must(t, os.Remove(home.log(t, "barman-main", -1)))
	notes := filepath.Join(home.find(t, "barman-main/base/*")[0], "annotations")
	must(t, os.Mkdir(notes, 0o755))
	must(t, os.WriteFile(filepath.Join(notes, "keep"), []byte("standalone"), 0o644))
	o, err := observe(t, home.config, "main")
	expect(t, o, err, holdfast.OK, "")
}

// TestIncremental has the second backup build on the first, as Barman 3.11 can: what
// the first has lost, both have.
func TestIncremental(t *testing.T) {
	t.Parallel()
	home := theKept(t).copy(t, "arch")
	first := home.find(t, "barman-main/base/*")[0]
	change(t, last(home.find(t, "barman-main/base/*/backup.info")), replace("systemid=", "parent_backup_id="+filepath.Base(first)+"\nsystemid="))
	o, err := observe(t, home.config, "main")
	expect(t, o, err, holdfast.OK, "")
	if p := o.RecoveryPoints[0]; p.Bytes != 0 || p.Files != 0 {
		t.Errorf("got %+v, want no size: what is restored is larger than what is kept", p)
	}
	must(t, os.Remove(filepath.Join(first, "data/base/1/1259")))
	o, err = observe(t, home.config, "main")
	expect(t, o, err, holdfast.Failed, holdfast.Damaged)
	if len(o.RecoveryPoints) > 0 || !strings.Contains(o.Summary, filepath.Base(first)) {
		t.Errorf("got %s, %v, want nothing that can be recovered", o.Summary, o.RecoveryPoints)
	}
}

// TestRefusedLog has a file among those that Barman did not take.
func TestRefusedLog(t *testing.T) {
	t.Parallel()
	home := theKept(t).copy(t, "arch")
	must(t, os.WriteFile(filepath.Join(home.find(t, "barman-main/errors")[0], "000000010000000000000001.20261122T000000Z.duplicate"), nil, 0o644))
	o, err := observe(t, home.config, "main")
	expect(t, o, err, holdfast.OutcomeDegraded, holdfast.Damaged)
	if !strings.Contains(o.Summary, "refused 1 files") {
		t.Errorf("got %s", o.Summary)
	}
}
