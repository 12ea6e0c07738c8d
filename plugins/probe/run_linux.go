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
func runGroup(cmd *exec.Cmd, heavy bool) error {
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
	if heavy {
		giveWay(pid)
	}
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

// giveWay lets everybody else's work go first. Both calls are best effort: a
// sandbox may forbid them, and the tool is right without them.
func giveWay(group int) {
	const (
		ioprioWhoGroup   = 2
		ioprioBestEffort = 2 << 13
		ioprioLowest     = 7
	)
	_ = unix.Setpriority(unix.PRIO_PGRP, group, 10)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoGroup, uintptr(group), ioprioBestEffort|ioprioLowest)
}

// endGroup ends this process and, where it leads a process group, everybody in
// it. The tools in groups of their own follow by Pdeathsig.
func endGroup() {
	if unix.Getpgrp() == unix.Getpid() {
		_ = unix.Kill(0, unix.SIGKILL)
	}
	os.Exit(1)
}
