package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// server is a Redis server and how to log in.
type server struct {
	address      string // host:port, or unix:/path
	user         string // "" for the default account
	passwordFile string // "" for none
}

// Bounds of what is read from a server and from a password file.
const (
	answerMax   = 1 << 20
	passwordMax = 4 << 10
)

func (s server) validate(prefix string) error {
	network, address := s.dial()
	if network == "unix" && !filepath.IsAbs(address) {
		return fmt.Errorf("setting %q: %q is not an absolute path: write it like unix:/run/redis/redis.sock", prefix, s.address)
	}
	if _, _, err := net.SplitHostPort(address); network == "tcp" && err != nil {
		return fmt.Errorf("setting %q: %q is neither HOST:PORT nor unix:/PATH", prefix, s.address)
	}
	if s.passwordFile != "" && !filepath.IsAbs(s.passwordFile) {
		return fmt.Errorf("setting %q: %q is not an absolute path", strings.TrimPrefix(prefix+"_password_file", "address_"), s.passwordFile)
	}
	return nil
}

func (s server) dial() (network, address string) {
	if path, ok := strings.CutPrefix(s.address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", s.address
}

// password reads the secret; the last line's end is not part of it.
func (s server) password() (string, error) {
	if s.passwordFile == "" {
		return "", nil
	}
	f, err := os.Open(s.passwordFile)
	if err != nil {
		return "", probe.Unable(holdfast.CredentialUnreadable, "password_file: %w: let the agent's user read it", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", probe.Unable(holdfast.CredentialUnreadable, "password_file %s: not a regular file", s.passwordFile)
	}
	secret, err := io.ReadAll(io.LimitReader(f, passwordMax))
	if err != nil {
		return "", probe.Unable(holdfast.CredentialUnreadable, "password_file: %w", err)
	}
	return strings.TrimRight(string(secret), "\r\n"), nil
}

// errNotAllowed says that the account may not use a command.
var errNotAllowed = errors.New("the account may not use this command")

// ask logs in and sends commands, each answered by text. The fault says what is
// wrong with the server; a command the account may not use is answered by "" and
// errNotAllowed with the others' answers.
func (s server) ask(ctx context.Context, commands ...[]string) ([]string, error) {
	secret, err := s.password()
	if err != nil {
		return nil, err
	}
	patience, cancel := probe.AnswerTime(ctx)
	defer cancel()
	network, address := s.dial()
	conn, err := new(net.Dialer).DialContext(patience, network, address)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(patience, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if secret != "" {
		login := []string{"AUTH", secret}
		if s.user != "" {
			login = []string{"AUTH", s.user, secret}
		}
		commands = append([][]string{login}, commands...)
	}
	in := bufio.NewReader(io.LimitReader(conn, answerMax))
	var answers []string
	var denied error
	for _, command := range commands {
		if _, err := conn.Write(encode(command)); err != nil {
			return nil, s.fault(ctx, err)
		}
		text, err := readAnswer(in)
		var said refusal
		switch {
		case errors.As(err, &said) && strings.HasPrefix(string(said), "NOPERM"):
			denied = errNotAllowed
		case err != nil:
			return nil, s.fault(ctx, err)
		}
		answers = append(answers, text)
	}
	if secret != "" {
		answers = answers[1:]
	}
	return answers, denied
}

// fault says what an error of the connection means.
func (s server) fault(ctx context.Context, err error) error {
	var said refusal
	var waited net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.As(err, &said):
		return said.fault(s.address)
	case errors.Is(err, fs.ErrPermission):
		return probe.Unable(holdfast.Refused, "connect to %s: %w: let the agent's user use the socket", s.address, err)
	case errors.As(err, &waited) && waited.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return probe.Faulty(holdfast.Timeout, "%s does not answer", s.address)
	case errors.Is(err, errProtocol):
		return probe.Unable("", "%s: %w", s.address, err)
	}
	return probe.Faulty(holdfast.Unreachable, "%s", probe.OneLine(fmt.Sprintf("%s: %v", s.address, err)))
}

// refusal is an answer that says no, like "WRONGPASS invalid username-password pair".
type refusal string

func (r refusal) Error() string { return string(r) }

func (r refusal) fault(address string) error {
	text := probe.OneLine(address + ": " + string(r))
	code, _, _ := strings.Cut(string(r), " ")
	switch {
	case code == "NOAUTH", code == "WRONGPASS", strings.Contains(string(r), "AUTH <password> called without any password"), strings.Contains(string(r), "invalid password"):
		return probe.Faulty(holdfast.Credential, "%s", text)
	case code == "DENIED":
		return probe.Unable(holdfast.Refused, "%s", text)
	case strings.Contains(string(r), "max number of clients"):
		return probe.Faulty(holdfast.Unreachable, "%s", text)
	}
	return probe.Unable("", "%s", text)
}

// encode writes a command as RESP, an array of strings.
func encode(command []string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(command))
	for _, part := range command {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(part), part)
	}
	return b
}

// errProtocol says that an answer is not RESP.
var errProtocol = errors.New("it does not speak Redis")

// readAnswer reads one answer of RESP version 2: text, a number, a list of texts (a
// line each), or a refusal.
func readAnswer(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errProtocol
	}
	rest := line[1:]
	switch line[0] {
	case '+', ':':
		return rest, nil
	case '-':
		return "", refusal(rest)
	case '$':
		return readText(in, rest)
	case '*':
		n, err := strconv.Atoi(rest)
		if err != nil || n > answerMax {
			return "", errProtocol
		}
		var all strings.Builder
		for range n {
			one, err := readAnswer(in)
			if err != nil {
				return "", err
			}
			all.WriteString(one + "\n")
		}
		return all.String(), nil
	}
	return "", errProtocol
}

func readText(in *bufio.Reader, length string) (string, error) {
	n, err := strconv.Atoi(length)
	if err != nil || n > answerMax {
		return "", errProtocol
	}
	if n < 0 { // there is none
		return "", nil
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(in, b); err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

// info is what INFO says, by name.
type info map[string]string

func parseInfo(text string) info {
	i := info{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok && !strings.HasPrefix(name, "#") {
			i[name] = value
		}
	}
	return i
}

// number returns a number of INFO, and whether there is one.
func (i info) number(name string) (int64, bool) {
	n, err := strconv.ParseInt(i[name], 10, 64)
	return n, err == nil
}

// engine is the part of a fingerprint whose change voids a test: "redis 7.0".
func (i info) engine() string {
	parts := strings.SplitN(i["redis_version"], ".", 3)
	if len(parts) < 2 {
		return "redis"
	}
	return probe.OneLine("redis " + parts[0] + "." + parts[1])
}
