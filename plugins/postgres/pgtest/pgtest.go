// Package pgtest gives tests a real PostgreSQL: a source cluster, standbys of it,
// dumps and base backups, all in one folder that goes with the test binary. It
// runs as user postgres where the tests run as root.
package pgtest

import (
	"bytes"
	"context"
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

	"github.com/jackc/pgx/v5"
)

// Password is that of every role.
const Password = "correct horse"

// Farm is a folder with clusters.
type Farm struct {
	Dir string // writable by the clusters' owner
	Bin string // of PostgreSQL's programs

	owner *syscall.Credential

	mu      sync.Mutex
	servers []*Server // guarded by mu
	port    int       // given out last; guarded by mu
}

// Server is one cluster, started or not.
type Server struct {
	Dir  string
	Port int

	farm *Farm
	done chan struct{} // closed when the postmaster has ended; nil: not started
	pm   *os.Process
	log  *os.File
}

// prefix begins the names of farms.
const prefix = "holdfast-pgtest-"

// NewFarm makes a farm, after it has removed those whose test binary is dead.
// It is an error where PostgreSQL is not installed.
func NewFarm() (*Farm, error) {
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(bins) == 0 {
		return nil, errors.New("PostgreSQL is needed: install the package postgresql")
	}
	f := &Farm{Bin: bins[len(bins)-1]}
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		f.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	old, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, dir := range old {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), prefix), "-")
		if n, err := strconv.Atoi(pid); err == nil && errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // its servers ended with the binary (Pdeathsig)
		}
	}
	var err error
	if f.Dir, err = os.MkdirTemp("", fmt.Sprintf("%s%d-", prefix, os.Getpid())); err != nil {
		return nil, err
	}
	return f, f.own(f.Dir)
}

// own gives a file to the clusters' owner.
func (f *Farm) own(path string) error {
	if f.owner == nil {
		return nil
	}
	return os.Chown(path, int(f.owner.Uid), int(f.owner.Gid))
}

// Close stops every server and removes the farm.
func (f *Farm) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var faults []error
	for _, s := range f.servers {
		faults = append(faults, s.Stop())
	}
	return errors.Join(append(faults, os.RemoveAll(f.Dir))...)
}

// Command is a program of PostgreSQL's, or any other by its absolute path, to run as
// the clusters' owner.
func (f *Farm) Command(program string, args ...string) *exec.Cmd {
	if !filepath.IsAbs(program) {
		program = filepath.Join(f.Bin, program)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = f.Dir
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/bin:/bin", "PGPASSWORD=" + Password}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: f.owner}
	return cmd
}

// Run runs such a program and returns its standard output.
func (f *Farm) Run(program string, args ...string) ([]byte, error) {
	cmd := f.Command(program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %v: %w\n%s", program, args, err, stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

// Primary makes and starts a cluster whose superuser is postgres. Roles log in
// over TCP with Password. A file of its log has 1 MiB.
func (f *Farm) Primary(settings map[string]string) (*Server, error) {
	s := f.server()
	password := filepath.Join(f.Dir, "initial-password")
	if err := os.WriteFile(password, []byte(Password), 0o644); err != nil {
		return nil, err
	}
	_, err := f.Run("initdb", "--pgdata="+s.Dir, "--username=postgres", "--auth=scram-sha-256", "--pwfile="+password,
		"--encoding=UTF8", "--locale=C", "--wal-segsize=1", "--no-sync", "--no-instructions")
	if err != nil {
		return nil, err
	}
	return s, s.Start(settings)
}

func (f *Farm) server() *Server { return f.At("") }

// At is a cluster that is in a folder already, not started; "" names a new folder.
func (f *Farm) At(dir string) *Server {
	f.mu.Lock()
	defer f.mu.Unlock()
	if dir == "" {
		dir = filepath.Join(f.Dir, "cluster-"+strconv.Itoa(len(f.servers)))
	}
	s := &Server{Dir: dir, farm: f}
	f.servers = append(f.servers, s)
	return s
}

// Standby copies the primary and starts the copy as its streaming standby, with a
// slot of the name given.
func (s *Server) Standby(slot string, settings map[string]string) (*Server, error) {
	b := s.farm.server()
	_, err := s.farm.Run("pg_basebackup", "--dbname="+s.DSN("postgres", ""), "--pgdata="+b.Dir, "--checkpoint=fast",
		"--write-recovery-conf", "--create-slot", "--slot="+slot, "--no-sync")
	if err != nil {
		return nil, err
	}
	return b, b.Start(settings)
}

// Start starts the cluster and waits until it takes connections. Settings are
// for this start only.
func (s *Server) Start(settings map[string]string) error {
	if s.Port == 0 {
		port, err := s.farm.freePort()
		if err != nil {
			return err
		}
		s.Port = port
	}
	args := []string{"-D", s.Dir, "-p", strconv.Itoa(s.Port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"}
	for name, value := range settings {
		args = append(args, "-c", name+"="+value)
	}
	cmd := s.farm.Command("postgres", args...)
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGQUIT
	log, err := os.Create(s.Dir + ".log")
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	s.done, s.log = make(chan struct{}), log
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig fires when the thread that forked ends
		defer close(s.done)
		err := cmd.Start()
		s.pm = cmd.Process
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	return s.ready()
}

func (s *Server) ready() error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(60 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		conn, err := pgx.Connect(ctx, s.DSN("postgres", "postgres"))
		if err == nil {
			err = conn.Close(ctx)
		}
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.done:
			log, _ := os.ReadFile(s.Dir + ".log")
			return fmt.Errorf("the cluster ended: %s", log)
		case <-limit:
			return fmt.Errorf("the cluster does not answer: %w", err)
		}
	}
}

// Stop ends the cluster at once and waits for it.
func (s *Server) Stop() error {
	if s.done == nil {
		return nil
	}
	_ = s.pm.Signal(syscall.SIGINT) // fast: a standby keeps its place
	_ = s.pm.Signal(syscall.SIGCONT)
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		_ = s.pm.Kill()
		<-s.done
	}
	s.done = nil
	return s.log.Close()
}

// Hang stops the postmaster with SIGSTOP, so that nobody answers new connections,
// until the test ends.
func (s *Server) Hang(t testing.TB) {
	t.Helper()
	if err := s.pm.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.pm.Signal(syscall.SIGCONT) })
}

// DSN is a connection string of a role, for programs and for pgx.
func (s *Server) DSN(role, database string) string {
	dsn := fmt.Sprintf("host=127.0.0.1 port=%d user=%s password='%s'", s.Port, role, Password)
	if database != "" {
		dsn += " dbname=" + database
	}
	return dsn
}

// Exec runs statements as the superuser.
func (s *Server) Exec(database string, statements ...string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.DSN("postgres", database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%.100s: %w", statement, err)
		}
	}
	return nil
}

// Value returns the one text a query gives.
func (s *Server) Value(t testing.TB, database, query string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DSN("postgres", database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var value string
	if err := conn.QueryRow(t.Context(), query).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

// Await asks until a query gives "true".
func (s *Server) Await(t testing.TB, query string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(120 * time.Second); s.Value(t, "postgres", "select ("+query+")::text") != "true"; {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within 120 s: %s", query)
		}
	}
}

// freePort finds a port below 32768, where no outgoing connection takes it away.
func (f *Farm) freePort() (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.port == 0 {
		f.port = 20000 + os.Getpid()%6000*2
	}
	for f.port++; f.port < 32768; f.port++ {
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(f.port)); err == nil {
			return f.port, l.Close()
		}
	}
	return 0, errors.New("no free port below 32768")
}

// Folder makes a folder for the clusters' owner.
func (f *Farm) Folder(path string) error {
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	return f.own(path)
}

// Switch ends the file of the log that is being written, waits until it is archived
// and returns its name.
func (s *Server) Switch() (name string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres", "postgres"))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, "select pg_walfile_name(pg_switch_wal())").Scan(&name); err != nil {
		return "", err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var done bool
		if err := conn.QueryRow(ctx, "select coalesce(last_archived_wal >= $1, false) from pg_stat_archiver", name).Scan(&done); err != nil || done {
			return name, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("%s is not archived: %w", name, ctx.Err())
		}
	}
}
