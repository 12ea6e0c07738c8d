package probe

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// runGroup runs cmd as the leader of a process group of its own and leaves
// nobody of that group behind.
func runGroup(cmd *exec.Cmd) error {
	// Pdeathsig fires when the thread that forked ends, not the process
	// (prctl(2)), so this goroutine keeps its thread until the tool is done.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	if err := cmd.Start(); err != nil {
		return err
	}
	pid := cmd.Process.Pid
	// Wait without reaping first: as long as the leader is not reaped its number
	// cannot belong to anybody else, and the group can be killed safely.
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	_ = unix.Kill(-pid, unix.SIGKILL)
	return cmd.Wait()
}

// endGroup ends this process and, where it leads a process group, everybody in
// it. The tools in groups of their own follow by Pdeathsig.
func endGroup() {
	if unix.Getpgrp() == unix.Getpid() {
		_ = unix.Kill(0, unix.SIGKILL)
	}
	os.Exit(1)
}
