package alert

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// secret is a credential in a file of its own. It is read at every use, so that a
// renewed one counts at once, and is never printed.
type secret struct {
	file string
	min  int // bytes it has at least
}

const maxSecret = 64 << 10

// String keeps a secret from being printed by accident.
func (s secret) String() string { return "***" }

// read returns the file's content without white space around it. A file that
// others may read is refused.
func (s secret) read() (string, error) {
	f, err := os.Open(s.file)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("secret %s: not a regular file", s.file)
	case info.Mode().Perm()&0o077 != 0:
		return "", fmt.Errorf("secret %s: others may read it (%v); chmod 0600 %s", s.file, info.Mode().Perm(), s.file)
	case ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid():
		return "", fmt.Errorf("secret %s: belongs to user %d; chown it to root or to the collector's user", s.file, stat.Uid)
	case info.Size() > maxSecret:
		return "", fmt.Errorf("secret %s: larger than %d bytes", s.file, maxSecret)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if len(text) < max(s.min, 1) {
		return "", fmt.Errorf("secret %s: has %d bytes, want at least %d", s.file, len(text), max(s.min, 1))
	}
	if strings.ContainsAny(text, "\r\n\x00") {
		return "", fmt.Errorf("secret %s: has more than one line", s.file)
	}
	return text, nil
}
