package nagios_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/nagios"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

const dir = "/usr/lib/nagios/plugins/"

// plugin is the path of a real monitoring plugin.
func plugin(t testing.TB, name string) string {
	t.Helper()
	if _, err := os.Stat(dir + name); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the package monitoring-plugins-basic is needed: %v", err)
		}
		t.Skipf("the package monitoring-plugins-basic is needed: %v", err)
	}
	return dir + name
}

// script writes a program that answers as no plugin of the package can be made to.
func script(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "check_own")
	must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755))
	return path
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func request(t testing.TB, age string, command ...string) probe.Request {
	t.Helper()
	m := map[string]any{"command": command}
	if age != "" {
		m["recovery_point_age"] = age
	}
	b, err := json.Marshal(m)
	must(t, err)
	return probe.Request{Check: "s/p/n", Settings: holdfast.Settings(b)}
}

func observe(t testing.TB, age string, command ...string) (probe.Observation, error) {
	t.Helper()
	o, err := nagios.Probes()[0].Observe(t.Context(), request(t, age, command...))
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

func TestRealPlugins(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	_, open, _ := net.SplitHostPort(l.Addr().String())
	defer l.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	_, closed, _ := net.SplitHostPort(gone.Addr().String())
	gone.Close()
	young := filepath.Join(t.TempDir(), "young")
	must(t, os.WriteFile(young, []byte("x"), 0o600))
	for _, c := range []struct {
		command string
		outcome holdfast.Outcome
		reason  holdfast.Reason
		words   string
	}{
		{"check_dummy 0 fine", holdfast.OK, "", "OK: fine"},
		{"check_dummy 1 so-so", holdfast.OutcomeDegraded, holdfast.Assertion, "WARNING: so-so"},
		{"check_dummy 2 bad", holdfast.Failed, holdfast.Assertion, "CRITICAL: bad"},
		{"check_dummy 3 who-knows", holdfast.OutcomeUnknown, "", "check_dummy could not tell: UNKNOWN: who-knows"},
		{"check_tcp -H 127.0.0.1 -p " + open, holdfast.OK, "", "TCP OK"},
		{"check_tcp -H 127.0.0.1 -p " + closed, holdfast.Failed, holdfast.Assertion, "refused"},
		{"check_file_age -w 100 -c 200 -f " + young, holdfast.OK, "", "FILE_AGE OK"},
		{"check_file_age -w 100 -c 200 -f " + young + "er", holdfast.Failed, holdfast.Assertion, "File not found"},
		{"check_disk -w 101% -c 0% -p /", holdfast.OutcomeDegraded, holdfast.Assertion, "DISK WARNING"},
		{"check_disk --no-such-option", holdfast.OutcomeUnknown, "", "could not tell"},
	} {
		t.Run(c.command, func(t *testing.T) {
			command := strings.Fields(c.command)
			command[0] = plugin(t, command[0])
			o, err := observe(t, "", command...)
			expect(t, o, err, c.outcome, c.reason, c.words)
		})
	}
}

// TestRealPerfdata reads what check_disk and check_load say of this host.
func TestRealPerfdata(t *testing.T) {
	o, err := observe(t, "", plugin(t, "check_disk"), "-w", "1", "-c", "1", "-p", "/")
	expect(t, o, err, holdfast.OK, "", "DISK OK")
	if len(o.Measures) != 1 || o.Measures[0].Unit != "bytes" || o.Measures[0].Value < 1<<20 {
		t.Errorf("got measures %v, want the bytes used on /", o.Measures)
	}
	if f := o.Facts["perfdata /"]; !strings.Contains(f, "warning ") || !strings.Contains(f, "critical ") || !strings.Contains(f, "min 0") {
		t.Errorf("got %q, want the thresholds", f)
	}
	o, err = observe(t, "", plugin(t, "check_load"), "-w", "1000", "-c", "1000")
	expect(t, o, err, holdfast.OK, "", "LOAD OK")
	if len(o.Measures) != 3 || o.Measures[1].Name != "load5" || o.Measures[1].Unit != "" {
		t.Errorf("got measures %v, want load1, load5 and load15", o.Measures)
	}
}

func TestRecoveryPoint(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dump")
	must(t, os.WriteFile(file, []byte("x"), 0o600))
	made := time.Now().Add(-3 * time.Hour)
	must(t, os.Chtimes(file, made, made))
	age := plugin(t, "check_file_age")
	o, err := observe(t, "age", age, "-w", "86400", "-c", "86400", "-f", file)
	expect(t, o, err, holdfast.OK, "", "FILE_AGE OK")
	if len(o.RecoveryPoints) != 1 || o.RecoveryPoints[0].Time.Sub(made).Abs() > 3*time.Second {
		t.Errorf("got %v, want the file's time %v", o.RecoveryPoints, made)
	}
	o, err = observe(t, "age", age, "-w", "60", "-c", "120", "-f", file) // old: the plugin judges by its own thresholds
	expect(t, o, err, holdfast.Failed, holdfast.Assertion, "CRITICAL")
	if len(o.RecoveryPoints) != 1 {
		t.Errorf("an old backup: got %v, want its point all the same", o.RecoveryPoints)
	}
	o, err = observe(t, "size", age, "-f", file)
	expect(t, o, err, holdfast.OutcomeUnknown, "", "no age in seconds")
	o, err = observe(t, "years", age, "-w", "86400", "-c", "86400", "-f", file)
	expect(t, o, err, holdfast.OutcomeUnknown, "", `it has "age", "size"`)
	o, err = observe(t, "age", age, "-f", file+"-gone")
	expect(t, o, err, holdfast.Failed, holdfast.Assertion, "not found")
}

func TestBadPrograms(t *testing.T) {
	closed := script(t, "echo OK")
	must(t, os.Chmod(closed, 0o600))
	for _, c := range []struct {
		name, program string
		reason        holdfast.Reason
		words         string
	}{
		{"missing", "/usr/lib/nagios/plugins/check_nothing", holdfast.ToolMissing, "no such program"},
		{"may not be run", closed, holdfast.Refused, "permission denied"},
		{"silent", script(t, "exit 0"), "", "printed nothing"},
		{"silent and critical", script(t, "echo lost >&2; exit 2"), "", "printed nothing, which no monitoring plugin does: lost"},
		{"another exit code", script(t, "echo OK; exit 4"), "", "exit code 4"},
		{"shell's not found", script(t, "/no/such/thing"), "", "exit code 127"},
		{"crashed", script(t, "echo OK; kill -SEGV $$"), "", "segmentation fault"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := observe(t, "", c.program)
			expect(t, o, err, holdfast.OutcomeUnknown, c.reason, c.words)
		})
	}
}

func TestHung(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := nagios.Probes()[0].Observe(ctx, request(t, "", script(t, "echo OK; sleep 600 & sleep 600")))
	expect(t, probe.Observation{}, err, holdfast.OutcomeUnknown, holdfast.Timeout, "did not end in time")
	if took := time.Since(began); took > time.Minute { // of ten
		t.Errorf("it took %v to give up", took)
	}
}

// TestArguments shows that arguments arrive as they are, and nothing of the
// agent's environment with them.
func TestArguments(t *testing.T) {
	t.Setenv("SECRET", "of the agent")
	args := []string{"$(id)", "; id", "two words", "", "*", "-x", "line\nbreak"}
	o, err := observe(t, "", append([]string{script(t, `printf 'OK %s\n' "$#"; for a; do printf '<%s>' "$a"; done; env`)}, args...)...)
	expect(t, o, err, holdfast.OK, "", fmt.Sprintf("OK %d", len(args)))
	for _, a := range args {
		if !strings.Contains(o.Raw, "<"+a+">") {
			t.Errorf("argument %q did not arrive: %s", a, o.Raw)
		}
	}
	if strings.Contains(o.Raw, "SECRET") || !strings.Contains(o.Raw, "LC_ALL=C") {
		t.Errorf("the environment is not the fixed one: %s", o.Raw)
	}
}

// TestFlood answers with far more than is read.
func TestFlood(t *testing.T) {
	o, err := observe(t, "", script(t, `echo "OK | a=1"; head -c 30000000 /dev/zero | tr '\0' x`))
	expect(t, o, err, holdfast.OK, "", "OK")
	if len(o.Raw) > holdfast.MaxRaw || o.Facts["cut"] == "" {
		t.Errorf("got %d bytes and facts %v, want it cut and told", len(o.Raw), o.Facts)
	}
	o, err = observe(t, "", script(t, `printf 'OK | '; seq 1 5000 | sed 's/.*/n&=&/' | tr '\n' ' '`))
	expect(t, o, err, holdfast.OK, "", "OK")
	if len(o.Measures) != 200 || o.Facts["perfdata_skipped"] != "4800" {
		t.Errorf("got %d measures, %s skipped, want 200 and 4800", len(o.Measures), o.Facts["perfdata_skipped"])
	}
	o, err = observe(t, "", script(t, `printf 'OK \033]0;owned\007\377 | a\377b=1\n'`))
	expect(t, o, err, holdfast.OK, "", "OK ?]0;owned??")
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, out, text, long string
		data                  []string
		skipped               int
	}{
		{name: "text only", out: "OK\n", text: "OK"},
		{name: "the guidelines' example", text: "DISK OK - free space: / 3326 MB (56%);",
			out:  "DISK OK - free space: / 3326 MB (56%); | /=2643MB;5948;5958;0;5968\n/ 15272 MB (77%);\n/boot 68 MB (69%); | /boot=68MB;88;93;0;98\n/home=69357MB;253404;253409;0;253414",
			long: "/ 15272 MB (77%);\n/boot 68 MB (69%);",
			data: []string{"value 2.643e+09 bytes: 2643MB, warning 5948, critical 5958, min 0, max 5968",
				"boot 6.8e+07 bytes: 68MB, warning 88, critical 93, min 0, max 98", "home 6.9357e+10 bytes: 69357MB, warning 253404, critical 253409, min 0, max 253414"}},
		{name: "units", out: "OK | a=1s b=20ms c=5% d=7c e=-1.5e3 f=2KiB g=3qps h=.5", text: "OK",
			data: []string{"a 1 seconds: 1s", "b 0.02 seconds: 20ms", "c 0.05 ratio: 5%", "d 7 : 7c", "e -1500 : -1.5e3", "f 2048 bytes: 2KiB", "g 3 qps: 3qps", "h 0.5 : .5"}},
		{name: "quoted labels", out: "OK | 'C:\\ used %'=1%;@10:20;~:5 'it''s'=2 'a=b|c'=3", text: "OK",
			data: []string{"c_used 0.01 ratio: 1%, warning @10:20, critical ~:5", "it_s 2 : 2", "a_b_c 3 : 3"}},
		{name: "same name twice", out: "OK | a-b=1 a.b=2", text: "OK", data: []string{"a_b 1 : 1", "a_b_2 2 : 2"}},
		{name: "undetermined and rubbish", out: "OK | a=U b= =1 c=1,5 d 'open=1 e=1e999 f=NaN", text: "OK", skipped: 8},
		{name: "only thresholds", out: "OK | a=1;;;;", text: "OK", data: []string{"a 1 : 1"}},
		{name: "windows ends of lines", out: "OK | a=1\r\nmore\r\n", text: "OK", long: "more", data: []string{"a 1 : 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, long, data, skipped := nagios.Parsed(c.out)
			if text != c.text || long != c.long || skipped != c.skipped {
				t.Errorf("got %q, %q, %d skipped\nwant %q, %q, %d", text, long, skipped, c.text, c.long, c.skipped)
			}
			if diff := cmp.Diff(c.data, data); diff != "" {
				t.Errorf("data (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("OK | 'a''b'=1MB;2;3;4;5\nlong | c=1")
	f.Fuzz(func(t *testing.T, out string) {
		text, _, data, _ := nagios.Parsed(out)
		if len(text) > 500 || len(data) > 200 {
			t.Errorf("got %d bytes and %d numbers, want bounds", len(text), len(data))
		}
	})
}

func TestSettings(t *testing.T) {
	for in, want := range map[string]string{
		`{}`:                             `setting "command" is required`,
		`{"command":[]}`:                 "want a program's absolute path",
		`{"command":["check_disk"]}`:     "want a program's absolute path",
		`{"command":"/bin/true"}`:        `want a list`,
		`{"command":["/a","x\u0000y"]}`:  "number 2 holds a zero byte",
		`{"command":["/a"],"Command":1}`: `unknown setting "Command"`,
	} {
		_, err := nagios.Probes()[0].Observe(t.Context(), probe.Request{Settings: holdfast.Settings(in)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
}

func TestContract(t *testing.T) {
	probetest.Run(t, nagios.Probes()[0], request(t, "", plugin(t, "check_dummy"), "0", "fine"), request(t, "", plugin(t, "check_dummy"), "3"))
}
