package restic

import (
	"bytes"
	"context"
	"errors"
	"io"
	"regexp"

	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

// repository is a repository as seen through the tool.
type repository struct {
	Source
	path string   // of restic
	env  []string // storage credentials
}

// open checks what can be known without the tool.
func open(s Source, r probe.Request) (*repository, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	env, err := readEnv(s.EnvFile)
	if err != nil {
		return nil, err
	}
	if err := s.unlocked(); err != nil {
		return nil, err
	}
	return &repository{Source: s, path: r.Tools["restic"], env: env}, nil
}

// exec runs one command on the repository, with neither cache nor lock. An exit
// code is no error; an error is that of probe.Run, or a fault where the tool had
// named one before its time was up.
func (r *repository) exec(ctx context.Context, stdout io.Writer, args ...string) (probe.Output, error) {
	parent := ctx
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	retries := &retries{local: r.local(), stop: stop}
	out, err := probe.Run(ctx, probe.Command{
		Path: r.path,
		Args: append([]string{"--repo=" + r.Repository, "--password-file=" + r.PasswordFile, "--no-cache", "--no-lock"}, args...),
		// Without HOME restic looks for the user's own folders.
		Env:      append([]string{"HOME=/nonexistent"}, r.env...),
		StdoutTo: stdout,
		StderrTo: retries,
	})
	if err != nil && !errors.Is(parent.Err(), context.Canceled) {
		if f := r.blame(out); f != nil {
			return out, f
		}
	}
	return out, err
}

// call is exec for a command that must succeed: it returns its standard output,
// what it grumbled about, and a fault or an error where it exits with a failure.
func (r *repository) call(ctx context.Context, args ...string) (probe.Output, error) {
	out, err := r.exec(ctx, nil, args...)
	if err == nil {
		err = r.judge(out)
	}
	if err == nil && out.Truncated {
		err = probe.Unable("", "restic %s: it answered more than %d bytes", args[0], probe.DefaultStdoutMax)
	}
	return out, err
}

// stream runs a command and reads its output as it comes.
func (r *repository) stream(ctx context.Context, read func(io.Reader) error, args ...string) error {
	return scratch.Stream(read, func(to io.Writer) error {
		out, err := r.exec(ctx, to, args...)
		if err == nil {
			err = r.judge(out)
		}
		return err
	})
}

// retries watches standard error and ends a call on a local repository that has
// begun to try a broken file again: a disk says the same thing each time.
type retries struct {
	local bool
	stop  context.CancelFunc
	tail  []byte // of what was written before; exec's copying goroutine alone writes
}

// retrying is what restic up to 0.16 says of a file that is short or not there.
var retrying = regexp.MustCompile(`returned error, retrying after [^:]*: .*(EOF|no such file or directory)`)

func (w *retries) Write(p []byte) (int, error) {
	w.tail = append(w.tail, p...)
	if w.local && retrying.Match(w.tail) {
		w.stop()
	}
	if i := bytes.LastIndexByte(w.tail, '\n'); i >= 0 {
		w.tail = w.tail[i+1:]
	}
	w.tail = w.tail[max(0, len(w.tail)-4096):]
	return len(p), nil
}
