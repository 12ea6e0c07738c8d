package discover

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	psprocess "github.com/shirou/gopsutil/v3/process"

	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

const processesMax = 20_000

// process is a running program, as the process table shows it.
type process struct {
	pid       int32
	parent    int32
	name      string   // as the kernel knows it
	argv      []string // as the program may have changed it
	folder    string   // it works in; empty: not known
	container string   // it runs in; empty: none
}

// readProcesses reads the process table. A tree has none.
func (f *finder) readProcesses(ctx context.Context) {
	if f.root == "/" {
		f.processes = processTable(ctx)
	}
}

func processTable(ctx context.Context) []process {
	pids, err := psprocess.PidsWithContext(ctx)
	if err != nil {
		return nil
	}
	var list []process
	for _, pid := range pids[:min(len(pids), processesMax)] {
		if ctx.Err() != nil {
			break
		}
		ps := &psprocess.Process{Pid: pid}
		name, err := ps.NameWithContext(ctx)
		if err != nil || !isServer(name) {
			continue // it has ended, or keeps no data we know of
		}
		p := process{pid: pid, name: name, container: containerOf(pid)}
		p.argv, _ = ps.CmdlineSliceWithContext(ctx) // what cannot be read stays empty
		if slices.ContainsFunc(p.argv, scratch.InWorkspace) {
			continue // a restore test's
		}
		p.parent, _ = ps.PpidWithContext(ctx)
		p.folder, _ = ps.CwdWithContext(ctx)
		list = append(list, p)
	}
	return list
}

// isServer reports whether a program is one of a database.
func isServer(name string) bool {
	switch name {
	case "postgres", "postmaster", "mysqld", "mariadbd", "redis-server", "valkey-server":
		return true
	}
	return false
}

var containerID = regexp.MustCompile(`(?:docker|libpod|containerd|crio|kubepods|lxc|machine)\S*?[-/:]([0-9a-f]{12})[0-9a-f]{0,52}`)

// containerOf names the container a process runs in by the beginning of its ID, as
// its control group says.
func containerOf(pid int32) string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(int(pid)), "cgroup"))
	if err != nil || len(text) > fileMax {
		return ""
	}
	if m := containerID.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

// listening lists the TCP ports that take connections from this host itself
// (proc(5), /proc/net/tcp: local address, state 0A).
func listening() map[int]bool {
	ports := map[int]bool{}
	for _, file := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, _ := os.ReadFile(file) // not every host has both
		for line := range strings.Lines(string(text)) {
			w := strings.Fields(line)
			if len(w) < 4 || w[3] != "0A" {
				continue
			}
			address, port, _ := strings.Cut(w[1], ":")
			if n, err := strconv.ParseInt(port, 16, 32); err == nil && (strings.Trim(address, "0") == "" || address == "0100007F") {
				ports[int(n)] = true
			}
		}
	}
	return ports
}

// place tells the folder of a database that a process in a container keeps there.
func (p *process) place(d *database) {
	if p.container != "" && filepath.IsAbs(d.Path) {
		d.id = identity(filepath.Join("/proc", strconv.Itoa(int(p.pid)), "root", d.Path))
	}
}

// flag returns the value of an option of a command line written -D X, -DX, --name X
// or --name=X. Servers take _ and - in names for the same.
func (p *process) flag(names ...string) string {
	for i, arg := range p.argv {
		for _, name := range names {
			long := strings.HasPrefix(name, "--")
			if long {
				arg = strings.ReplaceAll(arg[:min(len(arg), len(name)+1)], "_", "-") + arg[min(len(arg), len(name)+1):]
			}
			switch {
			case arg == name && i+1 < len(p.argv):
				return p.argv[i+1]
			case long && strings.HasPrefix(arg, name+"="):
				return arg[len(name)+1:]
			case !long && len(arg) > len(name) && strings.HasPrefix(arg, name):
				return arg[len(name):]
			}
		}
	}
	return ""
}
