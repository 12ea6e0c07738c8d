package probetest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// DeafMount mounts a file system whose server never answers, as a network mount
// does whose server is gone: a probe of files must still keep its deadline. After
// hangUp it answers with an error. Mounting needs root; without, the test is
// skipped.
func DeafMount(t *testing.T) (dir string, hangUp func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir = filepath.Join(t.TempDir(), "deaf")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open fuse: %v", err)
	}
	server := os.NewFile(uintptr(fd), "fuse")
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)
	if err := unix.Mount("deaf", dir, "fuse", 0, options); err != nil {
		server.Close()
		t.Fatalf("mount fuse: %v", err)
	}
	t.Cleanup(func() {
		server.Close()
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir, func() { server.Close() }
}
