package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// program is this very program, whatever happened to its file since it started.
const program = "/proc/self/exe"

// patience is how long a process has to end by itself: the collector drains
// within ten seconds.
const patience = 12 * time.Second

// process is a collector or an agent that the demo started.
type process struct {
	name   string
	cmd    *exec.Cmd
	ended  chan struct{} // closed when it is gone
	wanted chan struct{} // closed when its end is asked for
}

// run starts holdfast with a command line, as the leader of a process group of its
// own, so that a Ctrl-C in the terminal reaches the demo alone. When it ends
// unasked the demo ends too, saying why; when the demo is killed, so is it.
func (d *Demo) run(name string, args ...string) (*process, error) {
	log, err := os.OpenFile(d.folder.log(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := d.command(context.Background(), args...) // it is asked to end, and given time
	cmd.Stdout, cmd.Stderr = log, log
	p := &process{name: name, cmd: cmd, ended: make(chan struct{}), wanted: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel kills a child when the thread that made it ends, not the
		// process (prctl(2), PR_SET_PDEATHSIG): keep the thread.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.ended)
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = reap(cmd)
		select {
		case <-p.wanted:
		default:
			d.fail(fmt.Errorf("%s ended by itself (%w); the end of its log:\n%s", name, orEnded(err), tail(d.folder.log(name), 5)))
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

func orEnded(err error) error {
	if err == nil {
		return errors.New("exit 0")
	}
	return err
}

// reap waits for a process, kills who is left of its group, and only then collects
// it: until then its number is its own.
func reap(cmd *exec.Cmd) error {
	pid := cmd.Process.Pid
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	_ = unix.Kill(-pid, unix.SIGKILL)
	return cmd.Wait()
}

// terminate asks the process to end.
func (p *process) terminate() { p.signal(unix.SIGTERM) }

// kill ends the process at once.
func (p *process) kill() {
	p.signal(unix.SIGKILL)
	p.wait()
}

func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.wanted:
	default:
		close(p.wanted)
	}
	_ = p.cmd.Process.Signal(s) // an error: it is gone already
}

// wait waits for the process to end, and kills it when it takes too long.
func (p *process) wait() {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-p.ended:
	case <-late.C:
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// command is holdfast with a command line and an environment of the demo's own.
func (d *Demo) command(ctx context.Context, args ...string) *exec.Cmd {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "HOLDFAST_") || strings.HasPrefix(v, "TMPDIR=")
	})
	env = append(env, "TMPDIR="+d.folder.tmp())
	if d.token != "" {
		env = append(env, "HOLDFAST_URL=http://"+d.pages, "HOLDFAST_TOKEN="+d.token)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Args[0], cmd.Env, cmd.Dir = "holdfast", env, d.folder.path
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// holdfast carries out a command as a person would, and returns what it printed.
func (d *Demo) holdfast(ctx context.Context, args ...string) (string, error) {
	runtime.LockOSThread() // as in run
	defer runtime.UnlockOSThread()
	var out, errs bytes.Buffer
	cmd := d.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("holdfast %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// services returns how every service stands, by name.
func (d *Demo) services(ctx context.Context) (map[string]holdfast.Posture, error) {
	text, err := d.holdfast(ctx, "status", "--output", "json")
	if err != nil {
		return nil, err
	}
	var answer struct{ Services []holdfast.Posture }
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, fmt.Errorf("holdfast status: %w", err)
	}
	byName := make(map[string]holdfast.Posture, len(answer.Services))
	for _, s := range answer.Services {
		byName[s.Name] = s
	}
	return byName, nil
}

// worst returns the worst state of the services.
func worst(all map[string]holdfast.Posture) holdfast.State {
	state := holdfast.Proven
	for _, s := range all {
		if s.State.Rank() > state.Rank() {
			state = s.State
		}
	}
	return state
}

// errLate says that something did not come in time.
var errLate = errors.New("not in time")

// await asks once a second until the services are as wanted; errLate when they are
// not within the limit.
func (d *Demo) await(ctx context.Context, limit time.Duration, wanted func(map[string]holdfast.Posture) bool) error {
	late := time.NewTimer(limit)
	defer late.Stop()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		all, err := d.services(ctx)
		if err == nil && wanted(all) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-late.C:
			return errors.Join(errLate, err)
		case <-again.C:
		}
	}
}
