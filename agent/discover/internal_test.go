package discover

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// TestContainerOfGroups: control groups as container engines name them.
func TestContainerOfGroups(t *testing.T) {
	for group, want := range map[string]string{
		"0::/system.slice/docker-4f0c9d1be2aa77fe01234567890123456789012345678901234567890123abcd.scope":                               "4f0c9d1be2aa",
		"12:pids:/docker/4f0c9d1be2aa77fe01234567890123456789012345678901234567890123abcd":                                             "4f0c9d1be2aa",
		"0::/machine.slice/libpod-4f0c9d1be2aa77fe01234567890123456789012345678901234567890123abcd.scope/container":                    "4f0c9d1be2aa",
		"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-4f0c9d1be2aa77fe01234567890123456789012345678901234567890123abcd.scope": "4f0c9d1be2aa",
		"0::/system.slice/postgresql@15-main.service":                                                                                  "",
		"0::/user.slice/user-1000.slice/session-4f0c9d1be2aa.scope":                                                                    "",
	} {
		got := ""
		if m := containerID.FindStringSubmatch(group); m != nil {
			got = m[1]
		}
		if got != want {
			t.Errorf("%s: container %q, want %q", group, got, want)
		}
	}
}

// TestInAndOutOfAContainer: one folder seen from a container and from the host is
// one database, on the host's path, whichever was seen first.
func TestInAndOutOfAContainer(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte("16\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := process{pid: int32(os.Getpid()), container: "4f0c9d1be2aa"} // whose root is this very one
	in := database{FoundDatabase: holdfast.FoundDatabase{Kind: holdfast.PostgreSQL, Path: dir, Port: 5432, Running: true, Container: p.container}}
	p.place(&in)
	in.Path = "/var/lib/postgresql/data" // as the container calls it
	out := database{FoundDatabase: holdfast.FoundDatabase{Kind: holdfast.PostgreSQL, Path: dir, Version: "16"}}
	for name, order := range map[string][]database{"container first": {in, out}, "host first": {out, in}} {
		f := &finder{tree: &tree{root: "/", unread: map[string]bool{}}}
		for _, d := range order {
			f.add(d)
		}
		if len(f.databases) != 1 {
			t.Fatalf("%s: %d databases, want one", name, len(f.databases))
		}
		d := f.databases[0]
		if d.Path != f.real(dir) || d.Container != "" || !d.Running || d.Port != 0 || d.Version != "16" || d.Name != "in container 4f0c9d1be2aa" {
			t.Errorf("%s: %+v, want it running on the host's folder", name, d.FoundDatabase)
		}
		for inside, want := range map[string]bool{"db": true, "": false} {
			a := &Action{Saves: true, Database: holdfast.PostgreSQL, inside: inside}
			if got := f.dumps(a, &d); got != want {
				t.Errorf("%s: a dump in container %q saves it: %v, want %v", name, inside, got, want)
			}
		}
	}
	other := in
	other.id = fileID{1, 2}
	f := &finder{tree: &tree{root: "/", unread: map[string]bool{}}}
	f.add(other)
	f.add(out)
	if len(f.databases) != 2 {
		t.Errorf("%d databases, want the container's and the host's apart", len(f.databases))
	}
}

// TestQuietly: what is carried out has a low priority, and nothing keeps it.
func TestQuietly(t *testing.T) {
	before, err := unix.Getpriority(unix.PRIO_PROCESS, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for range 50 { // on whichever thread it comes to run
		nice := 0
		quietly(func() { nice, _ = unix.Getpriority(unix.PRIO_PROCESS, 0) })
		if nice > 20-10 { // getpriority(2): the system call answers 20 - nice
			t.Fatalf("priority %d, want at most 10, a low one", nice)
		}
	}
	if after, err := unix.Getpriority(unix.PRIO_PROCESS, os.Getpid()); err != nil || after != before {
		t.Errorf("the process itself has priority %d, %v, want %d as it was", after, err, before)
	}
}
