package scratch

import (
	"errors"
	"io"
)

// ErrTool ends a stream whose tool has failed: the tool's own error says why.
var ErrTool = errors.New("the tool ended early")

// Stream has read read what run writes, as it comes. An error of read wins, unless it
// only passes on that the tool has failed.
func Stream(read func(io.Reader) error, run func(io.Writer) error) error {
	from, to := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := read(from)
		if err == nil {
			_, err = io.Copy(io.Discard, from) // what follows the part that was read
		}
		from.CloseWithError(err)
		done <- err
	}()
	err := run(to)
	if err != nil {
		to.CloseWithError(ErrTool)
	} else {
		to.Close()
	}
	if readErr := <-done; readErr != nil && !errors.Is(readErr, ErrTool) {
		return readErr
	}
	return err
}
