package redis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

type persistenceProbe struct{ held probe.Held[struct{}] }

// persistenceSettings are the settings of redis.persistence.
type persistenceSettings struct {
	Address      string `json:"address,omitempty" jsonschema:"the server whose files they are, where it runs: HOST:PORT or unix:/PATH"`
	User         string `json:"user,omitempty" jsonschema:"the account that logs in; the default one if left out"`
	PasswordFile string `json:"password_file,omitempty" jsonschema:"absolute path of the file that holds its password on the agent's host"`
	Directory    string `json:"directory,omitempty" jsonschema:"the folder of the files, or of a copy of them: absolute"`
	RDB          string `json:"rdb,omitempty" jsonschema:"name of the RDB file in the folder; dump.rdb by default"`
	AOF          string `json:"aof,omitempty" jsonschema:"name of the AOF's folder in the folder; appendonlydir by default"`
}

func (*persistenceProbe) Describe() probe.Description {
	return probe.Description{
		Name:     "redis.persistence",
		Observes: "Whether what Redis keeps on disk would bring its data back: that its saves succeed, as of when its RDB file is, and that RDB and AOF read to their ends.",
		Settings: probe.Schema[persistenceSettings](),
		Cost:     holdfast.IO,
		Privileges: holdfast.Privileges{Secrets: true, Tools: []string{"redis-check-rdb"},
			Note: "asks INFO and CONFIG GET of the server; reads its files and writes nothing"},
		Target: []string{"address", "directory"},
		Paths:  []string{"directory"},
		Reasons: append([]holdfast.Reason{holdfast.Empty, holdfast.Missing, holdfast.Damaged, holdfast.Assertion, holdfast.ToolMissing},
			serverReasons...),
	}
}

func (p *persistenceProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[persistenceSettings](r.Settings)
	if err == nil {
		err = s.complete()
	}
	if err != nil {
		return probe.Observation{}, err
	}
	// The files of a living server change while they are read, so that a fault counts
	// when a second look sees it too.
	return probe.Confirm(ctx, func(ctx context.Context) (probe.Observation, error) {
		return p.look(ctx, s, r.Tools["redis-check-rdb"])
	})
}

// complete checks the settings and fills in what they leave open.
func (s *persistenceSettings) complete() error {
	if s.Address == "" && s.Directory == "" {
		return errors.New(`settings "address" and "directory" are both left out: name one at least`)
	}
	if s.Address != "" {
		if err := (server{s.Address, s.User, s.PasswordFile}).validate("address"); err != nil {
			return err
		}
	}
	if s.Directory != "" && !filepath.IsAbs(s.Directory) {
		return fmt.Errorf("setting \"directory\": %q is not an absolute path", s.Directory)
	}
	for _, f := range []struct {
		setting  string
		name     *string
		fallback string
	}{{"rdb", &s.RDB, "dump.rdb"}, {"aof", &s.AOF, "appendonlydir"}} {
		if *f.name == "" {
			*f.name = f.fallback
		}
		if filepath.Base(*f.name) != *f.name {
			return fmt.Errorf("setting %q: %q is not a name in the folder", f.setting, *f.name)
		}
	}
	return nil
}

// look asks the server, reads the files, and keeps the newest point either gives.
func (p *persistenceProbe) look(ctx context.Context, s persistenceSettings, checkRDB string) (probe.Observation, error) {
	start := time.Now()
	o := probe.Observation{Outcome: holdfast.OK, Facts: map[string]string{}}
	var trouble error
	var told said
	if s.Address != "" {
		var err error
		if told, err = s.ask(ctx); err != nil {
			return probe.Observation{}, err
		}
		o.Fingerprint = map[string]string{"engine": told.info.engine()}
		o.Facts["version"] = probe.OneLine(told.info["redis_version"])
		trouble = told.trouble()
	}
	points := told.points(start)
	if s.Directory != "" {
		found, err := p.files(ctx, s, checkRDB, told.usesAOF())
		var f *probe.Fault
		if err != nil && !errors.As(err, &f) {
			return probe.Observation{}, err
		}
		if f != nil {
			// What the server says of files that cannot be read counts for nothing.
			o.Verification = found.verification(start, f)
			o.RecoveryPoints = found.points()
			return o, f
		}
		if saved, ok := told.saved(); ok && !told.usesAOF() && (found.rdb == nil || found.rdb.at.Before(saved.Add(-clockStep))) {
			return o, probe.Faulty(holdfast.Assertion, "%s is not what the server saved at %s: name its folder, see its settings dir and dbfilename",
				filepath.Join(s.Directory, s.RDB), saved.Format(time.RFC3339))
		}
		o.Verification = found.verification(start, nil)
		o.Measures = found.measures()
		if len(points) == 0 {
			points = found.points()
		}
	}
	o.RecoveryPoints = points
	switch {
	case trouble != nil:
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeDegraded, holdfast.Assertion, probe.OneLine(trouble.Error())
	case len(points) == 0:
		return o, probe.Faulty(holdfast.Empty, "nothing is kept on disk: neither has an RDB file been saved nor is the AOF on")
	default:
		o.Summary = fmt.Sprintf("as of %s: %s", points[0].Time.Format(time.RFC3339), points[0].ID)
	}
	return o, nil
}

// clockStep is how far apart two of Redis's own times of one save may be: it counts in
// whole seconds.
const clockStep = 2 * time.Second

// files opens the folder, which may lie on a dead mount, and reads what is in it.
func (p *persistenceProbe) files(ctx context.Context, s persistenceSettings, checkRDB string, wantAOF bool) (found, error) {
	patience, cancel := probe.AnswerTime(ctx)
	defer cancel()
	_, err := p.held.Do(patience, s.Directory, func() (none struct{}, err error) {
		info, err := os.Stat(s.Directory)
		if err == nil && !info.IsDir() {
			err = errors.New("not a folder")
		}
		return none, err
	})
	switch {
	case ctx.Err() != nil:
		return found{}, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return found{}, probe.Faulty(holdfast.Timeout, "%s: the file system does not answer", s.Directory)
	case errors.Is(err, os.ErrNotExist):
		return found{}, probe.Faulty(holdfast.Missing, "there is no folder %s", s.Directory)
	case err != nil:
		return found{}, unreadable(s.Directory, err)
	}
	return s.read(ctx, checkRDB, wantAOF)
}

// unreadable is the error of a file that may not be read, or not now.
func unreadable(path string, err error) error {
	if errors.Is(err, os.ErrPermission) {
		return probe.Unable(holdfast.Refused, "read %s: %w: let the agent's user read it", path, err)
	}
	return probe.Unable("", "read %s: %w", path, err)
}
