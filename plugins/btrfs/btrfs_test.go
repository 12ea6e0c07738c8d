package btrfs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/btrfs"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

type m = map[string]any

const tool = "/usr/bin/btrfs"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// volume is a btrfs file system on a loop device.
type volume struct{ image, dir string }

func newVolume(t testing.TB) *volume {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	kernel, err := os.ReadFile("/proc/filesystems")
	must(t, err)
	if _, err := os.Stat(tool); err != nil || !bytes.Contains(kernel, []byte("\tbtrfs\n")) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("btrfs-progs and a kernel with btrfs are needed: %v", err)
		}
		t.Skipf("btrfs-progs and a kernel with btrfs are needed: %v", err)
	}
	base := t.TempDir()
	v := &volume{filepath.Join(base, "image"), filepath.Join(base, "mnt")}
	must(t, os.WriteFile(v.image, nil, 0o600))
	must(t, os.Truncate(v.image, 120<<20))
	must(t, os.Mkdir(v.dir, 0o755))
	run(t, "/usr/sbin/mkfs.btrfs", "-q", "-m", "single", "-d", "single", "--", v.image)
	v.mount(t)
	t.Cleanup(func() { _ = exec.Command("/usr/bin/umount", "--lazy", "--", v.dir).Run() })
	run(t, tool, "subvolume", "create", "--", v.at("data"))
	must(t, os.WriteFile(v.at("data/ledger"), bytes.Repeat([]byte("holdfast ledger "), 8192), 0o600))
	must(t, os.Mkdir(v.at("snapshots"), 0o755))
	return v
}

func (v *volume) at(name string) string { return filepath.Join(v.dir, name) }

func (v *volume) mount(t testing.TB) {
	t.Helper()
	run(t, "/usr/bin/mount", "-o", "loop", "--", v.image, v.dir)
}

// snapshot takes one of data, read-only or not.
func (v *volume) snapshot(t testing.TB, name string, readOnly bool) {
	t.Helper()
	args := []string{"subvolume", "snapshot"}
	if readOnly {
		args = append(args, "-r")
	}
	run(t, tool, append(args, "--", v.at("data"), v.at("snapshots/"+name))...)
}

func run(t testing.TB, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", program, args, err, out)
	}
}

func (v *volume) request(t testing.TB, more m) probe.Request {
	t.Helper()
	settings := m{"directory": v.at("snapshots")}
	for k, value := range more {
		settings[k] = value
	}
	b, err := json.Marshal(settings)
	must(t, err)
	return probe.Request{Check: "s/d/c", Settings: holdfast.Settings(b), Tools: map[string]string{"btrfs": tool}}
}

func (v *volume) observe(t testing.TB, more m) (probe.Observation, error) {
	t.Helper()
	o, err := btrfs.Probes()[0].Observe(t.Context(), v.request(t, more))
	if err == nil {
		if err := o.Validate(); err != nil {
			t.Error(err)
		}
	}
	return o, err
}

// expect tests what came out, and that the words are in what is said.
func expect(t testing.TB, o probe.Observation, err error, outcome holdfast.Outcome, reason holdfast.Reason, words string) {
	t.Helper()
	if err != nil {
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeUnknown, probe.ReasonOf(err), err.Error()
	}
	if o.Outcome != outcome || o.Reason != reason || !strings.Contains(o.Summary, words) {
		t.Errorf("got %s %q: %s\nwant %s %q: %s", o.Outcome, o.Reason, o.Summary, outcome, reason, words)
	}
}

func TestSnapshots(t *testing.T) {
	v := newVolume(t)
	o, err := v.observe(t, nil)
	expect(t, o, err, holdfast.Failed, holdfast.Empty, "holds no snapshot")
	run(t, tool, "subvolume", "create", "--", v.at("snapshots/not-one"))
	must(t, os.Mkdir(v.at("snapshots/folder"), 0o755))
	must(t, os.WriteFile(v.at("snapshots/file"), nil, 0o600))
	o, err = v.observe(t, nil)
	expect(t, o, err, holdfast.Failed, holdfast.Empty, "holds no snapshot")
	v.snapshot(t, "writable", false)
	o, err = v.observe(t, nil)
	expect(t, o, err, holdfast.Failed, holdfast.Assertion, "all 1 snapshots that match are writable")
	if o.Immutable == nil || *o.Immutable {
		t.Errorf("got immutable %v, want it seen that it is not", o.Immutable)
	}
	before := time.Now()
	for i := range 6 {
		v.snapshot(t, fmt.Sprintf("ledger-%d", i), true)
	}
	o, err = v.observe(t, m{"pattern": "ledger-*"})
	expect(t, o, err, holdfast.OK, "", "6 read-only snapshots, the newest ledger-5")
	var ids []string
	for _, p := range o.RecoveryPoints {
		ids = append(ids, p.ID)
		if p.Time.Before(before.Add(-time.Second)) || p.Time.After(time.Now()) {
			t.Errorf("%s is of %v, want now", p.ID, p.Time)
		}
	}
	if got := strings.Join(ids, " "); got != "ledger-5 ledger-4 ledger-3 ledger-2 ledger-0" {
		t.Errorf("got %s, want the newest four and the oldest", got)
	}
	if o.Immutable != nil || o.Verification != nil || !strings.Contains(o.Facts["scrub"], "none") {
		t.Errorf("got immutable %v, %+v, %v, want nothing claimed", o.Immutable, o.Verification, o.Facts)
	}
	o, err = v.observe(t, m{"pattern": "other-*"})
	expect(t, o, err, holdfast.Failed, holdfast.NoMatch, "none of 7 snapshots matches other-*")
}

// TestReceived has a snapshot sent from another file system, half and whole.
func TestReceived(t *testing.T) {
	from, to := newVolume(t), newVolume(t)
	from.snapshot(t, "ledger-20261101T030000", true)
	stream := filepath.Join(t.TempDir(), "stream")
	run(t, tool, "send", "-q", "-f", stream, "--", from.at("snapshots/ledger-20261101T030000"))
	whole, err := os.ReadFile(stream)
	must(t, err)
	half := exec.Command(tool, "receive", "-q", to.at("snapshots"))
	half.Stdin = bytes.NewReader(whole[:len(whole)/2])
	_ = half.Run() // it fails, and leaves what it had
	o, err := to.observe(t, nil)
	if err == nil && o.Outcome == holdfast.OK {
		t.Errorf("a half received snapshot counts: %s", o.Summary)
	}
	if len(o.RecoveryPoints) > 0 {
		t.Errorf("got %v, want no recovery point of a half snapshot", o.RecoveryPoints)
	}
	if entries, _ := os.ReadDir(to.at("snapshots")); len(entries) > 0 {
		run(t, tool, "subvolume", "delete", "--", to.at("snapshots/ledger-20261101T030000"))
	}
	run(t, tool, "receive", "-q", "-f", stream, to.at("snapshots"))
	o, err = to.observe(t, m{"name_time": "%Y%m%dT%H%M%S"})
	expect(t, o, err, holdfast.OK, "", "1 read-only snapshots")
	if want := time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC); !o.RecoveryPoints[0].Time.Equal(want) || strings.HasPrefix(o.Facts["received"], "no") {
		t.Errorf("got %v, received %q, want the sender's %v", o.RecoveryPoints, o.Facts["received"], want)
	}
	o, err = to.observe(t, m{"name_time": "x%Y%m%d"})
	expect(t, o, err, holdfast.Failed, holdfast.NoMatch, "none of 1 snapshots")
}

// TestScrub scrubs a good file system, and one whose disk has lost some bytes.
func TestScrub(t *testing.T) {
	v := newVolume(t)
	v.snapshot(t, "ledger-1", true)
	run(t, "/usr/bin/sync", "-f", v.dir)
	run(t, tool, "scrub", "start", "-B", "--", v.dir)
	o, err := v.observe(t, nil)
	expect(t, o, err, holdfast.OK, "", "; scrubbed ")
	if got := o.Verification; got == nil || got.Scope != 1 || got.Errors != 0 || time.Since(got.Time) > time.Minute {
		t.Errorf("got %+v, want a whole verification just now", got)
	}
	run(t, "/usr/bin/umount", "--", v.dir)
	image, err := os.ReadFile(v.image)
	must(t, err)
	damaged := bytes.ReplaceAll(image, []byte("holdfast ledger holdfast ledger "), []byte("holdfast LEDGER holdfast ledger "))
	if bytes.Equal(image, damaged) {
		t.Fatal("the file's content was not found in the image")
	}
	must(t, os.WriteFile(v.image, damaged, 0o600))
	v.mount(t)
	_ = exec.Command(tool, "scrub", "start", "-B", "--", v.dir).Run() // it fails by what it finds
	o, err = v.observe(t, nil)
	expect(t, o, err, holdfast.Failed, holdfast.Damaged, "could not correct")
	if got := o.Verification; got == nil || got.Errors == 0 || len(o.RecoveryPoints) != 1 {
		t.Errorf("got %+v and %v, want the errors and the snapshot", got, o.RecoveryPoints)
	}
}

func TestNotThere(t *testing.T) {
	v := newVolume(t)
	v.snapshot(t, "ledger-1", true)
	o, err := v.observe(t, m{"directory": v.at("none")})
	expect(t, o, err, holdfast.Failed, holdfast.Missing, "no directory")
	o, err = v.observe(t, m{"directory": t.TempDir()})
	expect(t, o, err, holdfast.OutcomeUnknown, "", "not on btrfs")
	hung := filepath.Join(t.TempDir(), "btrfs")
	must(t, os.WriteFile(hung, []byte("#!/bin/sh\nexec sleep 600\n"), 0o755))
	r := v.request(t, nil)
	r.Tools = nil
	o, err = btrfs.Probes()[0].Observe(t.Context(), r)
	expect(t, o, err, holdfast.OK, "", "1 read-only snapshots") // the tool only knows of the scrub
	r.Tools = map[string]string{"btrfs": hung}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	o, err = btrfs.Probes()[0].Observe(ctx, r)
	expect(t, o, err, holdfast.OK, "", "1 read-only snapshots")
	dir, hangUp := probetest.DeafMount(t)
	defer hangUp()
	ctx, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer stop()
	o, err = btrfs.Probes()[0].Observe(ctx, v.request(t, m{"directory": dir}))
	expect(t, o, err, holdfast.Failed, holdfast.Timeout, "does not answer")
	probetest.Run(t, btrfs.Probes()[0], v.request(t, nil), v.request(t, m{"directory": "/no/such"}))
}
