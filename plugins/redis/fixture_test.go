package redis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/redis"
)

const password = "correct horse"

var tools = map[string]string{"redis-check-rdb": "/usr/bin/redis-check-rdb"}

// servers are the test's own: a primary with RDB files alone, and its replica with an
// AOF.
var servers struct {
	once             sync.Once
	err              error
	dir              string
	all              []*daemon
	primary, replica *daemon
}

const prefix = "holdfast-redis-test-"

func TestMain(m *testing.M) {
	sweep()
	code := m.Run()
	for _, d := range servers.all {
		d.kill()
	}
	if servers.dir != "" {
		_ = os.RemoveAll(servers.dir)
	}
	os.Exit(code)
}

// sweep removes the folders of test binaries that are dead. Their servers died with
// them.
func sweep() {
	old, _ := filepath.Glob(filepath.Join("/tmp", prefix+"*"))
	for _, dir := range old {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), prefix))
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir)
		}
	}
}

// daemon is a redis-server that runs as the user redis.
type daemon struct {
	dir  string
	port int
	pid  int
	done chan struct{}
}

func (d *daemon) kill() {
	_ = syscall.Kill(d.pid, syscall.SIGCONT)
	_ = syscall.Kill(d.pid, syscall.SIGKILL)
	<-d.done
}

// start starts the primary and the replica, once.
func start(t testing.TB) (primary, replica *daemon) {
	t.Helper()
	if _, err := os.Stat("/usr/bin/redis-server"); err != nil || os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatalf("redis-server and root are needed: %v", err)
		}
		t.Skipf("redis-server and root are needed: %v", err)
	}
	servers.once.Do(func() { servers.err = startServers() })
	must(t, servers.err)
	return servers.primary, servers.replica
}

func startServers() (err error) {
	servers.dir = filepath.Join("/tmp", prefix+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(servers.dir, 0o755); err != nil {
		return err
	}
	if servers.primary, err = launch("primary"); err != nil {
		return err
	}
	servers.replica, err = launch("replica", "--appendonly", "yes", "--masterauth", password, "--repl-timeout", "10",
		"--replicaof", "127.0.0.1 "+strconv.Itoa(servers.primary.port))
	return err
}

// launch starts a server and waits until it answers.
func launch(name string, more ...string) (*daemon, error) {
	who, err := user.Lookup("redis")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	d := &daemon{dir: filepath.Join(servers.dir, name), port: freePort(), done: make(chan struct{})}
	if err := errors.Join(os.Mkdir(d.dir, 0o755), os.Chown(d.dir, uid, gid)); err != nil {
		return nil, err
	}
	args := append([]string{"--port", strconv.Itoa(d.port), "--bind", "127.0.0.1", "--unixsocket", filepath.Join(d.dir, "s"), "--dir", d.dir,
		"--requirepass", password, "--save", "", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}, more...)
	started := make(chan error, 1)
	go func() { // TestMain waits for it
		// The kernel kills the server when the thread that started it ends.
		runtime.LockOSThread()
		defer close(d.done)
		cmd := exec.Command("/usr/bin/redis-server", args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, Pdeathsig: syscall.SIGKILL}
		err := cmd.Start()
		if err == nil {
			d.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	servers.all = append(servers.all, d)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		if out, err := d.cli("PING"); err == nil && out == "PONG" {
			return d, nil
		}
		<-tick.C
	}
	return nil, fmt.Errorf("redis-server %s does not answer", name)
}

// freePort finds a port below those the kernel gives away.
func freePort() int {
	for port := 18300 + os.Getpid()%4000; ; port++ {
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			l.Close()
			return port
		}
	}
}

func (d *daemon) cli(args ...string) (string, error) {
	cmd := exec.Command("/usr/bin/redis-cli", append([]string{"-s", filepath.Join(d.dir, "s")}, args...)...)
	cmd.Env = []string{"REDISCLI_AUTH=" + password}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// do is cli for what must succeed.
func (d *daemon) do(t testing.TB, args ...string) string {
	t.Helper()
	out, err := d.cli(args...)
	if err != nil || strings.HasPrefix(out, "ERR") || strings.HasPrefix(out, "NOAUTH") {
		t.Fatalf("redis-cli %v: %v: %s", args, err, out)
	}
	return out
}

// address is the server's, over its socket.
func (d *daemon) address() string { return "unix:" + filepath.Join(d.dir, "s") }

// secret writes a password file.
func secret(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
	return path
}

// observe runs a probe.
func observe(t testing.TB, name string, settings map[string]any) (probe.Observation, error) {
	t.Helper()
	return observeWithin(t, 60*time.Second, name, settings)
}

func observeWithin(t testing.TB, limit time.Duration, name string, settings map[string]any) (probe.Observation, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	o, err := find(t, name).Observe(ctx, probe.Request{Check: "s/d/c", Settings: encode(t, settings), Tools: tools})
	if err == nil {
		if err := o.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b, _ := json.Marshal(o); strings.Contains(string(b), password) || err != nil && strings.Contains(err.Error(), password) {
		t.Error("the password is told")
	}
	return o, err
}

func encode(t testing.TB, settings map[string]any) holdfast.Settings {
	t.Helper()
	b, err := json.Marshal(settings)
	must(t, err)
	return holdfast.Settings(b)
}

// find returns a fresh probe by name.
func find(t testing.TB, name string) probe.Probe {
	t.Helper()
	for _, p := range redis.Probes() {
		if p.Describe().Name == name {
			return p
		}
	}
	t.Fatalf("no probe %s", name)
	return nil
}

// expect tests an observation's outcome and reason.
func expect(t testing.TB, o probe.Observation, err error, outcome holdfast.Outcome, reason holdfast.Reason) {
	t.Helper()
	if err != nil {
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeUnknown, probe.ReasonOf(err), err.Error()
	}
	if o.Outcome != outcome || o.Reason != reason {
		t.Errorf("got %s %q: %s %v\nwant %s %q", o.Outcome, o.Reason, o.Summary, o.Facts, outcome, reason)
	}
}

func measure(o probe.Observation, name string) float64 {
	for _, m := range o.Measures {
		if m.Name == name {
			return m.Value
		}
	}
	return -1
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await waits until something has come about.
func await(t testing.TB, come func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(120 * time.Second)
	for !come() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("waited 120 s in vain")
		}
	}
}
