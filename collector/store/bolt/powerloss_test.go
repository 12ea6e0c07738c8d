package bolt_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
)

// TestPowerLoss records every call by which a writer changes its files, from the
// making of the store on, and then loses power at random instants of that: what was
// synced is there; of what was not, each sector may be and each name may be. The
// store opens, and what was acknowledged by then is there.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("strace is missing: apt-get install strace")
		}
		t.Skip("strace is missing")
	}
	const seed, losses = 4, 300
	calls := recordWriter(t, t.TempDir())
	born := slices.IndexFunc(calls, func(c call) bool { return c.ack > 0 })
	random := rand.New(rand.NewPCG(seed, seed))
	empty, kept := 0, uint64(0)
	for loss := range losses {
		end := random.IntN(len(calls))
		if loss%3 == 0 { // the making is short, and has its own ways to go wrong
			end = random.IntN(born)
		}
		d := newDisk(random)
		var ledger []uint64
		for _, c := range calls[:end] {
			d.run(c)
			if c.ack > 0 {
				ledger = append(ledger, c.ack)
			}
		}
		dir := t.TempDir()
		d.lose(t, dir)
		if _, err := os.Stat(filepath.Join(dir, bolt.FileName)); err != nil {
			empty++
			if len(ledger) > 0 {
				t.Fatalf("seed %d, call %d: %d batches were acknowledged, and there is no store", seed, end, len(ledger))
			}
		}
		t.Logf("lost power at call %d of %d, %d batches acknowledged", end, len(calls), len(ledger))
		checkNumbered(t, dir, ledger)
		kept = max(kept, uint64(len(ledger)))
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if empty == 0 || kept < 5 {
		t.Errorf("%d losses before there was a store, up to %d batches acknowledged: too few of one kind", empty, kept)
	}
}

// call is one recorded change: exactly one part is set.
type call struct {
	write, truncate *change
	sync            string    // file, or the folder ""
	create          string    // name
	rename          [2]string // from, to
	ack             uint64    // number of the batch said to be committed
}

type change struct {
	file string // name by which it was opened
	at   int64  // offset, or the size it is cut or grown to
	data []byte
}

// recordWriter runs a writer under strace for a while and returns its calls.
func recordWriter(t *testing.T, dir string) []call {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("strace", "-f", "--seccomp-bpf", "-qq", "-xx", "-s", "10000000", "-o", trace,
		"-e", "trace=openat,close,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2", self)
	cmd.Env = append(os.Environ(), writerDir+"="+dir, "GORACE=atexit_sleep_ms=0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	for range 30 {
		if !said.Scan() {
			t.Fatalf("the writer ended: %v", said.Err())
		}
	}
	out.Close()    // its next word ends the writer, and with it strace
	_ = cmd.Wait() // by a signal
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	return parseTrace(t, string(text), dir)
}

var (
	callForm    = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += (-?\d+)`)
	begunForm   = regexp.MustCompile(`^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$`)
	resumedForm = regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>(.*)$`)
)

// parseTrace reads what strace wrote, as far as it concerns the files of dir and
// what the writer said.
func parseTrace(t *testing.T, text, dir string) (calls []call) {
	t.Helper()
	begun, files := map[string]string{}, map[string]string{} // by thread; by descriptor
	known := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if m := begunForm.FindStringSubmatch(line); m != nil {
			begun[m[1]] = m[1] + " " + m[2] + "(" + m[3]
			continue
		}
		if m := resumedForm.FindStringSubmatch(line); m != nil {
			line = begun[m[1]] + m[2]
		}
		m := callForm.FindStringSubmatch(line)
		if m == nil || strings.HasPrefix(m[4], "-") {
			continue
		}
		args := strings.Split(m[3], ", ")
		file, ours := files[args[0]]
		switch name := m[2]; {
		case name == "openat":
			path := unhex(t, args[1])
			if path != dir && filepath.Dir(path) != dir {
				delete(files, m[4])
				continue
			}
			file := strings.TrimPrefix(strings.TrimPrefix(path, dir), "/")
			files[m[4]] = file
			if strings.Contains(args[2], "O_CREAT") && !known[file] {
				known[file] = true
				calls = append(calls, call{create: file})
			}
		case name == "close":
			delete(files, args[0])
		case strings.HasPrefix(name, "rename"):
			var paths []string
			for _, a := range args {
				if strings.HasPrefix(a, `"`) {
					paths = append(paths, filepath.Base(unhex(t, a)))
				}
			}
			known[paths[1]] = true
			calls = append(calls, call{rename: [2]string{paths[0], paths[1]}})
		case name == "write" && args[0] == "1":
			n, err := strconv.ParseUint(strings.TrimSpace(unhex(t, args[1])), 10, 64)
			if err != nil {
				t.Fatalf("the writer said %q", args[1])
			}
			calls = append(calls, call{ack: n})
		case !ours:
		case name == "pwrite64":
			at, err := strconv.ParseInt(args[3], 10, 64)
			data := []byte(unhex(t, args[1]))
			if err != nil || strconv.Itoa(len(data)) != m[4] {
				t.Fatalf("call not understood: %.200s: %v", line, err)
			}
			calls = append(calls, call{write: &change{file, at, data}})
		case name == "write":
			t.Fatalf("a write without a place: %.200s", line)
		case name == "ftruncate":
			size, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			calls = append(calls, call{truncate: &change{file: file, at: size}})
		default: // fsync, fdatasync
			calls = append(calls, call{sync: file})
		}
	}
	return calls
}

// unhex reads a string as strace -xx writes it.
func unhex(t *testing.T, quoted string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Trim(quoted, `"`), `\x`, ""))
	if err != nil {
		t.Fatalf("strace wrote %.100q: %v", quoted, err)
	}
	return string(b)
}

const sector = 512

// disk is what a disk holds, and what is only in the system's memory.
type disk struct {
	random  *rand.Rand
	names   map[string]*inode // durable
	seen    map[string]*inode // as the writer sees them
	pending []call            // create and rename that are not durable
}

// inode is a file's content by sectors: durable, and the changes after it.
type inode struct {
	durable map[int64][]byte
	size    int64
	pending []*change
}

func newDisk(random *rand.Rand) *disk {
	return &disk{random: random, names: map[string]*inode{}, seen: map[string]*inode{}}
}

func (d *disk) run(c call) {
	switch {
	case c.create != "":
		d.seen[c.create] = &inode{durable: map[int64][]byte{}}
		d.pending = append(d.pending, c)
	case c.rename[0] != "":
		d.seen[c.rename[1]] = d.seen[c.rename[0]]
		d.pending = append(d.pending, c)
	case c.write != nil:
		i := d.seen[c.write.file]
		i.pending = append(i.pending, c.write)
	case c.truncate != nil:
		i := d.seen[c.truncate.file]
		i.pending = append(i.pending, c.truncate)
	case c.ack > 0:
	case c.sync == "":
		d.names, d.pending = maps.Clone(d.seen), nil
	default:
		i := d.seen[c.sync]
		for _, p := range i.pending {
			i.apply(p, func() bool { return true })
		}
		i.pending = nil
	}
}

// apply makes those sectors of a change durable that survive.
func (i *inode) apply(c *change, survives func() bool) {
	if c.data == nil {
		if survives() {
			i.size = c.at
		}
		return
	}
	for from := 0; from < len(c.data); from += sector {
		if survives() {
			at := c.at + int64(from)
			i.durable[at] = c.data[from:min(from+sector, len(c.data))]
			i.size = max(i.size, at+sector)
		}
	}
}

// lose writes into dir what a loss of power leaves: of changes that are not durable
// some whole, some in part, some not at all; of names the first few.
func (d *disk) lose(t *testing.T, dir string) {
	t.Helper()
	for _, c := range d.pending[:d.random.IntN(len(d.pending)+1)] {
		if c.create != "" {
			d.names[c.create] = d.seen[c.create]
			continue
		}
		d.names[c.rename[1]] = d.names[c.rename[0]]
		delete(d.names, c.rename[0])
	}
	for name, i := range d.names {
		if i == nil {
			continue
		}
		for _, c := range i.pending {
			share := []float64{0, 0.5, 1}[d.random.IntN(3)]
			i.apply(c, func() bool { return d.random.Float64() < share })
		}
		i.pending = nil
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(i.size); err != nil {
			t.Fatal(err)
		}
		for _, at := range slices.Sorted(maps.Keys(i.durable)) {
			if _, err := f.WriteAt(i.durable[at], at); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPowerLossFinds shows that the test above can fail: a disk that syncs nothing
// loses what was acknowledged.
func TestPowerLossFinds(t *testing.T) {
	d := newDisk(rand.New(rand.NewPCG(1, 1)))
	d.run(call{create: "a"})
	d.run(call{sync: ""})
	d.run(call{write: &change{"a", 0, bytes.Repeat([]byte("x"), sector)}})
	d.run(call{sync: "a"})
	d.run(call{write: &change{"a", 0, bytes.Repeat([]byte("y"), 8*sector)}})
	found := map[string]bool{}
	for range 50 {
		again := newDisk(d.random)
		again.names["a"] = &inode{durable: maps.Clone(d.seen["a"].durable), size: sector, pending: d.seen["a"].pending}
		dir := t.TempDir()
		again.lose(t, dir)
		got, err := os.ReadFile(filepath.Join(dir, "a"))
		if err != nil {
			t.Fatal(err)
		}
		found[fmt.Sprintf("%c%c", got[0], got[len(got)-1])] = true
	}
	for _, want := range []string{"xx", "yy"} {
		if !found[want] {
			t.Errorf("got %v, want %s among what a loss leaves", found, want)
		}
	}
}
