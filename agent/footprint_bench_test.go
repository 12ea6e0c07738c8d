package agent_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
)

// BenchmarkFootprint runs the real program with 50 checks a minute for a minute
// and reports the memory (proportional set size) of the agent alone and with its
// plugins, and the share of one core that all of them took together. The checks
// of "resident" are of a kind that keeps the plugins host and net running.
func BenchmarkFootprint(b *testing.B) {
	program := filepath.Join(b.TempDir(), "holdfast")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "../cmd/holdfast")
	if said, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, said)
	}
	minute := holdfast.Duration(time.Minute)
	for name, probes := range map[string][]holdfast.Check{
		"idle": nil,
		"resident": {
			{Probe: "host.disk", With: `{"path":"/"}`}, {Probe: "host.resources"}, {Probe: "host.mount", With: `{"path":"/"}`},
			{Probe: "net.tcp", With: `{"address":"127.0.0.1:1"}`}, {Probe: "net.dns", With: `{"name":"localhost","server":"127.0.0.1:1"}`},
		},
	} {
		b.Run(name, func(b *testing.B) {
			var checks []holdfast.Check
			for i := 0; i < 50 && probes != nil; i++ {
				c := probes[i%len(probes)]
				c.ID, c.Every, c.Timeout = fmt.Sprintf("s/p/%02d", i), minute, minute/6
				checks = append(checks, c)
			}
			for b.Loop() {
				measureFootprint(b, program, checks)
			}
		})
	}
}

func measureFootprint(b *testing.B, program string, checks []holdfast.Check) {
	dir, address := joinedFolder(b, checks)
	cmd := exec.Command(program, "agent", "--data", dir, "--join", address)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			b.Errorf("agent: %v\n%s", err, said.String())
		}
	}()
	settle, over := time.After(35*time.Second), time.After(95*time.Second)
	<-settle // every check has run once, soon after the start
	before := cpuOf(b, cmd.Process.Pid)
	<-over
	took := cpuOf(b, cmd.Process.Pid) - before
	s, err := agent.ReadStatus(context.Background(), dir)
	if err != nil {
		b.Fatal(err)
	}
	alone := pssOf(b, cmd.Process.Pid)
	total := alone
	for _, child := range childrenOf(b, cmd.Process.Pid) {
		total += pssOf(b, child)
	}
	b.ReportMetric(alone/(1<<20), "agent-MiB")
	b.ReportMetric(total/(1<<20), "all-MiB")
	b.ReportMetric(100*took.Seconds()/60, "core-%")
	b.ReportMetric(float64(s.Spool.Waiting), "reports")
}

var pss = regexp.MustCompile(`(?m)^Pss:\s+(\d+) kB`)

// pssOf returns the proportional set size of a process in bytes.
func pssOf(b *testing.B, pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		b.Fatal(err)
	}
	kib, err := strconv.ParseFloat(string(pss.FindSubmatch(text)[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib * 1024
}

func childrenOf(b *testing.B, pid int) (pids []int) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, file := range tasks {
		text, _ := os.ReadFile(file) // a thread may have ended
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// cpuOf returns the time on a core that a process and its children took, those
// that have ended included (proc(5): stat, fields 14 to 17, in hundredths).
func cpuOf(b *testing.B, pid int) time.Duration {
	var ticks int64
	for _, p := range append(childrenOf(b, pid), pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			continue // it has ended, and counts with its parent
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		for _, field := range strings.Fields(rest)[11:15] {
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
