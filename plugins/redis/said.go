package redis

import (
	"context"
	"errors"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// said is what a server says of its persistence.
type said struct {
	info  info
	fsync string // appendfsync: always, everysec, no; "" where it may not be asked
}

func (s persistenceSettings) ask(ctx context.Context) (said, error) {
	answers, err := (server{s.Address, s.User, s.PasswordFile}).ask(ctx, []string{"INFO"}, []string{"CONFIG", "GET", "appendfsync"})
	if err != nil && !errors.Is(err, errNotAllowed) {
		return said{}, err
	}
	told := said{info: parseInfo(answers[0])}
	if _, ok := told.info["rdb_last_save_time"]; !ok {
		if err != nil {
			return said{}, notAllowed(err)
		}
		return said{}, probe.Unable("", "%s: INFO says nothing of persistence", s.Address)
	}
	if told.info["loading"] == "1" || told.info["async_loading"] == "1" {
		return said{}, probe.Unable("", "%s: it is loading its data", s.Address)
	}
	told.fsync = strings.TrimSpace(strings.TrimPrefix(answers[1], "appendfsync\n"))
	return told, nil
}

func (t said) usesAOF() bool { return t.info["aof_enabled"] == "1" }

// trouble says which of the server's own last writes failed. What was written before
// stands and grows older.
func (t said) trouble() error {
	switch {
	case t.usesAOF() && t.info["aof_last_write_status"] != "ok":
		return errors.New("the last write to the AOF failed, and the server takes no more changes: see its log")
	case t.info["rdb_last_bgsave_status"] != "ok":
		return errors.New("the last save to the RDB file failed: see the server's log, and its disk and memory")
	case t.usesAOF() && t.info["aof_last_bgrewrite_status"] != "ok":
		return errors.New("the AOF could not be rewritten and grows: see the server's log")
	}
	return nil
}

// slowest is how long Linux may keep a file's changes from the disk where nobody asks
// for them (vm.dirty_expire_centisecs).
const slowest = 30 * time.Second

// points returns as of when the data on disk is, by the server's word.
func (t said) points(now time.Time) []holdfast.RecoveryPoint {
	now = now.UTC().Truncate(time.Second)
	if t.usesAOF() && t.info["aof_last_write_status"] == "ok" {
		behind := slowest
		switch t.fsync {
		case "always":
			behind = 0
		case "everysec":
			behind = time.Second
		}
		return []holdfast.RecoveryPoint{{Time: now.Add(-behind), ID: "AOF"}}
	}
	at, ok := t.saved()
	switch {
	case !ok:
		return nil
	case t.info["rdb_changes_since_last_save"] == "0" && t.info["rdb_last_bgsave_status"] == "ok":
		return []holdfast.RecoveryPoint{{Time: now, ID: "RDB, nothing changed since it was saved"}}
	}
	return []holdfast.RecoveryPoint{{Time: at, ID: "RDB"}}
}

// saved returns as of when the server's last save since its start is: when it began.
func (t said) saved() (time.Time, bool) {
	saves, _ := t.info.number("rdb_saves")
	at, ok := t.info.number("rdb_last_save_time")
	if saves == 0 || !ok {
		return time.Time{}, false // the time is that of the server's start
	}
	took, _ := t.info.number("rdb_last_bgsave_time_sec")
	return time.Unix(at-max(0, took), 0).UTC(), true
}
