package scratchpg

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Owner is the user a cluster belongs to and runs as. The zero Owner is this
// process's own user.
type Owner struct{ credential *syscall.Credential }

// FindOwner returns this process's own user, or user postgres where that is root.
func FindOwner() (Owner, error) {
	if os.Geteuid() != 0 {
		return Owner{}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return Owner{}, probe.Unable(holdfast.ToolMissing, "run a cluster: %w: PostgreSQL refuses root; install its server package, which makes user postgres", err)
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		return Owner{}, err
	}
	return Owner{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// Folder makes a folder that its owner alone may enter.
func (o Owner) Folder(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return o.take(dir)
}

// take makes a file or folder the owner's.
func (o Owner) take(path string) error {
	if o.credential == nil {
		return nil
	}
	return os.Chown(path, int(o.credential.Uid), int(o.credential.Gid))
}

// Tree makes a folder and all in it the owner's, links and not what they lead to.
func (o Owner) Tree(dir string) error {
	if o.credential == nil {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(o.credential.Uid), int(o.credential.Gid))
	})
}

// command is a program that runs as the owner, with an open folder as descriptor 3
// and nothing else of this process's.
func (o Owner) command(ctx context.Context, folder *os.File, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/bin:/usr/local/bin", "HOME=/nonexistent"}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{folder}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: o.credential, Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// stderrMax is how much of a program's complaints is kept.
const stderrMax = 1 << 20

// run is probe.Run as the owner: it waits for the program, leaves nobody of its
// process group behind, and takes an exit code for an answer.
func (o Owner) run(ctx context.Context, folder, stdin *os.File, path string, args ...string) (probe.Output, error) {
	if path == "" {
		return probe.Output{}, missing("a program of PostgreSQL")
	}
	runtime.LockOSThread() // Pdeathsig fires when the thread that forked ends
	defer runtime.UnlockOSThread()
	cmd := o.command(ctx, folder, path, args...)
	var stdout, stderr capped
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if stdin != nil {
		cmd.Stdin = stdin
	}
	switch err := cmd.Start(); {
	case errors.Is(err, fs.ErrNotExist):
		return probe.Output{}, missing(path)
	case err != nil && ctx.Err() != nil:
		return probe.Output{}, stopped(ctx, path)
	case err != nil:
		return probe.Output{}, probe.Unable("", "run %s: %w", filepath.Base(path), err)
	}
	// As long as the leader is not reaped its number is its own, and the group can
	// be killed safely.
	for errors.Is(unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	err := cmd.Wait()
	out := probe.Output{Stdout: stdout.kept.Bytes(), Stderr: stderr.kept.Bytes(), ExitCode: cmd.ProcessState.ExitCode(), Truncated: stderr.dropped}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil && err != nil:
		return out, stopped(ctx, path)
	case err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay):
		return out, probe.Unable("", "run %s: %w", filepath.Base(path), err)
	}
	return out, nil
}

func missing(path string) error {
	return probe.Unable(holdfast.ToolMissing, "run %s: there is no such program: install PostgreSQL's server package, or name its path under tools: in the agent's configuration", path)
}

func stopped(ctx context.Context, path string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return probe.Unable(holdfast.Timeout, "%s did not end in time: %w", filepath.Base(path), ctx.Err())
	}
	return probe.Unable("", "run %s: %w", filepath.Base(path), ctx.Err())
}

type capped struct {
	kept    bytes.Buffer
	dropped bool
}

func (w *capped) Write(p []byte) (int, error) {
	room := stderrMax - w.kept.Len()
	w.dropped = w.dropped || len(p) > room
	w.kept.Write(p[:min(room, len(p))])
	return len(p), nil
}

// deleted is what the kernel writes behind the path of a folder that is gone.
const deleted = " (deleted)"

// KillOrphans ends the processes of scratch clusters whose workspace is gone: those
// of an owner that was killed and whose cluster outlived it all the same. Call it
// after scratch.New, which removes the workspaces of dead owners.
func KillOrphans() error {
	return killIn(func(cwd string) bool {
		return strings.HasSuffix(cwd, deleted) && strings.Contains(cwd, "/holdfast-restore-")
	})
}

// killIn kills the PostgreSQL processes whose working folder is meant: that is the
// cluster's, of the postmaster and all it starts.
func killIn(meant func(cwd string) bool) error {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, e := range all {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		cwd, err := os.Readlink("/proc/" + e.Name() + "/cwd")
		if err != nil || !meant(cwd) {
			continue // ended meanwhile, or somebody else's
		}
		exe, _ := os.Readlink("/proc/" + e.Name() + "/exe")
		if filepath.Base(strings.TrimSuffix(exe, deleted)) == "postgres" {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	return nil
}
