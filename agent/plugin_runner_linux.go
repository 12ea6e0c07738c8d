package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
)

// Where a plugin finds the descriptors it inherits beside the standard three.
// Naming folder and program by descriptor keeps socket paths below the 108 bytes
// a socket address has, and runs the very file that was checked.
const (
	socketsInPlugin = "/proc/self/fd/3"
	programInPlugin = "/proc/self/fd/4"
)

// launcher starts processes on one thread that lives as long as it: the kernel
// sends a child its Pdeathsig when the thread that made it ends, not the process.
type launcher struct {
	work  chan func()
	ended chan struct{}
}

// newLauncher makes a launcher whose thread is prepared first: what it starts inherits
// that. Prepare may be nil.
func newLauncher(prepare func()) *launcher {
	l := &launcher{make(chan func()), make(chan struct{})}
	go func() {
		defer close(l.ended)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if prepare != nil {
			prepare()
		}
		for f := range l.work {
			f()
		}
	}()
	return l
}

// giveWay has the calling thread, and all that it starts from now on, let everybody
// else's work go first: nice 10, and the last place of best-effort I/O (nice(2),
// ioprio_set(2)). Best effort: a sandbox may forbid it.
func giveWay() {
	const (
		thisThread       = 0
		ioprioWhoProcess = 1
		ioprioBestEffort = 2 << 13
		ioprioLowest     = 7
	)
	if raw, err := unix.Getpriority(unix.PRIO_PROCESS, thisThread); err == nil && 20-raw < 10 { // an agent may be nicer still
		_ = unix.Setpriority(unix.PRIO_PROCESS, thisThread, 10)
	}
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, thisThread, ioprioBestEffort|ioprioLowest)
}

func (l *launcher) start(cmd *exec.Cmd) error {
	done := make(chan error)
	l.work <- func() { done <- cmd.Start() }
	return <-done
}

func (l *launcher) close() {
	close(l.work)
	<-l.ended
}

// pluginRunner is a plugin's process for go-plugin: the leader of a process group
// of its own, killed with everybody in it and everybody it started.
type pluginRunner struct {
	spec     pluginSpec
	launcher *launcher
	program  *os.File // the checked file, where external
	env      []string
	folder   string   // of its socket
	sockets  *os.File // folder, open
	stdin    *os.File // never written to; a plugin ends when it closes
	stdout   *os.File
	stderr   *os.File
	exited   chan struct{} // closed when the process is gone
	waited   error         // what Wait said; set before exited is closed

	mu     sync.Mutex
	cmd    *exec.Cmd // nil: not started; guarded by mu, as reaped
	reaped bool      // its number may belong to somebody else by now
}

// newPluginRunner checks the program of an outside plugin, and keeps it open so
// that what was checked is what will run.
func newPluginRunner(spec pluginSpec, l *launcher) (*pluginRunner, error) {
	r := &pluginRunner{spec: spec, launcher: l, exited: make(chan struct{})}
	if !spec.external {
		return r, nil
	}
	f, err := openTrusted(spec.program)
	if err != nil {
		return nil, err
	}
	if err := checkSum(f, spec.sum); err != nil {
		_ = f.Close()
		return nil, err
	}
	r.program = f
	return r, nil
}

// prepare takes what go-plugin wants the plugin to know.
func (r *pluginRunner) prepare(env []string, folder string) error {
	r.env = append([]string{}, pluginEnv...)
	for _, name := range passedEnv {
		if v, ok := os.LookupEnv(name); ok {
			r.env = append(r.env, name+"="+v)
		}
	}
	for _, e := range env {
		if !strings.HasPrefix(e, plugin.EnvUnixSocketDir+"=") {
			r.env = append(r.env, e)
		}
	}
	r.env = append(r.env, plugin.EnvUnixSocketDir+"="+socketsInPlugin)
	r.folder = folder
	var err error
	r.sockets, err = os.Open(folder)
	return err
}

// Start starts the process.
func (r *pluginRunner) Start(context.Context) error {
	cmd := &exec.Cmd{
		Path:        r.spec.program,
		Args:        r.spec.argv,
		Env:         r.env,
		Dir:         "/",
		ExtraFiles:  []*os.File{r.sockets},
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	}
	if r.program != nil {
		cmd.Path = programInPlugin
		cmd.ExtraFiles = append(cmd.ExtraFiles, r.program)
	}
	theirs, err := r.pipes(cmd)
	if err != nil {
		return err
	}
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.launcher.start(cmd); err != nil {
		return fmt.Errorf("%s: %w", r.spec.program, errors.Unwrap(err))
	}
	r.cmd = cmd
	go r.watch()
	return nil
}

// pipes makes the three standard streams and returns the plugin's ends.
func (r *pluginRunner) pipes(cmd *exec.Cmd) (theirs []*os.File, err error) {
	var in, out, errs *os.File
	in, r.stdin, err = os.Pipe()
	if err == nil {
		r.stdout, out, err = os.Pipe()
	}
	if err == nil {
		r.stderr, errs, err = os.Pipe()
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, errs
	return []*os.File{in, out, errs}, err
}

// watch waits for the process to end, kills whoever is left of its group, and
// only then collects it: until then its number is its own.
func (r *pluginRunner) watch() {
	pid := r.cmd.Process.Pid
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	r.mu.Lock()
	killTree(pid)
	r.waited = r.cmd.Wait()
	r.reaped = true
	r.mu.Unlock()
	// Somebody who left the group may hold the pipes open; do not wait for them.
	soon := time.Now().Add(time.Second)
	_ = r.stdout.SetReadDeadline(soon)
	_ = r.stderr.SetReadDeadline(soon)
	close(r.exited)
}

// kill kills the process with everybody it started. It does nothing before the
// start and after the end.
func (r *pluginRunner) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd != nil && !r.reaped {
		killTree(r.cmd.Process.Pid)
	}
}

// killTree kills a process group and the groups of those its members started.
// Stopped first, they cannot start more meanwhile.
func killTree(leader int) {
	_ = unix.Kill(-leader, unix.SIGSTOP)
	for _, pid := range descendants(leader) {
		if group, err := unix.Getpgid(pid); err == nil && group == pid {
			_ = unix.Kill(-pid, unix.SIGKILL)
		} else {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	_ = unix.Kill(-leader, unix.SIGKILL)
}

// offer has the kernel take the process, and all it starts from now on, before others
// where memory runs out (oom_score_adj, proc_pid_oom_score_adj(5)): rather a restore
// test than the database beside it. Best effort.
func (r *pluginRunner) offer() {
	_ = os.WriteFile("/proc/"+r.ID()+"/oom_score_adj", []byte("500"), 0)
}

// descendants lists whom a process started, and whom they did.
func descendants(pid int) []int {
	var all []int
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		children, _ := os.ReadFile(task)
		for _, field := range strings.Fields(string(children)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(append(all, child), descendants(child)...)
			}
		}
	}
	return all
}

// status says how the process ended; call it after exited.
func (r *pluginRunner) status() string {
	if r.waited == nil {
		return "it ended by itself"
	}
	return r.waited.Error()
}

// cleanUp closes what is open and removes the socket.
func (r *pluginRunner) cleanUp() {
	for _, f := range []*os.File{r.program, r.sockets, r.stdin, r.stdout, r.stderr} {
		if f != nil {
			_ = f.Close()
		}
	}
	if r.folder != "" {
		_ = os.RemoveAll(r.folder)
	}
}

// The rest is what go-plugin asks of a runner.

// Wait returns when the process is gone.
func (r *pluginRunner) Wait(context.Context) error {
	<-r.exited
	return r.waited
}

// Kill kills and waits for the end.
func (r *pluginRunner) Kill(context.Context) error {
	r.kill()
	<-r.exited
	return nil
}

// Stdout is where the handshake comes from.
func (r *pluginRunner) Stdout() io.ReadCloser { return r.stdout }

// Stderr is the plugin's error output.
func (r *pluginRunner) Stderr() io.ReadCloser { return r.stderr }

// Name is the plugin's.
func (r *pluginRunner) Name() string { return r.spec.name }

// ID is the number of the process, "" before the start.
func (r *pluginRunner) ID() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil {
		return ""
	}
	return strconv.Itoa(r.cmd.Process.Pid)
}

// Diagnose has nothing to add: the plugin's last words are told anyway.
func (r *pluginRunner) Diagnose(context.Context) string { return "" }

// PluginToHost turns the address a plugin gave into ours. Any other than a
// socket in its own folder is refused.
func (r *pluginRunner) PluginToHost(network, address string) (string, string, error) {
	if network != "unix" || filepath.Dir(address) != socketsInPlugin {
		return "", "", fmt.Errorf("it listens on %.80q, not in the folder it was given", address)
	}
	return network, fmt.Sprintf("/proc/self/fd/%d/%s", r.sockets.Fd(), filepath.Base(address)), nil
}

// HostToPlugin is for go-plugin's broker, which is not used.
func (r *pluginRunner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
