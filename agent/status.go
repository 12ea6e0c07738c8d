package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Status is what an agent says of itself on its own host.
type Status struct {
	Schema           string                  `json:"schema"` // "holdfast.agent-status/v1"
	Version          string                  `json:"version"`
	Name             string                  `json:"name"`
	Collector        string                  `json:"collector"`
	Started          time.Time               `json:"started"`
	Connected        bool                    `json:"connected"`
	Since            time.Time               `json:"since,omitzero"`    // it is connected, or is not
	Problem          string                  `json:"problem,omitempty"` // why it is not connected
	CertificateUntil time.Time               `json:"certificate_until,omitzero"`
	LastAcknowledged time.Time               `json:"last_acknowledged,omitzero"` // when the collector last confirmed a report
	Acknowledged     uint64                  `json:"acknowledged"`               // reports, since the start
	Checks           int                     `json:"checks"`
	Refused          map[string]string       `json:"refused"` // check → why this host's policy forbids it
	Spool            SpoolStatus             `json:"spool"`
	Plugins          []holdfast.PluginHealth `json:"plugins"`
}

// SpoolStatus is how the spool stands.
type SpoolStatus struct {
	Waiting int    `json:"waiting"`           // reports the collector has not confirmed
	Dropped uint64 `json:"dropped"`           // results given up since the start
	Problem string `json:"problem,omitempty"` // why results are kept in memory only
}

const (
	statusSchema = "holdfast.agent-status/v1"
	statusFile   = "agent.sock"
	statusWithin = 5 * time.Second
)

// ErrNotRunning says that no agent answers for a data folder.
var ErrNotRunning = errors.New("no agent is running")

// ReadStatus asks the agent that runs on a data folder how it fares.
func ReadStatus(ctx context.Context, dir string) (s Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, statusWithin)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", filepath.Join(dir, statusFile))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return s, fmt.Errorf("%w on %s\nhint: give the agent's folder with --data, or start it", ErrNotRunning, dir)
	}
	if err != nil {
		return s, fmt.Errorf("ask the agent: %w", err)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return s, fmt.Errorf("ask the agent: %w", err)
	}
	if err := json.NewDecoder(conn).Decode(&s); err != nil {
		return s, fmt.Errorf("ask the agent: %w", err)
	}
	return s, nil
}

// listenStatus opens the socket that ReadStatus asks; only the folder's owner
// may. The caller holds the folder's lock, so a socket left behind is nobody's.
func listenStatus(dir string) (net.Listener, error) {
	path := filepath.Join(dir, statusFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("status socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EINVAL) {
		return nil, fmt.Errorf("status socket: the path %s is too long for a socket\nhint: a data folder of at most %d letters", path, 107-len("/"+statusFile))
	}
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("status socket: %w", err)
	}
	return l, nil
}

// serveStatus answers every connection with one status until the listener is
// closed.
func serveStatus(l net.Listener, status func() Status, log *slog.Logger) {
	var answers sync.WaitGroup
	defer answers.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				log.Error("status socket", "error", err)
			}
			return
		}
		answers.Go(func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(statusWithin))
			_ = json.NewEncoder(conn).Encode(status()) // who hung up does not want it
		})
	}
}
