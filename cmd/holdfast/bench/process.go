package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-monitor/holdfast/collector"
)

// process is the collector under test.
type process struct {
	program, data, catalog string
	log                    string   // file of what it says
	args                   []string // further flags

	cmd    *exec.Cmd
	done   chan error    // gets its end
	took   time.Duration // from its start until it served
	pages  string        // URL
	agents string        // HOST:PORT
}

// readyLine is what the collector says once it serves.
var readyLine = regexp.MustCompile(`pages on (\S+), agents dial (\S+)`)

// start runs the collector and waits until it serves.
func (p *process) start(ctx context.Context) error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer log.Close()
	said, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	p.cmd = exec.Command(p.program, append([]string{"collector", "--data", p.data, "--catalog", p.catalog, "--listen", "127.0.0.1:0", "--agents", "127.0.0.1:0"}, p.args...)...)
	p.cmd.Args[0] = "holdfast" // a test's binary is the command only by this name, and its tests by any other
	p.cmd.Stderr, p.cmd.Stdout = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the bench is not its own
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("bench: start the collector: %w", err)
	}
	p.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan<- error) { done <- cmd.Wait() }(p.cmd, p.done)
	if err := p.await(ctx, said); err != nil {
		p.kill()
		return fmt.Errorf("bench: start the collector: %w (its log: %s)", err, p.log)
	}
	p.took = time.Since(began)
	return nil
}

// await waits until the collector has said where it serves, and is ready.
func (p *process) await(ctx context.Context, said int64) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-p.done:
			p.done <- err
			return fmt.Errorf("it ended: %v", err)
		case <-tick.C:
		}
		if p.pages == "" || p.agents == "" {
			found, err := p.readyLine(said)
			if err != nil {
				return err
			}
			if !found {
				continue
			}
		}
		if resp, err := http.Get(p.pages + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
}

func (p *process) readyLine(from int64) (found bool, err error) {
	f, err := os.Open(p.log)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return false, err
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
			p.pages, p.agents = m[1], m[2]
			return true, nil
		}
	}
	return false, nil
}

// token asks the collector for an agent's join token.
func (p *process) token(ctx context.Context, agent string) (string, error) {
	return collector.Ask(ctx, p.data, "/join", collector.AdminRequest{Name: agent})
}

// stop ends the collector in order and waits for it.
func (p *process) stop(ctx context.Context) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("bench: stop the collector: %w", err)
	}
	timeout := time.NewTimer(30 * time.Second)
	defer timeout.Stop()
	select {
	case err := <-p.done:
		p.cmd, p.pages, p.agents = nil, "", ""
		if err != nil {
			return fmt.Errorf("bench: the collector's end: %w (its log: %s)", err, p.log)
		}
		return nil
	case <-timeout.C:
		return errors.New("bench: the collector does not stop")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// kill ends the collector if it still runs.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Kill()
	<-p.done
	p.cmd, p.pages, p.agents = nil, "", ""
}

// look is what the collector tells of itself and the system of it.
type look struct {
	cpu                              time.Duration
	rss, heap                        int64 // bytes
	commits, groups, judged, changed float64
}

// syncsPerCommit is bbolt's: the pages, then the head that makes them count.
const syncsPerCommit = 2

// look asks for everything but the CPU time.
func (p *process) look(ctx context.Context) (l look, err error) {
	if l.rss, l.heap, err = memory(p.cmd.Process.Pid); err != nil {
		return l, fmt.Errorf("bench: memory of the collector: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.pages+"/metrics", nil)
	if err != nil {
		return l, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return l, fmt.Errorf("bench: metrics: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return l, fmt.Errorf("bench: metrics: %s", resp.Status)
	}
	wanted := map[string]*float64{
		"holdfast_store_commits_total": &l.commits, "holdfast_ingest_commit_seconds_count": &l.groups,
		"holdfast_judgements_total": &l.judged, "holdfast_ingest_changed_results_total": &l.changed,
	}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if at := wanted[name]; at != nil {
			if *at, err = strconv.ParseFloat(value, 64); err != nil {
				return l, fmt.Errorf("bench: metric %s: %w", name, err)
			}
			delete(wanted, name)
		}
	}
	for name := range wanted {
		return l, fmt.Errorf("bench: metrics: no %s", name)
	}
	return l, nil
}

// startCPU notes the CPU time up to now.
func (l *look) startCPU(p *process) (err error) {
	l.cpu, err = p.cpu()
	return err
}

// cpu is the collector's user and system time, in steps of 10 ms (proc(5), stat).
func (p *process) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("bench: CPU of the collector: %w", err)
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("bench: CPU of the collector: /proc/PID/stat is short")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// memory returns what is resident of a process, and of that what is its own
// rather than pages of files, bytes (proc(5), status).
func memory(pid int) (rss, own int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		n, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return 0, 0, err
		}
		switch fields[0] {
		case "VmRSS:":
			rss = n << 10
		case "RssAnon:":
			own = n << 10
		}
	}
	return rss, own, nil
}

// ownCPU is this process's user and system time.
func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail with these arguments
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
