package agent_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
)

// spoolPath names, in the environment, the spool that TestSpoolProcess fills.
const spoolPath = "HOLDFAST_TEST_SPOOL"

// ledger says on standard output which results are on disk.
type ledger struct{ *agent.Outbox }

func (l ledger) Append(results []agent.Result) error {
	err := l.Outbox.Append(results)
	for _, r := range results {
		if err == nil {
			fmt.Printf("durable %s\n", r.Observation.Summary)
		}
	}
	return err
}

// TestSpoolProcess is the process that TestOutboxKilled kills: it gathers results
// into a spool as an agent does, as fast as it can.
func TestSpoolProcess(t *testing.T) {
	path := os.Getenv(spoolPath)
	if path == "" {
		return // not that process
	}
	start := time.Now()
	o, err := agent.OpenOutbox(path, agent.OutboxOptions{Bytes: 64 << 20, Age: holdfast.Day, Now: time.Now,
		Elapsed: func() time.Duration { return time.Since(start) }}, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan agent.Result)
	go agent.Gather(results, ledger{o})
	for i := 0; ; i++ {
		outcome := holdfast.OK
		if i%7 == 0 {
			outcome = holdfast.Failed
		}
		r := result("a", time.Now(), outcome)
		r.Observation.Summary = fmt.Sprintf("%d-%d", os.Getpid(), i)
		results <- r
		if s := o.State(); i%11 == 10 { // acknowledged: may be gone, and may come back
			if r, ok, err := o.Next(s.First - 1); err == nil && ok {
				for _, o := range r.Observations {
					fmt.Printf("acknowledged %s\n", o.Summary)
				}
				if err := o.Drop(r.Seq); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// TestOutboxKilled kills a process that fills a spool, at random moments, and
// compares the spool with a ledger kept outside of it.
func TestOutboxKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spool.db")
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	durable, acknowledged := map[string]bool{}, map[string]bool{}
	for range 40 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSpoolProcess$")
		cmd.Env = append(os.Environ(), spoolPath+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		note := func() error {
			line, err := lines.ReadString('\n')
			what, id, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch {
			case err != nil: // the line, if any, is cut short
			case what == "durable":
				durable[id] = true
			case what == "acknowledged":
				acknowledged[id] = true
			}
			return err
		}
		// Some are killed while they open the file, some while they write.
		for range random.IntN(60) {
			if err := note(); err != nil {
				t.Fatalf("the process ended by itself: %v\n%s", err, said.String())
			}
		}
		<-time.After(time.Duration(random.IntN(3000)) * time.Microsecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for note() == nil {
		}
		_, _ = io.Copy(io.Discard, lines)
		_ = cmd.Wait() // killed
		if strings.Contains(said.String(), "damaged") {
			t.Fatalf("after a kill: %s", said.String())
		}
	}

	log := &logged{}
	o := openOutbox(t, path, newClock().options(), log)
	found := map[string]int{}
	var last, lastSeq uint64
	for _, r := range all(t, o) {
		for _, obs := range r.Observations {
			found[obs.Summary]++
			if obs.Seq <= last || r.Seq < lastSeq {
				t.Errorf("report %d, observation %d after report %d, observation %d", r.Seq, obs.Seq, lastSeq, last)
			}
			last, lastSeq = obs.Seq, r.Seq
		}
	}
	if len(durable) < 500 {
		t.Errorf("only %d results were confirmed durable", len(durable))
	}
	for id := range durable {
		if n := found[id]; n != 1 && !(n == 0 && acknowledged[id]) {
			t.Errorf("result %s is in the spool %d times, want once", id, n)
		}
	}
	for id, n := range found {
		if n > 1 {
			t.Errorf("result %s is in the spool %d times", id, n)
		}
	}
	t.Logf("%d results confirmed, %d acknowledged, %d found", len(durable), len(acknowledged), len(found))
}

// smallDisk mounts a file system of that size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("mounting needs root")
		}
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestOutboxOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "4m")
	c, log, path := newClock(), &logged{}, filepath.Join(dir, "spool.db")
	o := openOutbox(t, path, c.options(), log)
	appendAll(t, o, result("a", c.wall, holdfast.OK))
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 8<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}

	// It goes on from memory, and says so once.
	const n = 60
	failed := 0
	for range n {
		c.pass(time.Minute)
		if o.Append([]agent.Result{result("a", c.wall, holdfast.Failed)}) != nil {
			failed++
		}
	}
	if failed == 0 || o.Problem() == nil {
		t.Fatalf("%d appends failed, problem %v; want a full disk noticed", failed, o.Problem())
	}
	if got := strings.Count(log.String(), "kept in memory only"); got != 1 {
		t.Errorf("the log says it %d times, want once:\n%s", got, log)
	}
	reports := all(t, o)
	if len(reports) != n+1 {
		t.Fatalf("%d reports wait, want %d", len(reports), n+1)
	}
	if r, ok, err := o.Previous(1 << 60); err != nil || !ok || r.Seq != n+1 {
		t.Errorf("newest is report %d (%v, %v), want %d", r.Seq, ok, err, n+1)
	}
	if err := o.Drop(n+1, n, 1); err != nil && o.Problem() == nil {
		t.Error(err)
	}

	// With room again everything is on disk with the next append.
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	c.pass(5 * time.Second)
	appendAll(t, o, result("a", c.wall, holdfast.OK))
	if o.Problem() != nil {
		t.Errorf("problem %v with room again, want none", o.Problem())
	}
	if !strings.Contains(log.String(), "the spool can be written again") {
		t.Errorf("the log does not say that it is over:\n%s", log)
	}
	want := slices.Concat(seqs(reports[1:n-1]), []uint64{n + 2})
	epoch := o.State().Epoch
	o.Close()
	o = openOutbox(t, path, c.options(), log)
	if got := seqs(all(t, o)); !slices.Equal(got, want) {
		t.Errorf("after a restart %d reports wait, want %d: %v", len(got), len(want), got)
	}
	if o.State().Epoch != epoch {
		t.Errorf("epoch %d after the restart, want %d", o.State().Epoch, epoch)
	}
}

func TestOutboxKilledOnAFullDiskGivesNoNumberTwice(t *testing.T) {
	dir := smallDisk(t, "1m")
	c, path := newClock(), filepath.Join(dir, "spool.db")
	o := openOutbox(t, path, c.options(), &logged{})
	epoch := o.State().Epoch
	ballast := filepath.Join(dir, "ballast")
	_ = os.WriteFile(ballast, make([]byte, 8<<20), 0o600)
	for o.Append([]agent.Result{result("a", c.wall, holdfast.Failed)}) == nil {
	}
	last := o.State().Last
	agent.Kill(o)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	log := &logged{}
	o = openOutbox(t, path, c.options(), log)
	if s := o.State(); s.Epoch <= epoch || s.Last >= last {
		t.Errorf("state %+v after epoch %d, report %d was lost with the memory; want a newer epoch", s, epoch, last)
	}
	if !strings.Contains(log.String(), "new epoch") {
		t.Errorf("the log does not say so: %s", log)
	}
}

func TestOutboxMemoryIsBounded(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "1m")
	c := newClock()
	o := openOutbox(t, filepath.Join(dir, "spool.db"), c.options(), &logged{})
	_ = os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 8<<20), 0o600)
	outcome := map[bool]holdfast.Outcome{true: holdfast.Failed, false: holdfast.OK}
	changes := 0
	for i := range 1500 {
		var results []agent.Result
		for j := range 10 {
			r := result(fmt.Sprint("check ", j), c.wall, outcome[j == 0 && i/50%2 == 1])
			r.Observation.Summary = ""
			results = append(results, r)
		}
		if i%50 == 0 {
			changes++
		}
		_ = o.Append(results)
	}
	held, kept := 0, 0
	outcomes := map[holdfast.Outcome]int{}
	before := holdfast.Outcome("")
	for _, r := range all(t, o) {
		held += len(r.Observations)
		for _, obs := range r.Observations {
			if obs.Check == "check 0" {
				outcomes[obs.Outcome]++
				if obs.Outcome != before {
					kept++
				}
				before = obs.Outcome
			}
		}
	}
	if o.Problem() == nil || held > 6000 {
		t.Errorf("problem %v, %d results in memory; want a full disk and at most 6000", o.Problem(), held)
	}
	if kept != changes {
		t.Errorf("%d of %d changes of outcome kept, want all", kept, changes)
	}
}
