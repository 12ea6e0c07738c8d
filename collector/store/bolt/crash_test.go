package bolt_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
)

// writerDir makes this test binary a writer on the store in the folder it names.
const writerDir = "HOLDFAST_TEST_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		fmt.Fprintln(os.Stderr, write(dir))
		os.Exit(1)
	}
	if dir := os.Getenv(faultDir); dir != "" {
		if err := commitThroughFault(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// numbered is a batch that shows its number in every part.
func numbered(n uint64) store.Batch {
	value := fmt.Appendf(nil, "%0*d", 10+n%3000, n)
	at := day.Add(time.Duration(n) * time.Second)
	return store.Batch{
		Reports: []store.AgentReport{
			{Agent: "db1", Epoch: 1, Seq: n, Received: at, Hot: value, Texts: value},
			{Agent: fmt.Sprintf("host-%d", n%50), Epoch: 1, Seq: n, Received: at, Hot: value},
		},
		Histories:   []store.History{{Check: "c", Value: value}},
		Transitions: []store.Transition{{At: at, Service: "payments", To: holdfast.Stale, Value: value}},
		Observed:    []store.Observed{{At: at, Check: "c", Value: value}},
	}
}

// write commits numbered batches for ever, from where the store ends, and prints
// each number once its batch is committed.
func write(dir string) error {
	s, err := bolt.Open(dir, bolt.Options{})
	if err != nil {
		return err
	}
	n, err := lastNumber(s)
	if err != nil {
		return err
	}
	for {
		n++
		if err := s.Commit(backgroundCtx, numbered(n)); err != nil {
			return err
		}
		if _, err := s.AppendRecord(backgroundCtx, holdfast.Record{At: day, By: strconv.FormatUint(n, 10)}); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// lastNumber is the number of the last batch, by the report of db1.
func lastNumber(s *bolt.Store) (n uint64, err error) {
	for r, err := range s.AgentReports(backgroundCtx) {
		if err != nil {
			return 0, err
		}
		if r.Agent == "db1" {
			n = r.Seq
		}
	}
	return n, nil
}

// TestKill kills a writer at random instants: what it said was committed is there,
// nothing is there twice, and no batch is there in part. Most writers begin with no
// store; a third die so soon that its making is hit too, the others 5 to 60 ms into
// their work.
func TestKill(t *testing.T) {
	t.Parallel()
	const seed = 1
	random := rand.New(rand.NewPCG(seed, seed))
	var dir string
	var ledger []uint64 // of this folder
	killed, committed := 60, 0
	for round := range killed {
		if round%2 == 0 || round < 20 {
			dir, ledger = t.TempDir(), nil
		}
		acked := killWriter(t, dir, time.Duration(5+random.IntN(56))*time.Millisecond, round%3 == 0)
		ledger = append(ledger, acked...)
		committed += min(len(acked), 1)
		checkNumbered(t, dir, ledger)
	}
	t.Logf("seed %d: %d of %d writers committed something before they were killed", seed, committed, killed)
}

// killWriter runs a writer, kills it so long after its start or its first commit,
// and returns the numbers it printed.
func killWriter(t *testing.T, dir string, life time.Duration, fromStart bool) (acked []uint64) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), writerDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() *time.Timer { return time.AfterFunc(life, func() { cmd.Process.Kill() }) }
	if fromStart {
		defer kill().Stop()
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if n, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
			if acked = append(acked, n); len(acked) == 1 && !fromStart {
				defer kill().Stop()
			}
		}
	}
	err = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != -1 {
		t.Fatalf("writer ended by itself: exit %d, %v", code, err)
	}
	return acked
}

// checkNumbered opens the store and compares it with the ledger: every batch and
// record in it is there. A batch more may be there, committed and not yet said; so
// may a record, and a batch without its record.
func checkNumbered(t *testing.T, dir string, ledger []uint64) {
	t.Helper()
	s := open(t, dir)
	defer s.Close()
	last := compareNumbered(t, s)
	if len(ledger) > 0 && last < ledger[len(ledger)-1] {
		t.Fatalf("got %d batches, want %d", last, ledger[len(ledger)-1])
	}
	found, before := map[uint64]bool{}, uint64(0)
	for r, err := range s.Records(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.ParseUint(r.By, 10, 64)
		if err != nil || n <= before || n > last {
			t.Fatalf("got record %q after %d, of %d batches", r.By, before, last)
		}
		found[n], before = true, n
	}
	for _, n := range ledger {
		if !found[n] {
			t.Fatalf("record %d of %d is lost", n, last)
		}
	}
}

// compareNumbered checks that the store holds whole numbered batches and returns
// the number of the last.
func compareNumbered(t *testing.T, s *bolt.Store) (last uint64) {
	t.Helper()
	last, err := lastNumber(s)
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range s.AgentReports(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		want := numbered(r.Seq).Reports[0]
		if string(r.Hot) != string(want.Hot) || r.Agent == "db1" && string(r.Texts) != string(want.Texts) {
			t.Fatalf("report %d of %s: got %d and %d bytes, want %d", r.Seq, r.Agent, len(r.Hot), len(r.Texts), len(want.Hot))
		}
	}
	n := last
	for o, err := range s.Observed(t.Context(), "c", store.Window{}) {
		if err != nil {
			t.Fatal(err)
		}
		if want := numbered(n).Observed[0]; n == 0 || string(o.Value) != string(want.Value) || !o.At.Equal(want.At) {
			t.Fatalf("change %d: got %.40q at %s", n, o.Value, o.At)
		}
		n--
	}
	m := last
	for o, err := range s.Transitions(t.Context(), "", store.Window{}) {
		if err != nil {
			t.Fatal(err)
		}
		if want := numbered(m).Transitions[0]; m == 0 || string(o.Value) != string(want.Value) {
			t.Fatalf("transition %d: got %.40q", m, o.Value)
		}
		m--
	}
	if n != 0 || m != 0 {
		t.Fatalf("of %d batches, %d changes and %d transitions are missing", last, n, m)
	}
	return last
}
