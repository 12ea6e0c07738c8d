package scratch_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

func TestMemory(t *testing.T) {
	if err := scratch.Memory(1); err != nil {
		t.Errorf("one byte: %v", err)
	}
	err := scratch.Memory(1 << 60)
	if probe.ReasonOf(err) != holdfast.TooSmall || !strings.Contains(err.Error(), "this restore needs 1EiB") && !strings.Contains(err.Error(), "this restore needs 1024PiB") {
		t.Errorf("more than there is: got %v, want too-small", err)
	}
}

// TestAvailable reads what kernels write, of either version of control groups.
func TestAvailable(t *testing.T) {
	const host, group = "the host", "this process's control group"
	const meminfo = "MemTotal:       24683448 kB\nMemFree:         1022332 kB\nMemAvailable:     500000 kB\nBuffers: 1 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
		where string
	}{
		"no groups":         {nil, 500_000 << 10, host},
		"not limited":       {map[string]string{"proc/self/cgroup": "0::/\n"}, 500_000 << 10, host},
		"version 2, no max": {map[string]string{"proc/self/cgroup": "0::/a\n", "sys/a/memory.max": "max\n", "sys/a/memory.current": "5\n"}, 500_000 << 10, host},
		"version 2": {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/a/b/memory.max": "1000000\n", "sys/a/b/memory.current": "900000\n",
			"sys/a/b/memory.stat": "anon 7\ninactive_file 300\nactive_file 9\n"}, 100_300, group},
		"the group above":        {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/a/b/memory.max": "max\n", "sys/a/memory.max": "4096\n", "sys/a/memory.current": "9000\n"}, 0, group},
		"more than the host has": {map[string]string{"proc/self/cgroup": "0::/a\n", "sys/a/memory.max": "99999999999\n", "sys/a/memory.current": "1\n"}, 500_000 << 10, host},
		"a container's":          {map[string]string{"proc/self/cgroup": "0::/system.slice/docker-1.scope\n", "sys/memory.max": "2048\n", "sys/memory.current": "48\n"}, 2000, group},
		"version 1": {map[string]string{"proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/a\n0::/\n", "sys/memory/a/memory.limit_in_bytes": "8192\n",
			"sys/memory/a/memory.usage_in_bytes": "8000\n", "sys/memory/a/memory.stat": "cache 1\ninactive_file 1\ntotal_inactive_file 100\n",
			"sys/memory/memory.limit_in_bytes": "9223372036854771712\n", "sys/memory/memory.usage_in_bytes": "1\n"}, 292, group},
	} {
		dir := t.TempDir()
		files := map[string]string{"proc/meminfo": meminfo}
		for file, text := range c.files {
			files[file] = text
		}
		for file, text := range files {
			file = filepath.Join(dir, file)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, where, err := scratch.Available(filepath.Join(dir, "proc"), filepath.Join(dir, "sys"))
		if got != c.want || where != c.where || err != nil {
			t.Errorf("%s: got %d of %s, %v, want %d of %s", name, got, where, err, c.want, c.where)
		}
	}
	if _, _, err := scratch.Available(t.TempDir(), t.TempDir()); err == nil {
		t.Error("no meminfo: got no error")
	}
}
