package demo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// repository keeps backups in a restic repository.
type repository struct {
	program, dir, password, tmp string

	backups int // since snapshots were last thinned out
}

// When more snapshots than that were made, all but the newest are forgotten.
const (
	snapshotsMade = 500
	snapshotsKept = 50
)

func (r *repository) create(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(r.password), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(r.password, []byte(rand.Text()+"\n"), 0o600); err != nil {
		return err
	}
	if _, err := r.call(ctx, "init"); err != nil {
		return err
	}
	if err := r.quickKey(ctx); err != nil {
		return fmt.Errorf("key: %w", err)
	}
	return nil
}

func (r *repository) backup(ctx context.Context, data string) error {
	if _, err := r.call(ctx, "backup", "--host", "demo", "--", data); err != nil {
		return err
	}
	if r.backups++; r.backups < snapshotsMade {
		return nil
	}
	r.backups = 0
	_, err := r.call(ctx, "forget", "--prune", "--keep-last", fmt.Sprint(snapshotsKept))
	return err
}

func (r *repository) restore(ctx context.Context, into string) (restored, error) {
	text, err := r.call(ctx, "snapshots", "--json", "--latest", "1", "--no-lock")
	if err != nil {
		return restored{}, err
	}
	var list []struct {
		ID   string
		Time time.Time
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return restored{}, err
	}
	if len(list) != 1 {
		return restored{}, fmt.Errorf("%d newest snapshots, want one", len(list))
	}
	if _, err := r.call(ctx, "restore", "--verify", "--no-lock", "--target", into, "--", list[0].ID); err != nil {
		return restored{}, err
	}
	n, err := size(into)
	return restored{list[0].Time, n}, err
}

// call runs restic on the repository.
func (r *repository) call(ctx context.Context, args ...string) ([]byte, error) {
	out, err := probe.Run(ctx, probe.Command{
		Path: r.program, Args: append([]string{"--no-cache", "--quiet", "--repo", r.dir}, args...),
		Env: []string{"RESTIC_PASSWORD_FILE=" + r.password, "TMPDIR=" + r.tmp},
	})
	if err == nil && out.ExitCode != 0 {
		err = fmt.Errorf("restic %s: %s", args[0], strings.TrimSpace(string(out.Stderr)))
	}
	return out.Stdout, err
}

// damage damages the largest pack file, which holds data.
func (r *repository) damage() (repair func() error, err error) {
	file, largest := "", int64(0)
	err = filepath.WalkDir(filepath.Join(r.dir, "data"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Size() > largest {
			file, largest = path, info.Size()
		}
		return err
	})
	if err != nil || file == "" {
		return nil, errors.Join(errors.New("no pack file to damage"), err)
	}
	return damageFile(file)
}

// size adds up the files below a folder.
func size(folder string) (total int64, err error) {
	err = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}
