package discover

import "golang.org/x/sys/unix"

// yield gives this thread the lowest priority for processor and disk, so that what
// matters on the host comes first.
func yield() {
	const (
		ioprioWhoProcess = 1
		ioprioBestEffort = 2 << 13
		ioprioLowest     = 7
		lowest           = 19
	)
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowest) // a look at normal priority is no harm
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, ioprioBestEffort|ioprioLowest)
}
