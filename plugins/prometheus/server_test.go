package prometheus_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

const tool = "/usr/bin/prometheus"

// server is a real Prometheus that scrapes what the test exports.
type server struct {
	url      string
	newest   int64 // Unix time of the newest backup it was told of
	exporter *httptest.Server
	cmd      *exec.Cmd
	dir      string
}

// shared is the one server of this test binary; TestMain ends it.
var (
	shared     *server
	sharedOnce sync.Once
)

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.stop()
	}
	os.Exit(code)
}

// prometheusServer starts the server with the first test that needs it.
func prometheusServer(t testing.TB) *server {
	t.Helper()
	if _, err := os.Stat(tool); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("prometheus is needed: %v", err)
		}
		t.Skipf("prometheus is needed: %v", err)
	}
	sharedOnce.Do(func() { start(t) })
	if shared == nil || shared.url == "" {
		t.Fatal("Prometheus did not start")
	}
	return shared
}

var listening = regexp.MustCompile(`Listening on.*address=(127\.0\.0\.1:[0-9]+)`)

// start fills in shared, step by step, so that what it began is ended in any case.
func start(t testing.TB) {
	s := &server{newest: time.Now().Add(-2 * time.Hour).Unix()}
	s.exporter = httptest.NewServer(http.HandlerFunc(s.export))
	var err error
	s.dir, err = os.MkdirTemp("", "holdfast-prometheus-")
	must(t, err)
	config := filepath.Join(s.dir, "prometheus.yml")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 200ms, scrape_timeout: 200ms}
scrape_configs:
- {job_name: backups, static_configs: [{targets: [%q]}]}
- {job_name: gone, static_configs: [{targets: ["127.0.0.1:1"]}]}
`, s.exporter.Listener.Addr()), 0o600))
	s.cmd = exec.Command(tool, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(s.dir, "data"), "--web.listen-address=127.0.0.1:0")
	stderr, err := s.cmd.StderrPipe()
	must(t, err)
	must(t, s.cmd.Start())
	shared = s
	address := make(chan string, 1)
	go func() { // ends with the server
		var said []byte
		buffer := make([]byte, 4096)
		for {
			n, err := stderr.Read(buffer)
			said = append(said, buffer[:n]...)
			if m := listening.FindSubmatch(said); m != nil || err != nil {
				if m != nil {
					address <- string(m[1])
				}
				close(address)
				_, _ = io.Copy(io.Discard, stderr)
				return
			}
		}
	}()
	at, ok := <-address
	if !ok {
		t.Fatal("Prometheus ended before it listened")
	}
	s.url = "http://" + at
	s.await(t, "backup_last_success_seconds")
	s.await(t, `up{job="gone"}`)
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.exporter.Close()
	_ = os.RemoveAll(s.dir)
}

// export is what a backup's exporter says.
func (s *server) export(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, `backup_last_success_seconds{repo="a"} %d
backup_last_success_seconds{repo="b"} %d
backup_never_seconds 0
backup_milliseconds %d
backup_future_seconds %d
backup_bytes 4294967296
nodes_ready{zone="1"} 3
nodes_ready{zone="2"} 5
nodes_ready{zone="3 \"x\""} 4
not_a_number NaN
endless +Inf
`, s.newest, s.newest-3600, s.newest*1000, time.Now().Add(time.Hour).Unix())
}

// await asks until a query gives something.
func (s *server) await(t testing.TB, promql string) {
	t.Helper()
	deadline := time.After(120 * time.Second)
	for {
		answer, err := http.Get(s.url + "/api/v1/query?query=" + url.QueryEscape(promql))
		if err == nil {
			content, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if strings.Contains(string(content), `"value"`) {
				return
			}
		}
		select {
		case <-deadline:
			t.Fatalf("%s gives nothing: %v", promql, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// guarded is the server behind a proxy with TLS that wants a token, as real ones
// stand. It returns the address and the file of its authority.
func (s *server) guarded(t testing.TB, token string) (address, ca string) {
	t.Helper()
	to, err := url.Parse(s.url)
	must(t, err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") {
		case "Bearer " + token:
			http.StripPrefix("/prom", proxy).ServeHTTP(w, r)
		case "":
			http.Error(w, "who are you?", http.StatusUnauthorized)
		default:
			http.Error(w, "not you", http.StatusForbidden)
		}
	}))
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.StartTLS()
	t.Cleanup(front.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600))
	return front.URL + "/prom", ca
}

// answering is a server that answers what it is told to.
func answering(t testing.TB, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// silent is a server that takes a question and never answers.
func silent(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-ctx.Done():
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { cancel(); s.Close() })
	return s.URL
}
