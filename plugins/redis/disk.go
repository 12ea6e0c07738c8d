package redis

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/folder"
)

// found is what the files were found to hold.
type found struct {
	rdb, aof *kept // nil: there is none
}

// kept is one way in which data is kept on disk, read to its end.
type kept struct {
	at       time.Time // as of when the data is
	bytes    int64
	keys     int64 // of the RDB
	commands int64 // of the AOF, after its base
}

func (f found) points() []holdfast.RecoveryPoint {
	var all []holdfast.RecoveryPoint
	if f.aof != nil {
		all = append(all, holdfast.RecoveryPoint{Time: f.aof.at, ID: "AOF", Bytes: holdfast.Bytes(f.aof.bytes)})
	}
	if f.rdb != nil {
		p := holdfast.RecoveryPoint{Time: f.rdb.at, ID: "RDB", Bytes: holdfast.Bytes(f.rdb.bytes), Files: 1}
		if f.aof != nil && p.Time.After(f.aof.at) {
			return append([]holdfast.RecoveryPoint{p}, all...)
		}
		all = append(all, p)
	}
	return all
}

func (f found) measures() []holdfast.Measure {
	var all []holdfast.Measure
	if f.rdb != nil {
		all = append(all, holdfast.Measure{Name: "rdb_bytes", Value: float64(f.rdb.bytes), Unit: "bytes"}, holdfast.Measure{Name: "rdb_keys", Value: float64(f.rdb.keys)})
	}
	if f.aof != nil {
		all = append(all, holdfast.Measure{Name: "aof_bytes", Value: float64(f.aof.bytes), Unit: "bytes"}, holdfast.Measure{Name: "aof_commands", Value: float64(f.aof.commands)})
	}
	return all
}

// verification claims what was read: an RDB file holds a checksum of all of it. An
// AOF holds none, so that alone it is read and not verified.
func (f found) verification(at time.Time, bad *probe.Fault) *holdfast.Verification {
	switch {
	case bad != nil && bad.Reason == holdfast.Damaged:
		return &holdfast.Verification{Time: at.UTC(), Scope: 1, Errors: 1}
	case bad == nil && f.rdb != nil && f.aof == nil:
		return &holdfast.Verification{Time: at.UTC(), Scope: 1}
	}
	return nil
}

// read reads the files. The fault says what is damaged, or that nothing is there;
// what is good is returned with it.
func (s persistenceSettings) read(ctx context.Context, checkRDB string, wantAOF bool) (found, error) {
	var f found
	rdb, errRDB := readRDB(ctx, checkRDB, filepath.Join(s.Directory, s.RDB))
	if errRDB == nil {
		f.rdb = &rdb
	}
	aof, errAOF := readAOF(ctx, checkRDB, filepath.Join(s.Directory, s.AOF))
	if errAOF == nil {
		f.aof = &aof
	}
	noRDB, noAOF := errors.Is(errRDB, fs.ErrNotExist), errors.Is(errAOF, fs.ErrNotExist)
	switch {
	case wantAOF && noAOF:
		return f, probe.Faulty(holdfast.Missing, "the server writes an AOF and %s is not there", filepath.Join(s.Directory, s.AOF))
	case errAOF != nil && !noAOF: // what Redis loads where there are both
		return f, errAOF
	case errRDB != nil && !noRDB:
		return f, errRDB
	case noRDB && noAOF:
		return f, probe.Faulty(holdfast.Empty, "%s holds neither %s nor %s", s.Directory, s.RDB, s.AOF)
	}
	return f, nil
}

var (
	ctimeLine = regexp.MustCompile(`AUX FIELD ctime = '(\d+)'`)
	keysLine  = regexp.MustCompile(`\[info\] (\d+) keys read`)
	errorLine = regexp.MustCompile(`(?s)--- RDB ERROR DETECTED ---\n(?:\[offset \d+\] )?([^\n]*)`)
)

// readRDB has redis-check-rdb read an RDB file, which ends with a CRC-64 of all of it.
func readRDB(ctx context.Context, tool, path string) (kept, error) {
	file, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return kept{}, err
	}
	if err != nil {
		return kept{}, unreadable(path, err)
	}
	if err := readable(path); err != nil {
		return kept{}, err
	}
	name := filepath.Base(path)
	if file.Size() == 0 {
		return kept{}, damaged(name, "it is empty")
	}
	out, err := probe.Run(ctx, probe.Command{Path: tool, Args: []string{path}, StdoutMax: 1 << 20})
	if err != nil {
		return kept{}, err
	}
	text := string(out.Stdout) + string(out.Stderr)
	if out.ExitCode != 0 || !strings.Contains(text, "RDB looks OK!") {
		why := lastLine(text)
		if m := errorLine.FindStringSubmatch(text); m != nil {
			why = m[1]
		}
		return kept{}, damaged(name, why)
	}
	k := kept{at: file.ModTime().UTC(), bytes: file.Size()}
	switch { // rdbchecksum no: eight zeros in its place
	case strings.Contains(text, "RDB file was saved with checksum disabled"):
		return kept{}, probe.Unable("", "%s: it was saved without a checksum (rdbchecksum no) and cannot be judged", path)
	case !strings.Contains(text, "Checksum OK"):
		return kept{}, probe.Unable("", "%s: redis-check-rdb did not say that the checksum is right: %s", path, lastLine(text))
	}
	if m := ctimeLine.FindStringSubmatch(text); m != nil {
		if seconds, err := strconv.ParseInt(m[1], 10, 64); err == nil && time.Unix(seconds, 0).Before(k.at) {
			k.at = time.Unix(seconds, 0).UTC()
		}
	}
	if m := keysLine.FindStringSubmatch(text); m != nil {
		k.keys, _ = strconv.ParseInt(m[1], 10, 64)
	}
	return k, nil
}

// readable reports why a file cannot be opened: the tool says the same of a file that
// may not be read and of one that is no RDB file.
func readable(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return unreadable(path, err)
	}
	return f.Close()
}

func damaged(name, why string) *probe.Fault {
	return probe.Faulty(holdfast.Damaged, "%s", probe.OneLine(name+" is damaged: "+why))
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

const manifestMax = 1 << 20

// readAOF reads a multi-part AOF (Redis 7 and later): the manifest, the base, and
// every increment to its end.
func readAOF(ctx context.Context, checkRDB, dir string) (kept, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.manifest"))
	if err != nil || len(names) == 0 {
		if _, err := os.Stat(dir); err != nil {
			return kept{}, err
		}
		if entries, err := os.ReadDir(dir); err != nil {
			return kept{}, unreadable(dir, err)
		} else if len(entries) == 0 {
			return kept{}, fs.ErrNotExist // nothing was ever written there
		}
		return kept{}, damaged(filepath.Base(dir), "its manifest is gone")
	}
	f, err := os.Open(names[0])
	if err != nil {
		return kept{}, unreadable(names[0], err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, manifestMax))
	if err != nil {
		return kept{}, unreadable(names[0], err)
	}
	parts, err := parseManifest(string(text))
	if err != nil {
		return kept{}, damaged(filepath.Base(names[0]), err.Error())
	}
	var sum kept
	for _, part := range parts {
		k, err := readPart(ctx, checkRDB, filepath.Join(dir, part))
		if errors.Is(err, fs.ErrNotExist) {
			return kept{}, damaged(filepath.Base(dir), "the manifest names "+part+", which is not there")
		}
		if err != nil {
			return kept{}, err
		}
		sum.bytes, sum.commands = sum.bytes+k.bytes, sum.commands+k.commands
		if k.at.After(sum.at) {
			sum.at = k.at
		}
	}
	return sum, nil
}

// parseManifest returns the files that Redis would load, in order: the base and the
// increments. History (type h) is no longer of use.
func parseManifest(text string) ([]string, error) {
	var parts []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 6 || fields[0] != "file" || fields[2] != "seq" || fields[4] != "type" || filepath.Base(fields[1]) != fields[1] {
			return nil, fmt.Errorf("%.80q is no line of a manifest", strings.TrimSpace(line))
		}
		if fields[5] != "h" {
			parts = append(parts, fields[1])
		}
	}
	if len(parts) == 0 {
		return nil, errors.New("it names no file")
	}
	return parts, nil
}

// readPart reads one file of an AOF: an RDB file, or commands.
func readPart(ctx context.Context, checkRDB, path string) (kept, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return kept{}, err
	}
	if err != nil {
		return kept{}, unreadable(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return kept{}, probe.Unable("", "read %s: not a regular file", path)
	}
	head := make([]byte, 5)
	if n, _ := f.ReadAt(head, 0); n == 5 && bytes.Equal(head, []byte("REDIS")) {
		return readRDB(ctx, checkRDB, path)
	}
	if strings.HasSuffix(path, ".rdb") {
		return kept{}, damaged(filepath.Base(path), "it is no RDB file")
	}
	from := folder.NewReader(ctx, f)
	k := kept{at: info.ModTime().UTC(), bytes: info.Size()}
	// What is appended while it is read is not looked at.
	k.commands, err = readCommands(bufio.NewReaderSize(io.LimitReader(from, info.Size()), 64<<10))
	switch {
	case ctx.Err() != nil:
		return kept{}, probe.Unable(holdfast.Timeout, "read %s: %w: give the check a longer timeout", path, ctx.Err())
	case from.Fault != nil:
		return kept{}, unreadable(path, from.Fault)
	case err != nil:
		return kept{}, damaged(filepath.Base(path), fmt.Sprintf("after %d commands: %v", k.commands, err))
	}
	return k, nil
}

// readCommands reads commands as the AOF holds them, arrays of strings in RESP, and
// the annotations (#TS:…) between them, to the end. A transaction begun and not ended
// is not loaded by Redis.
func readCommands(in *bufio.Reader) (n int64, err error) {
	transaction := false
	for {
		line, err := readLine(in)
		if err == io.EOF && line == "" {
			if transaction {
				return n, errors.New("it ends within a transaction")
			}
			return n, nil
		}
		if err != nil {
			return n, cutOff(err)
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, err := readCommand(in, line)
		if err != nil {
			return n, err
		}
		switch strings.ToUpper(name) {
		case "MULTI":
			transaction = true
		case "EXEC", "DISCARD":
			transaction = false
		}
		n++
	}
}

// readCommand reads a command whose first line is given and returns its name.
func readCommand(in *bufio.Reader, first string) (name string, err error) {
	parts, err := length(first, '*')
	if err != nil || parts == 0 {
		return "", fmt.Errorf("%.40q does not begin a command", first)
	}
	for i := range parts {
		line, err := readLine(in)
		if err != nil {
			return "", cutOff(err)
		}
		size, err := length(line, '$')
		if err != nil {
			return "", fmt.Errorf("%.40q does not begin a value", line)
		}
		if i == 0 && size <= 64 {
			b := make([]byte, size)
			if _, err := io.ReadFull(in, b); err != nil {
				return "", cutOff(err)
			}
			name = string(b)
		} else if _, err := io.CopyN(io.Discard, in, size); err != nil {
			return "", cutOff(err)
		}
		if end, err := readLine(in); err != nil || end != "" {
			return "", errors.New("a value is not as long as it says")
		}
	}
	return name, nil
}

// readLine reads a line that ends with \r\n and is not long.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return string(line), err
	}
	text, ok := strings.CutSuffix(string(line), "\r\n")
	if !ok {
		return "", fmt.Errorf("%.40q does not end as a line should", line)
	}
	return text, nil
}

// length reads "*3" or "$12".
func length(line string, kind byte) (int64, error) {
	if len(line) < 2 || line[0] != kind {
		return 0, errors.New("no length")
	}
	n, err := strconv.ParseInt(line[1:], 10, 64)
	if err != nil || n < 0 || n > 1<<40 {
		return 0, errors.New("no length")
	}
	return n, nil
}

// cutOff names an end that comes too early.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is cut off within a command")
	}
	return err
}
