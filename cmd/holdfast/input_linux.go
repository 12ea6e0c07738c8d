package main

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// inputWaits reports whether a terminal has a line to be read, waiting for a moment.
func inputWaits(f *os.File, patience time.Duration) (bool, error) {
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(patience.Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		return false, nil
	}
	return n > 0, err
}
