package mariadb

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// client runs the mariadb client, never with anything of the host's own
// configuration but the file the settings name.
type client struct {
	path  string   // of the tool
	dir   string   // working folder; "" is /
	where []string // how it connects; the option that names a file comes first
}

// connectSeconds is how long the client waits for a server to greet it.
const connectSeconds = 5

// through is a client that connects as a defaults file says.
func through(tool, setting, file string) (client, error) {
	if !filepath.IsAbs(file) {
		return client{}, fmt.Errorf("setting %q: %q is not an absolute path", setting, file)
	}
	f, err := os.Open(file)
	if err != nil {
		return client{}, probe.Unable(holdfast.CredentialUnreadable, "%s: %w: let the agent's user read it", setting, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil || !info.Mode().IsRegular():
		return client{}, probe.Unable(holdfast.CredentialUnreadable, "%s %s: not a regular file", setting, file)
	case info.Mode().Perm()&0o002 != 0: // the client passes such a file over and goes on without it
		return client{}, probe.Unable(holdfast.CredentialUnreadable, "%s %s: everybody may write it: chmod o-w", setting, file)
	}
	return client{path: tool, where: []string{"--defaults-file=" + file, fmt.Sprintf("--connect-timeout=%d", connectSeconds)}}, nil
}

// run sends statements and returns what the client said. --binary-mode takes from
// them every command of the client's own (\!, source, system), which would run
// programs and read files; a newer client is told so twice.
func (c client) run(ctx context.Context, in io.Reader, more ...string) (probe.Output, error) {
	args := append(append([]string{}, c.where...), "--no-auto-rehash", "--batch", "--binary-mode", "--loose-sandbox", "--local-infile=0")
	return probe.Run(ctx, probe.Command{
		Path: c.path, Args: append(args, more...), Dir: c.dir, Stdin: in,
		Env: []string{"HOME=/nonexistent"}, // no .my.cnf, no history
	})
}

// rows answers a statement, each row by column; the fault says why the server did
// not.
func (c client) rows(ctx context.Context, statement string) ([]map[string]string, error) {
	patience, cancel := probe.AnswerTime(ctx)
	defer cancel()
	out, err := c.run(patience, strings.NewReader(statement))
	switch {
	case err != nil && ctx.Err() == nil && errors.Is(patience.Err(), context.DeadlineExceeded):
		return nil, probe.Faulty(holdfast.Timeout, "the server does not answer")
	case err != nil:
		return nil, err
	case out.ExitCode != 0:
		return nil, blame(out)
	case out.Truncated:
		return nil, probe.Unable("", "mariadb: it answered more than %d bytes", probe.DefaultStdoutMax)
	}
	return table(out.Stdout)
}

// errorLine is how the client reports a failure.
var errorLine = regexp.MustCompile(`(?m)^ERROR (\d+) \(\w+\)(?: at line \d+)?: (.*)$`)

// clientError is one complaint of the client's.
type clientError struct{ number, text string }

// errorsOf returns the client's complaints that have a number.
func errorsOf(out probe.Output) []clientError {
	var all []clientError
	for _, m := range errorLine.FindAllSubmatch(out.Stderr, -1) {
		all = append(all, clientError{string(m[1]), probe.OneLine(string(m[0]))})
	}
	return all
}

// whatever is a complaint without a number: the client's own words.
func whatever(out probe.Output) clientError {
	said := strings.TrimSpace(string(out.Stderr))
	if said == "" {
		said = fmt.Sprintf("it ended with exit code %d and said nothing", out.ExitCode)
	}
	return clientError{text: probe.OneLine(said)}
}

// errorOf returns the number and the line of the client's first complaint.
func errorOf(out probe.Output) (number, text string) {
	e := append(errorsOf(out), whatever(out))[0]
	return e.number, e.text
}

// blame returns what an answer other than rows means. The numbers are those of
// MariaDB's error codes.
func blame(out probe.Output) error {
	number, text := errorOf(out)
	fault := func(reason holdfast.Reason) error {
		return &probe.Fault{Reason: reason, Text: text, Raw: string(out.Stderr)}
	}
	switch number {
	case "1044", "1045", "1698", "1130", "1862", "1820", "4151": // access denied; host not allowed; password expired; account locked
		return fault(holdfast.Credential)
	case "2013": // lost connection: the client's timeout says 110
		if strings.Contains(text, "system error: 110") {
			return fault(holdfast.Timeout)
		}
		return fault(holdfast.Unreachable)
	case "2002", "2003", "2005", "2006", "2026", "1040", "1053", "1203": // no server; TLS; too many connections; going down
		return fault(holdfast.Unreachable)
	case "1142", "1227", "1370": // privilege needed
		return probe.Unable(holdfast.Refused, "mariadb: %s: grant it to the monitoring account", text)
	}
	return probe.Unable("", "mariadb: %s", text)
}

// table reads what --batch writes: a line of column names, a line a row, parted by
// tabs, with \t, \n, \\ and \0 written out.
func table(out []byte) ([]map[string]string, error) {
	var rows []map[string]string
	var columns []string
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, probe.DefaultStdoutMax+1)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		if columns == nil {
			columns = fields
			continue
		}
		if len(fields) != len(columns) {
			return nil, probe.Unable("", "mariadb: a row of %d fields in a table of %d", len(fields), len(columns))
		}
		row := map[string]string{}
		for i, f := range fields {
			row[columns[i]] = written.Replace(f)
		}
		rows = append(rows, row)
	}
	return rows, lines.Err()
}

var written = strings.NewReplacer(`\\`, `\`, `\t`, "\t", `\n`, "\n", `\0`, "\x00")
