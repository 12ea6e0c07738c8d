package dashboards_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector"
	"github.com/holdfast-monitor/holdfast/collector/web"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// patience is how long anything is waited for.
const patience = time.Minute

// TestEveryQueryHasData: a real Prometheus scrapes a real collector whose estate
// has everything wrong; every panel and every rule has to see it.
func TestEveryQueryHasData(t *testing.T) {
	prometheus := tool(t, "prometheus")
	data, catalogue := t.TempDir(), t.TempDir()
	text, err := os.ReadFile("testdata/catalog/estate.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(catalogue, "estate.yaml"), text)

	// Certificates of a minute, then a collector that expects them to live for a
	// day: as far as it can see they end.
	c, stop := run(t, data, catalogue, "", time.Minute)
	db1, dr1 := join(t, c, data, "db1"), join(t, c, data, "dr1")
	db1.skew = 90 * time.Second
	s, hangUp := dr1.connect(c.AgentsAddress(), "m2")
	s.assigned()
	s.report(holdfast.Observation{Check: "intranet/files/nightly", Outcome: holdfast.OK, RecoveryPoints: points(dr1.now(), time.Hour)})
	hangUp() // and is never heard again
	stop()
	c, stop = run(t, data, catalogue, receivers(t), 24*time.Hour)
	s, _ = db1.connect(c.AgentsAddress(), "m1")
	s.assigned()
	s.send(&wirepb.Up{Message: &wirepb.Up_Health{Health: &wirepb.Health{
		Refused: []string{"payments/restore/restored"}, Spooled: 250,
		Plugins: []*wirepb.PluginHealth{{Name: "restic", Problem: "crashed"}},
	}}})
	s.report(wrong(db1.now())...)
	clone, _ := db1.connect(c.AgentsAddress(), "m3")
	if err := <-clone.ended; !strings.Contains(err.Error(), "uses the name and key") {
		t.Fatalf("a second host with the key of db1: got %v", err)
	}
	if _, err := c.Record(t.Context(), holdfast.Record{Kind: holdfast.Maintenance, Service: "intranet", By: "ada", Reason: "new disks", Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(catalogue, "estate.yaml"), bytes.Replace(text, []byte("rpo"), []byte("rpoo"), 1))
	c.Reload()

	p := scraping(t, prometheus, c.URL())
	p.ask(t, waiting(t), func() { s.report(wrong(db1.now())...) })

	down := query{where: "rule HoldfastCollectorDown", expr: `up{job="holdfast"} == 0`}
	absent := query{where: "rule HoldfastCollectorAbsent", expr: `absent(up{job="holdfast"})`}
	stop()
	p.ask(t, []query{down}, func() {})
	p.forget(t)
	p.ask(t, []query{absent}, func() {})
}

// What cannot be staged: a running collector's judge does not hang, its disk does
// not fill up, its clock does not jump. The first is asked as of four minutes on;
// of the others only the comparison is left out: the series must be there. Ten
// minutes of waiting notices are not waited for either.
var (
	fourMinutesOn = map[string]bool{"rule HoldfastNotJudging": true}
	notStaged     = map[string]bool{"rule HoldfastReportsNotStored": true, "rule HoldfastClockJumped": true}
	askedLater    = map[string]bool{"rule HoldfastCollectorDown": true, "rule HoldfastCollectorAbsent": true}
)

// waiting returns the queries that have to see data, each for every service of
// the estate where it is about one: one of them has to.
func waiting(t *testing.T) []query {
	var list []query
	for _, q := range asked(t, "SERVICE") {
		if askedLater[q.where] {
			continue
		}
		q.expr = strings.ReplaceAll(q.expr, " or vector(0)", "") // which would answer for anything
		if notStaged[q.where] {
			q.expr = strings.TrimSuffix(q.expr, " > 0")
		}
		q.expr = strings.Replace(q.expr, "[10m]) > 0", "[10s]) > 0", 1)
		list = append(list, q)
	}
	return list
}

// receivers writes a routes file: of three receivers one takes notices, one answers
// that it cannot now, one sends them elsewhere, which nobody follows.
func receivers(t *testing.T) (file string) {
	t.Helper()
	takes := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	moved := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	t.Cleanup(takes.Close)
	t.Cleanup(moved.Close)
	t.Cleanup(busy.Close)
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("whsec_bm90IGEgc2VjcmV0LCBidXQgbG9uZyBlbm91Z2g=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "alerts.yaml")
	write(t, file, fmt.Appendf(nil, `receivers:
  takes: {webhook: {url: %[2]q, secret_file: %[1]s, allow_private: true}}
  busy: {webhook: {url: %[3]q, secret_file: %[1]s, allow_private: true}}
  moved: {webhook: {url: %[4]q, secret_file: %[1]s, allow_private: true}}
routes: [{name: all, to: [takes, busy, moved]}]
`, secret, takes.URL, busy.URL, moved.URL))
	return file
}

// wrong is what db1 sees.
func wrong(now time.Time) []holdfast.Observation {
	old := now.Add(-40 * time.Minute)
	return []holdfast.Observation{
		{Check: "payments/ledger/offsite", Outcome: holdfast.OK, RecoveryPoints: points(now, 40*time.Minute)},
		{Check: "payments/restore/host.capacity", Outcome: holdfast.OK, Capacity: &holdfast.Capacity{Free: 1 << 40}},
		{Check: "payments/restore/intact", Outcome: holdfast.OK, Verification: &holdfast.Verification{Time: old, Scope: 1}},
		{Check: "payments/restore/restored", Outcome: holdfast.OK, Restoration: &holdfast.Restoration{
			Started: now.Add(-3 * time.Hour), Duration: holdfast.Duration(2 * time.Hour), Bytes: 1 << 30, Coverage: 1, Checks: 1, Point: now.Add(-4 * time.Hour)}},
		{Check: "shop/orders/nightly", Outcome: holdfast.Failed, Reason: holdfast.Damaged, RecoveryPoints: points(now, time.Hour)},
	}
}

func points(now time.Time, age time.Duration) []holdfast.RecoveryPoint {
	return []holdfast.RecoveryPoint{{Time: now.Add(-age).Truncate(time.Hour / 2), ID: "a", Bytes: 1 << 30, Files: 10}}
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// run runs a collector with its pages until the test ends or stop is called.
func run(t *testing.T, data, catalogue, routes string, life time.Duration) (c *collector.Collector, stop func()) {
	t.Helper()
	cfg := collector.DefaultConfig()
	cfg.Data, cfg.Catalog, cfg.Listen, cfg.Agents, cfg.CertificateLife, cfg.Alerts = data, catalogue, "127.0.0.1:0", "127.0.0.1:0", life, routes
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	ctx, cancel := context.WithCancel(context.Background())
	c, err := collector.New(ctx, cfg, nil, "test", log)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	pages, err := web.New(c, "test", log)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	changed, hush := c.Listen()
	defer hush()
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, pages) }()
	for !c.Ready() {
		<-changed
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-done; err != nil {
				t.Errorf("collector: %v", err)
			}
		}
	}
	t.Cleanup(stop)
	return c, stop
}

// server is a running Prometheus.
type server struct {
	url, config string
	text        []byte // of its configuration
	process     *os.Process
	client      http.Client
}

// scraping starts a Prometheus on the configuration that is shipped, with only
// paths, address and rhythm of its own.
func scraping(t *testing.T, program, target string) *server {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs("rules/holdfast.yaml")
	if err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(dir, "token")
	write(t, token, []byte("none is asked for on loopback\n"))
	shipped, err := os.ReadFile("provisioning/prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(shipped)
	for from, to := range map[string]string{
		"/etc/prometheus/rules/holdfast.yaml": rules, "/etc/prometheus/holdfast.token": token, "127.0.0.1:8480": strings.TrimPrefix(target, "http://"),
		"scrape_interval: 30s": "scrape_interval: 1s", "scrape_timeout: 20s": "scrape_timeout: 1s",
	} {
		if !strings.Contains(text, from) {
			t.Fatalf("provisioning/prometheus.yml lacks %s", from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	p := &server{config: filepath.Join(dir, "prometheus.yml"), text: []byte("global: {evaluation_interval: 1s}\n" + text), client: http.Client{Timeout: patience}}
	write(t, p.config, p.text)
	address := freeAddress(t)
	p.url = "http://" + address
	cmd := exec.Command(program, "--config.file="+p.config, "--storage.tsdb.path="+filepath.Join(dir, "tsdb"), "--web.listen-address="+address, "--log.level=warn")
	cmd.Env = []string{"GOMAXPROCS=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.process = cmd.Process
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		p.client.CloseIdleConnections()
		if t.Failed() {
			t.Logf("prometheus said:\n%s", said.String())
		}
	})
	p.until(t, "Prometheus is ready", func() bool {
		resp, err := p.client.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return p
}

// freeAddress returns an address of loopback nobody listens on, below the ports
// that the system gives away.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port")
	return ""
}

// until asks again and again until something holds.
func (p *server) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for began := time.Now(); !holds(); <-again.C {
		if time.Since(began) > patience {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// forget lets the job find no collector any more.
func (p *server) forget(t *testing.T) {
	t.Helper()
	write(t, p.config, regexp.MustCompile(`targets: .*`).ReplaceAll(p.text, []byte("targets: []")))
	if err := p.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

var inLegend = regexp.MustCompile(`\{\{(\w+)\}\}`)

// ask asks every query until all have returned data, calling between before each
// round. Labels that a legend shows must be there.
func (p *server) ask(t *testing.T, waiting []query, between func()) {
	t.Helper()
	services := []string{"payments", "shop", "wiki", "intranet"}
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for began := time.Now(); ; <-again.C {
		between()
		var left []query
		for _, q := range waiting {
			found := false
			for _, service := range services {
				if found = p.has(t, q, strings.ReplaceAll(q.expr, "SERVICE", service)); found || !strings.Contains(q.expr, "SERVICE") {
					break
				}
			}
			if !found {
				left = append(left, q)
			}
		}
		if len(left) == 0 {
			return
		}
		if waiting = left; time.Since(began) > patience {
			for _, q := range left {
				t.Errorf("%s: no data for\n\t%s", q.where, q.expr)
			}
			return
		}
	}
}

// has reports whether a query returns data now.
func (p *server) has(t *testing.T, q query, expr string) bool {
	t.Helper()
	form := url.Values{"query": {expr}}
	if fourMinutesOn[q.where] {
		form.Set("time", strconv.FormatInt(time.Now().Add(4*time.Minute).Unix(), 10))
	}
	resp, err := p.client.PostForm(p.url+"/api/v1/query", form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s: %v %s\n\t%s", q.where, err, answer.Error, expr)
	}
	any := false
	for _, r := range answer.Data.Result {
		any = any || r.Value[1] != "NaN"
		for _, l := range inLegend.FindAllStringSubmatch(q.legend, -1) {
			if _, ok := r.Metric[l[1]]; !ok {
				t.Fatalf("%s: the legend shows %s, the result is %v", q.where, l[1], r.Metric)
			}
		}
	}
	return any
}
