package discover

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// quietly carries something out on a thread of its own with the lowest priority for
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

// yield gives this thread the lowest priority.
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
