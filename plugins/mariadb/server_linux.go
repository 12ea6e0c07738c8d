package mariadb

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// account is who a scratch server runs as where the agent is root: never as root,
// as whoever may write dumps says what it does.
const account = "mysql"

// datadir is a MariaDB of this test's own: a data folder, a socket in it and
// nothing else. It listens on no network, keeps no binary log, starts no
// replication and no event, and reads and writes no file outside its folder.
//
//	DIR/db      data folder; s is the socket
//	DIR/files   where SELECT … INTO OUTFILE and LOAD DATA may go, and plugins would lie: nothing
type datadir struct {
	tools map[string]string
	dir   string   // absolute, made by create
	as    []string // how to become account; nil: this process's user already is somebody
}

var serverTools = []string{"mariadb", "mariadbd", "mariadb-install-db", "setpriv"}

// present reports a tool that is not there, before an hour of reading a dump.
func present(tools map[string]string) error {
	for _, name := range serverTools {
		if name == "setpriv" && os.Geteuid() != 0 {
			continue
		}
		if tools[name] == "" {
			return probe.Unable(holdfast.ToolMissing, "%s is not where tools are looked for: install mariadb-server and util-linux; "+
				"for mariadbd say tools: {mariadbd: /usr/sbin/mariadbd} in the agent's configuration", name)
		}
		if _, err := os.Stat(tools[name]); err != nil {
			return probe.Unable(holdfast.ToolMissing, "%s: %w", name, err)
		}
	}
	return nil
}

// create makes an empty database in dir, which does not exist yet.
func create(ctx context.Context, tools map[string]string, dir string) (*datadir, error) {
	d := &datadir{tools: tools, dir: dir}
	for _, sub := range []string{dir, d.data(), filepath.Join(dir, "files")} {
		if err := os.Mkdir(sub, 0o700); err != nil {
			return nil, probe.Unable("", "scratch: %w", err)
		}
	}
	if os.Geteuid() == 0 {
		if err := d.give(); err != nil {
			return nil, err
		}
	}
	// A server that starts deletes what it takes for temporary tables left behind: in a
	// folder it shared with another server, that one's.
	out, err := d.exec(ctx, probe.Command{Path: tools["mariadb-install-db"], Args: []string{"--no-defaults", "--datadir=" + d.data(), "--tmpdir=" + filepath.Join(dir, "files"),
		"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve", logSize}})
	if err != nil {
		return nil, err
	}
	if out.ExitCode != 0 {
		return nil, d.complain("mariadb-install-db", out.Stdout, out.Stderr)
	}
	return d, nil
}

// logSize keeps an empty database at about 40 MiB.
const logSize = "--innodb-log-file-size=16M"

func (d *datadir) data() string { return filepath.Join(d.dir, "db") }

// give hands the folders to account, which must be able to reach them.
func (d *datadir) give() error {
	who, err := user.Lookup(account)
	if err != nil {
		return probe.Unable(holdfast.ToolMissing, "the agent runs as root and a server must not: there is no user %s: %w", account, err)
	}
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	for _, dir := range []string{d.dir, d.data(), filepath.Join(d.dir, "files")} {
		if err := os.Chown(dir, uid, gid); err != nil {
			return probe.Unable("", "scratch: %w", err)
		}
	}
	workspace := filepath.Dir(d.dir)
	if err := os.Chmod(workspace, 0o711); err != nil {
		return probe.Unable("", "scratch: %w", err)
	}
	for up := workspace; up != "/"; up = filepath.Dir(up) {
		if info, err := os.Stat(up); err == nil && info.Mode().Perm()&0o001 == 0 {
			return probe.Unable(holdfast.Refused, "scratch: user %s cannot enter %s: name a scratch folder that others may enter", account, up)
		}
	}
	// The kernel forgets who a process must die with when it changes its user
	// (prctl(2)); setpriv asks again.
	d.as = []string{"--reuid=" + account, "--regid=" + account, "--clear-groups", "--no-new-privs", "--pdeathsig=KILL", "--"}
	return nil
}

// exec runs a tool of the server's as the user it belongs to.
func (d *datadir) exec(ctx context.Context, c probe.Command) (probe.Output, error) {
	if d.as != nil {
		c.Args = append(append(append([]string{}, d.as...), c.Path), c.Args...)
		c.Path = d.tools["setpriv"]
	}
	c.Dir = d.data()
	c.Env = []string{"HOME=/nonexistent"}
	c.StdoutMax = 256 << 10
	return probe.Run(ctx, c)
}

// client connects over the socket, by a name short enough for one: relative to the
// data folder.
func (d *datadir) client() client {
	return client{path: d.tools["mariadb"], dir: d.data(), where: []string{"--no-defaults", "--socket=./s", "--user=root",
		fmt.Sprintf("--connect-timeout=%d", connectSeconds), "--max-allowed-packet=1G"}}
}

// server is a database that runs.
type server struct {
	*datadir
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended; out and err are set then
	out    probe.Output
	err    error
}

// start starts the server and returns when it takes connections. The caller stops
// it; it also ends with ctx.
func (d *datadir) start(ctx context.Context, more ...string) (*server, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &server{datadir: d, cancel: cancel, done: make(chan struct{})}
	ready := &awaited{text: []byte("ready for connections"), seen: make(chan struct{})}
	go func() { // ends with the server; stop waits for it
		defer close(s.done)
		s.out, s.err = d.exec(ctx, probe.Command{Path: d.tools["mariadbd"], StderrTo: ready, Args: append([]string{
			"--no-defaults", "--datadir=" + d.data(), "--socket=./s", "--pid-file=./pid", "--skip-networking", "--skip-log-bin", "--skip-slave-start",
			"--event-scheduler=DISABLED", "--secure-file-priv=../files", "--plugin-dir=../files", "--local-infile=0", "--skip-name-resolve",
			"--innodb-buffer-pool-size=128M", "--max-allowed-packet=1G", "--tmpdir=.", logSize}, more...)})
	}()
	select {
	case <-ready.seen:
		return s, nil
	case <-s.done:
		cancel()
		if s.err != nil {
			return nil, s.err
		}
		return nil, d.complain("mariadbd", s.out.Stderr)
	}
}

// shutdown lets the server write what it has and waits for its end.
func (s *server) shutdown(ctx context.Context) error {
	out, err := s.client().run(ctx, strings.NewReader("SHUTDOWN"))
	if err != nil {
		return err
	}
	if out.ExitCode != 0 {
		_, text := errorOf(out)
		return probe.Unable("", "stop the scratch server: %s", text)
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return probe.Unable(holdfast.Timeout, "stop the scratch server: %w", ctx.Err())
	}
}

// kill ends the server and waits for it.
func (s *server) kill() {
	s.cancel()
	<-s.done
}

// complain names the server's own words: the last line with an error, or the last.
func (d *datadir) complain(what string, streams ...[]byte) error {
	said := "it said nothing"
	for _, stream := range streams {
		for line := range bytes.Lines(stream) {
			text := string(bytes.TrimSpace(line))
			if text != "" && (!strings.Contains(said, "ERROR") || strings.Contains(text, "ERROR")) {
				said = text
			}
		}
	}
	if fullDisk(said) {
		return probe.Unable(holdfast.TooSmall, "%s: %s", what, probe.OneLine(said))
	}
	return probe.Unable("", "%s: %s", what, probe.OneLine(said))
}

// fullDisk reports whether an error says that scratch has no room left.
func fullDisk(text string) bool {
	for _, sign := range []string{"No space left", "Errcode: 28", "errno: 28", "error: 28", "is full"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// awaited closes seen once text went by.
type awaited struct {
	text []byte
	seen chan struct{}
	once sync.Once
	tail []byte // of what was written before; the copying goroutine alone writes
}

func (w *awaited) Write(p []byte) (int, error) {
	w.tail = append(w.tail, p...)
	if bytes.Contains(w.tail, w.text) {
		w.once.Do(func() { close(w.seen) })
	}
	w.tail = w.tail[max(0, len(w.tail)-len(w.text)):]
	return len(p), nil
}
