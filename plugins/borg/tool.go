package borg

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

var errNotDir error = syscall.ENOTDIR

// repository is a repository as the settings and the request give it.
type repository struct {
	Source
	path       string // of borg
	version    string // of borg, once it was asked
	passphrase []byte
	scratch    string
	check      string
}

// open checks what can be known without the tool.
func open(ctx context.Context, s Source, r probe.Request) (*repository, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	passphrase, err := readSecret("passphrase_file", s.PassphraseFile)
	if err != nil {
		return nil, err
	}
	if _, err := readSecret("key_file", s.KeyFile); err != nil {
		return nil, err
	}
	root, err := scratch.Root(ctx, r.Scratch, s.folders()...)
	if err != nil {
		return nil, err
	}
	return &repository{Source: s, path: r.Tools["borg"], passphrase: passphrase, scratch: root, check: r.Check}, nil
}

// looks is how often a repository is viewed anew that changes while it is read.
const looks = 3

// confirm looks as probe.Confirm does, each time at a new view.
func (r *repository) confirm(ctx context.Context, once func(context.Context, *look) (probe.Observation, error)) (probe.Observation, error) {
	return probe.Confirm(ctx, func(ctx context.Context) (probe.Observation, error) {
		var o probe.Observation
		var err error
		for range looks {
			var moved bool
			if o, moved, err = r.look(ctx, once); !moved {
				return o, err
			}
		}
		return probe.Observation{}, probe.Unable(holdfast.Locked, "the repository changes while it is read, archives are being deleted or compacted: %v", err) // not %w: it is no fault
	})
}

// look is one look at a repository: a view of it, and the tool's own folders.
type look struct {
	*repository
	base    string // the tool's own folders
	address string // what borg is told the repository is
	view    *view  // nil for one that is not of this host
}

// look looks once, and tells whether the repository moved under a look that failed.
func (r *repository) look(ctx context.Context, once func(context.Context, *look) (probe.Observation, error)) (o probe.Observation, moved bool, err error) {
	if ctx.Err() != nil { // what a view shows needs no tool that would notice
		return o, false, probe.Unable("", "look at the repository: %w", ctx.Err())
	}
	ws, err := scratch.New(r.scratch, r.check)
	if err != nil {
		return o, false, probe.Unable("", "scratch: %w", err)
	}
	defer func() {
		if e := ws.Remove(); e != nil {
			o, err = probe.Observation{}, probe.Unable("", "empty scratch: %w", e)
		}
	}()
	l := &look{repository: r, base: filepath.Join(ws.Data(), "base"), address: r.Repository}
	if err := os.MkdirAll(l.base, 0o700); err != nil {
		return o, false, probe.Unable("", "scratch: %w", err)
	}
	if r.local() {
		dir := filepath.Join(ws.Data(), "view")
		if l.view, err = newView(ctx, r.Repository, dir); err != nil {
			return o, false, err
		}
		l.address = dir
	}
	o, err = once(ctx, l)
	moved = damaged(err) && l.view != nil && l.view.moved()
	return o, moved, err
}

// exec runs one command. What borg says goes to said, its progress to whoever
// listens under the name of phase.
func (l *look) exec(ctx context.Context, phase, dir string, stdout io.Writer, args ...string) (result, error) {
	heard := &hearing{tell: func(done, total int64) { probe.Progress(ctx, phase, done, total) }}
	out, err := probe.Run(ctx, probe.Command{
		Path:     l.path,
		Args:     append([]string{"--log-json", "--bypass-lock"}, args...),
		Env:      l.env(),
		Dir:      dir,
		Stdin:    bytes.NewReader(l.passphrase),
		StdoutTo: stdout,
		StderrTo: heard,
	})
	heard.end()
	res := result{out, heard.said}
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		if f := l.blame(res); f != nil { // named before its time was up
			return res, f
		}
	}
	return res, err
}

// env keeps borg inside scratch and from asking anything: the passphrase comes by
// standard input, which is empty where there is none.
func (l *look) env() []string {
	env := []string{
		"BORG_BASE_DIR=" + l.base, "HOME=" + l.base, "TMPDIR=" + l.base,
		"BORG_PASSPHRASE_FD=0",
		"BORG_RELOCATED_REPO_ACCESS_IS_OK=yes", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes",
		"BORG_RSH=ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=15 -oForwardAgent=no",
	}
	if l.KeyFile != "" {
		env = append(env, "BORG_KEY_FILE="+l.KeyFile)
	}
	return env
}

// call is exec for a command that must succeed.
func (l *look) call(ctx context.Context, args ...string) (result, error) {
	res, err := l.exec(ctx, args[0], "", nil, args...)
	if err == nil {
		err = l.judge(res)
	}
	if err == nil && len(res.Stdout) >= probe.DefaultStdoutMax {
		err = probe.Unable("", "borg %s: it answered more than %d bytes", args[0], probe.DefaultStdoutMax)
	}
	return res, err
}

// stream runs a command and reads its output as it comes.
func (l *look) stream(ctx context.Context, read func(io.Reader) error, args ...string) error {
	return scratch.Stream(read, func(to io.Writer) error {
		res, err := l.exec(ctx, args[0], "", to, args...)
		if err == nil {
			err = l.judge(res)
		}
		return err
	})
}

// braces doubles braces, which borg would take for placeholders like {now}.
var braces = strings.NewReplacer("{", "{{", "}", "}}")

// repo is the repository as an operand.
func (l *look) repo() string {
	if l.view == nil {
		return l.address
	}
	return braces.Replace(l.address)
}

// in is an archive as an operand.
func (l *look) in(a archive) string { return l.repo() + "::" + braces.Replace(a.Name) }

// unreadable is the error of a repository's file that cannot be read.
func unreadable(err error) error {
	var f *probe.Fault
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, fs.ErrPermission):
		return probe.Unable(holdfast.Refused, "%w: let the agent's user read the repository", err)
	case errors.Is(err, syscall.EIO):
		return probe.Faulty(holdfast.Damaged, "%v", err)
	}
	return probe.Unable("", "%w", err)
}
