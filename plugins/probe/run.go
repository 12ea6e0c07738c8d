package probe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// What Run keeps of a tool's output unless the command says otherwise.
const (
	DefaultStdoutMax = 16 << 20
	DefaultStderrMax = 64 << 10
)

// lingering is how long Run waits for pipes that a process outside the tool's
// group still holds open.
const lingering = 2 * time.Second

// Command is a tool to run. There is no shell: Args go to the program as they
// are, so put "--" before operands where the tool knows it.
type Command struct {
	Path      string    // absolute; from Request.Tools
	Args      []string  // without the program's name
	Env       []string  // besides LC_ALL=C, TZ=UTC and PATH=/usr/bin:/usr/local/bin; nothing is inherited
	Dir       string    // working folder, default "/"
	Stdin     io.Reader // default: nothing to read
	StdoutMax int       // bytes of stdout kept, default 16 MiB; the rest is read and dropped
	StderrMax int       // bytes of stderr kept, default 64 KiB
	StdoutTo  io.Writer // where stdout goes as it comes, in place of Output.Stdout; nil: it is kept
	StderrTo  io.Writer // where stderr goes as it comes, besides Output.Stderr; nil: nowhere
}

// Output is what a tool said.
type Output struct {
	Stdout    []byte
	Stderr    []byte
	ExitCode  int  // -1 where a signal ended it
	Truncated bool // either stream was longer than its limit
}

// Run runs a tool and waits for it and everything it started in its process
// group. An exit code other than 0 is no error: the tool has answered. Errors are
// Unable: tool-missing where there is no such program, timeout where ctx ran out;
// when ctx ends the whole group is killed, and so it is when this process dies.
// Output holds what was said until then.
func Run(ctx context.Context, c Command) (Output, error) {
	name := filepath.Base(c.Path)
	switch {
	case c.Path == "":
		return Output{}, Unable(holdfast.ToolMissing, "run a tool: it is not installed")
	case !filepath.IsAbs(c.Path):
		return Output{}, Unable("", "run %s: the path is not absolute", c.Path)
	case ctx.Err() != nil:
		return Output{}, ended(ctx, name)
	}
	stdout := &capped{max: orDefault(c.StdoutMax, DefaultStdoutMax)}
	stderr := &capped{max: orDefault(c.StderrMax, DefaultStderrMax)}
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env = append([]string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/bin:/usr/local/bin"}, c.Env...)
	cmd.Dir = "/"
	if c.Dir != "" {
		cmd.Dir = c.Dir
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, stdout, stderr
	if c.StdoutTo != nil {
		cmd.Stdout = c.StdoutTo
	}
	if c.StderrTo != nil {
		cmd.Stderr = io.MultiWriter(stderr, c.StderrTo)
	}
	cmd.WaitDelay = lingering
	err := runGroup(cmd)

	out := Output{stdout.kept.Bytes(), stderr.kept.Bytes(), -1, stdout.dropped || stderr.dropped}
	if cmd.ProcessState != nil {
		out.ExitCode = cmd.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil && (err != nil || out.ExitCode != 0):
		return out, ended(ctx, name)
	case errors.Is(err, fs.ErrNotExist):
		return out, Unable(holdfast.ToolMissing, "run %s: there is no such program", c.Path)
	case errors.As(err, &exit) && out.ExitCode >= 0, errors.Is(err, exec.ErrWaitDelay):
		return out, nil
	case err != nil:
		return out, Unable("", "run %s: %w", name, err)
	}
	return out, nil
}

// ended is the error of a tool whose ctx is done.
func ended(ctx context.Context, name string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return Unable(holdfast.Timeout, "%s did not end in time: %w", name, ctx.Err())
	}
	return Unable("", "run %s: %w", name, ctx.Err())
}

func orDefault(n, fallback int) int {
	if n > 0 {
		return n
	}
	return fallback
}

// capped keeps the first max bytes written to it.
type capped struct {
	kept    bytes.Buffer
	max     int
	dropped bool
}

func (w *capped) Write(p []byte) (int, error) {
	if room := w.max - w.kept.Len(); len(p) > room {
		w.dropped = true
		w.kept.Write(p[:room])
	} else {
		w.kept.Write(p)
	}
	return len(p), nil
}
