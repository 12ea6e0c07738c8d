package collector

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// The admin socket: a folder's owner steers the collector that runs on it.
// Whoever can open DIR/admin.sock (mode 0600) may do everything; nothing of it is
// reachable over a network.
const adminSocket = "admin.sock"

// ErrNotRunning says that no collector runs on a data folder.
var ErrNotRunning = errors.New("no collector runs on this data folder")

// AdminRequest is what the commands ask of a running collector.
type AdminRequest struct {
	Name     string            `json:"name"`           // the agent, or the user
	Site     string            `json:"site,omitempty"` // where the agent stands
	Role     holdfast.Role     `json:"role,omitempty"`
	Life     holdfast.Duration `json:"life,omitempty"` // 0: the default of what is asked
	Password string            `json:"password,omitempty"`
}

// adminAnswer is what answers one kind of request.
type adminAnswer = func(context.Context, AdminRequest) (string, error)

// adminHandler answers on the admin socket.
func (c *Collector) adminHandler() http.Handler {
	mux := http.NewServeMux()
	answer := func(pattern string, make adminAnswer) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			var ask AdminRequest
			if err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&ask); err != nil {
				http.Error(w, "request: "+err.Error(), http.StatusBadRequest)
				return
			}
			text, err := make(r.Context(), ask)
			switch {
			case errors.Is(err, store.ErrNotFound), errors.Is(err, holdfast.ErrUnknown):
				http.Error(w, err.Error(), http.StatusNotFound)
			case err != nil:
				http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			default:
				io.WriteString(w, text)
			}
		})
	}
	answer("POST /join", c.joinToken)
	answer("POST /login", c.LoginLink)
	answer("POST /token", func(ctx context.Context, ask AdminRequest) (string, error) {
		token, _, err := c.access.apiToken(ctx, holdfast.Who{Name: ask.Name, Role: ask.Role}, ask.Life.Std(), "")
		return token, err
	})
	answer("POST /remove", c.removeAgent)
	c.answerUsers(answer)
	mux.HandleFunc("GET /backup", func(w http.ResponseWriter, r *http.Request) {
		if err := c.backup(r.Context(), w); err != nil {
			c.log.Error("backup broken off", "err", err)
			panic(http.ErrAbortHandler) // the reader must see a cut stream, never a short file that looks whole
		}
	})
	return mux
}

// LoginLink makes a one-time link into the pages for a person. A local user has
// the role kept for it; anybody else the role asked for, by default admin.
func (c *Collector) LoginLink(ctx context.Context, ask AdminRequest) (string, error) {
	key, err := c.access.loginKey(ctx, holdfast.Who{Name: ask.Name, Role: ask.Role})
	if err != nil {
		return "", err
	}
	return c.url + "/login?key=" + key, nil
}

func (c *Collector) joinToken(ctx context.Context, ask AdminRequest) (string, error) {
	life := ask.Life.Std()
	if life == 0 {
		life = time.Hour
	}
	token, err := c.ingest.Token(ctx, ask.Name, life)
	if err == nil && ask.Site != "" {
		_, err = c.store.UpdateAgent(ctx, ask.Name, func(id *holdfast.AgentIdentity) error {
			id.Site = ask.Site
			return nil
		})
	}
	return token, err
}

func (c *Collector) removeAgent(ctx context.Context, ask AdminRequest) (string, error) {
	if _, err := c.store.Agent(ctx, ask.Name); err != nil {
		return "", err
	}
	return "", c.ingest.Revoke(ctx, ask.Name)
}

// listenAdmin opens the admin socket; one that a killed collector left is cleared
// away.
func (c *Collector) listenAdmin() (net.Listener, error) {
	path := filepath.Join(c.cfg.Data, adminSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("clear admin socket: %w", err)
	}
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	return l, nil
}

// Ask asks the collector that runs on a data folder. Path is one of "/join",
// "/login", "/token", "/remove", or of a user: "/users", "/user/add", "/user/role",
// "/user/password", "/user/disable", "/user/enable", "/user/logout",
// "/user/remove". The answer is its text.
func Ask(ctx context.Context, data, path string, ask AdminRequest) (string, error) {
	body, err := json.Marshal(ask)
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	err = adminCall(ctx, data, http.MethodPost, path, bytes.NewReader(body), &text)
	return text.String(), err
}

// AskBackup streams a hot backup of the collector that runs on a data folder.
func AskBackup(ctx context.Context, data string, w io.Writer) error {
	return adminCall(ctx, data, http.MethodGet, "/backup", nil, w)
}

func adminCall(ctx context.Context, data, method, path string, body io.Reader, answer io.Writer) error {
	socket := filepath.Join(data, adminSocket)
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, "http://collector"+path, body)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w (%s): start it with holdfast collector --data %s", ErrNotRunning, socket, data)
	}
	if err != nil {
		return fmt.Errorf("ask the collector: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		err := errors.New(string(bytes.TrimSpace(text)))
		if resp.StatusCode == http.StatusNotFound {
			return fmt.Errorf("%w: %w", store.ErrNotFound, err)
		}
		return err
	}
	if _, err := io.Copy(answer, resp.Body); err != nil {
		return fmt.Errorf("read the collector's answer: %w", err)
	}
	return nil
}
