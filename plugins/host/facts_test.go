package host_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/host"
)

func TestClockHere(t *testing.T) {
	var kernel unix.Timex
	if _, err := unix.Adjtimex(&kernel); err != nil {
		t.Fatal(err)
	}
	o := observe(t, "host.time", "offset", "1h")
	if unsynchronised := kernel.Status&unix.STA_UNSYNC != 0; unsynchronised {
		wantOutcome(t, o, holdfast.OutcomeDegraded, holdfast.Assertion)
	} else {
		wantOutcome(t, o, holdfast.OK, "")
	}
}

func TestClock(t *testing.T) {
	const second = holdfast.Duration(time.Second)
	for _, c := range []struct {
		name    string
		limit   holdfast.Duration
		kernel  unix.Timex
		outcome holdfast.Outcome
		offset  float64
		summary string
	}{
		{"kept", second, unix.Timex{Offset: 1500, Esterror: 200}, holdfast.OK, 0.0015, "off by at most about 1.7ms"},
		{"kept, in nanoseconds", second, unix.Timex{Offset: 1500, Status: unix.STA_NANO}, holdfast.OK, 1.5e-6, "1.5µs"},
		{"behind", second, unix.Timex{Offset: -1_500_000}, holdfast.OutcomeDegraded, -1.5, "off by 1.5s, more than 1s"},
		{"badly known", second, unix.Timex{Offset: 900_000, Esterror: 200_000}, holdfast.OutcomeDegraded, 0.9, "off by 1.1s, more than 1s"},
		{"at the limit", second, unix.Timex{Offset: 1_000_000}, holdfast.OK, 1, "1s"},
		{"a wider limit", 2 * second, unix.Timex{Offset: -1_500_000}, holdfast.OK, -1.5, "1.5s"},
		{"between two polls", second, unix.Timex{Maxerror: 1_100_000}, holdfast.OK, 0, "0s"},
		{"not kept", second, unix.Timex{Status: unix.STA_UNSYNC}, holdfast.OutcomeDegraded, 0, "no time daemon"},
	} {
		o := host.ClockObservation(c.limit, c.kernel)
		if o.Outcome != c.outcome || !strings.Contains(o.Summary, c.summary) || measure(t, o, "offset_seconds") != c.offset {
			t.Errorf("%s: got %s, %q, %v; want %s, %q, %v s", c.name, o.Outcome, o.Summary, o.Measures, c.outcome, c.summary, c.offset)
		}
	}
}

func TestFacts(t *testing.T) {
	o := observe(t, "host.facts")
	wantOutcome(t, o, holdfast.OK, "")
	for _, part := range []string{"os", "kernel", "packages", "hypervisor"} {
		if o.Fingerprint[part] == "" {
			t.Errorf("fingerprint part %q is empty: %v", part, o.Fingerprint)
		}
	}
	for _, part := range []string{"copy", "tool", "engine"} {
		if _, named := o.Fingerprint[part]; named {
			t.Errorf("fingerprint names %q, which voids tests; host facts must void nothing", part)
		}
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := o.Fingerprint["kernel"], strings.TrimSpace(string(release)); got != want {
		t.Errorf("kernel: got %q, want %q", got, want)
	}
	if again := observe(t, "host.facts"); fmt.Sprint(again.Fingerprint) != fmt.Sprint(o.Fingerprint) {
		t.Errorf("the fingerprint moves: %v, then %v", o.Fingerprint, again.Fingerprint)
	}
}

// TestPackagesHere compares what is read from the file with what dpkg says.
func TestPackagesHere(t *testing.T) {
	query, err := exec.LookPath("dpkg-query")
	if err != nil {
		if os.Getenv("CI") == "true" && os.Getuid() == 0 {
			t.Fatal("no dpkg-query here")
		}
		t.Skip("no dpkg-query here")
	}
	out, err := exec.Command(query, "--show", "--showformat", "${db:Status-Status}\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for line := range strings.Lines(string(out)) {
		if line == "installed\n" {
			want++
		}
	}
	if got := int(measure(t, observe(t, "host.facts"), "packages")); got != want {
		t.Errorf("packages: got %d, want %d as dpkg-query says", got, want)
	}
}

const dpkgStatus = `Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2
Description: GNU Bourne Again SHell
 Version: not a field

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: libc6
Status: hold ok installed
Architecture: amd64
Version: 2.36-9
`

func TestPackages(t *testing.T) {
	dpkg := func(status string) string { return tree(t, "var/lib/dpkg/status", status) }
	was := dpkg(dpkgStatus)
	if !strings.HasPrefix(was, "dpkg 2 ") {
		t.Errorf("got %q, want the two installed packages of dpkg", was)
	}
	stanzas := strings.Split(dpkgStatus, "\n\n")
	if got := dpkg(stanzas[2] + "\n" + stanzas[1] + "\n\n" + stanzas[0] + "\n"); got != was {
		t.Errorf("another order: got %q, want %q", got, was)
	}
	if got := dpkg(strings.Replace(dpkgStatus, "Description: GNU", "Description: a", 1)); got != was {
		t.Errorf("another description: got %q, want %q", got, was)
	}
	if got := dpkg(strings.Replace(dpkgStatus, "5.2.15-2", "5.2.15-3", 1)); got == was {
		t.Errorf("another version: got %q, want another hash", got)
	}
	if got := dpkg(strings.Replace(dpkgStatus, "1.0", "1.1", 1)); got != was {
		t.Errorf("another version of what is not installed: got %q, want %q", got, was)
	}
	apk := tree(t, "lib/apk/db/installed", "P:musl\nV:1.2.4\nA:x86_64\n\nP:busybox\nV:1.36\nA:x86_64\n\n")
	if !strings.HasPrefix(apk, "apk 2 ") {
		t.Errorf("got %q, want the two packages of apk", apk)
	}
	rpm := tree(t, "var/lib/rpm/rpmdb.sqlite", "SQLite format 3")
	if !strings.HasPrefix(rpm, "rpm ") || rpm == tree(t, "var/lib/rpm/rpmdb.sqlite", "SQLite format 4") {
		t.Errorf("got %q, want rpm and the hash of its database", rpm)
	}
	if got := tree(t, "etc/hostname", "x"); got != "none" {
		t.Errorf("without a package manager: got %q, want none", got)
	}
}

// tree names the package set of a root with one file.
func tree(t *testing.T, path, content string) string {
	t.Helper()
	got, err := host.Packages(t.Context(), fstest.MapFS{path: {Data: []byte(content)}})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestOSName(t *testing.T) {
	for content, want := range map[string]string{
		"PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\nVERSION_ID=\"12\"\n": "debian 12",
		"ID=arch\n": "arch",
		"NAME=x\n":  "linux",
	} {
		got, err := host.OSName(fstest.MapFS{"etc/os-release": {Data: []byte(content)}})
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", content, got, err, want)
		}
	}
}
