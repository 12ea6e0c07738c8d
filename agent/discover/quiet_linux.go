package discover

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// quietly carries something out on a thread of its own with a low priority for
// processor and disk, which ends with it: what matters on the host comes first.
func quietly(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() { // the main thread does not end: leave it as it is
			defer runtime.UnlockOSThread()
			quietly(do) // on another one, since this is taken
			return
		}
		yield()
		do()
	}()
	<-done
}

// yield gives this thread the priority of restore tests, if its own is higher.
func yield() {
	const (
		ioprioWhoProcess = 1
		ioprioBestEffort = 2 << 13
		ioprioLowest     = 7
		low              = 10
	)
	if now, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil && 20-now < low { // the system call answers 20 - nice
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, low) // a look at normal priority is no harm
	}
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, ioprioBestEffort|ioprioLowest)
}
