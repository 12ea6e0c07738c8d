package discover_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-monitor/holdfast/agent/discover"
)

// TestSnapshots: a folder of read-only btrfs snapshots is one of copies, and what is
// in them is no data of its own; a writable subvolume is.
func TestSnapshots(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("mounting needs root")
		}
		t.Skip("mounting needs root")
	}
	kernel, err := os.ReadFile("/proc/filesystems")
	if err != nil || !bytes.Contains(kernel, []byte("\tbtrfs\n")) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("a kernel with btrfs is needed: %v", err)
		}
		t.Skipf("a kernel with btrfs is needed: %v", err)
	}
	root := t.TempDir()
	image, volume := filepath.Join(t.TempDir(), "image"), filepath.Join(root, "srv")
	write(t, root, map[string]string{"srv/": ""})
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 120<<20); err != nil {
		t.Fatal(err)
	}
	run(t, "/usr/sbin/mkfs.btrfs", "-q", "-m", "single", "-d", "single", "--", image)
	run(t, "/usr/bin/mount", "-o", "loop", "--", image, volume)
	t.Cleanup(func() { _ = exec.Command("/usr/bin/umount", "--lazy", "--", volume).Run() })
	run(t, "/usr/bin/btrfs", "subvolume", "create", "--", filepath.Join(volume, "live"))
	write(t, volume, cluster("live/pg"))
	write(t, volume, map[string]string{"snapshots/": ""})
	for _, day := range []string{"monday", "tuesday"} {
		run(t, "/usr/bin/btrfs", "subvolume", "snapshot", "-r", "--", filepath.Join(volume, "live"), filepath.Join(volume, "snapshots", day))
	}
	run(t, "/usr/bin/btrfs", "subvolume", "snapshot", "--", filepath.Join(volume, "live"), filepath.Join(volume, "copy"))

	r := look(t, root)
	var got []string
	for _, d := range r.Databases {
		got = append(got, d.Path)
	}
	if diff := cmp.Diff(got, []string{"/srv/copy/pg", "/srv/live/pg"}); diff != "" {
		t.Errorf("databases (-got +want):\n%s", diff)
	}
	if !slices.ContainsFunc(r.Repositories, func(x discover.Repository) bool {
		return x.Kind == "btrfs" && x.Location == "/srv/snapshots" && x.Count == 2 && !x.Newest.IsZero()
	}) {
		t.Errorf("repositories %+v, want the two snapshots", r.Repositories)
	}
}
