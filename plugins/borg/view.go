package borg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

const configMax = 1 << 20

// view is a repository of this host as borg may see it: a folder in scratch with
// copies of what borg rewrites, and a link for every segment.
type view struct {
	real string // the repository
	dir  string // the view

	mends    []string          // what borg would mend in silence
	lost     *probe.Fault      // the end of the newest transaction is gone
	bytes    int64             // of all segments
	segments map[uint64]string // number → file
}

// newView makes a view in dir, which does not exist yet. A backup may go on
// meanwhile, so where the newest transaction moves on it is tried again.
func newView(ctx context.Context, repository, dir string) (*view, error) {
	for range looks {
		if err := os.RemoveAll(dir); err != nil {
			return nil, probe.Unable("", "scratch: %w", err)
		}
		v := &view{real: repository, dir: dir, segments: map[uint64]string{}}
		before, err := v.transaction()
		if err == nil {
			err = v.build(ctx, before)
		}
		if err != nil {
			return nil, err
		}
		if after, err := v.transaction(); err == nil && after == before {
			return v, nil
		}
	}
	return nil, probe.Unable(holdfast.Locked, "the repository changes faster than it can be read")
}

func (v *view) build(ctx context.Context, newest transaction) error {
	if err := os.MkdirAll(filepath.Join(v.dir, "data"), 0o700); err != nil {
		return probe.Unable("", "scratch: %w", err)
	}
	if err := v.copyConfig(); err != nil {
		return err
	}
	if err := v.find(ctx); err != nil {
		return err
	}
	last, err := v.lastCommit()
	if err != nil {
		return unreadable(err)
	}
	if newest.indexed && (len(v.segments) == 0 || last < newest.id) {
		v.lost = probe.Faulty(holdfast.Damaged, "segment %d is gone or damaged, which ends the newest transaction: borg would go back to an older one in silence", newest.id)
	}
	for number, file := range v.segments {
		if number > last && last > 0 { // of a backup at work, or one that was ended
			continue
		}
		if err := v.link(file); err != nil {
			return probe.Unable("", "scratch: %w", err)
		}
	}
	return v.copyIndex(ctx, newest)
}

// transaction is the newest one that index, hints and integrity are of.
type transaction struct {
	id      uint64
	indexed bool // there is an index of it
}

// transaction finds the newest, or says what is there instead of a repository.
func (v *view) transaction() (transaction, error) {
	var t transaction
	entries, err := os.ReadDir(v.real)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNotDir):
		return t, probe.Faulty(holdfast.Missing, "there is no repository at %s", v.real)
	case err != nil:
		return t, unreadable(err)
	}
	var index, other []uint64
	for _, e := range entries {
		kind, number, _ := strings.Cut(e.Name(), ".")
		n, err := strconv.ParseUint(number, 10, 32)
		switch {
		case err != nil:
		case kind == "index":
			index = append(index, n)
		case kind == "hints" || kind == "integrity":
			other = append(other, n)
		}
	}
	if len(index) > 0 {
		return transaction{slices.Max(index), true}, nil
	}
	if len(other) > 0 {
		t.id = slices.Max(other)
	}
	return t, nil
}

// copyConfig copies the config, which holds the key of a repokey repository.
func (v *view) copyConfig() error {
	b, err := readFile(filepath.Join(v.real, "config"))
	if errors.Is(err, fs.ErrNotExist) {
		if info, err := os.Stat(filepath.Join(v.real, "data")); err == nil && info.IsDir() {
			return probe.Faulty(holdfast.Damaged, "the repository's config is gone, its data is there")
		}
		return probe.Faulty(holdfast.Missing, "there is no repository at %s", v.real)
	}
	if err != nil {
		return unreadable(err)
	}
	if err := os.WriteFile(filepath.Join(v.dir, "config"), b, 0o600); err != nil {
		return probe.Unable("", "scratch: %w", err)
	}
	return nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, configMax+1))
	if err == nil && len(b) > configMax {
		err = probe.Faulty(holdfast.Damaged, "%s is larger than %v", name, holdfast.Bytes(configMax))
	}
	return b, err
}

// find lists the segments: data/DIR/NUMBER.
func (v *view) find(ctx context.Context) error {
	data := filepath.Join(v.real, "data")
	dirs, err := os.ReadDir(data)
	if errors.Is(err, fs.ErrNotExist) {
		return probe.Faulty(holdfast.Damaged, "the repository's data folder is gone")
	}
	if err != nil {
		return unreadable(err)
	}
	for _, d := range dirs {
		if _, err := strconv.ParseUint(d.Name(), 10, 32); err != nil {
			continue
		}
		files, err := os.ReadDir(filepath.Join(data, d.Name()))
		if err != nil {
			return unreadable(err)
		}
		for _, f := range files {
			number, err := strconv.ParseUint(f.Name(), 10, 32)
			if err != nil {
				continue
			}
			v.segments[number] = filepath.Join(d.Name(), f.Name())
			if info, err := f.Info(); err == nil {
				v.bytes += info.Size()
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// lastCommit returns the newest segment that ends with a commit, 0 for none.
func (v *view) lastCommit() (uint64, error) {
	numbers := make([]uint64, 0, len(v.segments))
	for n := range v.segments {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range slices.Backward(numbers) {
		f, err := os.Open(filepath.Join(v.real, "data", v.segments[n]))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		info, err := f.Stat()
		ends := false
		if err == nil {
			ends, err = endsWithCommit(f, info.Size())
		}
		f.Close()
		if err != nil {
			return 0, err
		}
		if ends {
			return n, nil
		}
	}
	return 0, nil
}

func (v *view) link(file string) error {
	to := filepath.Join(v.dir, "data", file)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.Symlink(filepath.Join(v.real, "data", file), to)
}

// copyIndex copies index and hints where their hashes are right. What is left out
// borg builds anew in the view, and it is noted.
func (v *view) copyIndex(ctx context.Context, newest transaction) error {
	id := strconv.FormatUint(newest.id, 10)
	var known proofs
	b, err := readFile(filepath.Join(v.real, "integrity."+id))
	if err == nil {
		if known, err = parseIntegrity(b); err == nil {
			err = os.WriteFile(filepath.Join(v.dir, "integrity."+id), b, 0o600)
		}
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return unreadable(err)
	case err != nil:
		v.mend("integrity."+id, err)
	}
	for _, kind := range []string{"index", "hints"} {
		name := kind + "." + id
		p, ok := known[kind]
		if !ok { // nothing shows that it is whole
			if _, err := os.Stat(filepath.Join(v.real, name)); err != nil {
				v.mend(name, err)
			}
			continue
		}
		whole, err := v.copyProven(ctx, name, p)
		var full *probe.Fault
		switch {
		case errors.As(err, &full):
			return probe.Unable(holdfast.TooSmall, "scratch: %s", full.Text)
		case ctx.Err() != nil:
			return probe.Unable("", "copy %s: %w", name, ctx.Err())
		case errors.Is(err, fs.ErrPermission):
			return unreadable(err)
		case err != nil:
			v.mend(name, err)
		case !whole:
			v.mend(name, errors.New("its content does not have the hash that integrity."+id+" gives"))
		}
	}
	return nil
}

func (v *view) mend(name string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("it is gone")
	}
	v.mends = append(v.mends, fmt.Sprintf("%s: %v", name, err))
}

// copyProven copies a file while it is hashed, and removes the copy where the hash
// is wrong. A fault means that scratch could not take it.
func (v *view) copyProven(ctx context.Context, name string, p proof) (bool, error) {
	from, err := os.Open(filepath.Join(v.real, name))
	if err != nil {
		return false, err
	}
	defer from.Close()
	copied := filepath.Join(v.dir, name)
	to, err := os.OpenFile(copied, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return false, probe.Faulty(holdfast.TooSmall, "%v", err)
	}
	w := &keeper{to: to}
	whole, err := p.holds(name, io.TeeReader(untilDone{ctx, from}, w))
	if closing := to.Close(); w.err == nil {
		w.err = closing
	}
	if w.err != nil {
		return false, probe.Faulty(holdfast.TooSmall, "%v", w.err)
	}
	if err != nil || !whole {
		return false, errors.Join(err, os.Remove(copied))
	}
	return true, nil
}

// untilDone reads until ctx is done: an index may be large.
type untilDone struct {
	ctx  context.Context
	from io.Reader
}

func (u untilDone) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.from.Read(b)
}

// keeper remembers that writing failed, as against reading.
type keeper struct {
	to  io.Writer
	err error
}

func (k *keeper) Write(b []byte) (n int, err error) {
	n, err = k.to.Write(b)
	k.err = err
	return n, err
}

// moved reports whether segments of the view have gone from the repository since
// it was made: somebody deletes archives or compacts.
func (v *view) moved() bool {
	for _, file := range v.segments {
		if _, err := os.Lstat(filepath.Join(v.real, "data", file)); errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

// mended returns the fault of what borg would mend in silence, nil for none.
func (v *view) mended() *probe.Fault {
	if len(v.mends) == 0 {
		return nil
	}
	return probe.Faulty(holdfast.Damaged, "the data can be read; borg would build anew in silence what is damaged: %s", strings.Join(v.mends, "; "))
}
