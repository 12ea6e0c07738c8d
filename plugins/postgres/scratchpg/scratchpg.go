// Package scratchpg runs a PostgreSQL cluster of one restore test's own: made in a
// folder, started, asked, stopped. The caller removes the folder (package
// scratch does).
//
//	owner, err := scratchpg.FindOwner()
//	err = scratchpg.Init(ctx, initdb, owner, ws.Data())       // or restore a backup into owner.Folder(ws.Data())
//	cluster, err := scratchpg.Start(ctx, postgres, owner, ws.Data(), nil)
//	defer cluster.Stop()
//	conn, err := cluster.Connect(ctx, scratchpg.Superuser, "postgres")
//
// It can reach nobody and nobody it: it listens on no address, its socket lies in
// its own folder that only its owner may enter, and it never archives: archive_mode
// is off on its command line, which no configuration file overrides, not even one
// that came with a restored backup.
//
// PostgreSQL refuses to run as root, so an agent that is root runs it as user
// postgres. That user may not enter the folders above, nor need it: the cluster's
// folder is handed down as an open descriptor and named /proc/self/fd/3. The
// socket is reached the same way, which also keeps its path under the 107 bytes
// of unix(7).
//
// The cluster dies with this process: the kernel sends its postmaster SIGQUIT, on
// which it ends all its processes at once (Pdeathsig, prctl(2)).
package scratchpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Superuser is the first role of a cluster that Init makes. Dumps do not know it,
// so a dump of all roles can create its own "postgres".
const Superuser = "holdfast"

// inherited is the cluster's folder as its own processes see it.
const inherited = "/proc/self/fd/3"

// Init makes an empty cluster in dir, which it makes. Roles log in without a
// password; collation is C, encoding UTF-8.
func Init(ctx context.Context, initdb string, o Owner, dir string) error {
	if err := o.Folder(dir); err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	out, err := o.run(ctx, folder, nil, initdb, "--pgdata="+inherited, "--username="+Superuser, "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	if err == nil && out.ExitCode != 0 {
		err = probe.Unable("", "initdb ended with exit code %d: %s", out.ExitCode, probe.Clip(string(out.Stderr), 300))
	}
	return err
}

// Cluster is a running cluster.
type Cluster struct {
	Port int

	dir        string
	folder     *os.File // dir, open
	owner      Owner
	log        *tail
	done       chan struct{} // closed when the postmaster has ended
	postmaster *os.Process
}

// Start starts the cluster in dir and waits until it takes connections, for a
// backup also until it has recovered that far. Settings override its files, but
// not the ones that keep it apart. fsync is off: nothing of it has to last.
func Start(ctx context.Context, postgres string, o Owner, dir string, settings map[string]string) (*Cluster, error) {
	if postgres == "" {
		return nil, missing("postgres")
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if err := configure(o, dir); err != nil {
		return nil, err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Port: port, dir: dir, folder: folder, owner: o, log: &tail{}, done: make(chan struct{})}
	if err := c.launch(postgres, arguments(port, settings)); err != nil {
		folder.Close()
		return nil, err
	}
	if err := c.ready(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// arguments are those of postgres; of two for one setting the later counts.
func arguments(port int, settings map[string]string) []string {
	all := []string{"fsync=off", "full_page_writes=off", "synchronous_commit=off", "autovacuum=off", "max_connections=20"}
	for name, value := range settings {
		all = append(all, name+"="+value)
	}
	all = append(all, "port="+strconv.Itoa(port), "listen_addresses=", "unix_socket_directories=.", "unix_socket_permissions=0700",
		"archive_mode=off", "archive_command=", "hba_file="+inherited+"/"+hbaFile, "logging_collector=off", "log_destination=stderr",
		"ssl=off", "shared_preload_libraries=", // those of the source need not be installed here
		"dynamic_shared_memory_type=mmap") // in the folder, so that it goes with it
	args := []string{"-D", inherited, "-c", "config_file=" + inherited + "/" + configFile}
	for _, setting := range all {
		args = append(args, "-c", setting)
	}
	return args
}

// The cluster's own configuration, beside what a restored backup brought, which
// names paths of its source and is not read. postgresql.auto.conf is: a restore
// tool says there how to recover.
const (
	configFile = "holdfast.conf"
	hbaFile    = "holdfast_hba.conf"
)

// configure writes the configuration: nothing but that whoever reaches the socket
// may log in.
func configure(o Owner, dir string) error {
	for name, content := range map[string]string{configFile: "", hbaFile: "local all all trust\n"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
		if err := o.take(path); err != nil {
			return err
		}
	}
	return nil
}

// launch starts the postmaster and a goroutine that waits for it; Stop waits for that.
func (c *Cluster) launch(postgres string, args []string) error {
	cmd := c.owner.command(context.Background(), c.folder, postgres, args...)
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	cmd.Cancel, cmd.Stdout, cmd.Stderr = nil, c.log, c.log
	started := make(chan error)
	go func() {
		defer close(c.done)
		// Pdeathsig fires when the thread that forked ends, not the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			c.postmaster = cmd.Process
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // its log says more than its exit code
		}
	}()
	if err := <-started; err != nil {
		<-c.done
		if errors.Is(err, fs.ErrNotExist) {
			return missing(postgres)
		}
		return probe.Unable("", "start postgres: %w", err)
	}
	return nil
}

// ready waits until the cluster takes connections.
func (c *Cluster) ready(ctx context.Context) error {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := c.Connect(ctx, Superuser, "postgres")
		if err == nil {
			return conn.Close(ctx)
		}
		var answer interface{ SQLState() string }
		if errors.As(err, &answer) && answer.SQLState() != "57P03" { // it is up and refuses: a restored cluster may have no such role
			return nil
		}
		select {
		case <-ctx.Done():
			return probe.Unable(probe.ReasonOf(ctx.Err()), "the scratch cluster did not start: %w", ctx.Err())
		case <-c.done:
			return probe.Unable("", "the scratch cluster did not start: %s", c.Log())
		case <-tick.C:
		}
	}
}

// Host is the socket's folder as this process names it; a tool that runs in the
// cluster's folder names it /proc/self/cwd.
func (c *Cluster) Host() string { return "/proc/self/fd/" + strconv.Itoa(int(c.folder.Fd())) }

// Connect opens a connection; options are further words of a connection string.
func (c *Cluster) Connect(ctx context.Context, user, database string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d user=%s dbname=postgres sslmode=disable connect_timeout=10", c.Host(), c.Port, user))
	if err != nil {
		return nil, err
	}
	config.Database = database
	config.Password = ""
	return pgx.ConnectConfig(ctx, config)
}

// Psql feeds a script to psql, as the cluster's owner: psql runs what a script
// tells it to, and must not do so as root.
func (c *Cluster) Psql(ctx context.Context, psql, database string, script *os.File, args ...string) (probe.Output, error) {
	args = append([]string{"--no-psqlrc", "--no-password", "--quiet", "--host=" + inherited, "--port=" + strconv.Itoa(c.Port),
		"--username=" + Superuser, "--dbname=" + database, "--output=/dev/null"}, args...)
	return c.owner.run(ctx, c.folder, script, psql, args...)
}

// Log is the end of what the cluster said.
func (c *Cluster) Log() string { return c.log.String() }

// Stop ends the cluster at once, without a word to its data, and waits for it.
func (c *Cluster) Stop() error {
	defer c.folder.Close()
	_ = c.postmaster.Signal(syscall.SIGQUIT) // an error says that it has ended
	_ = c.postmaster.Signal(syscall.SIGCONT)
	select {
	case <-c.done:
	case <-time.After(10 * time.Second):
		_ = c.postmaster.Kill()
		<-c.done
	}
	return killIn(func(cwd string) bool { return cwd == c.dir })
}

// freePort picks a port below 32768, where no client's outgoing connection can
// hold it, that nobody listens on. Nobody will: it only names the socket.
func freePort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(12000)
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port from 20000 to 32000")
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte // guarded by mu
}

const tailMax = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p[max(0, len(p)-tailMax):]...)
	t.kept = slices.Delete(t.kept, 0, max(0, len(t.kept)-tailMax))
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.kept))
}
