package demo

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// desk is who is told of alerts: a webhook that checks the collector's signature
// and prints what it hears.
type desk struct {
	secret string
	server *http.Server
	served sync.WaitGroup
	print  func(status, severity, summary string)

	mu    sync.Mutex
	heard map[string]bool // IDs of notices; guarded by mu
}

// noticeMax is more than any notice holds, in bytes.
const noticeMax = 4 << 20

// openDesk starts a desk and writes the routes file that sends everything there.
func openDesk(ctx context.Context, folder string, print func(status, severity, summary string)) (*desk, string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("desk: %w", err)
	}
	d := &desk{secret: rand.Text(), print: print, heard: map[string]bool{}}
	d.server = &http.Server{Handler: d, ReadHeaderTimeout: 10 * time.Second}
	secret, routes := filepath.Join(folder, "desk.secret"), filepath.Join(folder, "alerts.yaml")
	text := fmt.Sprintf(`# Who is told. This desk is the demo's own: it prints what it hears.
receivers:
  desk:
    webhook: {url: "http://%s/", secret_file: %q, allow_private: true}
routes:
  - {name: everything, to: [desk]}
# What was never done is done within the first minute.
hold_off: {plan-overdue: 15s, training-overdue: 15s, path-untested: 15s}
`, l.Addr(), secret)
	for name, content := range map[string]string{secret: d.secret, routes: text} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			l.Close()
			return nil, "", fmt.Errorf("desk: %w", err)
		}
	}
	d.served.Go(func() { _ = d.server.Serve(l) }) // until close
	return d, routes, nil
}

// close stops the desk and waits for it.
func (d *desk) close() {
	_ = d.server.Close() // whoever is being heard is heard no more
	d.served.Wait()
}

// ServeHTTP hears a notice, once.
func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, noticeMax))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id := r.Header.Get("Webhook-Id")
	mac := hmac.New(sha256.New, []byte(d.secret))
	fmt.Fprintf(mac, "%s.%s.", id, r.Header.Get("Webhook-Timestamp"))
	mac.Write(body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); !hmac.Equal([]byte(r.Header.Get("Webhook-Signature")), []byte(want)) {
		http.Error(w, "the signature is not the collector's", http.StatusForbidden)
		return
	}
	var n struct {
		Status   string
		Reminder bool
		Alert    holdfast.Alert
	}
	if err := json.Unmarshal(body, &n); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	d.mu.Lock()
	known := d.heard[id]
	d.heard[id] = true
	d.mu.Unlock()
	if !known && !n.Reminder {
		d.print(n.Status, string(n.Alert.Severity), n.Alert.What)
	}
	w.WriteHeader(http.StatusNoContent)
}
