package collector_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"go.uber.org/goleak"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a collector on a data folder and a catalogue until the test ends or
// stop is called.
func start(t *testing.T, data, catalogue string) (c *collector.Collector, stop func()) {
	t.Helper()
	cfg := collector.DefaultConfig()
	cfg.Data, cfg.Catalog, cfg.Listen, cfg.Agents = data, catalogue, "127.0.0.1:0", "127.0.0.1:0"
	ctx, cancel := context.WithCancel(context.Background())
	c, err := collector.New(ctx, cfg, nil, "test", slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	changed, hush := c.Listen()
	go func() { done <- c.Run(ctx, http.NotFoundHandler()) }()
	for !c.Ready() {
		<-changed
	}
	hush()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return c, stop
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

const wiki = `
site: fra
---
service: wiki
tier: 4
site: fra
bia: {rto: 4h, rpo: 1h}
data:
  pages:
    copies:
      nightly: {probe: files.archive, on: fra1, site: fra, every: 1m, with: {directory: /srv/wiki, pattern: "*.tar.gz"}}
paths:
  rebuild: {covers: [data-corruption], at: fra, from: [pages/nightly]}
`

// What is served to Prometheus is well formed and follows its conventions.
func TestMetrics(t *testing.T) {
	c, _ := start(t, t.TempDir(), "../deploy/catalog")
	problems, err := testutil.GatherAndLint(c.Metrics())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := c.Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{`holdfast_service_state{service="payments",state="uncovered"} 1`, `holdfast_catalogue_valid 1`, `holdfast_services{state="unknown"}`} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("promtool is missing: make test installs it")
		}
		t.Skip("promtool is missing")
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = &text
	if out, err := check.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// A collector that starts beside a broken catalogue goes on with the last good
// one; a first start needs a good one.
func TestStartBesideBadCatalogue(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	write(t, dir, "c.yaml", strings.Replace(wiki, "rpo", "rpoo", 1))
	cfg := collector.DefaultConfig()
	cfg.Data, cfg.Catalog, cfg.Listen, cfg.Agents = data, dir, "127.0.0.1:0", "127.0.0.1:0"
	if _, err := collector.New(t.Context(), cfg, nil, "test", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "did you mean `rpo`") {
		t.Fatalf("first start with a bad catalogue: got %v", err)
	}
	write(t, dir, "c.yaml", wiki)
	_, stop := start(t, data, dir)
	stop()
	write(t, dir, "c.yaml", strings.Replace(wiki, "rpo", "rpoo", 1))
	c, _ := start(t, data, dir)
	if p, ok := c.Posture("wiki"); !ok || p.State != holdfast.Unknown {
		t.Errorf("wiki: got %v %v, want it judged by the last good catalogue", p.State, ok)
	}
	if s := c.CatalogueStatus(); !strings.Contains(s.Problem, "did you mean `rpo`") {
		t.Errorf("catalogue status: got %+v", s)
	}
	if n := c.Notices(); len(n) != 1 {
		t.Errorf("notices: got %v, want one", n)
	}
}

// Records outlive a restart; what is wrong with one is said, and nothing stored.
func TestRecords(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	write(t, dir, "c.yaml", wiki)
	c, stop := start(t, data, dir)
	ctx := t.Context()
	changed, hush := c.Listen()
	defer hush()
	stored, err := c.Record(ctx, holdfast.Record{Kind: holdfast.Review, Service: "wiki", By: "ada"})
	if err != nil || stored.ID == "" {
		t.Fatalf("got %v, %v", stored, err)
	}
	for reviewed := false; !reviewed; {
		<-changed
		p, _ := c.Posture("wiki")
		reviewed = true
		for _, f := range p.Findings {
			reviewed = reviewed && f.Need != "wiki/bia"
		}
	}
	for _, bad := range []holdfast.Record{
		{Kind: holdfast.Review, Service: "wiki"},
		{Kind: holdfast.Review, Service: "nosuch", By: "ada"},
		{Kind: holdfast.Review, Plan: "nosuch", By: "ada"},
		{Kind: holdfast.Review, Service: "wiki", By: "ada", At: c.Now().AddDate(1, 0, 0)},
	} {
		if _, err := c.Record(ctx, bad); err == nil {
			t.Errorf("record %+v was taken", bad)
		}
	}
	before, err := c.Records(ctx, "wiki")
	if err != nil {
		t.Fatal(err)
	}
	stop()
	c, _ = start(t, data, dir)
	after, err := c.Records(ctx, "wiki")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" || len(after) != 1 {
		t.Errorf("records after a restart (-before +after):\n%s", diff)
	}
}

// The admin socket answers only while a collector runs, and says so.
func TestAdmin(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	write(t, dir, "c.yaml", wiki)
	ctx := t.Context()
	if _, err := collector.Ask(ctx, data, "/token", collector.AdminRequest{Name: "ci", Role: holdfast.Viewer}); err == nil || !strings.Contains(err.Error(), "no collector runs") {
		t.Errorf("no collector: got %v", err)
	}
	c, stop := start(t, data, dir)
	token, err := collector.Ask(ctx, data, "/token", collector.AdminRequest{Name: "ci", Role: holdfast.Viewer})
	if err != nil {
		t.Fatal(err)
	}
	if w, err := c.Token(ctx, token); err != nil || w.Role != holdfast.Viewer {
		t.Errorf("token: got %v, %v", w, err)
	}
	if _, err := collector.Ask(ctx, data, "/token", collector.AdminRequest{Name: "ci", Role: "emperor"}); err == nil {
		t.Error("a token of an unknown role was made")
	}
	join, err := collector.Ask(ctx, data, "/join", collector.AdminRequest{Name: "fra1", Site: "fra"})
	if err != nil || !strings.HasPrefix(join, "hf1.fra1.") {
		t.Errorf("join token: got %q, %v", join, err)
	}
	var image bytes.Buffer
	if err := collector.AskBackup(ctx, data, &image); err != nil {
		t.Fatal(err)
	}
	stop()
	elsewhere := filepath.Join(t.TempDir(), "restored")
	if err := collector.Restore(ctx, bytes.NewReader(image.Bytes()[:image.Len()/2]), elsewhere, "test"); err == nil {
		t.Error("half a backup was restored")
	}
	if err := collector.Restore(ctx, &image, elsewhere, "test"); err != nil {
		t.Fatal(err)
	}
	c, _ = start(t, elsewhere, dir)
	if w, err := c.Token(ctx, token); err != nil || w.Name != "ci" {
		t.Errorf("token after a restore: got %v, %v", w, err)
	}
}
