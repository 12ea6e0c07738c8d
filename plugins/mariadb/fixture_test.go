package mariadb_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
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
	"github.com/holdfast-monitor/holdfast/plugins/mariadb"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

// tools are the real programs.
var tools = map[string]string{"mariadb": "/usr/bin/mariadb", "mariadbd": "/usr/sbin/mariadbd",
	"mariadb-install-db": "/usr/bin/mariadb-install-db", "setpriv": "/usr/bin/setpriv"}

// servers are the test's own: a primary and its replica.
var servers struct {
	once    sync.Once
	err     error
	dir     string
	all     []*daemon
	primary *daemon
	replica *daemon
}

func TestMain(m *testing.M) {
	probetest.RestoreVictim(mariadb.Probes()...)
	sweep()
	_ = flag.Set("test.parallel", "6") // the tests wait for servers to start and stop
	code := m.Run()
	for _, d := range servers.all {
		d.kill()
	}
	if servers.dir != "" {
		_ = os.RemoveAll(servers.dir)
	}
	os.Exit(code)
}

const prefix = "holdfast-mariadb-test-"

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

// daemon is a mariadbd that runs as the user mysql.
type daemon struct {
	dir  string
	port int
	pid  int
	done chan struct{}
}

func (d *daemon) data() string { return filepath.Join(d.dir, "db") }

func (d *daemon) socket() string { return filepath.Join(d.data(), "s") }

func (d *daemon) kill() {
	_ = syscall.Kill(d.pid, syscall.SIGCONT)
	_ = syscall.Kill(d.pid, syscall.SIGKILL)
	<-d.done
}

func needTools(t testing.TB) {
	t.Helper()
	for _, tool := range append([]string{"/usr/bin/mariadb-dump"}, tools["mariadb"], tools["mariadbd"]) {
		if _, err := os.Stat(tool); err != nil || os.Geteuid() != 0 {
			if os.Getenv("CI") == "true" {
				t.Fatalf("mariadb-server and root are needed: %v", err)
			}
			t.Skipf("mariadb-server and root are needed: %v", err)
		}
	}
}

// start starts the primary and the replica, once.
func start(t testing.TB) (primary, replica *daemon) {
	t.Helper()
	needTools(t)
	servers.once.Do(func() { servers.err = startServers() })
	must(t, servers.err)
	return servers.primary, servers.replica
}

func startServers() error {
	servers.dir = filepath.Join("/tmp", prefix+strconv.Itoa(os.Getpid()))
	who, err := user.Lookup("mysql")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	first, second := filepath.Join(servers.dir, "primary"), filepath.Join(servers.dir, "replica")
	if err := errors.Join(os.Mkdir(servers.dir, 0o755), os.Mkdir(first, 0o755), os.Mkdir(second, 0o755), os.Mkdir(first+"/db", 0o700), os.Chown(first+"/db", uid, gid)); err != nil {
		return err
	}
	as := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	install := exec.Command(tools["mariadb-install-db"], "--no-defaults", "--datadir="+first+"/db", "--tmpdir="+first+"/db", "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=8M")
	install.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
	}
	if out, err := exec.Command("cp", "-a", first+"/db", second).CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w: %s", err, out)
	}
	if servers.primary, err = launch(first, as, "--server-id=1", "--log-bin=bin"); err != nil {
		return err
	}
	if servers.replica, err = launch(second, as, "--server-id=2", "--read-only", "--slave-net-timeout=4"); err != nil {
		return err
	}
	if err := servers.primary.query(`
		CREATE USER monitor@localhost IDENTIFIED BY 'secret'; GRANT REPLICA MONITOR ON *.* TO monitor@localhost;
		CREATE USER poor@localhost IDENTIFIED BY 'secret';
		CREATE USER repl@'127.0.0.1' IDENTIFIED BY 'copy'; GRANT REPLICATION SLAVE ON *.* TO repl@'127.0.0.1';
		CREATE DATABASE shop; USE shop;
		CREATE TABLE orders (id INT PRIMARY KEY, customer INT, note TEXT, raw BLOB);
		CREATE TABLE customers (id INT PRIMARY KEY);
		INSERT INTO customers VALUES (1), (2), (3);
		INSERT INTO orders VALUES (1, 1, 'a line\nCREATE TABLE x\n-- Dump completed', x'000d0a1aff'), (2, 2, '\\! touch /tmp/x', NULL);
		CREATE VIEW big AS SELECT * FROM orders WHERE customer > 1;
		CREATE PROCEDURE two() SELECT 2;
		CREATE TRIGGER t BEFORE INSERT ON customers FOR EACH ROW SET NEW.id = NEW.id;`); err != nil {
		return err
	}
	return servers.replica.query(fmt.Sprintf(`CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%d, MASTER_USER='repl', MASTER_PASSWORD='copy',
		MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1; START SLAVE`, servers.primary.port))
}

// launch starts a server and waits until it is ready.
func launch(dir string, as *syscall.Credential, more ...string) (*daemon, error) {
	d := &daemon{dir: dir, port: freePort(), done: make(chan struct{})}
	args := append([]string{"--no-defaults", "--datadir=" + d.data(), "--tmpdir=" + d.data(), "--socket=" + d.socket(), "--pid-file=" + filepath.Join(d.data(), "pid"),
		"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(d.port), "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--skip-name-resolve"}, more...)
	said := &ready{seen: make(chan struct{})}
	started := make(chan error, 1)
	go func() { // TestMain waits for it
		// The kernel kills the server when the thread that started it ends.
		runtime.LockOSThread()
		defer close(d.done)
		cmd := exec.Command(tools["mariadbd"], args...)
		cmd.Stderr = said
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGKILL}
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
	select {
	case <-said.seen:
		return d, nil
	case <-d.done:
		return nil, fmt.Errorf("mariadbd ended: %s", said.all.Bytes())
	}
}

// ready closes seen once the server is ready.
type ready struct {
	all  bytes.Buffer
	once sync.Once
	seen chan struct{}
}

func (w *ready) Write(p []byte) (int, error) {
	w.all.Write(p)
	if bytes.Contains(w.all.Bytes(), []byte("ready for connections")) {
		w.once.Do(func() { close(w.seen) })
	}
	return len(p), nil
}

// freePort finds a port below those the kernel gives away.
func freePort() int {
	for port := 23300 + os.Getpid()%4000; ; port++ {
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			l.Close()
			return port
		}
	}
}

// query sends statements as root.
func (d *daemon) query(statements string) error {
	cmd := exec.Command(tools["mariadb"], "--no-defaults", "--socket="+d.socket(), "--user=root", "--batch")
	cmd.Stdin = strings.NewReader(statements)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", statements, err, out)
	}
	return nil
}

// do is query for what must succeed.
func (d *daemon) do(t testing.TB, statements string) {
	t.Helper()
	must(t, d.query(statements))
}

// dump runs mariadb-dump.
func (d *daemon) dump(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command("/usr/bin/mariadb-dump", append([]string{"--no-defaults", "--socket=" + d.socket(), "--user=root", "--single-transaction", "--routines"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("mariadb-dump: %v: %s", err, stderr.Bytes())
	}
	return string(out)
}

// defaults writes a defaults file for the server.
func (d *daemon) defaults(t testing.TB, account, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "my.cnf")
	write(t, path, fmt.Sprintf("[client]\nsocket=%s\nuser=%s\npassword=%s\n", d.socket(), account, password))
	return path
}

// observe runs a probe.
func observe(t testing.TB, p probe.Probe, settings map[string]any) (probe.Observation, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	r := probe.Request{Check: "s/d/c", Settings: encode(t, settings), Tools: tools}
	if p.Describe().Privileges.Writes {
		r.Scratch = scratchDir(t)
	}
	o, err := p.Observe(ctx, r)
	if err == nil {
		if err := o.Validate(); err != nil {
			t.Errorf("%s: %v", p.Describe().Name, err)
		}
	}
	if r.Scratch != "" {
		isEmpty(t, r.Scratch)
	}
	return o, err
}

// find returns a fresh probe by name.
func find(t testing.TB, name string) probe.Probe {
	t.Helper()
	for _, p := range mariadb.Probes() {
		if p.Describe().Name == name {
			return p
		}
	}
	t.Fatalf("no probe %s", name)
	return nil
}

func encode(t testing.TB, settings map[string]any) holdfast.Settings {
	t.Helper()
	b, err := json.Marshal(settings)
	must(t, err)
	return holdfast.Settings(b)
}

// expect tests an observation's outcome and reason.
func expect(t testing.TB, o probe.Observation, err error, outcome holdfast.Outcome, reason holdfast.Reason) {
	t.Helper()
	if err != nil {
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeUnknown, probe.ReasonOf(err), err.Error()
	}
	if o.Outcome != outcome || o.Reason != reason {
		t.Errorf("got %s %q: %s %v\nwant %s %q\nraw %s", o.Outcome, o.Reason, o.Summary, o.Facts, outcome, reason, o.Raw)
	}
}

// scratchDir is a folder that the user mysql can reach, as t.TempDir's is not.
func scratchDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "holdfast-scratch-")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

func isEmpty(t testing.TB, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("scratch: got %v left in it, want nothing", left)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o600))
}

// aged writes a file last changed some time ago, and returns when.
func aged(t testing.TB, path, content string, age time.Duration) time.Time {
	t.Helper()
	write(t, path, content)
	at := time.Now().Add(-age).UTC().Truncate(time.Second)
	must(t, os.Chtimes(path, at, at))
	return at
}

// fakeTool writes a program that stands where a real one would.
func fakeTool(t testing.TB, script string) string {
	t.Helper()
	path := filepath.Join(scratchDir(t), "tool")
	must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755))
	return path
}

// with is the tools, one of them replaced.
func with(name, path string) map[string]string {
	all := map[string]string{}
	for k, v := range tools {
		all[k] = v
	}
	all[name] = path
	return all
}

// hold keeps a session open that has done what statement says; let ends it.
func (d *daemon) hold(t testing.TB, statement string) (let func()) {
	t.Helper()
	cmd := exec.Command(tools["mariadb"], "--no-defaults", "--socket="+d.socket(), "--user=root", "--batch", "--unbuffered")
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	_, err = io.WriteString(in, statement+"; SELECT 'held';\n")
	must(t, err)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "held\n" {
		t.Fatalf("%s: got %q, %v", statement, line, err)
	}
	return func() {
		t.Helper()
		in.Close()
		must(t, cmd.Wait())
	}
}

func port(d *daemon) string { return strconv.Itoa(d.port) }

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
